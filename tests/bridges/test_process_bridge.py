from __future__ import annotations

import asyncio
import concurrent.futures
import fractions
import functools
import multiprocessing
import operator
import os
import signal
import sys
import threading
import types
from collections.abc import AsyncIterator
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


async def test_run_returns_the_result_from_another_process(bridge: ProcessBridge) -> None:
    assert await bridge.run(os.getpid) != os.getpid()


async def test_the_standard_functions_take_the_bridge(bridge: ProcessBridge) -> None:
    assert await asyncio.get_running_loop().run_in_executor(bridge, pow, 2, 5) == 32
    assert await asyncio.to_thread(lambda: list(bridge.map(pow, [2, 3], [5, 2]))) == [32, 9]
    futures = [bridge.submit(abs, -number) for number in range(5)]
    done = await asyncio.to_thread(concurrent.futures.wait, futures, 20)
    assert sorted(future.result() for future in done.done) == [0, 1, 2, 3, 4]


async def test_the_standard_library_does_not_look_after_the_workers(bridge: ProcessBridge) -> None:
    """It would read their exit codes, end them at the exit, and do so in a forked child as well."""
    before = set(multiprocessing.active_children())
    await bridge.run(os.getpid)
    assert set(multiprocessing.active_children()) <= before


async def test_workers_are_never_forked_from_the_host(bridge: ProcessBridge) -> None:
    parent = psutil.Process(await bridge.run(os.getppid))
    assert sys.platform == "win32" or parent.pid != os.getpid()


async def test_workers_ignore_the_interrupt_of_the_terminal(bridge: ProcessBridge, functions: Any) -> None:
    assert await bridge.run(functions.interrupt_handler)


async def test_an_error_comes_back_as_it_was_raised(bridge: ProcessBridge, functions: Any) -> None:
    with pytest.raises(ValueError, match="failed"):
        await bridge.run(functions.fail)


async def test_an_error_carries_the_traceback_of_the_worker_as_its_cause(
    bridge: ProcessBridge, functions: Any
) -> None:
    with pytest.raises(ValueError, match="failed") as raised:
        await bridge.run(functions.fail)
    assert "in fail" in str(raised.value.__cause__)
    assert "ValueError: failed" in str(raised.value.__cause__)
    with pytest.raises(BridgeError, match="Odd") as replaced:
        await bridge.run(functions.fail_oddly)
    assert "in fail_oddly" in str(replaced.value.__cause__)


async def test_an_error_that_a_future_cannot_carry_or_that_ends_programs_is_an_outcome_too(
    bridge: ProcessBridge, functions: Any
) -> None:
    worker = await bridge.run(os.getpid)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await bridge.run(functions.stop)
    with pytest.raises(SystemExit, match="4"):
        await asyncio.wrap_future(bridge.submit(functions.leave))
    assert await bridge.run(os.getpid) == worker


async def test_a_large_result_arrives_whole(bridge: ProcessBridge, functions: Any) -> None:
    assert await bridge.run(functions.large, 100_000) == functions.large(100_000)


async def test_a_large_argument_arrives_whole(bridge: ProcessBridge) -> None:
    numbers = list(range(300_000))
    assert await bridge.run(sum, numbers) == sum(numbers)
    assert await bridge.run(len, bytes(5_000_000)) == 5_000_000


async def test_a_function_may_start_processes_of_its_own(bridge: ProcessBridge, functions: Any) -> None:
    assert await bridge.run(functions.has_children) == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fail_oddly", r"raised worker_functions\.Odd, which does not survive pickling: odd"),
        ("return_lock", r"The result of worker_functions\.return_lock cannot be pickled"),
        ("return_poison", r"The result of worker_functions\.return_poison could not be unpickled"),
        ("return_leaving", r"The result of worker_functions\.return_leaving could not be unpickled"),
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


async def test_whatever_can_be_pickled_and_called_is_a_function(
    bridge: ProcessBridge, functions: Any
) -> None:
    assert await bridge.run("text".upper) == "TEXT"
    assert await bridge.run(functools.partial(pow, 2), 5) == 32
    assert await bridge.run(fractions.Fraction.from_float, 0.5) == fractions.Fraction(1, 2)
    assert await bridge.run(fractions.Fraction(3, 6).limit_denominator) == fractions.Fraction(1, 2)
    assert await bridge.run(complex, 1, 2) == 1 + 2j
    assert await bridge.run(operator.itemgetter(1), "abc") == "b"


async def test_a_function_whose_name_leads_to_another_is_refused(
    bridge: ProcessBridge, functions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker would find that other one, and call it."""
    replaced = functions.fail
    monkeypatch.setattr(functions, "fail", functions.stop)
    with pytest.raises(BridgeError, match=r"worker_functions\.fail cannot be sent"):
        await bridge.run(replaced)


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
    assert (crashed.value.exitcode, crashed.value.signal) == (3, None)
    assert await bridge.run(os.getpid) != worker


async def test_a_worker_ended_by_a_signal_tells_which(bridge: ProcessBridge, functions: Any) -> None:
    with pytest.raises(WorkerCrashed, match="ended by SIGSEGV") as crashed:
        await bridge.run(functions.end_by, signal.SIGSEGV)
    assert (crashed.value.exitcode, crashed.value.signal) == (-signal.SIGSEGV, signal.SIGSEGV)


@pytest.mark.parametrize("workers", [4, 8])
async def test_of_eight_calls_a_crash_costs_exactly_one(functions: Any, workers: int) -> None:
    async with ProcessBridge(workers) as bridge:
        calls = [bridge.run(functions.crash_at, number, 3) for number in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, WorkerCrashed)] == [
            0, 1, 2, 4, 5, 6, 7,
        ]  # fmt: skip
        assert await bridge.run(abs, -9) == 9
        assert bridge.stats().replaced <= 1


async def test_of_eight_calls_on_four_workers_an_error_that_does_not_unpickle_costs_exactly_one(
    functions: Any,
) -> None:
    async with ProcessBridge(4) as bridge:
        calls = [bridge.run(functions.fail_oddly_at, number, 3) for number in range(8)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, BridgeError)] == [
            0, 1, 2, 4, 5, 6, 7,
        ]  # fmt: skip
        assert bridge.stats().replaced == 0


async def test_a_bridge_whose_workers_die_one_after_the_other_gives_up_and_says_so(
    bridge: ProcessBridge,
) -> None:
    calls = [bridge.submit(os._exit, 3) for _ in range(7)]
    await asyncio.to_thread(concurrent.futures.wait, calls, 20)
    errors = [call.exception() for call in calls]
    assert [type(error) for error in errors] == [WorkerCrashed] * 5 + [BridgeError] * 2
    assert "has given up: 5 workers died within 10 seconds" in str(errors[-1])
    with pytest.raises(BridgeError, match="has given up"):
        bridge.submit(abs, -1)
    with pytest.raises(BridgeError, match="has given up"):
        await bridge.run(abs, -1)


async def test_an_answer_between_crashes_keeps_the_bridge_going(bridge: ProcessBridge) -> None:
    for _ in range(2):
        for _ in range(3):
            with pytest.raises(WorkerCrashed):
                await bridge.run(os._exit, 3)
        assert await bridge.run(abs, -1) == 1


async def test_queued_calls_outlive_the_crash_of_another(bridge: ProcessBridge) -> None:
    crashing = bridge.submit(os._exit, 3)
    queued = [bridge.submit(abs, -number) for number in range(4)]
    with pytest.raises(WorkerCrashed):
        await asyncio.wrap_future(crashing)
    assert [await asyncio.wrap_future(future) for future in queued] == [0, 1, 2, 3]


async def test_a_worker_killed_while_idle_costs_no_call(bridge: ProcessBridge) -> None:
    for _ in range(3):
        worker = psutil.Process(await bridge.run(os.getpid))
        worker.send_signal(signal.SIGKILL)
        # At once: the bridge has not noticed, and writes the call to a worker that will not read it.
        assert await bridge.run(os.getpid) != worker.pid


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
        told = await asyncio.to_thread(concurrent.futures.wait, [submitted], 10)
        assert told.done == {submitted}
    await bridge.aclose()
    assert running.result(0) == b""
    assert submitted.cancelled()


@pytest.fixture
def starters(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The thread that has started each worker so far."""
    starters: list[threading.Thread] = []
    context = multiprocessing.get_context("forkserver")
    start = context.Process.start

    def noted(process: Any) -> None:
        starters.append(threading.current_thread())
        start(process)

    monkeypatch.setattr(context.Process, "start", noted)
    return starters


async def test_workers_are_started_by_another_thread_than_the_callers(
    starters: list[threading.Thread],
) -> None:
    async with ProcessBridge(1) as bridge:
        await bridge.run(os.getpid)
    assert starters
    assert threading.current_thread() not in starters


async def test_never_more_workers_are_started_than_the_bound_however_many_calls_wait(
    starters: list[threading.Thread],
) -> None:
    async with ProcessBridge(2) as bridge:
        calls = [bridge.submit(abs, -number) for number in range(20)]
        assert await asyncio.gather(*map(asyncio.wrap_future, calls)) == list(range(20))
    assert len(starters) <= 2
