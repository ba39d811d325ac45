"""Fresh workers, closing under cancellation, streams, and crash loops of a process bridge."""

from __future__ import annotations

import asyncio
import importlib
import math
import os
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags.bridges import ProcessBridge
from asyncflags.bridges._lifetimes import MOST_CRASHES, WITHIN_SECONDS, CrashLoop
from asyncflags.errors import BridgeError, TaskTimeout

FUNCTIONS = """
import os, pathlib, threading

def hold(pipe):
    return pathlib.Path(pipe).read_bytes()

def burn(number):
    sum(range(4 * 10**10))

def burn_and_tell(pipe):
    with open(pipe, "w") as file:
        print(os.getpid(), file=file)
    sum(range(4 * 10**10))

class Homesick(Exception):
    def __reduce__(self):
        return rebuild, (os.getpid(),)

def rebuild(process):
    if os.getpid() != process:
        raise LookupError("away from home")
    return Homesick()

def fail_homesick(): raise Homesick("far from home")

class Leaving(Exception):
    def __reduce__(self):
        return os.sys.exit, (3,)

def fail_leaving(): raise Leaving("gone")

class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")
    def __reduce__(self):
        raise ValueError("no pickle")

def fail_mute(): raise Mute

class Item:
    pass

def take(item): return item
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "replaced_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "replaced_functions", raising=False)
    return importlib.import_module("replaced_functions")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.002)


async def test_a_killed_worker_is_replaced_before_anybody_asks_for_one(
    bridge: ProcessBridge, functions: Any
) -> None:
    with pytest.raises(TaskTimeout):
        await bridge.with_options(timeout=0.02).run(functions.burn, 1)
    await until(lambda: bridge.stats().replaced == 1)


async def test_a_recycled_worker_is_replaced_before_anybody_asks_for_one() -> None:
    async with ProcessBridge(1, max_tasks=1) as bridge:
        await bridge.run(os.getpid)
        await until(lambda: bridge.stats().replaced == 1)


async def by_task(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    await fire.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def expire(timeout: asyncio.Timeout) -> None:
        await fire.wait()
        timeout.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout, asyncio.TaskGroup() as group:
            group.create_task(expire(timeout))
            await work


async def by_scope(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await fire.wait()
        scope.cancel()

    with anyio.CancelScope() as scope:
        cancelling = asyncio.create_task(cancel(scope))
        await work
    assert scope.cancelled_caught
    await cancelling


@pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope])
async def test_a_cancelled_aclose_waits_for_the_calls_all_the_same(
    functions: Any, pipe: Path, cancel: Any
) -> None:
    bridge, fire = ProcessBridge(1), asyncio.Event()
    worker = psutil.Process(await bridge.run(os.getpid))
    call = bridge.submit(functions.hold, str(pipe))
    closing = asyncio.create_task(cancel(bridge.aclose(), fire))
    with await asyncio.to_thread(open, pipe, "wb"):
        fire.set()
        for _ in range(30):
            await asyncio.sleep(0)
        assert not closing.done()
    await closing
    assert call.result(0) == b""
    assert not psutil.pid_exists(worker.pid)


async def test_a_grace_below_zero_is_refused(bridge: ProcessBridge) -> None:
    with pytest.raises(ValueError, match="grace must be 0 or more seconds"):
        await bridge.aclose(grace=-1)
    assert await bridge.run(abs, -1) == 1


@pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope])
async def test_a_cancelled_reader_of_a_stream_has_its_workers_killed(
    bridge: ProcessBridge, functions: Any, pipe: Path, cancel: Any
) -> None:
    async def read() -> None:
        async with bridge.stream(functions.burn_and_tell, [str(pipe)] * 9, in_flight=3) as results:
            async for _ in results:
                pass

    fire = asyncio.Event()
    reading = asyncio.create_task(cancel(read(), fire))
    worker = int(await asyncio.to_thread(pipe.read_text))
    fire.set()
    await reading
    assert bridge.stats().killed == 1
    assert await bridge.run(os.getpid) != worker


async def test_the_timeout_of_a_view_ends_its_stream_and_the_call_that_is_stuck(
    bridge: ProcessBridge, functions: Any
) -> None:
    with pytest.raises(TaskTimeout, match="burn"):
        async for _ in bridge.with_options(timeout=0.02).stream(functions.burn, [1, 2, 3], in_flight=2):
            pass
    assert await bridge.run(abs, -1) == 1
    assert bridge.stats().running == 0


@pytest.mark.parametrize("ordered", [False, True])
async def test_neither_items_nor_results_pile_up_in_a_stream(
    bridge: ProcessBridge, functions: Any, ordered: bool
) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    taken = read = most = 0

    def items() -> Iterator[Any]:
        nonlocal taken
        for _ in range(400):
            taken += 1
            item = functions.Item()
            alive.add(item)
            yield item
            del item

    async with bridge.stream(functions.take, items(), in_flight=5, ordered=ordered) as results:
        async for result in results:
            read += 1
            alive.add(result)
            del result
            assert taken <= read + 5
            most = max(most, len(alive))
    assert read == 400
    # Those under way, the one just read, and the last one of the generator.
    assert most <= 5 + 2


@pytest.mark.parametrize("name", ["fail_homesick", "fail_leaving", "fail_mute"])
async def test_an_error_that_arrives_nowhere_is_told_with_its_type_and_costs_its_call_alone(
    bridge: ProcessBridge, functions: Any, name: str
) -> None:
    kind = name.removeprefix("fail_").capitalize()
    worker = await bridge.run(os.getpid)
    with pytest.raises(
        BridgeError, match=rf"raised replaced_functions\.{kind}, which does not survive"
    ) as told:
        await bridge.run(getattr(functions, name))
    assert f"in {name}" in str(told.value.__cause__)
    assert await bridge.run(os.getpid) == worker


@given(st.lists(st.floats(0, 6), min_size=1, max_size=12))
def test_a_crash_loop_is_so_many_deaths_within_so_many_seconds(pauses: list[float]) -> None:
    crashes, now, times = CrashLoop(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        times.append(now)
        recent = times[-MOST_CRASHES:]
        expected = len(recent) == MOST_CRASHES and recent[-1] - recent[0] <= WITHIN_SECONDS
        assert crashes.crash(now) == expected


def test_an_answer_ends_a_crash_loop() -> None:
    crashes = CrashLoop()
    for _ in range(MOST_CRASHES - 1):
        assert not crashes.crash(math.pi)
    crashes.succeed()
    assert not crashes.crash(math.pi)
