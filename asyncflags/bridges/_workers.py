"""One worker process, seen from the parent: its start, its messages and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from asyncflags.bridges._frames import (
    CALL,
    NOT_STARTED,
    READY,
    RESULT,
    Frame,
    FrameReader,
    head,
    send_some,
)
from asyncflags.bridges._launching import launch, open_pidfd
from asyncflags.bridges._memory import Memory
from asyncflags.bridges._slabs import fill, open_slab

if TYPE_CHECKING:
    from asyncflags.bridges._launching import WorkerProcess
    from asyncflags.bridges._worker import Settings

_REAPING_SECONDS = 1.0


class AnyWorker(Protocol):
    """What the pool needs of a worker: see `Worker`."""

    loop: asyncio.AbstractEventLoop | None
    """What serves the worker; ``None``: it is not started."""
    since: float
    """When it was started, by the monotonic clock, in seconds."""

    @property
    def read_nothing(self) -> bool: ...

    def start(self, loop: asyncio.AbstractEventLoop) -> None: ...

    def lay_down(self, blocks: list[memoryview]) -> None: ...

    def send(self, body: bytes, blocks: list[memoryview]) -> None: ...

    def kill(self) -> None: ...

    def leave(self) -> None: ...

    def strand(self) -> None: ...

    def forget(self) -> None: ...

    def let_go(self) -> None: ...


class Events(Protocol):
    """What a worker tells the one it works for; called on the worker's loop, but `ended` in any thread."""

    def ready(self) -> None: ...

    def not_started(self, frame: Frame) -> None: ...

    def answered(self, frame: Frame, views: list[memoryview]) -> None: ...

    def lost(self) -> None:
        """The process runs no more of the call."""
        ...

    def loop_closed(self) -> None:
        """The loop that served this worker is gone; the worker is killed."""
        ...

    def ended(self, exitcode: int | None) -> None:
        """The process is gone and everything of it given back; ``None``: it has not ended yet."""
        ...


class Worker:
    """A process, one end of the socket to it, and one of the pipe by which it notices our end.

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
        self._settings = settings
        self._events = events
        self._reap_soon = reap
        self._owner = os.getpid()
        # Reentrant, because a bridge can be collected as garbage at any moment, which dismisses its workers.
        self._lock = threading.RLock()
        self._reader = FrameReader()
        self._outgoing: list[memoryview] = []
        self._unread = False
        self._detached = False
        self._process: WorkerProcess | None = None
        self._pid: int | None = None
        self._pidfd: int | None = None
        self._memory = Memory()

    @property
    def read_nothing(self) -> bool:
        """Whether the worker ended before it had read the whole call that was sent to it."""
        return self._unread or bool(self._outgoing)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the process; blocks, for some milliseconds or, with the first of all workers, more.

        Raises:
            OSError: The system gives no process or no descriptor.
            RuntimeError: No process may be started here.
        """
        from multiprocessing import Pipe

        ours, theirs = socket.socketpair()
        far, self._liveness = Pipe(duplex=False)
        self.loop, self._link, self._socket = loop, ours, ours.fileno()
        try:
            with theirs, far:
                self._process = launch(theirs, far, self._settings)
        except BaseException:
            ours.close()
            self._liveness.close()
            raise
        ours.setblocking(False)
        self.since = time.monotonic()
        self._pid = self._process.pid
        self._pidfd = open_pidfd(self._pid)
        try:
            loop.call_soon_threadsafe(self._attach)
        except RuntimeError:
            # The loop was closed meanwhile.
            self._lose_loop()

    def send(self, body: bytes, blocks: list[memoryview]) -> None:
        """Send a call, from any thread; a worker that is gone already is noticed on the loop."""
        with self._lock:
            if self._detached:
                return
            note, descriptor = self._memory.note(tuple(map(len, blocks)) if blocks else ())
            try:
                rest = send_some(self._link, head(CALL, note, len(body)), body, descriptor)
            except OSError:
                self._unread = True
                return
            if rest is None:
                return
            self._outgoing = [rest]
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._write_rest)

    def lay_down(self, blocks: list[memoryview]) -> None:
        """Write the blocks of the next call into shared memory; blocks the caller for as long as that takes.

        Raises:
            OSError: The system gives no memory.
        """
        with self._lock:
            # Its own descriptor, because the worker can be killed while this writes.
            slab = open_slab() if self._detached else os.dup(self._memory.arriving())
        try:
            fill(slab, blocks)
        finally:
            os.close(slab)

    def kill(self) -> None:
        """End the process and what it started, at once and whatever it does; from any thread."""
        if os.getpid() != self._owner:
            return
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._pid is None:
                return
            if self._pidfd is not None:
                # A number of a process that was reaped may belong to another one by now; this cannot.
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif not self._detached:
                os.kill(self._pid, signal.SIGKILL)
            os.killpg(self._pid, signal.SIGKILL)

    def leave(self) -> None:
        """Have the process end by itself: there are no more calls for it."""
        with self._lock, contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def let_go(self) -> None:
        """Kill the process at the exit of this one, which closes the socket in silence."""
        self.kill()
        if self.loop is not None:
            self._link.detach()

    def forget(self) -> None:
        """Close what a child of ``fork`` has inherited, and leave the process alone."""
        self._link.close()
        self._liveness.close()

    def _attach(self) -> None:
        assert self._process is not None
        # The loop alone holds this object, so it is gone when the loop is closed.
        watch = _Watch(self)
        self._abandoned = weakref.finalize(watch, self._lose_loop)
        self._abandoned.atexit = False
        # What stands for the process is readable when that is gone; the fork server tells so a moment later.
        self._sentinel = self._process.sentinel if self._pidfd is None else self._pidfd
        self._loop.add_reader(self._socket, watch.readable)
        self._loop.add_reader(self._sentinel, watch.ended)

    def _read(self) -> bool:
        """Receive once; return whether there may be more."""
        try:
            frame = self._reader.receive(self._link)
        except BlockingIOError:
            return False
        except OSError as error:
            # The system says "reset", rather than "the end", when the other end had not read everything.
            self._unread = self._unread or isinstance(error, ConnectionResetError)
            self._hang_up()
            return False
        if frame is not None:
            if frame.kind == RESULT and frame.note is None:
                self._events.answered(frame, [])
            else:
                self._take(frame)
        elif self._reader.ended:
            self._hang_up()
            return False
        return True

    def _take(self, frame: Frame) -> None:
        if frame.kind == READY:
            self._events.ready()
        elif frame.kind == NOT_STARTED:
            self._events.not_started(frame)
        elif frame.note is not None:
            self._events.answered(frame, self._memory.views(frame.note, frame.descriptor))
        else:
            self._events.answered(frame, [])

    def _read_last(self) -> None:
        """The process has ended, and what it has sent before counts."""
        while not self._detached and self._read():
            pass
        self._detach()

    def _write_rest(self) -> None:
        with self._lock:
            if self._detached or not self._outgoing:
                return
            rest = self._outgoing[0]
            try:
                sent = self._link.send(rest)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The process is gone, which its reader notices.
                self._loop.remove_writer(self._socket)
                return
            self._outgoing = [rest[sent:]] if sent < len(rest) else []
            if self._outgoing:
                self._loop.add_writer(self._socket, self._write_rest)
            else:
                self._loop.remove_writer(self._socket)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        assert self.loop is not None
        return self.loop

    def strand(self) -> None:
        """Kill the process although its loop stands still; what is left is closed when that runs or is closed."""
        self.kill()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._detach)

    def _hang_up(self) -> None:
        """The process has closed its end, and may still run for a moment, or for longer than that."""
        self._loop.remove_reader(self._socket)
        self.kill()

    def _detach(self) -> None:
        with self._lock:
            if self._detached:
                return
            self._detached = True
        self._abandoned.detach()
        for descriptor in (self._socket, self._sentinel):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._socket)
        self._close()
        self._events.lost()
        self._reap_soon(self._reap)

    def _lose_loop(self) -> None:
        if os.getpid() != self._owner:
            return
        self._detached = True
        self.kill()
        self._events.loop_closed()
        self._reap_soon(self._close_and_reap)

    def _close_and_reap(self) -> None:
        self._close()
        self._reap()

    def _close(self) -> None:
        with self._lock:
            self._link.close()
            self._memory.close(self._reader.take_descriptor())

    def _reap(self) -> None:
        """Wait for the process that was killed or has ended, off the loop, and give everything back."""
        assert self._process is not None
        self._process.join(_REAPING_SECONDS)
        exitcode = self._process.exitcode
        with self._lock:
            self._pid = None
            if self._pidfd is not None:
                os.close(self._pidfd)
                self._pidfd = None
        if exitcode is not None:
            self._process.close()
        self._liveness.close()
        self._events.ended(exitcode)


def worker_type() -> Callable[[Settings, Events, Callable[[Callable[[], None]], object]], AnyWorker]:
    """Return the class of workers for this platform."""
    if sys.platform == "win32":
        from asyncflags.bridges._executor_workers import ExecutorWorker

        return ExecutorWorker
    return Worker


class _Watch:
    """What the loop calls, and nobody else holds."""

    __slots__ = ("__weakref__", "_worker")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def readable(self) -> None:
        self._worker._read()

    def ended(self) -> None:
        self._worker._read_last()
