"""Every bridge against every way to cancel: nothing still runs when the caller gets control back."""

from __future__ import annotations

import asyncio
import importlib
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import anyio
import pytest

from asyncflags.bridges import ExecutorBridge, ProcessBridge, ThreadBridge
from asyncflags.bridges.processes import ProcessView

Bridge: TypeAlias = "ExecutorBridge | ProcessView | ThreadBridge"
Canceller: TypeAlias = "Callable[[Coroutine[Any, Any, object], asyncio.Event], Coroutine[Any, Any, None]]"

# Holds until the pipe is closed at the other end, and leaves a file behind as its last act.
HOLD = """
import pathlib

def touch(mark):
    pathlib.Path(mark).touch()

def hold(pipe, mark):
    pathlib.Path(pipe).read_bytes()
    pathlib.Path(mark).touch()

def hold_and_fail(pipe, mark):
    hold(pipe, mark)
    raise ValueError("failed after the cancellation")
"""


class Gate:
    """A call that runs until it is told to end, in whatever thread or process it is."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "ended"
        self._pipe = folder / "pipe"
        self._held: IO[bytes] | None = None
        os.mkfifo(self._pipe)
        (folder / "held_functions.py").write_text(HOLD)

    @property
    def arguments(self) -> tuple[str, str]:
        return str(self._pipe), str(self.mark)

    def function(self, name: str) -> Callable[..., None]:
        function: Callable[..., None] = getattr(importlib.import_module("held_functions"), name)
        return function

    async def entered(self) -> None:
        # Opening the pipe to write waits for the one who reads from it.
        self._held = await asyncio.to_thread(open, self._pipe, "wb")

    def open(self) -> None:
        if self._held is not None:
            self._held.close()

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        self.open()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "held_functions", raising=False)
    return Gate(tmp_path)


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def by_task_cancel(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    await fire.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def by_second_task_cancel(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    await fire.wait()
    delivered = 0
    for _ in range(2):
        delivered += task.cancel()
        await turns(2)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == delivered


async def by_timeout(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def expire(timeout: asyncio.Timeout) -> None:
        await fire.wait()
        timeout.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout, asyncio.TaskGroup() as group:
            group.create_task(expire(timeout))
            await work
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def by_fail_after(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def expire(scope: anyio.CancelScope) -> None:
        await fire.wait()
        scope.deadline = anyio.current_time()

    with pytest.raises(TimeoutError), anyio.fail_after(math.inf) as scope:
        expiring = asyncio.create_task(expire(scope))
        await work
    await expiring


async def by_cancel_scope(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await fire.wait()
        scope.cancel()

    with anyio.CancelScope() as scope:
        cancelling = asyncio.create_task(cancel(scope))
        await work
    assert scope.cancelled_caught
    await cancelling


async def by_task_inside_scope(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    """Both kinds at once: the scope first, the task itself while it waits in the shield."""

    async def inside() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await work

    scopes: list[anyio.CancelScope] = []
    task = asyncio.create_task(inside())
    await fire.wait()
    scopes[0].cancel()
    await turns(2)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1


CANCELLERS = [
    by_task_cancel,
    by_second_task_cancel,
    by_timeout,
    by_fail_after,
    by_cancel_scope,
    by_task_inside_scope,
]


@asynccontextmanager
async def foreign_executor() -> AsyncIterator[ExecutorBridge]:
    with ThreadPoolExecutor(1) as executor:
        yield ExecutorBridge(executor, max_in_flight=1)


@asynccontextmanager
async def waiting_processes() -> AsyncIterator[ProcessView]:
    async with ProcessBridge(1) as bridge:
        yield bridge.with_options(on_cancel="wait")


BRIDGES: list[Callable[[], AbstractAsyncContextManager[Bridge]]] = [
    lambda: ThreadBridge(1),
    waiting_processes,
    foreign_executor,
]


@pytest.fixture(params=BRIDGES, ids=["thread", "process", "executor"])
def make_bridge(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[Bridge]]:
    factory: Callable[[], AbstractAsyncContextManager[Bridge]] = request.param
    return factory


@pytest.fixture(params=CANCELLERS, ids=lambda canceller: canceller.__name__)
def canceller(request: pytest.FixtureRequest) -> Canceller:
    chosen: Canceller = request.param
    return chosen


async def test_a_cancelled_caller_waits_until_the_running_call_is_done(
    make_bridge: Callable[[], AbstractAsyncContextManager[Bridge]], canceller: Canceller, gate: Gate
) -> None:
    fire = asyncio.Event()
    async with make_bridge() as bridge, gate:
        work = bridge.run(gate.function("hold"), *gate.arguments)
        caller = asyncio.create_task(canceller(work, fire))
        await gate.entered()
        fire.set()
        await turns()
        assert not caller.done()
        gate.open()
        await caller
        assert gate.mark.exists()


async def test_a_cancelled_caller_of_a_queued_call_is_free_at_once(
    make_bridge: Callable[[], AbstractAsyncContextManager[Bridge]], canceller: Canceller, gate: Gate
) -> None:
    fire = asyncio.Event()
    async with make_bridge() as bridge, gate:
        running = asyncio.create_task(bridge.run(gate.function("hold"), *gate.arguments))
        await gate.entered()
        never, control = gate.mark.with_name("never"), gate.mark.with_name("control")
        caller = asyncio.create_task(canceller(bridge.run(gate.function("touch"), str(never)), fire))
        await turns(3)
        fire.set()
        await caller
        assert not running.done()
        gate.open()
        await running
        await bridge.run(gate.function("touch"), str(control))
    assert control.exists()
    assert not never.exists()


async def test_the_cancellation_wins_over_the_error_of_the_call_which_is_its_context(
    make_bridge: Callable[[], AbstractAsyncContextManager[Bridge]], gate: Gate
) -> None:
    async with make_bridge() as bridge, gate:
        task = asyncio.create_task(bridge.run(gate.function("hold_and_fail"), *gate.arguments))
        await gate.entered()
        task.cancel()
        await turns()
        gate.open()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
    contexts = []
    error: BaseException | None = cancelled.value
    while error is not None:
        contexts.append(str(error))
        error = error.__context__
    assert "failed after the cancellation" in contexts


async def test_a_bridge_goes_on_working_after_a_cancelled_call(
    make_bridge: Callable[[], AbstractAsyncContextManager[Bridge]], gate: Gate
) -> None:
    async with make_bridge() as bridge, gate:
        task = asyncio.create_task(bridge.run(gate.function("hold"), *gate.arguments))
        await gate.entered()
        task.cancel()
        await turns()
        gate.open()
        await asyncio.wait([task])
        assert await bridge.run(int, "7") == 7
