"""The worker process of a `ProcessBridge`: it serves one call after the other from its end of a socket.

This module is what the fork server imports beforehand, so it stays small.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import select
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncflags.bridges import _slabs
from asyncflags.bridges._frames import (
    ERROR,
    NOT_OPENED,
    NOT_PACKED,
    NOT_STARTED,
    READY,
    RESULT,
    Frame,
    FrameReader,
    head,
    pack,
    send_some,
    unpack,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Settings(NamedTuple):
    """What a worker is told at its start.

    Attributes:
        initializer: The pickled call that is made first; ``None``: there is none.
        max_memory: Resident bytes beyond which the worker asks to be replaced; ``None``: no bound.
    """

    initializer: bytes | None
    max_memory: int | None


class CallNote(NamedTuple):
    """What goes with a call.

    Attributes:
        sizes: Bytes of each block in the shared memory, in order.
        free: Pieces of memory for results that nobody reads any more.
        forget: Pieces that are not used again.
    """

    sizes: tuple[int, ...]
    free: tuple[int, ...]
    forget: tuple[int, ...]


class ResultNote(NamedTuple):
    """What goes with a result that has blocks: the piece of memory they are in, and their sizes in bytes."""

    slab: int
    sizes: tuple[int, ...]


class Failure(NamedTuple):
    """An error on its way to the parent, in parts that always unpickle.

    Attributes:
        error: The pickled error; ``None``: it does not survive pickling.
        kind: The dotted name of its class.
        text: What it says.
        trace: The formatted traceback in the worker.
    """

    error: bytes | None
    kind: str
    text: str
    trace: str


def main(link: socket.socket, liveness: Connection, settings: Settings) -> None:
    """Serve calls until the parent closes the other end of *link*, or ends."""
    # Ctrl-C reaches every process of a terminal, and the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(liveness.fileno())
    with contextlib.suppress(AttributeError, ValueError, OSError):
        # The standard error of some hosts is no real file.
        faulthandler.enable()
    link.setblocking(True)
    # The socket stays open until this process ends, because the parent kills one that has closed it. If the
    # parent is gone or has given up this worker, nobody is left to tell.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        server = _Server(link, settings.max_memory)
        if server.initialize(settings.initializer):
            server.serve()


def end_with_parent(liveness: int) -> None:
    """Have the kernel end this process, and what it starts, when the parent is gone.

    The parent holds the other end of the pipe *liveness* and never writes. When that end closes, the kernel
    sends ``SIGIO``, which ends a process even inside of C code that never looks up. The signal that Linux
    has for this purpose follows the process that forked, which is the fork server.
    """
    import fcntl

    os.setpgid(0, 0)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    try:
        fcntl.fcntl(liveness, fcntl.F_SETOWN, -os.getpgrp())
        flags = fcntl.fcntl(liveness, fcntl.F_GETFL)
        fcntl.fcntl(liveness, fcntl.F_SETFL, flags | os.O_ASYNC)
        signalled = sys.platform == "linux"
    except (OSError, AttributeError):
        signalled = False
    if not signalled:
        threading.Thread(target=_end_after, args=(liveness,), name="asyncflags-parent", daemon=True).start()
    # The parent may have ended before the signal was asked for.
    if select.select([liveness], [], [], 0)[0]:
        os._exit(1)


def _end_after(liveness: int) -> None:
    os.read(liveness, 1)
    os.killpg(0, signal.SIGKILL)


class _Server:
    """The worker's end of the socket, and the shared memory it holds."""

    def __init__(self, link: socket.socket, max_memory: int | None) -> None:
        self._link = link
        self._max_memory = max_memory
        self._reader = FrameReader()
        self._arrival = select.poll()
        self._arrival.register(link, select.POLLIN)
        self._arriving: int | None = None
        self._slabs: dict[int, int] = {}
        self._free: list[int] = []
        self._made = 0

    def initialize(self, initializer: bytes | None) -> bool:
        """Make the first call; return whether it succeeded."""
        if initializer is not None:
            try:
                function, args = pickle.loads(initializer)  # noqa: S301
                function(*args)
            except BaseException as error:  # noqa: BLE001
                # Whatever the function raised is told to those who wait for a worker.
                self._send(NOT_STARTED, None, pickle.dumps(describe(error)))
                return False
        self._send(READY, None, b"")
        return True

    def serve(self) -> None:
        # Nothing of a call may stay in this frame while the next one is waited for.
        while (frame := self._receive()) is not None:
            self._answer([frame])
            del frame

    def _receive(self) -> Frame | None:
        # The parent that reads our answer makes room in the socket, and the kernel wakes whoever sleeps in a
        # receive for that too. Whoever polls for input alone sleeps on.
        self._arrival.poll()
        while True:
            frame = self._reader.receive(self._link)
            if frame is not None or self._reader.ended:
                return frame

    def _answer(self, arrived: list[Frame]) -> None:
        frame = arrived.pop()
        views = self._open(frame)
        kind, body, blocks = answer(frame.body, views)
        del views, frame
        if blocks:
            note, descriptor = self._lay_down(blocks)
            self._send(kind, note, body, descriptor)
        else:
            self._send(kind, None, body)

    def _open(self, frame: Frame) -> list[memoryview]:
        """Take over what came with a call; return the views of its blocks."""
        if frame.descriptor is not None:
            if self._arriving is not None:
                os.close(self._arriving)
            self._arriving = frame.descriptor
        note: CallNote | None = frame.note
        if note is None:
            return []
        self._free += note.free
        for slab in note.forget:
            os.close(self._slabs.pop(slab))
        if not note.sizes:
            return []
        assert self._arriving is not None
        return _slabs.views(self._arriving, note.sizes)[1]

    def _lay_down(self, blocks: list[memoryview]) -> tuple[ResultNote, int | None]:
        """Write the blocks of a result; return what the parent is told, and the descriptor if it is new."""
        descriptor = None
        if self._free:
            slab = self._free.pop()
        else:
            self._made += 1
            slab = self._made
            descriptor = self._slabs[slab] = _slabs.open_slab()
        _slabs.fill(self._slabs[slab], blocks)
        return ResultNote(slab, tuple(len(block) for block in blocks)), descriptor

    def _send(self, kind: int, note: Any, body: bytes, descriptor: int | None = None) -> None:
        leaving = self._max_memory is not None and resident() > self._max_memory
        first = head(kind, note, len(body), leaving=leaving)
        rest = send_some(self._link, first, body, descriptor)
        if rest is not None:
            self._link.sendall(rest)


def answer(
    body: bytes | bytearray | memoryview, views: list[memoryview]
) -> tuple[int, bytes, list[memoryview]]:
    """Make the pickled call *body*; return the kind, the body and the blocks of the answer."""
    try:
        function, args, kwargs = _open_call(body, views)
    except BaseException as error:  # noqa: BLE001
        # Unpickling imports modules and runs the code of any object.
        return NOT_OPENED, pickle.dumps(describe(error)), []
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        # Whatever the call raised, SystemExit too, is its outcome and belongs to the one who waits for it.
        return ERROR, pickle.dumps(describe(error)), []
    finally:
        del function, args, kwargs
    try:
        return RESULT, *pack(result)
    except BaseException as error:  # noqa: BLE001
        # Pickling runs the code of any object, so any error can come out of it.
        return NOT_PACKED, pickle.dumps(describe(error)), []


_imported: set[str] = set()
"""Modules that are known to have been imported to their end."""


def _open_call(body: bytes | bytearray | memoryview, views: list[memoryview]) -> Any:
    call = unpack(body, views)
    if len(call) == 3:
        return call
    # The function comes by the names of its module and its own, and is looked up as pickle would do it.
    name, function, args, kwargs = call
    module = sys.modules.get(name) if name in _imported else None
    if module is None:
        # A thread of an earlier call may be importing the module at this moment, and this waits for it.
        __import__(name)
        _imported.add(name)
        module = sys.modules[name]
    return getattr(module, function), args, kwargs


def describe(error: BaseException) -> Failure:
    """Take *error* apart so that every part of it arrives."""
    kind = type(error)
    own = error.__traceback__
    trace = "".join(traceback.format_exception(kind, error, own.tb_next if own is not None else None))
    try:
        pickled: bytes | None = pickle.dumps(error)
        pickle.loads(pickled or b"")  # noqa: S301
    except BaseException:  # noqa: BLE001
        # The constructor of a class that does not pickle can fail in any way.
        pickled = None
    return Failure(pickled, f"{kind.__module__}.{kind.__qualname__}", _text(error), trace)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        # The class of the error is the caller's, and so is whatever its __str__ does.
        return "(its text could not be formatted)"


def resident() -> int:
    """Return the bytes of memory this process holds; where the system does not tell, the most it has held."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
