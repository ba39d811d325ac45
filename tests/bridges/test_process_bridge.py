from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncflags.bridges import ProcessBridge
from asyncflags.errors import BridgeClosed, BridgeError, WorkerCrashed

FUNCTIONS = """
import os, pathlib, signal, threading

class Odd(Exception):
    def __init__(self, *, reason):
        super().__init__(reason)

class Poison:
    def __reduce__(self):
        return int, ("not a number",)

def fail(): raise ValueError("failed")
def fail_oddly(): raise Odd(reason="odd")
def return_lock(): return threading.Lock()
def return_poison(): return Poison()
def interrupt_handler(): return signal.getsignal(signal.SIGINT) is signal.SIG_IGN
def read(pipe): return pathlib.Path(pipe).read_bytes()
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "worker_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "worker_functions", raising=False)
    return importlib.import_module("worker_functions")


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


async def test_run_returns_the_result_from_another_process(bridge: ProcessBridge) -> None:
    assert await bridge.run(os.getpid) != os.getpid()


async def test_the_standard_functions_take_the_bridge(bridge: ProcessBridge) -> None:
    assert await asyncio.get_running_loop().run_in_executor(bridge, pow, 2, 5) == 32
    assert await asyncio.to_thread(lambda: list(bridge.map(pow, [2, 3], [5, 2]))) == [32, 9]
    futures = [bridge.submit(abs, -number) for number in range(5)]
    done = await asyncio.to_thread(concurrent.futures.wait, futures, 20)
    assert sorted(future.result() for future in done.done) == [0, 1, 2, 3, 4]


async def test_workers_are_never_forked_from_the_host(bridge: ProcessBridge) -> None:
    parent = psutil.Process(await bridge.run(os.getppid))
    assert sys.platform == "win32" or parent.pid != os.getpid()


async def test_workers_ignore_the_interrupt_of_the_terminal(bridge: ProcessBridge, functions: Any) -> None:
    assert await bridge.run(functions.interrupt_handler)


async def test_an_error_comes_back_as_it_was_raised(bridge: ProcessBridge, functions: Any) -> None:
    with pytest.raises(ValueError, match="failed"):
        await bridge.run(functions.fail)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fail_oddly", r"raised worker_functions\.Odd, which does not survive pickling: odd"),
        ("return_lock", r"The result of worker_functions\.return_lock cannot be pickled"),
        ("return_poison", r"The result of worker_functions\.return_poison could not be unpickled"),
    ],
)
async def test_what_does_not_pickle_on_its_way_back_fails_that_call_alone(
    bridge: ProcessBridge, functions: Any, function: str, message: str
) -> None:
    worker = await bridge.run(os.getpid)
    with pytest.raises(BridgeError, match=message):
        await bridge.run(getattr(functions, function))
    assert await bridge.run(os.getpid) == worker


async def test_an_argument_that_does_not_pickle_fails_that_call_alone(
    bridge: ProcessBridge, functions: Any
) -> None:
    worker = await bridge.run(os.getpid)
    with pytest.raises(BridgeError, match="An argument of .*id cannot be pickled") as refused:
        await bridge.run(id, threading.Lock())
    assert isinstance(refused.value.__cause__, TypeError)
    with pytest.raises(BridgeError, match="could not be unpickled in the worker process"):
        await bridge.run(id, functions.Poison())
    assert await bridge.run(os.getpid) == worker


async def test_a_lambda_is_refused_by_name_with_the_way_out(bridge: ProcessBridge) -> None:
    def local() -> None:
        return None

    for function, name in ((lambda: None, "<lambda>"), (local, "<locals>.local")):
        with pytest.raises(BridgeError, match=f"{name} cannot be sent .* top level of a module") as refused:
            await bridge.run(function)
        assert refused.value.__cause__ is not None


async def test_a_function_that_the_worker_cannot_import_fails_that_call_alone(
    bridge: ProcessBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await bridge.run(os.getpid)

    def function() -> None:
        return None

    module = types.ModuleType("module_of_the_parent_alone")
    function.__module__, function.__qualname__ = module.__name__, "function"
    module.__dict__["function"] = function
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(BridgeError, match=r"module_of_the_parent_alone\.function .* could not be unpickled"):
        await bridge.run(function)
    assert await bridge.run(os.getpid) == worker


async def test_a_dead_worker_fails_its_call_and_later_calls_get_a_new_one(bridge: ProcessBridge) -> None:
    worker = await bridge.run(os.getpid)
    with pytest.raises(WorkerCrashed, match="while posix._exit was running") as crashed:
        await bridge.run(os._exit, 3)
    assert isinstance(crashed.value.__cause__, concurrent.futures.BrokenExecutor)
    assert await bridge.run(os.getpid) != worker


async def test_queued_calls_outlive_the_crash_of_another(bridge: ProcessBridge) -> None:
    crashing = bridge.submit(os._exit, 3)
    queued = [bridge.submit(abs, -number) for number in range(4)]
    with pytest.raises(WorkerCrashed):
        await asyncio.wrap_future(crashing)
    assert [await asyncio.wrap_future(future) for future in queued] == [0, 1, 2, 3]


async def test_a_worker_killed_while_idle_is_replaced(bridge: ProcessBridge) -> None:
    worker = psutil.Process(await bridge.run(os.getpid))
    worker.send_signal(signal.SIGKILL)
    while psutil.pid_exists(worker.pid):
        await asyncio.sleep(0.005)
    # The standard pool notices in a thread of its own, so one call can still meet the dead worker.
    with contextlib.suppress(WorkerCrashed):
        await bridge.run(abs, -1)
    assert await bridge.run(abs, -2) == 2


async def test_a_queued_future_can_be_cancelled_and_a_running_one_cannot(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = bridge.submit(functions.read, str(pipe))
    queued = bridge.submit(abs, -1)
    with await asyncio.to_thread(open, pipe, "wb"):
        assert running.running()
        assert not running.cancel()
        assert queued.cancel()
    assert await asyncio.wrap_future(running) == b""
    assert queued.cancelled()


async def test_shutdown_can_drop_what_is_queued(functions: Any, tmp_path: Path) -> None:
    bridge = ProcessBridge(1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = bridge.submit(functions.read, str(pipe))
    submitted = bridge.submit(abs, -1)
    awaited = asyncio.create_task(bridge.run(abs, -1))
    with await asyncio.to_thread(open, pipe, "wb"):
        bridge.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(BridgeClosed, match="dropped"):
            await awaited
    await bridge.aclose()
    assert running.result(0) == b""
    assert submitted.cancelled()


async def test_workers_are_started_by_another_thread_than_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starters = []
    context = multiprocessing.get_context("forkserver")
    start = context.Process.start

    def noted(process: Any) -> None:
        starters.append(threading.current_thread())
        start(process)

    monkeypatch.setattr(context.Process, "start", noted)
    async with ProcessBridge(1) as bridge:
        await bridge.run(os.getpid)
    assert starters
    assert threading.current_thread() not in starters


async def test_aclose_waits_for_queued_calls_and_ends_every_worker() -> None:
    bridge = ProcessBridge(2)
    workers = set(await asyncio.gather(*(bridge.run(os.getpid) for _ in range(6))))
    queued = [bridge.submit(abs, -number) for number in range(5)]
    await bridge.aclose()
    assert [future.result(0) for future in queued] == [0, 1, 2, 3, 4]
    assert not any(psutil.pid_exists(worker) for worker in workers)
    assert multiprocessing.active_children() == []


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


async def test_the_workers_of_a_forgotten_bridge_end() -> None:
    bridge = ProcessBridge(1)
    worker = psutil.Process(await bridge.run(os.getpid))
    del bridge
    gc.collect()
    await asyncio.to_thread(worker.wait, 10)


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ProcessBridge(0)
