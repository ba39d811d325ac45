"""Calls that cross to a thread and back in groups."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.bridges import grouped
from asyncflags.bridges.grouped import LARGE_BYTES, GroupedCalls
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import BridgeClosed


@pytest.fixture
async def bridge() -> AsyncIterator[ThreadBridge]:
    async with ThreadBridge(2, name="grouped") as bridge:
        yield bridge


class Gate:
    """A call that says when it has started and goes on when it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.left = False

    def __call__(self) -> str:
        self.entered.set()
        assert self.open.wait(10)
        self.left = True
        return "through"


async def entered(gate: Gate) -> None:
    await asyncio.get_running_loop().run_in_executor(None, gate.entered.wait, 10)


async def cancel_then_open(gate: Gate, cancel: Callable[[], object]) -> None:
    """Cancel the caller of *gate* while its call runs, and let that end some turns of the loop later."""
    await entered(gate)
    cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not gate.left
    gate.open.set()


async def test_results_and_errors_reach_their_own_callers(bridge: ThreadBridge) -> None:
    calls = GroupedCalls(bridge)

    def divide(number: int) -> float:
        return 1 / number

    outcomes = await asyncio.gather(
        *(calls.run(divide, number) for number in (1, 0, 2)), return_exceptions=True
    )
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert outcomes[2] == 0.5


async def test_what_gathers_while_the_thread_is_busy_crosses_in_one_call(
    bridge: ThreadBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer over a group than a group may last.
    monkeypatch.setattr(grouped, "_MOST_SECONDS", 60.0)
    calls = GroupedCalls(bridge)
    gate = Gate()
    order: list[int] = []
    first = asyncio.create_task(calls.run(gate))
    await entered(gate)
    rest = [asyncio.create_task(calls.run(order.append, number)) for number in range(50)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *rest)
    assert order == list(range(50))
    stats = calls.stats()
    assert stats.batches <= 2
    assert stats.largest_batch >= 50
    assert stats.completed == 51
    assert (bridge.stats().batches, bridge.stats().largest_batch) == (stats.batches, stats.largest_batch)


async def test_a_queued_call_of_a_cancelled_caller_never_starts(bridge: ThreadBridge) -> None:
    calls = GroupedCalls(bridge)
    gate, started = Gate(), threading.Event()
    first = asyncio.create_task(calls.run(gate))
    await entered(gate)
    queued = asyncio.create_task(calls.run(started.set))
    # The first group has been taken whole, so this one waits for the next.
    await asyncio.sleep(0)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    gate.open.set()
    assert await first == "through"
    await calls.run(int)
    assert not started.is_set()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_caller_waits_for_its_running_call(bridge: ThreadBridge, times: int) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    task = asyncio.create_task(calls.run(gate))
    await entered(gate)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not task.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.left
    assert task.cancelling() == times


async def test_asyncio_timeout_waits_for_the_running_call_and_is_raised(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            now = asyncio.get_running_loop().time()
            ending = asyncio.create_task(cancel_then_open(gate, lambda: timeout.reschedule(now)))
            await calls.run(gate)
    assert gate.left
    await ending


async def test_an_anyio_scope_waits_for_the_running_call(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    with anyio.CancelScope() as scope:
        ending = asyncio.create_task(cancel_then_open(gate, scope.cancel))
        await calls.run(gate)
    assert scope.cancelled_caught
    assert gate.left
    await ending


async def test_an_error_of_a_cancelled_callers_call_is_dropped(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()

    def fail() -> None:
        gate()
        raise ValueError("nobody listens")

    task = asyncio.create_task(calls.run(fail))
    await entered(gate)
    task.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stop_iteration_becomes_a_runtime_error(bridge: ThreadBridge) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await GroupedCalls(bridge).run(next, iter(()))


async def test_a_closed_bridge_refuses(bridge: ThreadBridge) -> None:
    calls = GroupedCalls(bridge)
    assert await calls.run(int) == 0
    await bridge.aclose()
    for _ in range(2):
        with pytest.raises(BridgeClosed):
            await calls.run(int)


async def test_when_the_bridge_closes_everyone_who_waits_for_a_group_is_told() -> None:
    bridge = ThreadBridge(1, name="grouped")
    calls, gate = GroupedCalls(bridge), Gate()
    first = asyncio.create_task(calls.run(gate))
    await entered(gate)
    rest = [asyncio.create_task(calls.run(int)) for _ in range(70)]
    await asyncio.sleep(0)
    bridge.shutdown(wait=False)
    gate.open.set()
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
    assert outcomes[0] == "through"
    assert {type(outcome) for outcome in outcomes[1:]} <= {int, BridgeClosed}
    await bridge.aclose()


async def test_a_group_is_bounded_in_calls_and_in_bytes(bridge: ThreadBridge) -> None:
    for size, most in ((0, 64), (LARGE_BYTES - 1, 18)):
        calls, gate = GroupedCalls(bridge), Gate()
        first = asyncio.create_task(calls.run(gate))
        await entered(gate)
        rest = [asyncio.create_task(calls.run(int, size=size)) for _ in range(200)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert calls.stats().largest_batch <= most


async def test_a_group_that_takes_long_ends_early(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    first = asyncio.create_task(calls.run(gate))
    await entered(gate)
    rest = [asyncio.create_task(calls.run(time.sleep, 0.003)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *rest)
    # The first one may have had the second join it.
    assert calls.stats().largest_batch <= 2


@pytest.mark.parametrize("options", [{"alone": True}, {"size": LARGE_BYTES}])
async def test_a_call_that_may_take_long_holds_up_no_group(
    bridge: ThreadBridge, options: dict[str, Any]
) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    large = asyncio.create_task(calls.run(gate, **options))
    await entered(gate)
    assert await calls.run(int) == 0
    gate.open.set()
    assert await large == "through"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0, 4096, LARGE_BYTES]), st.booleans()),
        max_size=40,
    ),
    st.sets(st.integers(0, 39), max_size=8),
)
def test_the_order_of_a_key_is_kept_whatever_the_sizes_and_the_cancelled(
    made: list[tuple[int, int, bool]], cancelled: set[int]
) -> None:
    done: dict[int, list[int]] = {}
    busy: set[int] = set()

    def write(key: int, number: int) -> None:
        assert key not in busy
        busy.add(key)
        time.sleep(0.0001 if number % 3 else 0)
        done.setdefault(key, []).append(number)
        busy.remove(key)

    async def main() -> None:
        async with ThreadBridge(3) as bridge:
            calls = GroupedCalls(bridge, budget=2 * LARGE_BYTES)
            tasks = [
                asyncio.create_task(calls.run(write, key, number, key=key, size=size, alone=alone))
                for number, (key, size, alone) in enumerate(made)
            ]
            await asyncio.sleep(0)
            for number in cancelled & set(range(len(tasks))):
                tasks[number].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError | None) for each in outcomes)
            # A thread has yet to pass over the calls that were taken back.
            while calls.stats().queued or calls.stats().running:
                await asyncio.sleep(0)
            await calls.room(2 * LARGE_BYTES)

    asyncio.run(main())
    assert all(numbers == sorted(numbers) for numbers in done.values())
    written = {number for numbers in done.values() for number in numbers}
    assert written >= set(range(len(made))) - cancelled


async def test_over_the_budget_a_caller_waits_in_line(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge, budget=1000), Gate()
    first = asyncio.create_task(calls.run(gate, size=900))
    await entered(gate)
    started = threading.Event()
    large = asyncio.create_task(calls.run(started.set, size=200))
    small = asyncio.create_task(calls.run(int, size=50))
    await asyncio.sleep(0.005)
    # The small one would fit, but somebody came before it.
    assert calls.stats().queued + calls.stats().running == 1
    gate.open.set()
    await asyncio.gather(first, large, small)
    assert started.is_set()


async def test_more_than_the_budget_passes_alone(bridge: ThreadBridge) -> None:
    calls = GroupedCalls(bridge, budget=10)
    assert await asyncio.gather(*(calls.run(abs, -1, size=5000) for _ in range(3))) == [1, 1, 1]


async def test_a_caller_that_is_cancelled_in_line_leaves_its_place_to_the_next_at_once(
    bridge: ThreadBridge,
) -> None:
    calls, gate = GroupedCalls(bridge, budget=100), Gate()
    first = asyncio.create_task(calls.run(gate, size=60))
    await entered(gate)
    waiting = asyncio.create_task(calls.run(int, size=90))
    behind = asyncio.create_task(calls.run(int, size=40, alone=True))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await behind == 0
    assert not first.done()
    gate.open.set()
    await first


async def test_room_that_came_with_a_cancellation_passes_on(bridge: ThreadBridge) -> None:
    calls, gate, started = GroupedCalls(bridge, budget=100), Gate(), threading.Event()

    async def occupy() -> None:
        await calls.run(gate, size=100)
        # In this very step of the loop the room has gone to the next in line, who has not woken up yet.
        waiting[0].cancel()

    first = asyncio.create_task(occupy())
    await entered(gate)
    waiting = [asyncio.create_task(calls.run(work, size=100)) for work in (started.set, int)]
    await asyncio.sleep(0)
    gate.open.set()
    assert await waiting[1] == 0
    await first
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert not started.is_set()
    async with asyncio.timeout(10):
        await calls.room(100)


def test_a_budget_below_one_is_refused() -> None:
    with ThreadBridge() as bridge, pytest.raises(ValueError, match="at least 1 byte"):
        GroupedCalls(bridge, budget=0)


async def test_a_submitted_call_is_on_its_way_and_can_be_outlasted(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    call = calls.submit(gate, size=10**12)
    await entered(gate)
    waiting = asyncio.create_task(call.settled())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await call.result() == "through"
    assert await call.result() == "through"


async def test_a_shutdown_that_drops_the_queue_tells_every_caller() -> None:
    bridge, gate = ThreadBridge(1), Gate()
    running = bridge.submit(gate)
    await entered(gate)
    calls = GroupedCalls(bridge)
    tasks = [asyncio.create_task(calls.run(int, alone=number == 3, key="path")) for number in range(5)]
    await asyncio.sleep(0)
    bridge.shutdown(wait=False, cancel_futures=True)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BridgeClosed] * 5
    gate.open.set()
    assert await asyncio.wrap_future(running) == "through"
    await bridge.aclose()
