"""Leaving the loop through any executor: a third party's pool, cluster or scheduler."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar, TypeVarTuple

from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._waiting import outcome

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ExecutorBridge:
    """An awaitable and bounded face over an executor that belongs to someone else.

    It relies on ``submit`` and the future that returns, and never shuts the executor down.

    Args:
        executor: Any ``concurrent.futures.Executor``: Dask's, MPI's, loky's.
        max_in_flight: The most calls handed to the executor at a time, at least 1; ``None``: no bound.

    Raises:
        ValueError: *max_in_flight* is less than 1.
    """

    def __init__(self, executor: Executor, *, max_in_flight: int | None = None) -> None:
        if max_in_flight is not None and max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, or None for no bound, not {max_in_flight}")
        self._owner = os.getpid()
        self._executor = executor
        self._slots = None if max_in_flight is None else _Slots(max_in_flight)

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in the executor.

        Callers get a slot in the order in which they came. Cancelled while it waits for one, or while
        its call is queued, a caller is free at once and the call never starts. Cancelled while the call
        runs, the caller waits for its end and its slot stays taken until then.

        Raises:
            BridgeClosed: The executor dropped the call before it started.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ExecutorBridge", self._owner)
        if self._slots is None:
            return await outcome(self._executor.submit(fn, *args))
        await self._slots.acquire()
        try:
            return await outcome(self._executor.submit(fn, *args))
        finally:
            self._slots.release()


class _Slots:
    """A fair semaphore for tasks of any loop, where ``asyncio.Semaphore`` serves one loop alone."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiters: collections.deque[Future[None]] = collections.deque()

    async def acquire(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
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

    def release(self) -> None:
        with self._lock:
            while self._waiters:
                waiter = self._waiters.popleft()
                if waiter.set_running_or_notify_cancel():
                    break
            else:
                self._free += 1
                return
        waiter.set_result(None)
