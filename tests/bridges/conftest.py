"""What the tests of processes share: functions that a worker can import."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

FUNCTIONS = """
import os, pathlib, signal, threading

class Odd(Exception):
    def __init__(self, *, reason):
        super().__init__(reason)

class Poison:
    def __reduce__(self):
        return int, ("not a number",)

def fail(): raise ValueError("failed")
def end_by(number): os.kill(os.getpid(), number)
def crash_at(number, chosen): return os._exit(3) if number == chosen else number
def fail_oddly_at(number, chosen): return fail_oddly() if number == chosen else number
def stop(): next(iter(()))
def leave(): raise SystemExit(4)
def large(count): return [str(number) for number in range(count)]
def has_children():
    import multiprocessing
    process = multiprocessing.get_context("spawn").Process(target=abs, args=(-1,))
    process.start()
    process.join()
    return process.exitcode
def note(value):
    global noted
    noted = value
def read_note(): return noted
def grow(size):
    global kept
    kept = b"x" * size
def fail_oddly(): raise Odd(reason="odd")
def return_lock(): return threading.Lock()
def return_poison(): return Poison()
def interrupt_handler(): return signal.getsignal(signal.SIGINT) is signal.SIG_IGN
def read(pipe): return pathlib.Path(pipe).read_bytes()
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "worker_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "worker_functions", raising=False)
    return importlib.import_module("worker_functions")
