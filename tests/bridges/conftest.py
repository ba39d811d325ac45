"""What the tests of bridges share: functions that a worker can import, and a loop that counts its wake-ups."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVarTuple

import psutil
import pytest

Ts = TypeVarTuple("Ts")

FUNCTIONS = """
import sys
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


class Leaving:
    def __reduce__(self):
        return sys.exit, (4,)


def return_leaving():
    return Leaving()
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "worker_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "worker_functions", raising=False)
    return importlib.import_module("worker_functions")


@pytest.fixture
def press_ctrl_c() -> Callable[[int], None]:
    """Interrupt a process as a person does: in the middle of a wait, and not in the moment before it.

    There Python itself would look at the signal only after the wait, in any program.
    """

    def press(process: int) -> None:
        main_thread = psutil.Process(process)
        while main_thread.status() == psutil.STATUS_RUNNING:
            time.sleep(0.005)
        time.sleep(0.03)
        os.kill(process, signal.SIGINT)

    return press


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often other threads wake it up."""

    wake_ups = 0

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        self.wake_ups += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


@pytest.fixture
def counted() -> Iterator[tuple[asyncio.Runner, Callable[[], int]]]:
    """A runner, and how often its loop was woken up by other threads so far."""
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, CountingLoop)
        yield runner, lambda: loop.wake_ups
