"""What happens while a worker starts: closing, cancelling, and a worker that dies before it has read its call."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncflags.bridges import ProcessBridge
from asyncflags.errors import BridgeClosed, WorkerCrashed

FUNCTIONS = """
import os, sys

def die_at_the_first_call():
    def notice(frame, event, function):
        if event == "c_call" and function.__name__.startswith("recv"):
            os._exit(3)
    sys.setprofile(notice)
"""


class Starts:
    """The starts of processes by the fork server, which can be held up."""

    def __init__(self) -> None:
        self.count = 0
        self.processes: list[int] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def hold(self) -> None:
        self.entered.clear()
        self.gate.clear()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    starts = Starts()
    context = multiprocessing.get_context("forkserver")
    start = context.Process.start

    def noted(process: Any) -> None:
        starts.count += 1
        starts.entered.set()
        assert starts.gate.wait(20)
        start(process)
        starts.processes.append(process.pid)

    monkeypatch.setattr(context.Process, "start", noted)
    yield starts
    starts.gate.set()


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "started_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "started_functions", raising=False)
    return importlib.import_module("started_functions")


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


async def test_a_bridge_that_is_killed_while_a_worker_starts_leaves_none_behind(starts: Starts) -> None:
    starts.hold()
    bridge = ProcessBridge(1)
    call = asyncio.create_task(bridge.run(abs, -1))
    await until(starts.entered)
    closing = asyncio.create_task(bridge.aclose(grace=0))
    with pytest.raises(BridgeClosed):
        await call
    starts.gate.set()
    async with asyncio.timeout(10):
        await closing
    assert starts.count == 1
    assert not any(psutil.pid_exists(process) for process in starts.processes)


async def test_callers_of_a_bridge_whose_worker_still_starts_are_free_when_they_are_cancelled(
    starts: Starts,
) -> None:
    starts.hold()
    async with ProcessBridge(1) as bridge:
        call = asyncio.create_task(bridge.run(abs, -1))
        await until(starts.entered)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        starts.gate.set()
        assert await bridge.run(abs, -2) == 2
        assert bridge.stats().killed == 0


async def test_a_call_that_waits_for_a_second_worker_can_be_cancelled(starts: Starts) -> None:
    async with ProcessBridge(1) as bridge:
        worker = psutil.Process(await bridge.run(os.getpid))
        # Stopped, it does not read the call, and killed then it never has.
        worker.suspend()
        call = asyncio.create_task(bridge.run(abs, -1))
        await asyncio.sleep(0)
        starts.hold()
        worker.kill()
        await until(starts.entered)
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=10)
        assert done == {call}
        assert call.cancelled()
        starts.gate.set()
        assert await bridge.run(abs, -2) == 2


async def test_a_call_that_two_workers_did_not_live_to_read_fails_and_is_not_tried_for_ever(
    starts: Starts, functions: Any
) -> None:
    async with ProcessBridge(1, initializer=functions.die_at_the_first_call) as bridge:
        with pytest.raises(WorkerCrashed) as crashed:
            await bridge.run(abs, -1)
        assert crashed.value.exitcode == 3
        assert starts.count == 2
