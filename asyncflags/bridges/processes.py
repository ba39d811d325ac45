"""Leaving the loop for a process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, Self, TypeVar, TypeVarTuple

from asyncflags.bridges._calls import Call
from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._pool import Pool
from asyncflags.bridges._waiting import outcome, wait_settled

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ProcessBridge(Executor):
    """A bounded set of worker processes: a true ``concurrent.futures.Executor`` with an awaitable face.

    Workers start on first use, by forkserver or, on Windows, by spawn, and never by fork. Functions,
    arguments and results travel by pickle, so a function must be defined at the top level of a module.
    Workers ignore Ctrl-C; the parent ends them.

    Args:
        max_workers: The most processes, at least 1; ``None``: as many as processors this process may use.

    Raises:
        ValueError: *max_workers* is less than 1.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError(
                f"max_workers must be at least 1, or None for one a processor, not {max_workers}"
            )
        self._owner = os.getpid()
        self._pool = Pool(_processors() if max_workers is None else max_workers)
        # The pool's thread does not know the bridge, so a bridge that was forgotten ends its workers.
        weakref.finalize(self, self._pool.forget).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``, exactly as ``concurrent.futures.Executor.submit`` does.

        It never blocks: workers are started in a thread. The future fails with `WorkerCrashed` when the
        pool broke, and with `BridgeError` when *fn* cannot be sent to a process.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ProcessBridge", self._owner)
        call = Call(fn, *args, **kwargs)
        self._pool.accept(call)
        return call

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in a worker process.

        Cancelled while the call is queued, the caller is free at once and the call never starts.
        Cancelled while it runs, the caller waits for its end, and then ``CancelledError`` is raised.

        Raises:
            WorkerCrashed: A worker died, and with it the calls that were running. Queued and later calls
                get a new pool.
            BridgeClosed: The bridge is shut down.
            BridgeError: *fn* cannot be sent to a process, or the bridge belongs to the parent of this
                forked process.
        """
        # The future gets no name here: this frame is part of the traceback of the error it may hold.
        return await outcome(self.submit(fn, *args))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, as ``concurrent.futures.Executor.shutdown`` does.

        Args:
            wait: Block until every call is done and the workers have ended.
            cancel_futures: Cancel the calls that have not started.

        Raises:
            RuntimeError: Called with *wait* by a callback of one of the bridge's futures, which would
                wait for itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("shutdown(wait=True)" if wait else None)
        ended = self._pool.close(cancel_queued=cancel_futures)
        if wait:
            ended.result()

    async def aclose(self) -> None:
        """Take no more calls and wait until all are done and the workers have ended.

        The loop stays free meanwhile. A caller that is cancelled waits all the same.

        Raises:
            RuntimeError: Called in a callback of one of the bridge's futures, which would wait for itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("aclose()")
        await wait_settled(self._pool.close(cancel_queued=False))

    def _refuse(self, waiting: str | None) -> None:
        refuse_in_child("ProcessBridge", self._owner)
        if waiting is not None and threading.get_ident() in self._pool.publishing:
            raise RuntimeError(
                f"{waiting} was called by a callback of one of the bridge's futures, which would wait for "
                "itself for ever. Close the bridge from the thread that made it, or use shutdown(wait=False)."
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
