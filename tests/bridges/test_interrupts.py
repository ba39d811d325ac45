"""Ctrl-C in a program whose threads still work: out once the drain is over, and not when the work is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncflags.bridges import ThreadBridge

PATIENCE = 40

HEAD = """
import asyncio, pathlib, sys, time
import anyio, uvloop
from asyncflags.bridges import ThreadBridge

def job():
    print("running", flush=True)
    time.sleep(6)
    pathlib.Path(sys.argv[1]).touch()

def quick():
    print("running", flush=True)
    time.sleep(0.2)
    pathlib.Path(sys.argv[1]).touch()
"""
AWAITED = """
async def main():
    async with ThreadBridge(1, drain=0.05) as bridge:
        await bridge.run(job)
"""
IN_THE_BACKGROUND = """
async def main():
    bridge = ThreadBridge(1, drain=0.05)
    task = asyncio.create_task(bridge.run(job))
    await asyncio.sleep(3600)
"""
CANCELLED_BEFORE = """
async def main():
    async with ThreadBridge(1, drain=0.05) as bridge:
        async with asyncio.timeout(0.01):
            await bridge.run(job)
"""
DETACHED = """
async def main():
    async with ThreadBridge(1, drain=0.05) as bridge:
        await bridge.with_options(on_cancel="detach").run(job)
"""
SYNCHRONOUS = """
with ThreadBridge(1, drain=0.05) as bridge:
    bridge.submit(job).result()
"""
DRAINED = """
async def main():
    async with ThreadBridge(1, drain=30) as bridge:
        await bridge.run(quick)
"""


def interrupt(script: str, folder: Path, press_ctrl_c: Callable[[int], None]) -> int:
    """Run *script*, press Ctrl-C once its job runs, and return its exit code."""
    path = folder / "script.py"
    path.write_text(HEAD + script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(path), str(folder / "mark")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        press_ctrl_c(process.pid)
        process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.mark.parametrize(
    ("script", "start"),
    [
        (AWAITED, "asyncio.run(main())"),
        (AWAITED, "uvloop.run(main())"),
        (AWAITED, "anyio.run(main)"),
        (IN_THE_BACKGROUND, "asyncio.run(main())"),
        (CANCELLED_BEFORE, "asyncio.run(main())"),
        (DETACHED, "asyncio.run(main())"),
        (SYNCHRONOUS, ""),
    ],
    ids=["asyncio", "uvloop", "anyio", "background", "cancelled before", "detached", "synchronous"],
)
def test_ctrl_c_is_out_after_the_drain_while_a_long_job_still_runs(
    script: str, start: str, tmp_path: Path, press_ctrl_c: Callable[[int], None]
) -> None:
    assert interrupt(script + start, tmp_path, press_ctrl_c) == -signal.SIGINT
    assert not (tmp_path / "mark").exists()


def test_ctrl_c_leaves_a_short_job_the_time_to_end(
    tmp_path: Path, press_ctrl_c: Callable[[int], None]
) -> None:
    assert interrupt(DRAINED + "asyncio.run(main())", tmp_path, press_ctrl_c) == -signal.SIGINT
    assert (tmp_path / "mark").exists()


def test_a_synchronous_block_left_by_ctrl_c_drops_what_is_queued() -> None:
    gate, entered, never = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert gate.wait(10)

    def press() -> None:
        with bridge:
            bridge.submit(hold)
            bridge.submit(never.set)
            assert entered.wait(10)
            raise KeyboardInterrupt

    bridge = ThreadBridge(1, name="asyncflags-interrupt", drain=0)
    with pytest.raises(KeyboardInterrupt):
        press()
    gate.set()
    bridge.shutdown()
    assert not never.is_set()


def test_a_drain_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        ThreadBridge(drain=-1)
