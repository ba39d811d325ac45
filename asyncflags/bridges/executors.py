"""Leaving the loop through any executor: a third party's pool, cluster or scheduler."""

from __future__ import annotations

import asyncio
import collections
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Literal, ParamSpec, TypeVar, TypeVarTuple

from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._waiting import endless, outcome
from asyncflags.bridges.stats import BridgeStats
from asyncflags.bridges.streams import Streaming

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ExecutorBridge(Streaming):
    """An awaitable and bounded face over an executor that belongs to someone else.

    It relies on ``submit`` and the future that returns, and never shuts the executor down.

    Args:
        executor: Any ``concurrent.futures.Executor``: Dask's, MPI's, loky's.
        max_in_flight: The most calls of `run` and `stream` handed to the executor at a time, at least 1;
            ``None``: no bound.

    Raises:
        ValueError: *max_in_flight* is less than 1.
    """

    def __init__(self, executor: Executor, *, max_in_flight: int | None = None) -> None:
        if max_in_flight is not None and max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, or None for no bound, not {max_in_flight}")
        self._owner = os.getpid()
        self._executor = executor
        self._slots = _Slots(max_in_flight)
        self._detaches = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand ``fn(*args, **kwargs)`` to the executor at once and return its own future.

        What the executor raises is passed on. Submitted calls do not count for *max_in_flight*.

        Raises:
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ExecutorBridge", self._owner)
        return self._executor.submit(fn, *args, **kwargs)

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in the executor.

        Callers get a slot in the order in which they came. Cancelled while it waits for one, or while
        its call is queued, a caller is free at once and the call never starts. Cancelled while the call
        runs, the caller waits for its end; with ``on_cancel="detach"`` it is free at once. The slot stays
        taken to the end of the call. An executor whose futures never tell that they run, such as Dask's, lets
        a running call be cancelled like a queued one: caller and slot are free at once, and the call may run on.

        Raises:
            BridgeClosed: The executor dropped the call before it started.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ExecutorBridge", self._owner)
        slots = self._slots
        await slots.acquire()
        try:
            call = self._executor.submit(fn, *args)
        except BaseException:
            slots.release()
            raise
        call.add_done_callback(slots.release)
        try:
            return await outcome(call, _none if self._detaches else endless)
        except asyncio.CancelledError:
            if not call.done():
                slots.detach(call)
            raise
        finally:
            # The future holds its error, and the error's traceback this frame.
            del call

    def with_options(self, *, on_cancel: Literal["wait", "detach"] = "wait") -> ExecutorBridge:
        """Return this bridge with another option; it has the same slots.

        There is no timeout, because an executor does not tell when it begins with a call: bound the
        wait with ``asyncio.timeout``.

        Args:
            on_cancel: Whether the caller of a call that runs waits for its end when it is cancelled
                (``"wait"``), or is released and the result dropped (``"detach"``).

        Raises:
            ValueError: *on_cancel* is neither word.
        """
        if on_cancel not in ("wait", "detach"):
            raise ValueError(f'on_cancel must be "wait" or "detach" for an executor, not {on_cancel!r}')
        view = ExecutorBridge(self._executor)
        view._owner = self._owner
        view._slots = self._slots
        view._detaches = on_cancel == "detach"
        return view

    def stats(self) -> BridgeStats:
        """The counters of this moment; submitted calls are the executor's alone. Safe from any thread."""
        return self._slots.stats()


class _Slots:
    """A fair semaphore for tasks of any loop, where ``asyncio.Semaphore`` serves one loop alone."""

    def __init__(self, count: int | None) -> None:
        self._lock = threading.Lock()
        self._count = count
        self._taken = 0
        self._detached: set[Future[Any]] = set()
        self._completed = 0
        self._waiters: collections.deque[Future[None]] = collections.deque()

    async def acquire(self) -> None:
        with self._lock:
            if self._count is None or self._taken < self._count:
                self._taken += 1
                return
            waiter: Future[None] = Future()
            self._waiters.append(waiter)
        try:
            await outcome(waiter)
        except BaseException:
            # The slot can come in the same moment as the cancellation, and then passes to the next.
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self, call: Future[Any] | None = None) -> None:
        """Give a slot back: *call* has ended, or, without one, none was made."""
        with self._lock:
            if call is not None:
                self._completed += not call.cancelled()
                self._detached.discard(call)
            while self._waiters:
                waiter = self._waiters.popleft()
                if waiter.set_running_or_notify_cancel():
                    break
            else:
                self._taken -= 1
                return
        waiter.set_result(None)

    def detach(self, call: Future[Any]) -> None:
        """Note that nobody waits for *call* any more, unless it has ended in this moment."""
        with self._lock:
            self._detached.add(call)
            if call.done():
                self._detached.discard(call)

    def stats(self) -> BridgeStats:
        with self._lock:
            queued = sum(not waiter.cancelled() for waiter in self._waiters)
            return BridgeStats(
                queued=queued,
                running=self._taken,
                detached=len(self._detached),
                completed=self._completed,
            )


def _none() -> float:
    """The patience of one who waits for nothing."""
    return 0.0
