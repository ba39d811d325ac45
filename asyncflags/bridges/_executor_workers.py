"""A worker where sockets carry no descriptors: a standard pool of one process a slot, ended whenever that ends.

This is what Windows gets. Blocks are pickled there, and the rest of the contract holds: a pool that breaks is
one worker that ended, and its slot gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from asyncflags.bridges._frames import NOT_STARTED, READY, Frame
from asyncflags.bridges._worker import answer, describe

if TYPE_CHECKING:
    from asyncflags.bridges._worker import Settings
    from asyncflags.bridges._workers import Events

_REAPING_SECONDS = 1.0
_LOOK_SECONDS = 3600.0


class ExecutorWorker:
    """One process in a pool of its own, with the face of `asyncflags.bridges._workers.Worker`.

    Args:
        settings: What the process is told at its start.
        events: Is told what happens.
        reap: Runs a function in the thread that starts and reaps processes.
    """

    def __init__(
        self, settings: Settings, events: Events, reap: Callable[[Callable[[], None]], object]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.since = 0.0
        self.read_nothing = False
        self._settings = settings
        self._events = events
        self._reap_soon = reap
        self._lock = threading.Lock()
        self._ended = False
        self._executor: ProcessPoolExecutor
        self._process: Any = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the process; blocks for as long as that takes.

        Raises:
            OSError: The system gives no process.
            RuntimeError: No process may be started here.
        """
        self.loop = loop
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        first = self._executor.submit(begin, self._settings.initializer)
        self._process = next(iter(self._executor._processes.values()))
        self.since = time.monotonic()
        _end_at_exit(self.kill)
        watch = _Watch()
        self._abandoned = weakref.finalize(watch, self._lose_loop)
        self._abandoned.atexit = False
        self._on_loop(watch.stay)
        first.add_done_callback(self._tell)

    def lay_down(self, blocks: list[memoryview]) -> None:
        """Do nothing: the blocks are sent with the call."""

    def send(self, body: bytes, blocks: list[memoryview]) -> None:
        """Send a call, from any thread."""
        try:
            call = self._executor.submit(perform, body, [bytes(block) for block in blocks])
        except (BrokenProcessPool, RuntimeError):
            # The process ended while it was idle, which nobody has noticed so far.
            self.read_nothing = True
            self._on_loop(self._end)
        else:
            call.add_done_callback(self._tell)

    def kill(self) -> None:
        """End the process at once and whatever it does; from any thread."""
        # It may have been reaped, and closed.
        with contextlib.suppress(ValueError, AttributeError, OSError):
            self._process.kill()

    def leave(self) -> None:
        """Have the process end by itself."""
        self._reap_soon(self._leave)

    def strand(self) -> None:
        """Kill the process although its loop stands still."""
        self.kill()
        self._end()

    def let_go(self) -> None:
        """Kill the process at the exit of this one."""
        self.kill()

    def forget(self) -> None:
        """Do nothing: where this worker is needed, there is no ``fork``."""

    def _leave(self) -> None:
        self._executor.shutdown(wait=True)
        self._on_loop(self._end)

    def _tell(self, call: Future[Any]) -> None:
        self._on_loop(self._arrive, call)

    def _on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # The loop was closed meanwhile.
            self._lose_loop()

    def _lose_loop(self) -> None:
        self.kill()
        self._events.loop_closed()
        self._end()

    def _arrive(self, call: Future[tuple[int, bytes, list[bytes]]]) -> None:
        if call.cancelled() or call.exception() is not None:
            self._end()
            return
        kind, body, blocks = call.result()
        frame = Frame(kind, False, None, body, None)
        if kind == READY:
            self._events.ready()
        elif kind == NOT_STARTED:
            self._events.not_started(frame)
            self.leave()
        else:
            self._events.answered(frame, [memoryview(block) for block in blocks])

    def _end(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if (held := self._abandoned.detach()) is not None:
            held[0].is_over = True
        self._events.lost()
        self._reap_soon(self._reap)

    def _reap(self) -> None:
        # The pool waits for its process too, and whoever comes second learns no exit code until both are done.
        self._process.join(_REAPING_SECONDS)
        self._executor.shutdown(wait=True)
        self._events.ended(self._process.exitcode)


class _Watch:
    """What only the loop holds, so that it goes when the loop is closed: a closed loop drops its timers."""

    __slots__ = ("__weakref__", "is_over")

    def __init__(self) -> None:
        self.is_over = False

    def stay(self) -> None:
        """Be held by the loop, for as long as that is open and the worker there."""
        if not self.is_over:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self.stay)


def begin(initializer: bytes | None) -> tuple[int, bytes, list[bytes]]:
    """Prepare the process, in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), name="asyncflags-parent", daemon=True).start()
    if initializer is not None:
        try:
            function, args = pickle.loads(initializer)  # noqa: S301
            function(*args)
        except BaseException as error:  # noqa: BLE001
            # Whatever the function raised is told to those who wait for a worker.
            return NOT_STARTED, pickle.dumps(describe(error)), []
    return READY, b"", []


def perform(body: bytes, blocks: list[bytes]) -> tuple[int, bytes, list[bytes]]:
    """Make the pickled call *body*, in the process."""
    kind, answered, results = answer(body, [memoryview(block) for block in blocks])
    return kind, answered, [bytes(block) for block in results]


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _end_at_exit(kill: Callable[[], None]) -> None:
    """Kill the process when the interpreter exits, before the standard library waits for its call to end."""
    # There is no public name for this, and without it a worker that is stuck holds up the exit.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):
            register(kill)
