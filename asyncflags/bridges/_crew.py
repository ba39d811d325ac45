"""The threads of a `ThreadBridge`, and their queue."""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from asyncio import AbstractEventLoop
from concurrent.futures import Future
from typing import Any, TypeAlias

from asyncflags.bridges._arrivals import Doorbell, doorbell
from asyncflags.bridges._awaited import AwaitedCall
from asyncflags.bridges._calls import Call, attempt, drop_queued, is_loop_running
from asyncflags.bridges._deadlines import Deadlines, TimeLimit
from asyncflags.bridges._interrupts import is_interrupted, remember_runner
from asyncflags.bridges.stats import BridgeStats
from asyncflags.errors import BridgeClosed

_logger = logging.getLogger(__name__)

AnyCall: TypeAlias = "Call[Any] | AwaitedCall[Any]"


class Crew:
    """The threads and what they share, apart from the bridge, which they must not keep alive."""

    def __init__(self, max_workers: int, name: str, drain: float) -> None:
        # FIFO and reentrant: None stands behind the last call, and each thread hands it on.
        self.calls: queue.SimpleQueue[AnyCall | None] = queue.SimpleQueue()
        self.ended: Future[None] = Future()
        self.threads: list[threading.Thread] = []
        self._max_workers = max_workers
        self._name = name
        self.drain = drain
        self._lock = threading.Lock()
        self._unfinished = 0
        self._completed = 0
        self._detached = 0
        self._batches = 0
        self._largest_batch = 0
        self._serving = 0
        self._closed = False
        self._deadlines = Deadlines(f"{name}-deadlines")
        self._bell: weakref.ref[Doorbell] | None = None
        self._loops: weakref.WeakSet[AbstractEventLoop] = weakref.WeakSet()
        self._interrupted_at: float | None = None

    def bell(self) -> Doorbell:
        """The doorbell of the running loop, which becomes one of the bridge's own."""
        bell = doorbell()
        if self._bell is None or self._bell() is not bell:
            self._bell = weakref.ref(bell)
            self._loops.add(bell.loop)
            remember_runner(bell.loop)
        return bell

    def is_own_loop(self) -> bool:
        """Whether the loop that runs in this thread is one that has awaited the bridge."""
        return is_loop_running(self._loops)

    def patience(self) -> float | None:
        """Seconds that a cancelled caller waits for a call that runs: only Ctrl-C gives them an end."""
        if self._interrupted_at is None:
            if not any(is_interrupted(loop) for loop in self._loops):
                return None
            self._interrupted_at = time.monotonic()
        return max(0.0, self._interrupted_at + self.drain - time.monotonic())

    def accept(self, call: AnyCall) -> None:
        with self._lock:
            if self._closed:
                raise BridgeClosed("This ThreadBridge is closed and takes no more calls. Make a new one.")
            if len(self.threads) <= self._unfinished and len(self.threads) < self._max_workers:
                self._hire()
            self._unfinished += 1
            self.calls.put(call)

    def detach(self, call: AnyCall) -> None:
        """Count a call whose caller is released, for as long as it still runs."""
        with self._lock:
            if not call.finished and not call.detached:
                call.detached = True
                self._detached += 1

    def count_batch(self, size: int) -> None:
        """Note that *size* grouped calls crossed in one hop."""
        with self._lock:
            self._batches += 1
            self._largest_batch = max(self._largest_batch, size)

    def stats(self) -> BridgeStats:
        with self._lock:
            # The mark of the end stands in the queue of a closed bridge.
            queued = max(0, min(self._unfinished, self.calls.qsize() - self._closed))
            return BridgeStats(
                queued=queued,
                running=self._unfinished - queued,
                detached=self._detached,
                completed=self._completed,
                batches=self._batches,
                largest_batch=self._largest_batch,
            )

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.calls.put(None)
            deserted = not self.threads
        if deserted:
            self._leave()

    def drop(self) -> None:
        """Drop what is queued, once the bridge is closed."""
        dropped = drop_queued(self.calls)
        with self._lock:
            self._unfinished -= dropped

    def join(self, timeout: float | None = None) -> None:
        """Wait until the threads have ended, *timeout* seconds at most; ``None``: as long as it takes."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self.threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self.ended.done():
            self._deadlines.join()

    def _hire(self) -> None:
        name = f"{self._name}-{len(self.threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system allows no further thread. Those that exist take the call; without any it
            # would never run.
            if not self.threads:
                raise
        else:
            self.threads.append(thread)
            self._serving += 1

    def _serve(self) -> None:
        while (call := self.calls.get()) is not None:
            try:
                self._perform(call)
            except BaseException:
                # Only a callback of the future can get here, with an error that is no Exception. The
                # call's outcome is set, and the thread is needed for the next one.
                _logger.critical("A callback of a finished call failed", exc_info=True)
            del call
        self.calls.put(None)
        with self._lock:
            self._serving -= 1
            last = not self._serving
        if last:
            self._leave()

    def _leave(self) -> None:
        self._deadlines.close()
        self.ended.set_result(None)

    def _perform(self, call: AnyCall) -> None:
        work = call.take()
        if work is None:
            with self._lock:
                self._unfinished -= 1
            return
        if call.limit is None:
            ended = attempt([work])
            del work
        else:
            works = [work]
            del work
            in_time = self._attempt_within(call, works, call.limit)
            if in_time is None:
                self._finish(call)
                return
            ended = in_time
        early = call.announces_early
        if early:
            self._finish(call)
        try:
            call.publish(*ended)
        finally:
            if not early:
                self._finish(call)

    def _attempt_within(
        self, call: AnyCall, works: list[Any], limit: TimeLimit
    ) -> tuple[Any, BaseException | None] | None:
        """`attempt` under a time limit; ``None``: the caller was told already."""
        started = time.monotonic()
        if limit.releases:
            self._deadlines.begin(call, limit.seconds, lambda: self._expire(call, limit))
        result, error = attempt(works)
        if limit.releases:
            if not self._deadlines.end(call):
                return None
        elif time.monotonic() - started > limit.seconds:
            late = limit.error()
            late.__cause__ = error
            return None, late
        return result, error

    def _expire(self, call: AnyCall, limit: TimeLimit) -> None:
        self.detach(call)
        try:
            call.publish(None, limit.error())
        except BaseException:
            # As in a thread that performs: a callback failed, and the deadlines of others must hold.
            _logger.critical("A callback of a call that ran too long failed", exc_info=True)

    def _finish(self, call: AnyCall) -> None:
        with self._lock:
            call.finished = True
            self._unfinished -= 1
            self._completed += 1
            if call.detached:
                self._detached -= 1
