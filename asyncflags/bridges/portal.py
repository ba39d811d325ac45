"""Entering a loop from a thread: one event loop in a daemon thread of its own."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import itertools
import os
import weakref
from collections.abc import AsyncIterable, Callable, Coroutine, Generator, Iterator
from typing import Any, Self, TypeVar

from asyncflags.bridges._crossing import Crossing
from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._kernels import is_kernel_cell
from asyncflags.bridges._loop_thread import LONGEST_WAIT, Job, LoopThread
from asyncflags.errors import BridgeClosed

T = TypeVar("T")


class Portal:
    """An event loop in its own daemon thread, for callers that have none.

    The loop is uvloop's where that is installed, and starts on the first call. Any thread may call.

    Args:
        name: The name of the thread.
        grace: Seconds an interrupted caller, or the interpreter's exit, waits for cancelled work to
            clean up; 0 does not wait.
    """

    def __init__(self, name: str = "asyncflags-portal", *, grace: float = 2.0) -> None:
        self._owner = os.getpid()
        self._grace = grace
        self._thread = LoopThread(name, grace)
        # The thread does not know the portal, so a portal that was forgotten ends its loop.
        weakref.finalize(self, self._thread.forget).atexit = False

    def start(self) -> None:
        """Start the loop now rather than on the first call; a second time does nothing.

        Raises:
            BridgeClosed: The portal is closed.
            BridgeError: The portal belongs to the parent of this forked process.
        """
        refuse_in_child("Portal", self._owner)
        self._thread.start()

    def call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``await function()`` on the portal's loop, block until it ends and return its result.

        The coroutine sees the caller's context variables. A ``KeyboardInterrupt``, or anything else
        raised in the waiting thread, cancels the coroutine and waits *grace* seconds for its clean-up.

        Raises:
            RuntimeError: Called from the portal's own loop, which would wait for itself.
            BridgeClosed: The portal is closed, or was closed meanwhile.
            BridgeError: The portal belongs to the parent of this forked process.
            concurrent.futures.CancelledError: The coroutine ended as cancelled.
        """
        job = self._launch("call()", function)
        try:
            return result_of(job.future)
        except concurrent.futures.CancelledError:
            if job.future.cancelled() and self._thread.closed:
                raise BridgeClosed("The portal was closed while the call was running.") from None
            raise
        except BaseException:
            # Not the coroutine's own error but one of this thread, such as Ctrl-C, if it still runs.
            if not job.future.done():
                job.future.cancel()
                job.ended.wait(self._grace)
            raise
        finally:
            # The future holds the error, and the error's traceback this frame.
            del job

    def start_soon(self, function: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run ``await function()`` on the portal's loop and return the future of its outcome at once.

        ``Future.cancel()`` cancels the coroutine too, and leaves it to clean up by itself.

        Raises:
            BridgeClosed: The portal is closed.
            BridgeError: The portal belongs to the parent of this forked process.
        """
        return self._launch(None, function).future

    def iterate(
        self, function: Callable[[], AsyncIterable[T]], *, ahead: int = 256
    ) -> Generator[T, None, None]:
        """Iterate over ``function()``, an asynchronous iterable of the portal's loop, in this thread.

        ::

            for row in portal.iterate(lambda: read_rows(connection)):
                ...

        Items cross in batches, not one hop an item, and the iterable is at most *ahead* items in front
        of the reader. Leaving the loop early, or an error such as Ctrl-C in it, cancels the iterable and
        waits *grace* seconds for its clean-up.

        Args:
            function: Makes the iterable; called on the loop when the first item is asked for.
            ahead: The most items on their way, at least 1.

        Raises:
            ValueError: *ahead* is less than 1.
            RuntimeError: Iterated on the portal's own loop, which would wait for itself.
            BridgeClosed: The portal is closed, or was closed meanwhile.
            BridgeError: The portal belongs to the parent of this forked process.
        """
        if ahead < 1:
            raise ValueError(f"ahead must be at least 1, not {ahead}")
        return self._iterate(Crossing(function, ahead))

    def _iterate(self, crossing: Crossing[T]) -> Generator[T, None, None]:
        job = self._launch("iterate()", crossing.feed)
        job.future.add_done_callback(crossing.end)
        try:
            while (batch := crossing.take(LONGEST_WAIT)) is not None:
                while batch:
                    yield batch.popleft()
            if job.future.cancelled() and self._thread.closed:
                raise BridgeClosed("The portal was closed while the iteration was running.")
            job.future.result()
        finally:
            if not job.future.done():
                job.future.cancel()
                job.ended.wait(self._grace)
            # The future holds the error, and the error's traceback this frame.
            del job

    def close(self) -> None:
        """Take no more calls, cancel what still runs, wait for it, and end the loop and its thread.

        A second time does nothing, or waits for the first one to end.

        Raises:
            RuntimeError: Called from the portal's own loop, which would wait for itself.
            BridgeError: The portal belongs to the parent of this forked process.
        """
        self._refuse("close()")
        self._thread.stop()
        self._thread.join(None)

    def _launch(self, blocking: str | None, function: Callable[[], Coroutine[Any, Any, T]]) -> Job[T]:
        self._refuse(blocking)
        job = Job(function)
        self._thread.post(job.begin)
        return job

    def _refuse(self, blocking: str | None) -> None:
        refuse_in_child("Portal", self._owner)
        if blocking is not None and self._thread.is_current():
            raise RuntimeError(
                f"{blocking} was called from the portal's own loop, which would wait for itself for ever. "
                "Await the coroutine there instead."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refuse_running_loop(sync_name: str, async_name: str) -> None:
    """Raise where a blocking call would stop the event loop of its own thread.

    A cell of an IPython kernel runs inside the kernel's loop and may block it, as any long cell does.

    Args:
        sync_name: The blocking call, as the caller spells it, without parentheses.
        async_name: The asynchronous counterpart that the message recommends, without parentheses.

    Raises:
        RuntimeError: A loop is running in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not is_kernel_cell():
        raise RuntimeError(
            f"{sync_name}() was called in a thread whose event loop is running, and would block it. "
            f"Use `await {async_name}(...)` there, or call {sync_name}() in another thread."
        )


def result_of(future: concurrent.futures.Future[T]) -> T:
    """``future.result()`` that Ctrl-C always interrupts."""
    try:
        while not future.done():
            # Not `result`, whose own TimeoutError looks like one that the call ended with.
            concurrent.futures.wait((future,), timeout=LONGEST_WAIT)
        return future.result()
    finally:
        del future


def in_order(started: Iterator[concurrent.futures.Future[T]], ahead: int) -> Iterator[T]:
    """The results of *started* in its order; the first *ahead* are started now, the rest as they are read.

    Leaving the iterator early cancels what was started.
    """
    window = collections.deque(itertools.islice(started, ahead))

    def results() -> Iterator[T]:
        try:
            while window:
                result = result_of(window.popleft())
                window.extend(itertools.islice(started, 1))
                yield result
        finally:
            for future in window:
                future.cancel()

    return results()
