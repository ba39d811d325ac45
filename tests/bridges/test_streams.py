"""Many calls of one function: lazy, bounded, and over when they are left."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.bridges import ExecutorBridge, ThreadBridge
from asyncflags.bridges.streams import as_completed

ITEMS = 500


class Counter:
    """Numbers that tell how far they were taken."""

    def __init__(self, end: int) -> None:
        self.taken = 0
        self._end = end

    def __iter__(self) -> Iterator[int]:
        while self.taken < self._end:
            self.taken += 1
            yield self.taken


class Item:
    """Something whose life can be watched."""


@pytest.fixture
async def bridge() -> AsyncIterator[ThreadBridge]:
    async with ThreadBridge(4, name="asyncflags-stream") as bridge:
        yield bridge


@pytest.fixture
def blocking() -> Iterator[ThreadBridge]:
    with ThreadBridge(4, name="asyncflags-stream") as bridge:
        yield bridge


def slower_at_first(number: int) -> int:
    time.sleep(0.003 if number % 4 == 1 else 0)
    return number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(), max_size=60), st.integers(1, 8), st.booleans())
def test_every_result_comes_once_and_in_order_if_asked(
    numbers: list[int], in_flight: int, ordered: bool
) -> None:
    async def collect() -> list[int]:
        async with ThreadBridge(3) as bridge:
            results = bridge.stream(abs, numbers, in_flight=in_flight, ordered=ordered)
            return [result async for result in results]

    expected = [abs(number) for number in numbers]
    found = asyncio.run(collect())
    with ThreadBridge(3) as bridge:
        found_blocking = list(bridge.stream_sync(abs, numbers, in_flight=in_flight, ordered=ordered))
    if not ordered:
        found, found_blocking, expected = sorted(found), sorted(found_blocking), sorted(expected)
    assert found == found_blocking == expected


async def test_order_is_kept_although_later_calls_end_first(bridge: ThreadBridge) -> None:
    results = bridge.stream(slower_at_first, range(40), in_flight=8, ordered=True)
    assert [result async for result in results] == list(range(40))


async def test_without_order_a_slow_call_holds_up_nobody(bridge: ThreadBridge) -> None:
    gate = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert gate.wait(10)
        return number

    async with bridge.stream(work, range(20), in_flight=4) as results:
        first = [await anext(results) for _ in range(19)]
        assert 0 not in first
        gate.set()
        assert [result async for result in results] == [0]


@pytest.mark.parametrize("ordered", [False, True])
async def test_items_are_taken_only_as_results_are_read(bridge: ThreadBridge, ordered: bool) -> None:
    source = Counter(ITEMS)
    read = 0
    async with bridge.stream(abs, source, in_flight=5, ordered=ordered) as results:
        assert source.taken == 0
        async for _ in results:
            read += 1
            await asyncio.sleep(0)
            assert source.taken <= read + 5
    assert read == ITEMS


@pytest.mark.parametrize("ordered", [False, True])
def test_the_blocking_stream_takes_items_only_as_results_are_read(
    blocking: ThreadBridge, ordered: bool
) -> None:
    source = Counter(ITEMS)
    for read, _ in enumerate(blocking.stream_sync(abs, source, in_flight=5, ordered=ordered)):
        assert source.taken <= read + 5


@pytest.mark.parametrize("ordered", [False, True])
async def test_neither_items_nor_results_pile_up(bridge: ThreadBridge, ordered: bool) -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()

    def items() -> Iterator[Item]:
        for _ in range(ITEMS):
            item = Item()
            alive.add(item)
            yield item

    most = 0
    async with bridge.stream(lambda item: item, items(), in_flight=8, ordered=ordered) as results:
        async for result in results:
            del result
            most = max(most, len(alive))
    # Four threads may each still hold their last item for a moment.
    assert most <= 8 + 4 + 2


def test_nothing_piles_up_in_the_blocking_stream_either(blocking: ThreadBridge) -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def items() -> Iterator[Item]:
        for _ in range(ITEMS):
            item = Item()
            alive.add(item)
            yield item

    for result in blocking.stream_sync(lambda item: item, items(), in_flight=8):
        del result
        most = max(most, len(alive))
    assert most <= 8 + 4 + 2


async def test_a_result_that_was_read_is_let_go_while_the_next_is_waited_for(bridge: ThreadBridge) -> None:
    gate = threading.Event()

    def work(number: int) -> Item:
        assert not number or gate.wait(10)
        return Item()

    async with bridge.stream(work, range(2), in_flight=1) as results:
        gone = weakref.ref(await anext(results))
        waiting = asyncio.create_task(anext(results))
        await asyncio.sleep(0.01)
        assert gone() is None
        gate.set()
        await waiting


async def test_an_asynchronous_iterable_is_taken_as_lazily(bridge: ThreadBridge) -> None:
    taken = 0

    async def source() -> AsyncIterator[int]:
        nonlocal taken
        for number in range(ITEMS):
            await asyncio.sleep(0)
            taken += 1
            yield number

    read = 0
    async with bridge.stream(abs, source(), in_flight=3) as results:
        async for _ in results:
            read += 1
            assert taken <= read + 3
    assert read == ITEMS


async def test_a_slow_source_does_not_hold_back_the_results_that_are_there(bridge: ThreadBridge) -> None:
    more = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await more.wait()
        yield 2

    async with bridge.stream(abs, source(), in_flight=3) as results:
        assert await anext(results) == 1
        more.set()
        assert await anext(results) == 2


@pytest.mark.parametrize("ordered", [False, True])
async def test_leaving_early_cancels_what_is_queued_and_waits_for_what_runs(ordered: bool) -> None:
    gate, entered, done = threading.Event(), threading.Event(), []

    def work(number: int) -> int:
        if number:
            entered.set()
            assert gate.wait(10)
        done.append(number)
        return number

    async with ThreadBridge(1) as bridge:
        async with bridge.stream(work, range(100), in_flight=10, ordered=ordered) as results:
            assert await anext(results) == 0
            while not entered.is_set():
                await asyncio.sleep(0.001)
            asyncio.get_running_loop().call_later(0.01, gate.set)
        assert done == [0, 1]
        await bridge.run(int)
        assert done == [0, 1]


async def test_a_loop_that_is_left_by_break_ends_its_stream_soon(bridge: ThreadBridge) -> None:
    source = Counter(10**9)
    async for _ in bridge.stream(abs, source, in_flight=4):
        break
    gc.collect()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    taken = source.taken
    await asyncio.sleep(0.005)
    assert source.taken == taken


@pytest.mark.parametrize("cancel", ["task", "timeout", "scope"])
async def test_a_cancelled_reader_leaves_nothing_running(bridge: ThreadBridge, cancel: str) -> None:
    gate, loop = threading.Event(), asyncio.get_running_loop()

    async def read() -> None:
        async with bridge.stream(lambda _: gate.wait(10), range(9), in_flight=9) as results:
            async for _ in results:
                pass

    def later(act: Callable[[], object]) -> None:
        """Cancel, and only then let the calls end."""
        loop.call_later(0.01, lambda: (act(), loop.call_later(0.01, gate.set)))

    if cancel == "scope":
        with anyio.CancelScope() as scope:
            later(scope.cancel)
            await read()
    elif cancel == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:
                later(lambda: timeout.reschedule(0))
                await read()
    else:
        task = asyncio.create_task(read())
        later(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gate.is_set()
    assert bridge.stats().running == 0


@pytest.mark.parametrize("ordered", [False, True])
async def test_the_error_of_a_call_ends_the_stream(bridge: ThreadBridge, ordered: bool) -> None:
    source = Counter(10**9)
    results = bridge.stream(fail_at_three, source, in_flight=2, ordered=ordered)
    with pytest.raises(ValueError, match="three"):
        async for _ in results:
            pass
    assert source.taken < 10
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_the_error_of_the_source_comes_after_the_results_before_it(bridge: ThreadBridge) -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    seen = []
    with pytest.raises(LookupError, match="no more"):
        async for result in bridge.stream(abs, source(), in_flight=1):
            seen.append(result)
    assert seen == [1, 2]


def test_the_error_of_a_call_ends_the_blocking_stream(blocking: ThreadBridge) -> None:
    source = Counter(10**9)
    with pytest.raises(ValueError, match="three"):
        list(blocking.stream_sync(fail_at_three, source, in_flight=2))
    assert source.taken < 10


def test_a_timeout_error_of_a_call_is_not_taken_for_one_of_the_wait(blocking: ThreadBridge) -> None:
    def fail(_: int) -> None:
        raise TimeoutError("of the call")

    with pytest.raises(TimeoutError, match="of the call"):
        list(blocking.stream_sync(fail, [1], in_flight=1))


@pytest.mark.parametrize("ordered", [False, True])
def test_leaving_the_blocking_stream_cancels_what_has_not_started(ordered: bool) -> None:
    gate, entered, done = threading.Event(), threading.Event(), []

    def work(number: int) -> int:
        if number:
            entered.set()
            assert gate.wait(10)
        done.append(number)
        return number

    with ThreadBridge(1) as bridge:
        results = bridge.stream_sync(work, range(100), in_flight=10, ordered=ordered)
        assert next(results) == 0
        assert entered.wait(10)
        results.close()
        gate.set()
    assert done == [0, 1]


async def test_blocking_for_a_stream_in_a_running_loop_is_refused(bridge: ThreadBridge) -> None:
    with pytest.raises(RuntimeError, match=r"async for \.\.\. in bridge\.stream"):
        bridge.stream_sync(abs, [1], in_flight=1)


def test_a_bound_below_one_is_refused(blocking: ThreadBridge) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        blocking.stream_sync(abs, [1], in_flight=0)
    with pytest.raises(ValueError, match="at least 1"):
        blocking.stream(abs, [1], in_flight=0)


async def test_an_executor_of_a_third_party_streams_too() -> None:
    with ThreadPoolExecutor(2) as executor:
        bridge = ExecutorBridge(executor, max_in_flight=2)
        assert [result async for result in bridge.stream(abs, [-1, -2], in_flight=1)] == [1, 2]


def test_futures_that_cannot_be_cancelled_are_left_to_end() -> None:
    class Stubborn(Future[Any]):
        def cancel(self) -> bool:
            raise NotImplementedError

    class StubbornExecutor(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = Stubborn()
            future.set_result(fn(*args, **kwargs))
            return future

    results = ExecutorBridge(StubbornExecutor()).stream_sync(abs, range(9), in_flight=3)
    assert next(results) in (0, 1, 2)
    results.close()


async def test_as_completed_yields_the_very_objects_in_the_order_of_their_ends(bridge: ThreadBridge) -> None:
    gate = threading.Event()
    slow = asyncio.create_task(bridge.run(gate.wait, 10))
    quick = bridge.submit(abs, -1)
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, future.set_exception, ValueError("not raised here"))
    calls: list[Any] = [slow, quick, future]
    seen = []
    async for call in as_completed(calls):
        seen.append(call)
        if len(seen) == 2:
            gate.set()
    assert [id(call) for call in seen] == [id(quick), id(future), id(slow)]
    assert isinstance(future.exception(), ValueError)


async def test_as_completed_of_nothing_and_of_what_is_done_ends() -> None:
    done: Future[int] = Future()
    done.set_result(1)
    assert [call async for call in as_completed(list[Future[int]]())] == []
    assert [call async for call in as_completed([done, done])] == [done]


async def test_leaving_as_completed_cancels_nothing(bridge: ThreadBridge) -> None:
    gate = threading.Event()
    slow = asyncio.create_task(bridge.run(gate.wait, 10))
    quick = asyncio.create_task(bridge.run(abs, -1))
    completed = as_completed([slow, quick])
    assert await anext(completed) is quick
    await completed.aclose()  # type: ignore[attr-defined]
    gate.set()
    assert await slow
