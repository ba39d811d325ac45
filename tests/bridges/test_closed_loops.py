"""A host's loop that is closed while its calls still run: no thread suffers, no slot is lost, the next loop goes on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asyncflags.bridges import ExecutorBridge, GroupedCalls, Portal, ThreadBridge


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
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture(autouse=True)
def _no_thread_complains(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A thread that has nobody to tell says nothing: neither a log record nor an error of its own."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def close_under(work: Coroutine[Any, Any, object], entered: threading.Event) -> None:
    """Close the loop on which *work* waits for a call that has started."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert entered.wait(10)
    loop.close()
    # The task can never end now, and says so when it goes; that is the loop's doing.
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("detaches", [False, True])
def test_a_thread_bridge_serves_the_next_loop(gate: Gate, detaches: bool) -> None:
    with ThreadBridge(1) as bridge:
        view = bridge.with_options(timeout=60, on_cancel="detach") if detaches else bridge
        close_under(view.run(gate), gate.entered)
        gate.open.set()
        assert asyncio.run(bridge.run(abs, -1)) == 1
        assert bridge.submit(abs, -2).result(10) == 2
        assert bridge.stats().running == 0


def test_a_timeout_that_ends_after_the_loop_harms_no_other_deadline(gate: Gate) -> None:
    with ThreadBridge(2) as bridge:
        view = bridge.with_options(timeout=0.01, on_cancel="detach")
        close_under(view.run(gate), gate.entered)
        assert isinstance(view.submit(gate.open.wait, 10).exception(10), TimeoutError)
        gate.open.set()


def test_calls_queued_by_a_loop_that_was_closed_hold_up_nobody(gate: Gate) -> None:
    with ThreadBridge(1) as bridge:

        async def many() -> None:
            await asyncio.gather(bridge.run(gate), *(bridge.run(abs, -1) for _ in range(20)))

        loop = asyncio.new_event_loop()
        task = loop.create_task(many())
        for _ in range(5):
            loop.run_until_complete(asyncio.sleep(0))
        assert gate.entered.wait(10)
        for inner in asyncio.all_tasks(loop):
            inner._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        gate.open.set()
        assert bridge.submit(abs, -2).result(10) == 2
        del task


def test_an_executor_bridge_gets_its_slot_back_and_serves_the_next_loop(gate: Gate) -> None:
    with ThreadPoolExecutor(1) as executor:
        bridge = ExecutorBridge(executor, max_in_flight=1)
        close_under(bridge.run(gate), gate.entered)
        assert bridge.stats().running == 1
        gate.open.set()
        assert asyncio.run(bridge.run(abs, -1)) == 1
        assert bridge.stats().running == 0


def test_a_group_that_ends_after_its_loop_leaves_the_thread_to_the_next(gate: Gate) -> None:
    with ThreadBridge(1) as bridge:
        close_under(GroupedCalls(bridge).run(gate), gate.entered)
        gate.open.set()
        assert asyncio.run(GroupedCalls(bridge).run(abs, -1)) == 1


def test_a_portal_outlives_a_loop_that_waited_for_it() -> None:
    with Portal("asyncflags-closed") as portal:
        begun, ended = threading.Event(), threading.Event()
        futures: list[concurrent.futures.Future[None]] = []

        async def work() -> None:
            begun.set()
            while not ended.is_set():
                await asyncio.sleep(0.001)

        async def wait() -> None:
            futures.append(portal.start_soon(work))
            await asyncio.wrap_future(futures[0])

        close_under(wait(), begun)
        ended.set()
        assert futures[0].result(10) is None
        assert portal.call(lambda: asyncio.sleep(0, "on")) == "on"
