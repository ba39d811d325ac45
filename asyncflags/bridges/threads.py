"""Leaving the loop for a thread."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Literal, ParamSpec, Self, TypeVar, TypeVarTuple

from asyncflags.bridges._awaited import AwaitedCall
from asyncflags.bridges._calls import Call
from asyncflags.bridges._crew import Crew
from asyncflags.bridges._deadlines import TimeLimit
from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._waiting import wait_settled
from asyncflags.bridges.stats import BridgeStats
from asyncflags.bridges.streams import Streaming

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_logger = logging.getLogger(__name__)


class ThreadView(Streaming, Executor):
    """A `ThreadBridge` with options, as `ThreadBridge.with_options` returns it: the same threads and verbs.

    Closing it closes the bridge.
    """

    _owner: int
    _crew: Crew
    _limit: TimeLimit | None
    _detaches: bool

    def __init__(self, bridge: ThreadView, limit: TimeLimit | None, detaches: bool) -> None:
        self._owner = bridge._owner
        self._crew = bridge._crew
        self._limit = limit
        self._detaches = detaches
        # The threads end when the bridge is forgotten, which it is not while somebody has this.
        self._bridge = bridge

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``, exactly as ``concurrent.futures.Executor.submit`` does.

        A ``StopIteration`` that *fn* raises becomes a ``RuntimeError``, because an awaited future cannot
        carry one. Blocking for the future on a loop that awaits this bridge raises ``RuntimeError``.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ThreadBridge", self._owner)
        call = Call(fn, *args, **kwargs)
        call.limit = self._limit
        call.is_own_loop = self._crew.is_own_loop
        self._crew.accept(call)
        return call

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in a thread, with the caller's context variables.

        Cancelled while the call is queued, the caller is free at once and the call never starts.
        Cancelled while it runs, the caller waits until the thread is done, because nothing can stop a
        thread; then ``CancelledError`` is raised, also if *fn* failed meanwhile. With
        ``on_cancel="detach"`` the caller is free at once then too, and the call keeps its slot to its end.
        After Ctrl-C in a loop of ``asyncio.run`` the wait ends with the bridge's ``drain``.

        Raises:
            TaskTimeout: The call ran longer than the timeout of `with_options`.
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ThreadBridge", self._owner)
        crew = self._crew
        context = contextvars.copy_context()
        call = AwaitedCall(crew.bell(), functools.partial(context.run, fn, *args), self._limit)
        try:
            crew.accept(call)
            patience = _none if self._detaches else crew.patience
            return await call.outcome(patience, functools.partial(crew.detach, call))
        finally:
            # The call holds its error, and the error's traceback this frame.
            del call

    def with_options(
        self, *, timeout: float | None = None, on_cancel: Literal["wait", "detach"] = "wait"
    ) -> ThreadView:
        """Return this bridge with other options; they are no arguments of the functions it calls.

        Args:
            timeout: Seconds that a call may run, counted from the start of its execution and not while it
                is queued; ``None``: as long as it takes. A call over it ends with `TaskTimeout`, for a
                submitted future too. Its thread cannot be stopped, so *on_cancel* says when.
            on_cancel: What becomes of the caller of a call that runs when it is cancelled, or over its
                timeout. ``"wait"``: the caller waits until the thread is done. ``"detach"``: the caller
                is released at once, what the call returns is dropped, and its slot stays taken until
                the thread is done: a bound is a bound.

        Raises:
            ValueError: *timeout* is not above 0, or *on_cancel* is neither word.
        """
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, or None for no limit, not {timeout}")
        if on_cancel not in ("wait", "detach"):
            raise ValueError(
                f'on_cancel must be "wait" or "detach", not {on_cancel!r}, because nothing can kill a thread'
            )
        detaches = on_cancel == "detach"
        limit = None if timeout is None else TimeLimit(timeout, releases=detaches)
        return ThreadView(self, limit, detaches)

    def stats(self) -> BridgeStats:
        """The counters of this moment. Cheap, and safe from any thread."""
        return self._crew.stats()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, as ``concurrent.futures.Executor.shutdown`` does.

        Args:
            wait: Block until every call is done and the threads have ended.
            cancel_futures: Cancel the calls that have not started.

        Raises:
            RuntimeError: Called with *wait* by one of the bridge's own threads, which would wait for
                itself, or on a loop that awaits the bridge, which would be blocked.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("shutdown(wait=True)" if wait else None)
        if wait and not self._crew.ended.done() and self._crew.is_own_loop():
            raise RuntimeError(
                "shutdown(wait=True) was called on an event loop that uses the bridge, and would block it. "
                "Use `await bridge.aclose()` there, or shutdown(wait=False)."
            )
        self._crew.close()
        if cancel_futures:
            self._crew.drop()
        if wait:
            self._crew.join()

    async def aclose(self, *, deadline: float | None = None) -> None:
        """Take no more calls and wait until all are done and the threads have ended.

        The loop stays free meanwhile. A caller that is cancelled waits all the same; after Ctrl-C the
        bridge's ``drain`` is the latest deadline.

        Args:
            deadline: Seconds to wait. After them, queued calls are dropped and their callers get
                `BridgeClosed`; calls that run are left to their daemon threads, which do not hold up the
                interpreter's end. ``None``: as long as it takes; 0: wait for nothing.

        Raises:
            RuntimeError: Called in one of the bridge's own threads, which would wait for itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        self._refuse("aclose()")
        crew = self._crew
        crew.bell()
        crew.close()
        over: Future[None] = Future()
        crew.ended.add_done_callback(lambda _: _settle(over))
        drain = crew.patience()
        seconds = min((limit for limit in (deadline, drain) if limit is not None), default=None)
        timer = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, _settle, over)
        try:
            await wait_settled(over, crew.patience)
        finally:
            if timer is not None:
                timer.cancel()
            self._leave()

    def _leave(self) -> None:
        """End the wait for a closed bridge, whose threads have mostly left by now."""
        if self._crew.ended.done():
            # Every thread has left its last call behind, so this takes microseconds.
            self._crew.join()
            return
        self._crew.drop()
        _logger.warning(
            "A ThreadBridge was left at its deadline while %d of its calls still ran", self.stats().running
        )

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
        if not isinstance(error, KeyboardInterrupt):
            self.shutdown(wait=True)
            return
        # Ctrl-C means out: the threads are daemons and do not hold up the exit.
        self.shutdown(wait=False, cancel_futures=True)
        self._crew.join(self._crew.drain)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class ThreadBridge(ThreadView):
    """A bounded set of daemon threads: a true ``concurrent.futures.Executor`` with an awaitable face.

    Threads start on first use, and a further one only when none is idle. They are daemons, so a call
    that is still running never holds up the end of the interpreter: close the bridge to wait for it.

    Args:
        max_workers: The most threads, at least 1. Never more calls than this run at a time, however
            many of them were cancelled.
        name: What the threads' names begin with.
        drain: Seconds that callers and closing still wait for running calls after Ctrl-C; 0: not at all.

    Raises:
        ValueError: *max_workers* is less than 1, or *drain* less than 0.
    """

    def __init__(self, max_workers: int = 4, *, name: str = "asyncflags-disk", drain: float = 2.0) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        if not drain >= 0:
            raise ValueError(f"drain must be at least 0 seconds, not {drain}")
        self._owner = os.getpid()
        self._crew = Crew(max_workers, name, drain)
        self._limit = None
        self._detaches = False
        # The threads know the crew alone, so a bridge that was forgotten ends them after their queue.
        # At the interpreter's exit there is nobody left to tell.
        weakref.finalize(self, self._crew.calls.put, None).atexit = False


def _settle(over: Future[None]) -> None:
    # Both the last thread and the deadline come here, and either may be the first.
    if not over.done():
        over.set_result(None)


def _none() -> float:
    """The patience of one who waits for nothing."""
    return 0.0
