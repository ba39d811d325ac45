"""The threads of a `ThreadBridge`, and their queue."""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future
from typing import Any

from asyncflags.bridges._calls import Call, attempt
from asyncflags.errors import BridgeClosed

_logger = logging.getLogger(__name__)


class Crew:
    """The threads and what they share, apart from the bridge, which they must not keep alive."""

    def __init__(self, max_workers: int, name: str) -> None:
        # FIFO and reentrant: None stands behind the last call, and each thread hands it on.
        self.calls: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()
        self.ended: Future[None] = Future()
        self.threads: list[threading.Thread] = []
        self._max_workers = max_workers
        self._name = name
        self._lock = threading.Lock()
        self._unfinished = 0
        self._serving = 0
        self._closed = False

    def accept(self, call: Call[Any]) -> None:
        with self._lock:
            if self._closed:
                raise BridgeClosed("This ThreadBridge is closed and takes no more calls. Make a new one.")
            if len(self.threads) <= self._unfinished and len(self.threads) < self._max_workers:
                self._hire()
            self._unfinished += 1
            self.calls.put(call)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.calls.put(None)
            deserted = not self.threads
        if deserted:
            self.ended.set_result(None)

    def join(self) -> None:
        for thread in self.threads:
            thread.join()

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
            self.ended.set_result(None)

    def _perform(self, call: Call[Any]) -> None:
        work = call.take()
        if work is None:
            self._finish()
            return
        ended = attempt([work])
        del work
        early = call.announces_early
        if early:
            self._finish()
        try:
            call.publish(*ended)
        finally:
            if not early:
                self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._unfinished -= 1
