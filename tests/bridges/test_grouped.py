"""Calls that cross to a thread and back in groups."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from asyncflags.bridges.grouped import GroupedCalls
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


async def test_what_gathers_while_the_thread_is_busy_crosses_in_one_call(bridge: ThreadBridge) -> None:
    crossings: list[int] = []

    class Counting(ThreadBridge):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            crossings.append(1)
            return super().submit(fn, *args, **kwargs)

    gate = Gate()
    order: list[int] = []
    async with Counting(2, name="grouped") as counting:
        calls = GroupedCalls(counting)
        first = asyncio.create_task(calls.run(gate))
        await entered(gate)
        rest = [asyncio.create_task(calls.run(order.append, number)) for number in range(50)]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(first, *rest)
    assert order == list(range(50))
    assert len(crossings) <= 3


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
    asyncio.get_running_loop().call_later(0.03, gate.open.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await calls.run(gate)
    assert gate.left


async def test_an_anyio_scope_waits_for_the_running_call(bridge: ThreadBridge) -> None:
    calls, gate = GroupedCalls(bridge), Gate()
    asyncio.get_running_loop().call_later(0.03, gate.open.set)
    with anyio.move_on_after(0.01) as scope:
        await calls.run(gate)
    assert scope.cancelled_caught
    assert gate.left


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
