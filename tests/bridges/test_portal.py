from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import contextlib
import contextvars
import gc
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator

import anyio
import pytest

from asyncflags.bridges import Portal
from asyncflags.bridges.portal import refuse_running_loop
from asyncflags.errors import BridgeClosed

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal("test-portal") as portal:
        yield portal


def portal_threads() -> int:
    return sum(thread.name == "test-portal" for thread in threading.enumerate())


async def current_thread() -> threading.Thread:
    return threading.current_thread()


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


class Work:
    """A coroutine that runs until it is cancelled, and says when it began and when it was cleaned up."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cleaned = threading.Event()

    async def run(self) -> None:
        self.begun.set()
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            self.cleaned.set()


def test_call_runs_the_coroutine_on_the_loop_of_the_portals_thread(portal: Portal) -> None:
    assert portal.call(current_thread).name == "test-portal"


def test_the_loop_is_uvloops_where_that_is_installed(portal: Portal) -> None:
    pytest.importorskip("uvloop")

    async def loop_module() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert portal.call(loop_module) == "uvloop"


def test_without_uvloop_the_loop_is_asyncios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def loop_module() -> str:
        return type(asyncio.get_running_loop()).__module__

    with Portal() as portal:
        assert portal.call(loop_module).startswith("asyncio.")


def test_the_thread_starts_on_the_first_call_and_ends_with_close() -> None:
    portal = Portal("test-portal")
    assert portal_threads() == 0
    portal.start()
    portal.start()
    portal.call(current_thread)
    assert portal_threads() == 1
    portal.close()
    assert portal_threads() == 0
    portal.close()


def test_call_raises_what_the_coroutine_raised(portal: Portal) -> None:
    async def fail() -> None:
        raise TimeoutError("failed")

    with pytest.raises(TimeoutError, match="failed"):
        portal.call(fail)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_raised_by_a_coroutine_reaches_its_caller_and_leaves_the_loop_alone(
    portal: Portal, kind: type[BaseException]
) -> None:
    async def leave() -> None:
        raise kind

    with pytest.raises(kind):
        portal.call(leave)
    assert portal.call(current_thread).name == "test-portal"


def test_a_coroutine_that_ends_cancelled_is_never_a_result(portal: Portal) -> None:
    async def cancel_itself() -> None:
        raise asyncio.CancelledError

    with pytest.raises(concurrent.futures.CancelledError):
        portal.call(cancel_itself)


def test_the_coroutine_sees_the_callers_context_variables(portal: Portal) -> None:
    async def seen() -> str:
        return variable.get()

    contextvars.copy_context().run(variable.set, "elsewhere")
    token = variable.set("caller")
    try:
        assert portal.call(seen) == "caller"
    finally:
        variable.reset(token)


def test_many_threads_call_at_once(portal: Portal) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        results = executor.map(lambda number: portal.call(lambda: double(number)), range(100))
        assert list(results) == [2 * number for number in range(100)]


def test_start_soon_gives_futures_that_the_standard_functions_take(portal: Portal) -> None:
    futures = [portal.start_soon(current_thread) for _ in range(5)]
    done = list(concurrent.futures.as_completed(futures, timeout=10))
    assert {future.result().name for future in done} == {"test-portal"}


def test_cancelling_the_future_cancels_the_coroutine(portal: Portal) -> None:
    work = Work()
    future = portal.start_soon(work.run)
    assert work.begun.wait(10)
    assert future.cancel()
    assert work.cleaned.wait(10)
    assert concurrent.futures.wait([future], 10).done == {future}


@pytest.mark.parametrize("way", ["task", "timeout", "scope"])
async def test_cancelling_the_wrapped_future_cancels_the_coroutine(way: str) -> None:
    with Portal("test-portal") as portal:
        work = Work()
        wrapped = asyncio.wrap_future(portal.start_soon(work.run))
        assert await asyncio.to_thread(work.begun.wait, 10)
        if way == "task":
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
        elif way == "scope":
            with anyio.CancelScope() as scope:
                scope.cancel()
                await wrapped
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await wrapped
        assert await asyncio.to_thread(work.cleaned.wait, 10)


def test_a_future_cancelled_before_its_coroutine_began_never_runs_it(portal: Portal) -> None:
    blocked, gate = threading.Event(), threading.Event()

    async def block() -> None:
        blocked.set()
        gate.wait(10)

    work = Work()
    blocking = portal.start_soon(block)
    assert blocked.wait(10)
    future = portal.start_soon(work.run)
    assert future.cancel()
    gate.set()
    blocking.result(10)
    portal.call(current_thread)
    assert not work.begun.is_set()


class Interruption(BaseException):
    pass


@pytest.fixture
def interrupt_after() -> Iterator[Callable[[threading.Event], None]]:
    """Raise in the main thread, wherever that is, once an event is set."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise Interruption

    main = threading.get_ident()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:

        def interrupt_after(event: threading.Event) -> None:
            executor.submit(event.wait, 10).add_done_callback(
                lambda _: signal.pthread_kill(main, signal.SIGUSR1)
            )

        previous = signal.signal(signal.SIGUSR1, interrupt)
        try:
            yield interrupt_after
        finally:
            signal.signal(signal.SIGUSR1, previous)


def test_an_interrupted_caller_cancels_the_coroutine_and_waits_for_its_clean_up(
    portal: Portal, interrupt_after: Callable[[threading.Event], None]
) -> None:
    work = Work()
    interrupt_after(work.begun)
    with pytest.raises(Interruption):
        portal.call(work.run)
    assert work.cleaned.is_set()


def test_an_interrupted_caller_waits_no_longer_than_the_grace(
    interrupt_after: Callable[[threading.Event], None],
) -> None:
    begun, gate = threading.Event(), asyncio.Event()

    async def resist() -> None:
        begun.set()
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    async def give_way() -> None:
        gate.set()

    with Portal("test-portal", grace=0.01) as portal:
        interrupt_after(begun)
        with pytest.raises(Interruption):
            portal.call(resist)
        assert not gate.is_set()
        portal.call(give_way)


def test_threads_that_start_a_portal_at_once_start_one_loop(portal: Portal) -> None:
    together = threading.Barrier(8)

    def start() -> None:
        together.wait(10)
        portal.start()

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        for started in [executor.submit(start) for _ in range(8)]:
            started.result(10)
    assert portal_threads() == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_portal_whose_loop_is_ended_from_inside_leaves_no_caller_waiting_and_says_so() -> None:
    portal, work = Portal("test-portal"), Work()

    async def leave() -> None:
        raise SystemExit

    async def end() -> threading.Thread:
        leaving.append(asyncio.create_task(leave()))
        return threading.current_thread()

    leaving: list[asyncio.Task[None]] = []
    waiting = portal.start_soon(work.run)
    assert work.begun.wait(10)
    portal.start_soon(end).result(10).join(10)
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(10)
    with pytest.raises(BridgeClosed, match="its loop was ended from inside"):
        portal.call(current_thread)
    assert isinstance(leaving.pop().exception(), SystemExit)
    portal.close()


@pytest.mark.parametrize("method", ["call", "close"])
def test_blocking_on_the_portals_own_loop_is_refused(portal: Portal, method: str) -> None:
    async def block() -> None:
        if method == "call":
            portal.call(current_thread)
        else:
            portal.close()

    with pytest.raises(RuntimeError, match="portal's own loop"):
        portal.call(block)
    assert portal.call(current_thread).name == "test-portal"


async def test_another_loop_may_hand_work_to_the_portal() -> None:
    with Portal() as portal:
        thread = await asyncio.wrap_future(portal.start_soon(current_thread))
        assert thread is not threading.current_thread()


def test_close_cancels_what_runs_and_waits_for_its_clean_up() -> None:
    portal = Portal()
    work = Work()
    future = portal.start_soon(work.run)
    assert work.begun.wait(10)
    portal.close()
    assert work.cleaned.is_set()
    assert future.cancelled()


def test_a_call_that_is_waited_for_when_the_portal_closes_says_why() -> None:
    portal = Portal()
    work = Work()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        call = executor.submit(portal.call, work.run)
        assert work.begun.wait(10)
        portal.close()
        with pytest.raises(BridgeClosed, match="closed while the call was running"):
            call.result(10)


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_portal_takes_no_call_and_says_so(used: bool) -> None:
    portal = Portal()
    if used:
        portal.call(current_thread)
    portal.close()
    for refused in (portal.call, portal.start_soon):
        with pytest.raises(BridgeClosed, match="closed and takes no more calls"):
            refused(current_thread)
    with pytest.raises(BridgeClosed):
        portal.start()


def test_the_thread_of_a_forgotten_portal_ends() -> None:
    portal = Portal()
    thread = portal.call(current_thread)
    del portal
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_blocking_call_is_allowed_where_no_loop_runs() -> None:
    refuse_running_loop("Downloader.download", "AsyncDownloader.download")


async def test_a_blocking_call_in_a_running_loop_names_the_async_spelling() -> None:
    with pytest.raises(RuntimeError) as refused:
        refuse_running_loop("Downloader.download", "AsyncDownloader.download")
    assert "Downloader.download() was called in a thread whose event loop is running" in str(refused.value)
    assert "await AsyncDownloader.download(...)" in str(refused.value)


@pytest.fixture(params=["builtins", "IPython"])
def set_shell(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[types.SimpleNamespace], None]:
    def set_shell(shell: types.SimpleNamespace) -> None:
        if request.param == "builtins":
            monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
        else:
            module = types.ModuleType("IPython")
            module.__dict__["get_ipython"] = lambda: shell
            monkeypatch.setitem(sys.modules, "IPython", module)

    return set_shell


async def test_a_cell_of_a_kernel_may_block(set_shell: Callable[[types.SimpleNamespace], None]) -> None:
    set_shell(types.SimpleNamespace(kernel=object()))
    refuse_running_loop("download", "AsyncDownloader.download")


async def test_ipython_in_a_terminal_may_not_block(
    set_shell: Callable[[types.SimpleNamespace], None],
) -> None:
    set_shell(types.SimpleNamespace())
    with pytest.raises(RuntimeError):
        refuse_running_loop("download", "AsyncDownloader.download")
