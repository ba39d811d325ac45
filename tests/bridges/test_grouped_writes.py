"""Files written in groups: none lost, each whole, few crossings for many, and a host that leaves meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from asyncflags.bridges import GroupedCalls, ThreadBridge, grouped
from asyncflags.errors import BridgeClosed

Counted: TypeAlias = "tuple[asyncio.Runner, Callable[[], int]]"

WRITERS = 64
TURNS = 3


def write(path: Path, body: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(body)
    part.replace(path)


async def test_sixty_four_writers_cross_in_far_fewer_hops_than_they_write_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer over a group than a group may last.
    monkeypatch.setattr(grouped, "_MOST_SECONDS", 60.0)
    async with ThreadBridge(1) as bridge:
        calls = GroupedCalls(bridge)

        async def caller(number: int) -> None:
            for turn in range(TURNS):
                path = tmp_path / f"{number}.bin"
                await calls.run(write, path, bytes([number, turn]) * 2048, key=path, size=4096)

        await asyncio.gather(*(caller(number) for number in range(WRITERS)))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
            f"{number}.bin": bytes([number, TURNS - 1]) * 2048 for number in range(WRITERS)
        }
        assert calls.stats().completed == TURNS * WRITERS
        # Each hop is one call of the bridge. Those who come alone at first are let off.
        assert bridge.stats().completed <= TURNS * WRITERS // 4
        assert calls.stats().batches == bridge.stats().completed


def test_the_callers_of_one_group_are_woken_by_one_wake_up(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped, "_MOST_SECONDS", 60.0)
    runner, wake_ups = counted
    gate, entered = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert gate.wait(10)

    async def main() -> int:
        async with ThreadBridge(1) as bridge:
            calls = GroupedCalls(bridge)
            first = asyncio.create_task(calls.run(hold))
            while not entered.is_set():
                await asyncio.sleep(0.001)
            rest = [asyncio.create_task(calls.run(int)) for _ in range(50)]
            await asyncio.sleep(0)
            before = wake_ups()
            gate.set()
            await asyncio.gather(first, *rest)
            # Those that came while the thread was busy have joined its group.
            assert (calls.stats().batches, calls.stats().completed) == (1, 51)
            return wake_ups() - before

    assert runner.run(main()) == 1


async def test_the_budget_bounds_the_bytes_on_their_way_and_comes_back_whole() -> None:
    under_way = most = 0
    async with ThreadBridge(3) as bridge:
        calls = GroupedCalls(bridge, budget=5000)

        async def caller(number: int) -> None:
            nonlocal under_way, most
            await calls.room(1000)
            under_way += 1000
            most = max(most, under_way)
            try:
                await calls.submit(time.sleep, 0.0001, size=1000, alone=number % 3 == 0).result()
            finally:
                under_way -= 1000

        tasks = [asyncio.create_task(caller(number)) for number in range(60)]
        await asyncio.sleep(0.002)
        for task in tasks[20:30]:
            task.cancel()
        await asyncio.wait(tasks)
        assert most == 5000
        # All of it fits again, so nothing was kept.
        async with asyncio.timeout(10):
            await calls.room(5000)


async def test_after_the_bridge_was_closed_a_call_in_line_for_room_is_refused() -> None:
    bridge = ThreadBridge(1)
    calls, gate, entered = GroupedCalls(bridge, budget=100), threading.Event(), threading.Event()

    def hold() -> bool:
        entered.set()
        return gate.wait(10)

    first = asyncio.create_task(calls.run(hold, size=100))
    while not entered.is_set():
        await asyncio.sleep(0.001)
    waiting = asyncio.create_task(calls.run(int, size=100))
    await asyncio.sleep(0)
    bridge.shutdown(wait=False)
    gate.set()
    assert await first
    with pytest.raises(BridgeClosed):
        await waiting
    await bridge.aclose()


def test_a_script_that_ends_with_writes_under_way_leaves_cleanly(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("""
import asyncio, threading
from asyncflags.bridges import GroupedCalls, ThreadBridge
entered = threading.Event()
def hold():
    entered.set()
    threading.Event().wait()
async def main():
    calls = GroupedCalls(ThreadBridge(2))
    for alone in (False, True):
        calls.submit(hold, alone=alone)
        calls.submit(int, alone=alone)
    entered.wait()
asyncio.run(main())
""")
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
