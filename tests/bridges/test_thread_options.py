"""A thread bridge with options: detached callers, timeouts, deadlines, counters, waits that would block."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import contextlib
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import pytest

from asyncflags.bridges import ThreadBridge
from asyncflags.bridges.stats import BridgeStats
from asyncflags.errors import BridgeClosed, TaskTimeout

Counted: TypeAlias = "tuple[asyncio.Runner, Callable[[], int]]"

SHORT = 0.02
LONG = 60.0


class Gate:
    """A call that says when it has started and goes on when it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.open.wait(10)
        return "through"


@pytest.fixture
async def bridge() -> AsyncIterator[ThreadBridge]:
    async with ThreadBridge(1, name="asyncflags-options") as bridge:
        yield bridge


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


async def until_stats(bridge: ThreadBridge, **expected: int) -> None:
    while any(getattr(bridge.stats(), name) != value for name, value in expected.items()):
        await asyncio.sleep(0.001)


async def by_task(work: Coroutine[Any, Any, object], entered: threading.Event) -> None:
    task = asyncio.create_task(work)
    await until(entered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout(work: Coroutine[Any, Any, object], entered: threading.Event) -> None:
    async def expire(timeout: asyncio.Timeout) -> None:
        await until(entered)
        timeout.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout:
            expiring = asyncio.create_task(expire(timeout))
            await work
    await expiring


async def by_scope(work: Coroutine[Any, Any, object], entered: threading.Event) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await until(entered)
        scope.cancel()

    with anyio.CancelScope() as scope:
        cancelling = asyncio.create_task(cancel(scope))
        await work
    assert scope.cancelled_caught
    await cancelling


@pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope])
async def test_a_detached_caller_is_free_while_its_call_keeps_the_slot(
    bridge: ThreadBridge, cancel: Any
) -> None:
    gate, next_started = Gate(), threading.Event()
    await cancel(bridge.with_options(on_cancel="detach").run(gate), gate.entered)
    assert bridge.stats().detached == 1
    following = asyncio.create_task(bridge.run(next_started.set))
    await asyncio.sleep(SHORT)
    assert not next_started.is_set()
    gate.open.set()
    await following
    assert bridge.stats() == BridgeStats(queued=0, running=0, completed=2)


async def test_sixty_cancelled_callers_of_a_bridge_of_four_never_have_more_than_four_running() -> None:
    lock, go = threading.Lock(), threading.Event()
    running = most = started = 0

    def work() -> None:
        nonlocal running, most, started
        with lock:
            running += 1
            started += 1
            most = max(most, running)
        go.wait(10)
        with lock:
            running -= 1

    async with ThreadBridge(4) as bridge:
        detaching = bridge.with_options(on_cancel="detach")
        tasks = [asyncio.create_task(detaching.run(work)) for _ in range(60)]
        while started < 4:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        late = [asyncio.create_task(detaching.run(work)) for _ in range(8)]
        await asyncio.sleep(SHORT)
        assert bridge.stats().detached == 4
        go.set()
        await asyncio.gather(*late)
    assert most == 4
    assert started == 4 + 8


async def test_over_its_timeout_a_detached_caller_gets_the_error_while_the_thread_runs(
    bridge: ThreadBridge,
) -> None:
    gate = Gate()
    with pytest.raises(TaskTimeout, match="ProcessBridge"):
        await bridge.with_options(timeout=SHORT, on_cancel="detach").run(gate)
    assert bridge.stats().detached == 1
    gate.open.set()
    await until_stats(bridge, running=0, detached=0)


async def test_over_its_timeout_a_waiting_caller_gets_the_error_after_the_thread_is_done(
    bridge: ThreadBridge,
) -> None:
    gate = Gate()
    caller = asyncio.create_task(bridge.with_options(timeout=0.001).run(gate))
    await until(gate.entered)
    await asyncio.sleep(SHORT)
    assert not caller.done()
    gate.open.set()
    with pytest.raises(TaskTimeout):
        await caller


async def test_a_timeout_counts_from_the_start_of_the_call_and_not_in_the_queue(bridge: ThreadBridge) -> None:
    gate = Gate()
    blocking = asyncio.create_task(bridge.run(gate))
    await until(gate.entered)
    queued = asyncio.create_task(bridge.with_options(timeout=SHORT, on_cancel="detach").run(abs, -1))
    await asyncio.sleep(2 * SHORT)
    gate.open.set()
    assert await queued == 1
    await blocking


async def test_the_error_of_a_call_that_ran_too_long_is_the_cause(bridge: ThreadBridge) -> None:
    def fail() -> None:
        time.sleep(SHORT)
        raise ValueError("late")

    with pytest.raises(TaskTimeout) as caught:
        await bridge.with_options(timeout=0.001).run(fail)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_submitted_call_has_the_timeout_too() -> None:
    gate = Gate()
    with ThreadBridge(1) as bridge:
        future = bridge.with_options(timeout=SHORT, on_cancel="detach").submit(gate)
        assert isinstance(future.exception(10), TaskTimeout)
        gate.open.set()
        assert bridge.with_options(timeout=LONG, on_cancel="detach").submit(abs, -1).result(10) == 1


async def test_deadlines_hold_in_the_order_in_which_they_end() -> None:
    async with ThreadBridge(3) as bridge:
        gates, order = [Gate(), Gate()], []

        async def run(gate: Gate, timeout: float) -> None:
            with contextlib.suppress(TaskTimeout):
                await bridge.with_options(timeout=timeout, on_cancel="detach").run(gate)
            order.append(timeout)

        late = asyncio.create_task(run(gates[0], 2 * SHORT))
        await until(gates[0].entered)
        await run(gates[1], SHORT)
        await late
        assert order == [SHORT, 2 * SHORT]
        for gate in gates:
            gate.open.set()


async def test_a_view_serves_the_same_threads_and_verbs(bridge: ThreadBridge) -> None:
    view = bridge.with_options(timeout=LONG)
    assert isinstance(view, concurrent.futures.Executor)
    assert await view.run(threading.get_ident) == await bridge.run(threading.get_ident)
    assert await asyncio.get_running_loop().run_in_executor(view, pow, 2, 5) == 32
    assert [item async for item in view.stream(abs, [-1, -2], in_flight=1)] == [1, 2]
    assert view.stats() == bridge.stats()


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_not_above_zero_is_refused(timeout: float) -> None:
    with ThreadBridge() as bridge, pytest.raises(ValueError, match="above 0"):
        bridge.with_options(timeout=timeout)


def test_killing_a_thread_is_refused_with_the_reason() -> None:
    with ThreadBridge() as bridge, pytest.raises(ValueError, match="nothing can kill a thread"):
        bridge.with_options(on_cancel="kill")  # type: ignore[arg-type]


async def test_stats_tell_queued_and_running(bridge: ThreadBridge) -> None:
    gate = Gate()
    tasks = [asyncio.create_task(bridge.run(gate)) for _ in range(3)]
    await until(gate.entered)
    assert bridge.stats() == BridgeStats(queued=2, running=1)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert bridge.stats() == BridgeStats(queued=0, running=0, completed=3)


@pytest.mark.may_leak("the call outlives its bridge's deadline")
async def test_at_its_deadline_closing_drops_what_is_queued_and_leaves_what_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bridge, gate = ThreadBridge(1), Gate()
    running = asyncio.create_task(bridge.run(gate))
    await until(gate.entered)
    queued = [asyncio.create_task(bridge.run(abs, -1)), asyncio.wrap_future(bridge.submit(abs, -1))]
    await asyncio.sleep(0)
    await bridge.aclose(deadline=SHORT)
    assert "1 of its calls still ran" in caplog.text
    with pytest.raises(BridgeClosed):
        await queued[0]
    with pytest.raises(asyncio.CancelledError):
        await queued[1]
    assert not running.done()
    gate.open.set()
    assert await running == "through"
    await bridge.aclose()


async def test_a_deadline_that_is_not_reached_changes_nothing() -> None:
    bridge = ThreadBridge(1)
    task = asyncio.create_task(bridge.run(abs, -1))
    await asyncio.sleep(0)
    await bridge.aclose(deadline=LONG)
    assert await task == 1


async def test_blocking_for_a_future_on_the_bridges_own_loop_is_refused(bridge: ThreadBridge) -> None:
    await bridge.run(abs, -1)
    gate = Gate()
    future = bridge.submit(gate)
    for block in (future.result, future.exception, lambda: future.result(LONG)):
        with pytest.raises(RuntimeError, match="await asyncio.wrap_future"):
            block()
    with pytest.raises(TimeoutError):
        future.result(0)
    gate.open.set()
    assert await asyncio.wrap_future(future) == "through"
    assert future.result() == "through"


async def test_a_blocking_shutdown_on_the_bridges_own_loop_is_refused(bridge: ThreadBridge) -> None:
    await bridge.run(abs, -1)
    with pytest.raises(RuntimeError, match=r"await bridge\.aclose\(\)"):
        bridge.shutdown()
    assert await bridge.run(abs, -1) == 1


@pytest.mark.may_block("a long cell does")
async def test_a_cell_of_a_notebook_may_block(bridge: ThreadBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    await bridge.run(abs, -1)
    monkeypatch.setattr(
        builtins, "get_ipython", lambda: types.SimpleNamespace(kernel=object()), raising=False
    )
    future = bridge.submit(time.sleep, 0.005)
    assert future.result(10) is None


async def test_another_thread_may_block_for_the_future(bridge: ThreadBridge) -> None:
    await bridge.run(abs, -1)
    gate = Gate()
    future = bridge.submit(gate)
    waiting = asyncio.create_task(asyncio.to_thread(future.result, 10))
    await until(gate.entered)
    gate.open.set()
    assert await waiting == "through"


@pytest.mark.parametrize("detaches", [False, True])
def test_a_loop_that_is_closed_under_a_running_call_leaves_the_thread_unharmed(detaches: bool) -> None:
    gate = Gate()
    with ThreadBridge(1) as bridge:
        view = bridge.with_options(timeout=LONG, on_cancel="detach") if detaches else bridge
        loop = asyncio.new_event_loop()
        task = loop.create_task(view.run(gate))
        loop.run_until_complete(asyncio.sleep(0))
        assert gate.entered.wait(10)
        loop.close()
        gate.open.set()
        assert bridge.submit(abs, -1).result(10) == 1
        # The task can never end now, and says so when it goes; that is the loop's doing.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task


def test_map_is_the_standard_one() -> None:
    assert ThreadBridge.map is concurrent.futures.Executor.map


def test_one_wake_up_of_the_loop_serves_all_that_arrived_since_its_last_turn(counted: Counted) -> None:
    runner, wake_ups = counted

    async def main() -> int:
        gate = Gate()
        first = asyncio.create_task(threads.run(gate))
        rest = [asyncio.create_task(threads.run(int)) for _ in range(50)]
        await until(gate.entered)
        before = wake_ups()
        gate.open.set()
        # The loop does not look while the thread works through its queue.
        concurrent.futures.wait([threads.submit(int)], 10)
        await asyncio.gather(first, *rest)
        return wake_ups() - before

    with ThreadBridge(1) as threads:
        assert runner.run(main()) == 1
