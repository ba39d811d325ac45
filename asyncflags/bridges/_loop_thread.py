"""The thread and the event loop of a `Portal`, and the coroutines on their way through it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from asyncflags.errors import BridgeClosed

T = TypeVar("T")

# Ctrl-C that comes in the moment before a wait without end is noticed when the wait ends, so none is.
LONGEST_WAIT = 0.2


class Job(Generic[T]):
    """One coroutine on its way through the loop, and the future its caller holds."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.ended = threading.Event()
        self._function = function

    def begin(self) -> None:
        """Start the coroutine unless it was cancelled; called on the loop, in the caller's context."""
        if self.future.cancelled():
            self.future.set_running_or_notify_cancel()
            self.ended.set()
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(_invoke(self._function))
        task.add_done_callback(self._end)

        def follow(future: concurrent.futures.Future[T]) -> None:
            # A loop that was closed meanwhile has ended the task already.
            if future.cancelled():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel)

        self.future.add_done_callback(follow)

    def _end(self, task: asyncio.Task[_Ended[T]]) -> None:
        _publish(task, self.future)
        self.ended.set()


class _Ended(Generic[T]):
    """How a coroutine ended, if it was not cancelled."""

    def __init__(self, result: T | None = None, error: BaseException | None = None) -> None:
        self.result = result
        self.error = error


async def _invoke(function: Callable[[], Coroutine[Any, Any, T]]) -> _Ended[T]:
    try:
        return _Ended(await function())
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001
        # Raised in a task, SystemExit and KeyboardInterrupt end the loop. They belong to the caller,
        # as every other error does.
        return _Ended(error=error)


def _publish(task: asyncio.Task[_Ended[T]], future: concurrent.futures.Future[T]) -> None:
    if task.cancelled():
        future.cancel()
    if not future.set_running_or_notify_cancel():
        return
    ended = task.result()
    if ended.error is not None:
        future.set_exception(ended.error)
    else:
        future.set_result(cast(T, ended.result))


class LoopThread:
    """The thread and its loop, apart from the portal, which they must not keep alive."""

    def __init__(self, name: str, grace: float) -> None:
        self.closed = False
        self._owner = os.getpid()
        self._name = name
        self._grace = grace
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ready: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]

    def start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            return self._start()

    def post(self, callback: Callable[[], None]) -> None:
        # Under the lock, so that nothing is posted behind the end of the loop, where it would be lost.
        with self._lock:
            loop = self._start()
            try:
                loop.call_soon_threadsafe(callback)
            except RuntimeError:
                raise BridgeClosed(
                    "This Portal takes no more calls: its loop was ended from inside."
                ) from None

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        with self._lock:
            self.forget()

    def forget(self) -> None:
        """Tell the loop to end, without waiting; for one who knows that nobody else can call."""
        if self.closed or os.getpid() != self._owner:
            return
        self.closed = True
        if self._thread is not None and self._ready.exception() is None:
            loop, leaving = self._ready.result()
            # A coroutine can end the loop from inside, by raising SystemExit in a task of its own.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(leaving.set)

    def join(self, timeout: float | None) -> None:
        if self._thread is None:
            return
        self._thread.join(timeout if timeout is not None else LONGEST_WAIT)
        while timeout is None and self._thread.is_alive():
            self._thread.join(LONGEST_WAIT)

    def leave_at_exit(self) -> None:
        if os.getpid() == self._owner:
            self.stop()
            self.join(self._grace)

    def _start(self) -> asyncio.AbstractEventLoop:
        if self.closed:
            raise BridgeClosed("This Portal is closed and takes no more calls. Make a new one.")
        if self._thread is None:
            self._ready = concurrent.futures.Future()
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread
            _running.add(self)
        return self._ready.result()[0]

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:
            # The one who starts the loop waits for it and gets the error; a later one is the thread's.
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        leaving = asyncio.Event()
        self._ready.set_result((asyncio.get_running_loop(), leaving))
        # What runs when this returns is cancelled and waited for by the runner.
        await leaving.wait()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The fastest loop there is, as `asyncio.Runner` takes it: uvloop's, or ``None`` for asyncio's own."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


_running: weakref.WeakSet[LoopThread] = weakref.WeakSet()


@atexit.register
def _leave_all() -> None:
    for thread in tuple(_running):
        thread.leave_at_exit()
