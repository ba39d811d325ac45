from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import anyio
import pytest

from asyncflags.bridges._waiting import outcome, wait_all, wait_settled
from asyncflags.errors import BridgeClosed


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_waiting_for_a_done_future_returns_at_once() -> None:
    future: Future[None] = Future()
    future.set_exception(ValueError("not looked at"))
    await wait_settled(future)


async def test_the_wait_ends_when_another_thread_settles_the_future() -> None:
    future: Future[int] = Future()
    waiting = asyncio.create_task(wait_settled(future))
    await turns(2)
    await asyncio.to_thread(future.set_result, 1)
    await waiting


@pytest.mark.parametrize("cancellations", [1, 2, 5])
async def test_cancellations_are_counted_and_raised_once_after_the_end(cancellations: int) -> None:
    future: Future[None] = Future()
    waiting = asyncio.create_task(wait_settled(future))
    for _ in range(cancellations):
        await turns(3)
        waiting.cancel()
    await turns()
    assert not waiting.done()
    future.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelling() == cancellations


async def test_a_cancellation_in_the_moment_of_the_end_is_raised() -> None:
    future: Future[None] = Future()
    waiting = asyncio.create_task(wait_settled(future))
    await turns(2)
    future.set_result(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancelled_scope_does_not_spin_the_loop_while_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = 0
    wait = asyncio.wait

    def counted(pending: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        nonlocal waits
        waits += 1
        return wait(pending, **options)

    monkeypatch.setattr(asyncio, "wait", counted)
    future: Future[None] = Future()

    async def end_late(scope: anyio.CancelScope) -> None:
        scope.cancel()
        await turns(100)
        future.set_result(None)

    with anyio.CancelScope() as scope:
        ending = asyncio.create_task(end_late(scope))
        await wait_settled(future)
    assert scope.cancelled_caught
    await ending
    assert waits <= 3


async def test_wait_all_outlasts_every_task_and_cancels_none() -> None:
    gate = asyncio.Event()
    tasks = [asyncio.create_task(gate.wait()) for _ in range(3)]
    waiting = asyncio.create_task(wait_all(tasks))
    await turns(2)
    waiting.cancel()
    await turns()
    assert not waiting.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [task.result() for task in tasks] == [True, True, True]


async def test_wait_all_of_nothing_returns_at_once() -> None:
    await wait_all([])


async def test_an_outcome_that_someone_else_cancelled_is_no_cancellation_of_the_caller() -> None:
    future: Future[None] = Future()
    future.cancel()
    with pytest.raises(BridgeClosed, match="dropped before it started"):
        await outcome(future)


class UncancellableFuture(Future[int]):
    def cancel(self) -> bool:
        raise NotImplementedError("cannot cancel")


async def test_a_future_that_cannot_cancel_is_waited_for() -> None:
    future = UncancellableFuture()
    waiting = asyncio.create_task(outcome(future))
    await turns(2)
    waiting.cancel()
    await turns()
    assert not waiting.done()
    future.set_result(3)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_leaves_no_reference_cycle_behind() -> None:
    future: Future[None] = Future()
    future.set_exception(ValueError("failed"))
    gone = weakref.ref(future)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="failed") as caught:
            await outcome(future)
        del caught, future
        await turns(2)
        assert gone() is None
    finally:
        gc.enable()


def test_a_host_without_anyio_does_not_import_it_to_wait() -> None:
    script = """
import asyncio, sys
from concurrent.futures import Future
from asyncflags.bridges._waiting import wait_settled

async def main():
    future = Future()
    task = asyncio.create_task(wait_settled(future))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    future.set_result(None)
    await asyncio.wait([task])
    assert task.cancelled()

asyncio.run(main())
assert "anyio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
