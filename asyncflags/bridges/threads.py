"""Leaving the loop for a thread."""

from __future__ import annotations

import contextvars
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, TypeVarTuple

from asyncflags.bridges._calls import AwaitedCall, Call, drop_queued
from asyncflags.bridges._crew import Crew
from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._waiting import outcome, wait_settled

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ThreadBridge(Executor):
    """A bounded set of daemon threads: a true ``concurrent.futures.Executor`` with an awaitable face.

    Threads start on first use, and a further one only when none is idle. They are daemons, so a call
    that is still running never holds up the end of the interpreter: close the bridge to wait for it.

    Args:
        max_workers: The most threads, at least 1. Never more calls than this run at a time, however
            many of them were cancelled.
        name: What the threads' names begin with.

    Raises:
        ValueError: *max_workers* is less than 1.
    """

    def __init__(self, max_workers: int = 4, *, name: str = "asyncflags-disk") -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._owner = os.getpid()
        self._crew = Crew(max_workers, name)
        # The threads know the crew alone, so a bridge that was forgotten ends them after their queue.
        # At the interpreter's exit there is nobody left to tell.
        weakref.finalize(self, self._crew.calls.put, None).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``, exactly as ``concurrent.futures.Executor.submit`` does.

        A ``StopIteration`` that *fn* raises becomes a ``RuntimeError``, because an awaited future cannot
        carry one.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        return self._accept(Call(fn, *args, **kwargs))

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in a thread, with the caller's context variables.

        Cancelled while the call is queued, the caller is free at once and the call never starts.
        Cancelled while it runs, the caller waits until the thread is done, because nothing can stop a
        thread; then ``CancelledError`` is raised, also if *fn* failed meanwhile.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        context = contextvars.copy_context()
        # The future gets no name here: this frame is part of the traceback of the error it may hold.
        return await outcome(self._accept(AwaitedCall(context.run, fn, *args)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, as ``concurrent.futures.Executor.shutdown`` does.

        Args:
            wait: Block until every call is done and the threads have ended.
            cancel_futures: Cancel the calls that have not started.

        Raises:
            RuntimeError: Called with *wait* by one of the bridge's own threads, which would wait for
                itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("shutdown(wait=True)" if wait else None)
        self._crew.close()
        if cancel_futures:
            drop_queued(self._crew.calls)
        if wait:
            self._crew.join()

    async def aclose(self) -> None:
        """Take no more calls and wait until all are done and the threads have ended.

        The loop stays free meanwhile. A caller that is cancelled waits all the same.

        Raises:
            RuntimeError: Called in one of the bridge's own threads, which would wait for itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("aclose()")
        self._crew.close()
        try:
            await wait_settled(self._crew.ended)
        finally:
            # Every thread has left its last call behind, so this takes microseconds.
            self._crew.join()

    def _accept(self, call: Call[T]) -> Call[T]:
        refuse_in_child("ThreadBridge", self._owner)
        self._crew.accept(call)
        return call

    def _refuse(self, waiting: str | None) -> None:
        refuse_in_child("ThreadBridge", self._owner)
        if waiting is not None and threading.current_thread() in self._crew.threads:
            raise RuntimeError(
                f"{waiting} was called by one of the bridge's own threads, which would wait for itself for "
                "ever. Close the bridge from the thread that made it, or use shutdown(wait=False)."
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ctrl-C means out: the threads are daemons and do not hold up the exit.
        interrupted = isinstance(error, KeyboardInterrupt)
        self.shutdown(wait=not interrupted, cancel_futures=interrupted)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
