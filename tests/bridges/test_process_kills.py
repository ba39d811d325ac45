"""What is killed, when, and what the caller sees: cancelling, timeouts and closing."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import psutil
import pytest

from asyncflags.bridges import ProcessBridge
from asyncflags.errors import BridgeClosed, TaskTimeout

Canceller: TypeAlias = "Callable[[Coroutine[Any, Any, object], asyncio.Event], Coroutine[Any, Any, None]]"

# One call of C code that holds the interpreter's lock for longer than any test has patience.
FUNCTIONS = """
import os, pathlib, subprocess, sys

def touch(mark):
    pathlib.Path(mark).touch()

def hold(pipe, mark):
    pathlib.Path(pipe).read_bytes()
    pathlib.Path(mark).touch()

def hold_and_fail(pipe, mark):
    hold(pipe, mark)
    raise ValueError("failed after the cancellation")

def burn(pipe, mark):
    announce(pipe)
    sum(range(4 * 10**10))

def burn_with_child(pipe, mark):
    child = subprocess.Popen([sys.executable, "-c", "sum(range(4 * 10**10))"])
    announce(pipe, child.pid)
    child.wait()

def announce(pipe, *further):
    with open(pipe, "w") as file:
        print(os.getpid(), *further, file=file)
"""


class Scene:
    """A pipe to meet the worker at, a file it leaves behind as its last act, and the functions."""

    def __init__(self, folder: Path) -> None:
        (folder / "killed_functions.py").write_text(FUNCTIONS)
        self.mark = folder / "mark"
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)

    @property
    def arguments(self) -> tuple[str, str]:
        return str(self.pipe), str(self.mark)

    def function(self, name: str) -> Callable[..., None]:
        function: Callable[..., None] = getattr(importlib.import_module("killed_functions"), name)
        return function

    async def announced(self) -> list[psutil.Process]:
        return [
            psutil.Process(int(number)) for number in (await asyncio.to_thread(self.pipe.read_text)).split()
        ]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "killed_functions", raising=False)
    # A busy machine may take longer over a killed process than a caller is to wait for it.
    monkeypatch.setattr("asyncflags.bridges._slots.DYING_SECONDS", 30.0)
    return Scene(tmp_path)


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def ended(process: psutil.Process) -> None:
    """Fails unless it was killed: by itself it would burn for far longer than this waits.

    A dying process closes its descriptors, by which its death is known, a moment before the system calls
    it a zombie; on a busy machine that moment can be seen.
    """
    async with asyncio.timeout(10):
        while runs(process):
            await asyncio.sleep(0.005)


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


async def by_two_task_cancels(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    await fire.wait()
    delivered = 0
    for _ in range(2):
        delivered += task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == delivered


async def by_timeout(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def expire(timeout: asyncio.Timeout) -> None:
        await fire.wait()
        timeout.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(None) as timeout, asyncio.TaskGroup() as group:
            group.create_task(expire(timeout))
            await work
    assert not isinstance(raised.value, TaskTimeout)


async def by_cancel_scope(work: Coroutine[Any, Any, object], fire: asyncio.Event) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await fire.wait()
        scope.cancel()

    with anyio.CancelScope() as scope:
        cancelling = asyncio.create_task(cancel(scope))
        await work
    assert scope.cancelled_caught
    await cancelling


@pytest.fixture(
    params=[by_task_cancel, by_two_task_cancels, by_timeout, by_cancel_scope],
    ids=lambda canceller: canceller.__name__,
)
def canceller(request: pytest.FixtureRequest) -> Canceller:
    chosen: Canceller = request.param
    return chosen


async def test_a_cancelled_caller_gets_control_back_when_the_worker_stuck_in_c_code_is_gone(
    bridge: ProcessBridge, canceller: Canceller, scene: Scene
) -> None:
    fire = asyncio.Event()
    caller = asyncio.create_task(canceller(bridge.run(scene.function("burn"), *scene.arguments), fire))
    (worker,) = await scene.announced()
    fire.set()
    await caller
    await ended(worker)
    assert bridge.stats().killed == 1
    assert await bridge.run(os.getpid) != worker.pid


async def test_a_cancelled_caller_of_a_queued_call_is_free_at_once_and_no_worker_is_killed(
    bridge: ProcessBridge, canceller: Canceller, scene: Scene
) -> None:
    fire = asyncio.Event()
    running = asyncio.create_task(bridge.run(scene.function("hold"), *scene.arguments))
    with await asyncio.to_thread(open, scene.pipe, "wb"):
        never, control = scene.mark.with_name("never"), scene.mark.with_name("control")
        caller = asyncio.create_task(canceller(bridge.run(scene.function("touch"), str(never)), fire))
        await turns(3)
        fire.set()
        await caller
        assert not running.done()
    await running
    await bridge.run(scene.function("touch"), str(control))
    assert bridge.stats().killed == 0
    assert control.exists()
    assert not never.exists()


async def test_a_caller_that_waits_outlasts_its_cancellation_and_its_call_is_finished(
    bridge: ProcessBridge, canceller: Canceller, scene: Scene
) -> None:
    fire = asyncio.Event()
    work = bridge.with_options(on_cancel="wait").run(scene.function("hold"), *scene.arguments)
    caller = asyncio.create_task(canceller(work, fire))
    with await asyncio.to_thread(open, scene.pipe, "wb"):
        fire.set()
        await turns()
        assert not caller.done()
    await caller
    assert scene.mark.exists()
    assert bridge.stats().killed == 0


async def test_a_cancelled_caller_that_waits_has_the_error_of_the_call_as_context(
    bridge: ProcessBridge, scene: Scene
) -> None:
    waiting = bridge.with_options(on_cancel="wait")
    task = asyncio.create_task(waiting.run(scene.function("hold_and_fail"), *scene.arguments))
    with await asyncio.to_thread(open, scene.pipe, "wb"):
        task.cancel()
        await turns()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task
    error: BaseException | None = cancelled.value
    contexts = []
    while error is not None:
        contexts.append(str(error))
        error = error.__context__
    assert "failed after the cancellation" in contexts


@pytest.mark.parametrize("verb", ["run", "submit"])
async def test_a_timeout_kills_a_worker_stuck_in_c_code(
    bridge: ProcessBridge, scene: Scene, verb: str
) -> None:
    view = bridge.with_options(timeout=0.2)
    burn = scene.function("burn")
    call = (
        asyncio.create_task(view.run(burn, *scene.arguments))
        if verb == "run"
        else asyncio.wrap_future(view.submit(burn, *scene.arguments))
    )
    (worker,) = await scene.announced()
    with pytest.raises(TaskTimeout, match="burn ran longer than its timeout of 0.2 seconds"):
        await call
    await ended(worker)
    assert await view.run(abs, -1) == 1


async def test_a_timeout_holds_for_a_caller_that_waits_although_it_was_cancelled(
    bridge: ProcessBridge, scene: Scene
) -> None:
    view = bridge.with_options(timeout=0.2, on_cancel="wait")
    task = asyncio.create_task(view.run(scene.function("burn"), *scene.arguments))
    (worker,) = await scene.announced()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended(worker)


async def test_a_timeout_counts_from_the_start_of_the_execution(bridge: ProcessBridge, scene: Scene) -> None:
    running = asyncio.create_task(bridge.run(scene.function("hold"), *scene.arguments))
    with await asyncio.to_thread(open, scene.pipe, "wb"):
        queued = asyncio.create_task(bridge.with_options(timeout=0.03).run(abs, -1))
        await asyncio.sleep(0.04)
        assert not queued.done()
    assert await queued == 1
    await running


async def test_what_a_killed_call_has_started_is_killed_with_it(bridge: ProcessBridge, scene: Scene) -> None:
    task = asyncio.create_task(bridge.run(scene.function("burn_with_child"), *scene.arguments))
    worker, child = await scene.announced()
    task.cancel()
    await asyncio.wait([task])
    await ended(worker)
    await ended(child)


async def test_a_kill_costs_no_other_call(scene: Scene) -> None:
    async with ProcessBridge(2) as bridge:
        held = asyncio.create_task(bridge.run(scene.function("burn"), *scene.arguments))
        await scene.announced()
        others = [asyncio.create_task(bridge.run(abs, -number)) for number in range(20)]
        held.cancel()
        assert await asyncio.gather(*others) == list(range(20))
        assert bridge.stats().killed == 1


async def test_never_more_workers_than_the_bound_while_callers_are_cancelled(scene: Scene) -> None:
    async with ProcessBridge(2) as bridge:
        for _ in range(6):
            task = asyncio.create_task(bridge.run(scene.function("burn"), *scene.arguments))
            (worker,) = await scene.announced()
            task.cancel()
            await asyncio.wait([task])
            await ended(worker)
        stats = bridge.stats()
        assert (stats.running, stats.killed) == (0, 6)
        assert len({await bridge.run(os.getpid) for _ in range(10)}) <= 2


async def test_a_closed_bridge_kills_what_has_not_ended_after_its_grace(scene: Scene) -> None:
    bridge = ProcessBridge(1)
    running = asyncio.create_task(bridge.run(scene.function("burn"), *scene.arguments))
    (worker,) = await scene.announced()
    queued = asyncio.create_task(bridge.run(abs, -1))
    await asyncio.sleep(0)
    await bridge.aclose(grace=0.01)
    await ended(worker)
    with pytest.raises(BridgeClosed, match="closed while .*burn was running"):
        await running
    with pytest.raises(BridgeClosed, match="dropped"):
        await queued


async def test_a_grace_that_is_not_used_up_kills_nothing() -> None:
    bridge = ProcessBridge(1)
    call = bridge.submit(abs, -1)
    await bridge.aclose(grace=30)
    assert call.result() == 1
    assert bridge.stats().killed == 0


async def test_a_bridge_can_be_killed_while_its_first_worker_starts() -> None:
    bridge = ProcessBridge(1)
    call = asyncio.create_task(bridge.run(abs, -1))
    await asyncio.sleep(0)
    await bridge.aclose(grace=0)
    with pytest.raises(BridgeClosed):
        await call


def test_a_loop_closed_under_the_bridge_kills_its_workers_and_the_next_loop_gets_new_ones(
    scene: Scene,
) -> None:
    bridge = ProcessBridge(1)
    loop = asyncio.new_event_loop()
    task = loop.create_task(bridge.run(scene.function("burn"), *scene.arguments))
    (worker,) = loop.run_until_complete(scene.announced())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    worker.wait(10)
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was destroyed with its loop, on purpose
    del task
    assert bridge.submit(abs, -1).result(20) == 1
    bridge.shutdown()


def test_a_future_whose_loop_was_closed_tells_so(scene: Scene) -> None:
    bridge = ProcessBridge(1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bridge.run(abs, -1))

    async def submit() -> Any:
        future = bridge.submit(scene.function("burn"), *scene.arguments)
        await scene.announced()
        return future

    future = loop.run_until_complete(submit())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    with pytest.raises(Exception, match="event loop that served .*burn was closed"):
        future.result(20)
    bridge.shutdown()
