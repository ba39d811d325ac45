"""`ExecutorBridge` over the executors that people bring: the standard library's, loky's and Dask's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from asyncflags.bridges import ExecutorBridge
from asyncflags.bridges.stats import BridgeStats

pytestmark = [
    pytest.mark.may_leak("third parties keep threads and processes of their own"),
    pytest.mark.may_block("third parties start processes inside of submit"),
]

INTERPRETERS = getattr(concurrent.futures, "InterpreterPoolExecutor", None)


def missing(module: str) -> bool:
    return importlib.util.find_spec(module) is None


@contextmanager
def standard_processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@contextmanager
def interpreters() -> Iterator[Executor]:
    assert INTERPRETERS is not None
    with INTERPRETERS(1) as executor:
        yield executor


@contextmanager
def loky_processes() -> Iterator[Executor]:
    executor = importlib.import_module("loky").ProcessPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def dask_client() -> Iterator[Executor]:
    client: Any = importlib.import_module("distributed").Client
    with client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, protocol="tcp"
    ) as connected:
        yield connected.get_executor()


EXECUTORS: list[Any] = [
    pytest.param(lambda: ThreadPoolExecutor(1), id="threads"),
    pytest.param(standard_processes, id="processes"),
    pytest.param(
        interpreters,
        id="interpreters",
        marks=pytest.mark.skipif(
            INTERPRETERS is None, reason="this Python has no InterpreterPoolExecutor (3.14)"
        ),
    ),
    pytest.param(
        loky_processes,
        id="loky",
        marks=pytest.mark.skipif(missing("loky"), reason="loky is missing: pip install loky"),
    ),
    pytest.param(
        dask_client,
        id="dask",
        marks=pytest.mark.skipif(missing("distributed"), reason="Dask is missing: pip install distributed"),
    ),
]

# Dask's own modules warn of what they use, and its sockets outlive its client for a moment.
THIRD_PARTY_WARNINGS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module", params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    factory: Callable[[], AbstractContextManager[Executor]] = request.param
    with factory() as executor:
        yield executor


def hold(started: str, go: str) -> str:
    """Say that it runs, and end when it may; across processes, so by files."""
    Path(started).touch()
    while not os.path.exists(go):
        time.sleep(0.002)
    return "through"


async def until(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.002)


Canceller: TypeAlias = "Callable[[Coroutine[Any, Any, object], asyncio.Event], Coroutine[Any, Any, None]]"


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


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


def use(executor: Executor, **options: Any) -> ExecutorBridge:
    return ExecutorBridge(executor, **options)


class TestForeignExecutor:
    pytestmark = THIRD_PARTY_WARNINGS

    async def test_results_and_errors_come_back(self, executor: Executor) -> None:
        bridge = use(executor)
        assert await bridge.run(divmod, 17, 5) == (3, 2)
        with pytest.raises(ZeroDivisionError):
            await bridge.run(divmod, 1, 0)

    async def test_a_stream_comes_in_order(self, executor: Executor) -> None:
        bridge = use(executor, max_in_flight=2)
        async with bridge.stream(abs, range(-20, 0), in_flight=4, ordered=True) as results:
            assert [result async for result in results] == list(range(20, 0, -1))

    def test_a_script_streams_and_waits_with_the_standard_functions(self, executor: Executor) -> None:
        bridge = use(executor)
        assert sorted(bridge.stream_sync(abs, range(-9, 0), in_flight=3)) == list(range(1, 10))

    async def test_a_cancelled_caller_in_line_for_a_slot_is_free_at_once(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        bridge = use(executor, max_in_flight=1)
        started, go, never = tmp_path / "started", tmp_path / "go", tmp_path / "never"
        running = asyncio.create_task(bridge.run(hold, str(started), str(go)))
        await until(started)
        waiting = asyncio.create_task(bridge.run(os.mkdir, str(never)))
        await asyncio.sleep(0)
        assert bridge.stats() == BridgeStats(queued=1, running=1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.touch()
        assert await running == "through"
        assert not never.exists()

    @pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope])
    async def test_a_cancelled_caller_of_a_running_call_waits_for_its_end(
        self, executor: Executor, tmp_path: Path, cancel: Canceller
    ) -> None:
        if type(executor).__module__.startswith("distributed"):
            pytest.skip("Dask does not tell when a call starts, and lets a running one be cancelled")
        bridge = use(executor, max_in_flight=1)
        started, go = tmp_path / "started", tmp_path / "go"
        fire = asyncio.Event()
        caller = asyncio.create_task(cancel(bridge.run(hold, str(started), str(go)), fire))
        await until(started)
        fire.set()
        await turns()
        assert not caller.done()
        go.touch()
        await caller
        assert await bridge.run(abs, -1) == 1

    async def test_a_detached_caller_is_free_and_the_bridge_goes_on(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        bridge = use(executor, max_in_flight=1)
        started, go = tmp_path / "started", tmp_path / "go"
        detaching = bridge.with_options(on_cancel="detach")
        task = asyncio.create_task(detaching.run(hold, str(started), str(go)))
        await until(started)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.touch()
        assert await bridge.run(abs, -1) == 1
        assert bridge.stats().detached == 0


async def test_the_slot_of_a_detached_call_stays_taken_until_its_end() -> None:
    class Manual(Executor):
        def __init__(self) -> None:
            self.futures: list[Future[Any]] = []

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.futures.append(Future())
            self.futures[-1].set_running_or_notify_cancel()
            return self.futures[-1]

    executor = Manual()
    bridge = ExecutorBridge(executor, max_in_flight=1)
    task = asyncio.create_task(bridge.with_options(on_cancel="detach").run(abs, -1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    following = asyncio.create_task(bridge.run(abs, -2))
    await asyncio.sleep(0)
    assert bridge.stats() == BridgeStats(queued=1, running=1, detached=1)
    assert len(executor.futures) == 1
    executor.futures[0].set_exception(ValueError("nobody listens"))
    await asyncio.sleep(0.005)
    executor.futures[1].set_result(2)
    assert await following == 2
    assert bridge.stats() == BridgeStats(queued=0, running=0, completed=2)


def test_killing_is_refused_for_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="wait"):
        ExecutorBridge(executor).with_options(on_cancel="kill")  # type: ignore[arg-type]
