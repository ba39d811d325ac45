from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.bridges import ThreadBridge
from asyncflags.errors import BridgeClosed

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def bridge() -> Iterator[ThreadBridge]:
    with ThreadBridge(2, name="test-bridge") as bridge:
        yield bridge


def named_threads() -> int:
    return sum(thread.name.startswith("test-bridge") for thread in threading.enumerate())


def fail() -> None:
    raise ValueError("failed")


async def test_run_returns_the_result_from_another_thread(bridge: ThreadBridge) -> None:
    assert await bridge.run(threading.get_ident) != threading.get_ident()


async def test_run_raises_what_the_function_raised(bridge: ThreadBridge) -> None:
    with pytest.raises(ValueError, match="failed"):
        await bridge.run(fail)


async def test_context_variables_travel_with_run(bridge: ThreadBridge) -> None:
    variable.set("seen")
    assert await bridge.run(variable.get) == "seen"


async def test_stop_iteration_becomes_a_runtime_error_that_names_it(bridge: ThreadBridge) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await bridge.run(next, iter(()))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.get_running_loop().run_in_executor(bridge, next, iter(()))


def test_submit_takes_any_keyword_and_returns_a_future(bridge: ThreadBridge) -> None:
    future = bridge.submit(dict, fn=1, self=2, call=3)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result() == {"fn": 1, "self": 2, "call": 3}


def test_the_standard_functions_take_the_bridge_and_its_futures(bridge: ThreadBridge) -> None:
    assert list(bridge.map(pow, [2, 3], [5, 2])) == [32, 9]
    futures = [bridge.submit(abs, -number) for number in range(5)]
    assert sorted(done.result() for done in concurrent.futures.as_completed(futures)) == [0, 1, 2, 3, 4]


async def test_the_loop_takes_the_bridge_as_an_executor(bridge: ThreadBridge) -> None:
    assert await asyncio.get_running_loop().run_in_executor(bridge, pow, 2, 5) == 32


async def test_a_thread_starts_on_first_use_and_a_second_only_when_none_is_idle() -> None:
    async with ThreadBridge(4, name="test-bridge") as bridge:
        assert named_threads() == 0
        for _ in range(20):
            await bridge.run(abs, -1)
        assert named_threads() == 1
        both = threading.Barrier(2)
        await asyncio.gather(bridge.run(both.wait), bridge.run(both.wait))
        assert named_threads() == 2


@settings(max_examples=15, deadline=None)
@given(max_workers=st.integers(1, 4), calls=st.integers(1, 40), cancelled=st.sets(st.integers(0, 39)))
def test_never_more_calls_run_than_the_bound_however_many_are_cancelled(
    max_workers: int, calls: int, cancelled: set[int]
) -> None:
    lock = threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0005)
        with lock:
            running -= 1

    async def main() -> None:
        async with ThreadBridge(max_workers) as bridge:
            tasks = [asyncio.create_task(bridge.run(work)) for _ in range(calls)]
            await asyncio.sleep(0.001)
            for number in cancelled & set(range(calls)):
                tasks[number].cancel()
            await asyncio.wait(tasks)

    asyncio.run(main())
    assert running == 0
    assert most <= max_workers


def test_where_the_system_gives_no_further_thread_those_that_exist_take_the_call(
    bridge: ThreadBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gate = threading.Event()
    running = bridge.submit(gate.wait, 10)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        queued = bridge.submit(abs, -1)
        with ThreadBridge(1) as other, pytest.raises(RuntimeError, match="can't start new thread"):
            other.submit(abs, -1)
    gate.set()
    assert (running.result(10), queued.result(10)) == (True, 1)


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ThreadBridge(0)


async def test_aclose_lets_queued_and_running_calls_finish_and_ends_the_threads() -> None:
    bridge = ThreadBridge(1, name="test-bridge")
    gate = threading.Event()
    calls = [bridge.submit(gate.wait) for _ in range(3)]
    closing = asyncio.create_task(bridge.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    gate.set()
    await closing
    assert [call.result(0) for call in calls] == [True, True, True]
    assert named_threads() == 0


async def test_a_cancelled_aclose_waits_all_the_same() -> None:
    bridge = ThreadBridge(1, name="test-bridge")
    gate = threading.Event()
    bridge.submit(gate.wait)
    closing = asyncio.create_task(bridge.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.sleep(0.01)
    assert not closing.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert named_threads() == 0


async def test_closing_twice_and_closing_unused_does_nothing() -> None:
    bridge = ThreadBridge()
    await asyncio.gather(bridge.aclose(), bridge.aclose())
    bridge.shutdown()


async def test_a_closed_bridge_takes_no_call_and_says_so() -> None:
    bridge = ThreadBridge()
    await bridge.run(abs, -1)
    await bridge.aclose()
    with pytest.raises(BridgeClosed, match="closed and takes no more calls"):
        bridge.submit(abs, -1)
    with pytest.raises(BridgeClosed):
        await bridge.run(abs, -1)


async def test_shutdown_can_drop_what_is_queued() -> None:
    bridge = ThreadBridge(1)
    entered, gate = threading.Event(), threading.Event()

    def hold() -> bool:
        entered.set()
        return gate.wait(10)

    running = bridge.submit(hold)
    assert entered.wait(10)
    submitted = bridge.submit(abs, -1)
    awaited = asyncio.create_task(bridge.run(abs, -1))
    await asyncio.sleep(0)
    bridge.shutdown(wait=False, cancel_futures=True)
    gate.set()
    assert concurrent.futures.wait([submitted], timeout=10).not_done == set()
    assert await asyncio.wrap_future(running)
    assert submitted.cancelled()
    with pytest.raises(BridgeClosed, match="dropped"):
        await awaited
    await bridge.aclose()


@pytest.mark.parametrize("way", ["shutdown", "aclose"])
def test_waiting_for_the_end_in_an_own_thread_is_refused(bridge: ThreadBridge, way: str) -> None:
    def close() -> None:
        if way == "shutdown":
            bridge.shutdown(wait=True)
        else:
            asyncio.run(bridge.aclose())

    with pytest.raises(RuntimeError, match="own threads"):
        bridge.submit(close).result()
    assert bridge.submit(abs, -1).result() == 1


def test_a_callback_may_submit_and_wait_for_a_further_call(bridge: ThreadBridge) -> None:
    seen: concurrent.futures.Future[int] = concurrent.futures.Future()
    gate = threading.Event()
    future = bridge.submit(gate.wait)
    future.add_done_callback(lambda _: seen.set_result(bridge.submit(abs, -2).result(10)))
    gate.set()
    assert seen.result(10) == 2


class Payload:
    def method(self) -> Payload:
        return self

    def fail(self) -> None:
        raise ValueError("failed")


async def test_nothing_is_held_after_a_call_is_done(bridge: ThreadBridge) -> None:
    gc.disable()
    try:
        payload = Payload()
        gone = weakref.ref(payload)
        await bridge.run(payload.method)
        await bridge.run(id, payload)
        del payload
        await bridge.run(abs, -1)
        assert gone() is None
    finally:
        gc.enable()


def test_a_cancelled_call_lets_go_of_its_arguments_while_it_is_still_queued() -> None:
    gate = threading.Event()
    with ThreadBridge(1) as bridge:
        bridge.submit(gate.wait)
        payload = Payload()
        gone = weakref.ref(payload)
        assert bridge.submit(id, payload).cancel()
        del payload
        assert gone() is None
        gate.set()


def test_the_threads_of_a_forgotten_bridge_end() -> None:
    bridge = ThreadBridge(1, name="test-bridge")
    result = bridge.submit(threading.current_thread)
    thread = result.result()
    del bridge
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_callback_that_raises_system_exit_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    def leave(_: object) -> None:
        raise SystemExit(1)

    gate = threading.Event()
    with ThreadBridge(1) as bridge:
        future = bridge.submit(gate.wait)
        future.add_done_callback(leave)
        gate.set()
        assert bridge.submit(abs, -1).result(10) == 1
    assert "callback of a finished call failed" in caplog.text
