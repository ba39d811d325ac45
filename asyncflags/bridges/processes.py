"""Leaving the loop for a process."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, TypeVarTuple

from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._lifetimes import Recycling
from asyncflags.bridges._pool import Pool
from asyncflags.bridges._process_calls import AwaitedCall, SubmittedCall
from asyncflags.bridges._waiting import wait_all, wait_settled
from asyncflags.bridges.stats import BridgeStats
from asyncflags.bridges.streams import Streaming
from asyncflags.errors import BridgeError

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
OnCancel = Literal["kill", "wait"]


class ProcessBridge(Streaming, Executor):
    """A bounded set of worker processes: a true ``concurrent.futures.Executor`` with an awaitable face.

    Workers start on first use, by forkserver or, where there is none, by spawn, and never by fork. Functions,
    arguments and results travel by pickle, so a function must be defined at the top level of a module; large
    bytes and files travel as `Block` and `MappedFile`. What goes wrong with
    one call costs that call alone. Workers ignore Ctrl-C; the parent ends them, and they end with it.

    The sockets to the workers are served by the event loop that first awaited the bridge. While there is none,
    or it does not run, a loop in a thread of the bridge's own serves them, so `submit` works in any thread.

    Args:
        max_workers: The most processes, at least 1; ``None``: as many as processors this process may use.
        initializer: Called in each worker before its first call; ``None``: nothing is.
        initargs: The arguments of *initializer*.
        max_tasks: Calls after which a worker is replaced by a fresh one, at least 1; ``None``: never.
        max_age: Seconds after which a worker is replaced, above 0, once its call is done; ``None``: never.
        max_memory: Resident bytes beyond which a worker is replaced, at least 1, once its call is done;
            ``None``: never. Not on Windows, where workers cannot tell.

    Raises:
        ValueError: A bound is less than the least that makes sense, or *max_memory* is given on Windows.
        BridgeError: *initializer* or its arguments cannot be pickled.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[[*Ts], object] | None = None,
        initargs: tuple[*Ts] = (),  # type: ignore[assignment]
        max_tasks: int | None = None,
        max_age: float | None = None,
        max_memory: int | None = None,
    ) -> None:
        _check_least("max_workers", max_workers, "one a processor")
        _check_least("max_tasks", max_tasks, "no bound")
        _check_least("max_memory", max_memory, "no bound")
        _check_positive("max_age", max_age)
        if max_memory is not None and sys.platform == "win32":
            raise ValueError("max_memory cannot be watched on Windows: use max_tasks or max_age instead")
        self._owner = os.getpid()
        workers = _processors() if max_workers is None else max_workers
        recycling = Recycling(max_tasks, max_age, max_memory)
        self._pool = Pool(workers, _pickled(initializer, initargs), recycling)
        # The pool does not know the bridge, so a bridge that was forgotten ends its workers.
        weakref.finalize(self, self._pool.forget).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule ``fn(*args, **kwargs)``, exactly as ``concurrent.futures.Executor.submit`` does.

        Any thread may call, with or without a loop, and it never waits: workers are started in a thread. The
        future fails with `WorkerCrashed` when the worker died, and with `BridgeError` when *fn*, its arguments
        or its result cannot cross. Waiting for it on the loop that serves the bridge raises `RuntimeError`.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: The bridge has given up because its workers died one after the other, or it belongs
                to the parent of this forked process.
        """
        return self._submit(None, fn, args, kwargs)

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in a worker process, from any loop.

        Cancelled while the call is queued, the caller is free at once and the call never starts. Cancelled
        while it runs, the worker is killed, whatever it does, the caller gets ``CancelledError`` when the
        process is gone, at the latest 50 ms after the kill, and a fresh worker takes its place. `with_options`
        changes that, and sets a timeout.

        An error that *fn* raises is raised here, with the traceback in the worker as its cause.

        Raises:
            WorkerCrashed: The worker died, and this call with it; no other call is affected.
            BridgeClosed: The bridge is shut down.
            BridgeError: *fn*, an argument, the result or an error cannot cross to or from a process; no worker
                could be started; the bridge has given up because its workers died one after the other; its
                loop was closed; or it belongs to the parent of this forked process.
        """
        # The outcome gets no name here: this frame is part of the traceback of the error it may hold.
        return await self._run(None, "kill", fn, args)

    def with_options(self, *, timeout: float | None = None, on_cancel: OnCancel = "kill") -> ProcessView:
        """Return a view of this bridge whose calls have a timeout, or outlast their caller's cancellation.

        ::

            thumb = await bridge.with_options(timeout=5).run(shrink, path)

        Args:
            timeout: Seconds a call may run, above 0, counted from the start of its execution and not from the
                queue; then its worker is killed and the call fails with `TaskTimeout`. ``None``: no bound.
            on_cancel: ``"kill"``: cancelling the caller kills the worker. ``"wait"``: the caller waits for the
                end of the call, and then gets its ``CancelledError``.

        Raises:
            ValueError: *timeout* is not above 0, or *on_cancel* is neither of the two.
        """
        return ProcessView(self, timeout, on_cancel)

    def stats(self) -> BridgeStats:
        """Return what the bridge is doing now and has done so far."""
        return BridgeStats(**self._pool.counts())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, as ``concurrent.futures.Executor.shutdown`` does.

        Args:
            wait: Block until every call is done and the workers have ended.
            cancel_futures: Cancel the calls that have not started.

        Raises:
            RuntimeError: Called with *wait* on the loop that serves the bridge, or in a callback of one of its
                futures, which would wait for itself.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ProcessBridge", self._owner)
        if wait:
            self._pool.outcomes.refuse_to_wait("shutdown(wait=True)")
        self._pool.close(cancel_queued=cancel_futures)
        if wait:
            self._pool.gone.result()

    async def aclose(self, *, grace: float | None = None) -> None:
        """Take no more calls and wait until all are done and the workers have ended.

        The loop stays free meanwhile. A caller that is cancelled waits all the same.

        Args:
            grace: Seconds until the calls that are not done are dropped, and the workers killed; 0 does so at
                once. ``None``: every call has the time it takes.

        Raises:
            ValueError: *grace* is negative.
            BridgeError: The bridge belongs to the parent of this forked process.
        """
        refuse_in_child("ProcessBridge", self._owner)
        if grace is not None and grace < 0:
            raise ValueError(f"grace must be 0 or more seconds, or None for no bound, not {grace}")
        self._pool.close(cancel_queued=False)
        if grace is None:
            await wait_settled(self._pool.gone)
            return
        deadline = asyncio.get_running_loop().call_later(grace, self._pool.kill_all)
        try:
            await wait_settled(self._pool.gone)
        finally:
            deadline.cancel()

    def _submit(
        self, timeout: float | None, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        refuse_in_child("ProcessBridge", self._owner)
        call: SubmittedCall[T] = SubmittedCall(
            (fn, args, kwargs), timeout, self._pool.outcomes.refuse_to_wait
        )
        self._pool.accept(call)
        return call

    async def _run(
        self, timeout: float | None, on_cancel: OnCancel, fn: Callable[..., T], args: tuple[Any, ...]
    ) -> T:
        refuse_in_child("ProcessBridge", self._owner)
        call: AwaitedCall[T] = AwaitedCall((fn, args, {}), timeout)
        try:
            self._pool.accept(call)
            return await call.arrived
        except asyncio.CancelledError as cancelled:
            if not self._pool.take_back(call):
                if on_cancel == "kill":
                    self._pool.kill(call, BridgeError(f"{call.name} was cancelled and its worker killed."))
                await wait_all((call.end(),))
            cancelled.__context__ = call.error
            raise
        finally:
            # An error's traceback holds this frame, and the call holds the error: a cycle otherwise.
            del call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ctrl-C means out: the workers ignore it, and nobody waits for their calls any more.
        if isinstance(error, KeyboardInterrupt):
            refuse_in_child("ProcessBridge", self._owner)
            self._pool.kill_all()
        self.shutdown(wait=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class ProcessView(Streaming, Executor):
    """The verbs of a `ProcessBridge` with options of their own; made by its `with_options`.

    It is an executor too, for those who take one. The workers are the bridge's, and so is closing them:
    `shutdown` and leaving a ``with`` block do nothing.
    """

    def __init__(self, bridge: ProcessBridge, timeout: float | None, on_cancel: OnCancel) -> None:
        _check_positive("timeout", timeout)
        if on_cancel not in ("kill", "wait"):
            raise ValueError(f"on_cancel must be 'kill' or 'wait' for processes, not {on_cancel!r}")
        self._bridge = bridge
        self._timeout = timeout
        self._on_cancel = on_cancel

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule a call, as `ProcessBridge.submit` does; its future fails with `TaskTimeout` too.

        Raises:
            BridgeClosed: The bridge is shut down.
            BridgeError: As `ProcessBridge.submit`.
        """
        return self._bridge._submit(self._timeout, fn, args, kwargs)

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await a call, as `ProcessBridge.run` does.

        Raises:
            TaskTimeout: The call ran longer than the timeout of this view, and its worker was killed.
            WorkerCrashed: As `ProcessBridge.run`.
            BridgeError: As `ProcessBridge.run`.
        """
        return await self._bridge._run(self._timeout, self._on_cancel, fn, args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: the workers belong to the bridge."""


def _pickled(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> bytes | None:
    if initializer is None:
        return None
    try:
        return pickle.dumps((initializer, initargs), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        # Pickling runs the code of any object, so any error can come out of it.
        raise BridgeError(
            f"The initializer of the workers or an argument of it cannot be pickled: {error}. Define the function "
            "at the top level of a module."
        ) from error


def _check_least(name: str, value: int | None, meaning: str) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{name} must be at least 1, or None for {meaning}, not {value}")


def _check_positive(name: str, seconds: float | None) -> None:
    if seconds is not None and not seconds > 0:
        raise ValueError(f"{name} must be above 0 seconds, or None for no bound, not {seconds}")


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
