from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.bridges import ExecutorBridge
from asyncflags.errors import BridgeClosed


class ManualExecutor(Executor):
    """Runs nothing by itself; the test ends the calls it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Future[Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls.append((args[0], future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        raise AssertionError("an executor of someone else must not be shut down")


class RefusingExecutor(ManualExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise RuntimeError("no more calls")


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_run_returns_the_result_of_the_foreign_executor() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert await ExecutorBridge(executor).run(pow, 2, 5) == 32


async def test_never_more_calls_are_in_flight_than_the_bound() -> None:
    executor = ManualExecutor()
    bridge = ExecutorBridge(executor, max_in_flight=2)
    tasks = [asyncio.create_task(bridge.run(abs, number)) for number in range(5)]
    await turns()
    assert len(executor.calls) == 2
    executor.calls[0][1].set_result(None)
    await turns()
    assert len(executor.calls) == 3
    for _ in range(5):
        for _number, future in executor.calls:
            if not future.done():
                future.set_result(None)
        await turns()
    await asyncio.gather(*tasks)


async def test_without_a_bound_every_call_is_handed_over_at_once() -> None:
    executor = ManualExecutor()
    bridge = ExecutorBridge(executor)
    tasks = [asyncio.create_task(bridge.run(abs, number)) for number in range(50)]
    await turns()
    assert len(executor.calls) == 50
    for _number, future in executor.calls:
        future.set_result(None)
    await asyncio.gather(*tasks)


async def test_a_running_call_keeps_its_slot_after_its_caller_was_cancelled() -> None:
    executor = ManualExecutor()
    bridge = ExecutorBridge(executor, max_in_flight=1)
    first = asyncio.create_task(bridge.run(abs, 1))
    second = asyncio.create_task(bridge.run(abs, 2))
    await turns()
    executor.calls[0][1].set_running_or_notify_cancel()
    first.cancel()
    await turns()
    assert len(executor.calls) == 1
    executor.calls[0][1].set_result(None)
    await turns()
    assert len(executor.calls) == 2
    executor.calls[1][1].set_result(7)
    assert await second == 7
    assert first.cancelled()


@settings(max_examples=40, deadline=None)
@given(callers=st.integers(1, 12), cancelled=st.sets(st.integers(0, 11)), bound=st.integers(1, 4))
def test_callers_get_their_slots_in_order_and_no_slot_is_lost_to_a_cancelled_one(
    callers: int, cancelled: set[int], bound: int
) -> None:
    async def main() -> None:
        executor = ManualExecutor()
        bridge = ExecutorBridge(executor, max_in_flight=bound)
        tasks = [asyncio.create_task(bridge.run(abs, number)) for number in range(callers)]
        await turns()
        for number in sorted(cancelled & set(range(bound, callers))):
            tasks[number].cancel()
        ended = 0
        while ended < len(executor.calls):
            assert len(executor.calls) - ended <= bound
            executor.calls[ended][1].set_result(None)
            ended += 1
            await turns()
        await asyncio.wait(tasks)
        expected = [n for n in range(callers) if n < bound or n not in cancelled]
        assert [number for number, _ in executor.calls] == expected

    asyncio.run(main())


async def test_a_slot_that_comes_with_the_cancellation_passes_to_the_next_caller() -> None:
    executor = ManualExecutor()
    bridge = ExecutorBridge(executor, max_in_flight=1)
    tasks = [asyncio.create_task(bridge.run(abs, number)) for number in range(3)]
    await turns()
    # The slot goes to the second caller here, and it is cancelled before it has woken up.
    executor.calls[0][1].set_result(None)
    tasks[1].cancel()
    await turns()
    assert [number for number, _ in executor.calls][-1] == 2
    executor.calls[-1][1].set_result(None)
    await tasks[2]
    assert tasks[1].cancelled()


async def test_a_refused_call_gives_its_slot_back() -> None:
    bridge = ExecutorBridge(RefusingExecutor(), max_in_flight=1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no more calls"):
            await bridge.run(abs, 1)


def test_one_bound_serves_the_loops_of_several_threads() -> None:
    gate = threading.Barrier(2)

    async def main(bridge: ExecutorBridge) -> list[int]:
        gate.wait(10)
        return await asyncio.gather(*(bridge.run(abs, -number) for number in range(20)))

    with ThreadPoolExecutor(2) as executor, ThreadPoolExecutor(2) as loops:
        bridge = ExecutorBridge(executor, max_in_flight=1)
        results = [loops.submit(asyncio.run, main(bridge)) for _ in range(2)]
        assert [result.result(10) for result in results] == [list(range(20))] * 2


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ExecutorBridge(ManualExecutor(), max_in_flight=0)


async def test_a_closed_executor_says_so_itself_and_costs_no_slot() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    bridge = ExecutorBridge(executor, max_in_flight=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            await bridge.run(abs, -1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        bridge.submit(abs, -1)
    assert bridge.stats().running == 0


async def test_a_call_that_the_executor_drops_at_its_end_is_told_to_its_caller_and_gives_its_slot_back() -> (
    None
):
    gate, entered = threading.Event(), threading.Event()

    def hold() -> bool:
        entered.set()
        return gate.wait(10)

    executor = ThreadPoolExecutor(1)
    bridge = ExecutorBridge(executor, max_in_flight=2)
    running = asyncio.create_task(bridge.run(hold))
    dropped = asyncio.create_task(bridge.run(abs, -1))
    while not entered.is_set():
        await asyncio.sleep(0.001)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(BridgeClosed, match="dropped before it started"):
        await dropped
    gate.set()
    assert await running
    assert bridge.stats().running == 0


async def test_a_call_that_the_executor_lets_be_cancelled_frees_its_caller_and_its_slot_at_once() -> None:
    executor = ManualExecutor()
    bridge = ExecutorBridge(executor, max_in_flight=1)
    first = asyncio.create_task(bridge.run(abs, 1))
    await turns()
    first.cancel()
    await turns()
    assert first.cancelled()
    second = asyncio.create_task(bridge.run(abs, 2))
    await turns()
    executor.calls[1][1].set_result(2)
    assert await second == 2
