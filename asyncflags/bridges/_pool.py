"""The worker processes of a `ProcessBridge`, and the thread that hands them their calls."""

from __future__ import annotations

import contextlib
import functools
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

from asyncflags.bridges._calls import Call, drop_queued
from asyncflags.bridges._parcels import Parcel, name_of, open_result, perform
from asyncflags.errors import BridgeClosed, BridgeError, WorkerCrashed

if TYPE_CHECKING:
    from concurrent.futures.process import ProcessPoolExecutor

    from asyncflags.bridges._parcels import Letter


class Pool:
    """A queue, and a thread that gives a call to the standard pool only when a worker is free for it.

    So a queued call is cancelled like any future and outlives a crash, and starting or joining a
    worker, which takes tens of milliseconds, stalls no event loop.
    """

    def __init__(self, max_workers: int) -> None:
        self.publishing: set[int] = set()
        self._max_workers = max_workers
        self._calls: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(max_workers)
        self._lock = threading.Lock()
        self._ended: Future[None] = Future()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._executor: ProcessPoolExecutor | None = None

    def accept(self, call: Call[Any]) -> None:
        with self._lock:
            if self._closed:
                raise BridgeClosed("This ProcessBridge is closed and takes no more calls. Make a new one.")
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="asyncflags-processes", daemon=True)
                thread.start()
                self._thread = thread
            self._calls.put(call)

    def close(self, *, cancel_queued: bool) -> Future[None]:
        """Take no more calls; the future returned is done when all are and the workers have ended."""
        with self._lock:
            unused = self._thread is None and not self._closed
            if not self._closed:
                self._closed = True
                self._calls.put(None)
        if cancel_queued:
            drop_queued(self._calls)
        if unused:
            self._ended.set_result(None)
        return self._ended

    def forget(self) -> None:
        """End after the queue; for one who knows that nobody else can call."""
        self._calls.put(None)

    def _serve(self) -> None:
        self._free.acquire()
        while (call := self._calls.get()) is not None:
            self._launch(call)
            # Only a call that leaves the queue here is out of reach for a shutdown that cancels.
            del call
            self._free.acquire()
        for _ in range(self._max_workers - 1):
            self._free.acquire()
        self._retire()
        self._ended.set_result(None)

    def _launch(self, call: Call[Any]) -> None:
        work = call.take()
        if work is None:
            self._free.release()
            return
        parcel = Parcel(work)
        try:
            inner = self._submit(parcel)
        except Exception as error:  # noqa: BLE001
            # No process can be had: no memory, no descriptors, or the interpreter is going down. The
            # one who waits for the call must hear of it, and this thread must live for the next one.
            self._abandon()
            refusal = BridgeError(f"No worker process could be started for {name_of(work)}: {error}")
            refusal.__cause__ = error
            self._publish(call, None, refusal)
        else:
            inner.add_done_callback(functools.partial(self._end, call, parcel))

    def _submit(self, parcel: Parcel) -> Future[bytes]:
        from concurrent.futures import BrokenExecutor

        # What is sent as a parcel arrives as a letter.
        letter = cast("Letter", parcel)
        try:
            return self._workers().submit(perform, letter)
        except BrokenExecutor:
            # A worker died since the last call. Its calls were told; this one gets a new pool.
            self._retire()
            return self._workers().submit(perform, letter)

    def _workers(self) -> ProcessPoolExecutor:
        if self._executor is None:
            from concurrent.futures.process import ProcessPoolExecutor
            from multiprocessing import get_context

            context = get_context("spawn" if sys.platform == "win32" else "forkserver")
            # Ctrl-C reaches every process of a terminal, and the parent alone decides what it means.
            self._executor = ProcessPoolExecutor(
                self._max_workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)
            )
        return self._executor

    def _retire(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)

    def _abandon(self) -> None:
        # The standard pool may have kept the call it could not start a process for, so waiting for
        # the pool's end could last for ever.
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def _end(self, call: Call[Any], parcel: Parcel, inner: Future[bytes]) -> None:
        from concurrent.futures import BrokenExecutor

        error = parcel.refusal or inner.exception()
        result = None
        if isinstance(error, BrokenExecutor):
            error = _crash(parcel.name, error)
        elif error is None:
            result, error = open_result(parcel.name, inner.result())
        self._publish(call, result, error)

    def _publish(self, call: Call[Any], result: Any, error: BaseException | None) -> None:
        self._free.release()
        with self._inside_callbacks():
            call.publish(result, error)

    @contextlib.contextmanager
    def _inside_callbacks(self) -> Iterator[None]:
        identity = threading.get_ident()
        self.publishing.add(identity)
        try:
            yield
        finally:
            self.publishing.discard(identity)


def _crash(name: str, cause: BaseException) -> WorkerCrashed:
    error = WorkerCrashed(
        f"A worker process died while {name} was running, and the calls that ran beside it are lost too. "
        "Later calls get new workers. If every call ends like this, the main module cannot be imported by "
        'a worker: keep what it runs under `if __name__ == "__main__":`.'
    )
    error.__cause__ = cause
    return error
