"""How long workers live, and what ends them: close, age, memory, other loops, a bridge nobody holds."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import sys
import time
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncflags.bridges import ProcessBridge
from asyncflags.errors import BridgeClosed, BridgeError, WorkerCrashed


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


async def test_aclose_waits_for_queued_calls_and_ends_every_worker() -> None:
    bridge = ProcessBridge(2)
    workers = set(await asyncio.gather(*(bridge.run(os.getpid) for _ in range(6))))
    queued = [bridge.submit(abs, -number) for number in range(5)]
    await bridge.aclose()
    assert [future.result(0) for future in queued] == [0, 1, 2, 3, 4]
    assert not any(psutil.pid_exists(worker) for worker in workers)


async def test_a_closed_bridge_takes_no_call_and_says_so() -> None:
    bridge = ProcessBridge(1)
    await bridge.aclose()
    await bridge.aclose()
    bridge.shutdown()
    with pytest.raises(BridgeClosed, match="closed and takes no more calls"):
        bridge.submit(abs, -1)
    with pytest.raises(BridgeClosed):
        await bridge.run(abs, -1)


async def test_waiting_for_the_end_in_a_callback_is_refused(bridge: ProcessBridge) -> None:
    refused: concurrent.futures.Future[BaseException | None] = concurrent.futures.Future()

    def close(_: object) -> None:
        try:
            bridge.shutdown(wait=True)
        except RuntimeError as error:
            refused.set_result(error)

    bridge.submit(time.sleep, 0.02).add_done_callback(close)
    assert "callback of one of the bridge's futures" in str(await asyncio.wrap_future(refused))


async def test_the_initializer_runs_once_in_each_worker(functions: Any) -> None:
    async with ProcessBridge(1, initializer=functions.note, initargs=("noted",)) as bridge:
        assert await bridge.run(functions.read_note) == "noted"
        with pytest.raises(WorkerCrashed):
            await bridge.run(os._exit, 3)
        assert await bridge.run(functions.read_note) == "noted"


async def test_an_initializer_that_fails_is_told_to_those_who_wait(functions: Any) -> None:
    async with ProcessBridge(1, initializer=functions.fail) as bridge:
        with pytest.raises(BridgeError, match="initializer of the workers failed: .*ValueError") as failed:
            await bridge.run(abs, -1)
        assert isinstance(failed.value.__cause__, ValueError)
        assert "in fail" in str(failed.value.__cause__.__cause__)


def test_an_initializer_that_cannot_be_pickled_is_refused_at_once() -> None:
    with pytest.raises(BridgeError, match="initializer .* cannot be pickled"):
        ProcessBridge(1, initializer=lambda: None)


async def test_a_worker_is_replaced_after_its_last_task() -> None:
    async with ProcessBridge(1, max_tasks=2) as bridge:
        workers = [await bridge.run(os.getpid) for _ in range(5)]
        assert workers[0] == workers[1] != workers[2] == workers[3] != workers[4]
        assert bridge.stats().replaced == 2


async def test_a_worker_is_replaced_when_it_is_too_old() -> None:
    async with ProcessBridge(1, max_age=1e-9) as bridge:
        assert await bridge.run(os.getpid) != await bridge.run(os.getpid)


async def test_a_worker_is_replaced_when_it_holds_too_much_memory(functions: Any) -> None:
    async with ProcessBridge(1, max_memory=200_000_000) as bridge:
        worker = await bridge.run(os.getpid)
        assert await bridge.run(os.getpid) == worker
        await bridge.run(functions.grow, 200_000_000)
        assert await bridge.run(os.getpid) != worker


async def test_every_queued_call_runs_although_workers_are_replaced_all_the_time() -> None:
    async with ProcessBridge(2, max_tasks=1) as bridge:
        assert await asyncio.gather(*(bridge.run(abs, -number) for number in range(12))) == list(range(12))


def test_submit_needs_no_loop_and_works_from_many_threads() -> None:
    with ProcessBridge(2) as bridge, concurrent.futures.ThreadPoolExecutor(4) as threads:
        futures = list(threads.map(lambda number: bridge.submit(abs, -number), range(40)))
        assert [future.result(20) for future in futures] == list(range(40))


async def test_run_works_from_another_loop_and_the_workers_stay() -> None:
    async with ProcessBridge(1) as bridge:
        worker = await bridge.run(os.getpid)
        assert await asyncio.to_thread(lambda: asyncio.run(bridge.run(os.getpid))) == worker
        assert await asyncio.wrap_future(bridge.submit(os.getpid)) == worker


def test_a_bridge_goes_from_one_loop_to_the_next() -> None:
    bridge = ProcessBridge(1)
    for _ in range(3):
        assert asyncio.run(bridge.run(abs, -1)) == 1
    assert bridge.submit(abs, -2).result(20) == 2
    asyncio.run(bridge.aclose())


def test_a_bridge_serves_threads_while_its_loop_stands_still() -> None:
    loop = asyncio.new_event_loop()
    bridge = ProcessBridge(1)
    assert loop.run_until_complete(bridge.run(abs, -1)) == 1
    assert bridge.submit(abs, -2).result(20) == 2
    assert loop.run_until_complete(bridge.run(abs, -3)) == 3
    bridge.shutdown()
    loop.close()


async def test_a_queued_call_of_a_bridge_with_no_free_worker_waits(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    running = asyncio.create_task(bridge.run(functions.read, str(tmp_path / "pipe")))
    with await asyncio.to_thread(open, tmp_path / "pipe", "wb"):
        queued = asyncio.create_task(bridge.run(abs, -1))
        await asyncio.sleep(0.01)
        assert (bridge.stats().running, bridge.stats().queued) == (1, 1)
        assert not queued.done()
    assert await queued == 1
    await running


async def test_streams_are_lazy_and_bounded(bridge: ProcessBridge) -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for taken in range(1, 1000):
            yield -taken

    async with bridge.stream(abs, numbers(), in_flight=3, ordered=True) as results:
        first = [await anext(results) for _ in range(4)]
    assert first == [1, 2, 3, 4]
    assert taken <= 8


def test_stream_sync_and_map_serve_scripts() -> None:
    with ProcessBridge(2) as bridge:
        assert sorted(bridge.stream_sync(abs, range(-5, 0), in_flight=3)) == [1, 2, 3, 4, 5]
        assert list(bridge.with_options(timeout=30).map(abs, [-1, -2])) == [1, 2]


async def test_blocking_on_the_loop_that_serves_the_bridge_is_refused(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    await bridge.run(abs, -1)
    os.mkfifo(tmp_path / "pipe")
    future = bridge.submit(functions.read, str(tmp_path / "pipe"))
    for wait in (future.result, future.exception, bridge.shutdown):
        with pytest.raises(RuntimeError, match=r"loop that serves this ProcessBridge.*Await run\(\)"):
            wait()
    (await asyncio.to_thread(open, tmp_path / "pipe", "wb")).close()
    assert await asyncio.wrap_future(future) == b""
    assert future.result() == b""


async def test_a_function_of_a_notebook_is_refused_with_the_way_out(
    bridge: ProcessBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = types.ModuleType("__main__")
    exec("def cell(): pass", notebook.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(BridgeError, match=r"__main__\.cell .* defined in a notebook .* module file"):
        await bridge.run(notebook.cell)


def test_options_that_make_no_sense_are_refused() -> None:
    bridge = ProcessBridge(1)
    nonsense: list[dict[str, Any]] = [{"timeout": 0}, {"timeout": -1.0}, {"on_cancel": "detach"}]
    for options in nonsense:
        with pytest.raises(ValueError, match="timeout must be above 0|on_cancel must be"):
            bridge.with_options(**options)
    empty: list[dict[str, Any]] = [{"max_tasks": 0}, {"max_age": 0}, {"max_memory": 0}]
    for bounds in empty:
        with pytest.raises(ValueError, match="must be"):
            ProcessBridge(1, **bounds)


async def test_the_workers_of_a_forgotten_bridge_end() -> None:
    bridge = ProcessBridge(1)
    worker = psutil.Process(await bridge.run(os.getpid))
    del bridge
    gc.collect()
    await asyncio.to_thread(worker.wait, 10)


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ProcessBridge(0)
