"""The messages between a `ProcessBridge` and its workers, and what is pickled into them.

A message is a header of 16 bytes, a small pickled note (often empty) and a body. One is under way at a time
on each socket, first the call and then its answer. Only this process and the workers it started write what
is unpickled here.
"""

from __future__ import annotations

import array
import pickle
import socket
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from asyncflags.bridges.payloads import is_of_block

INLINE = 64 * 1024
"""A block of up to this many bytes travels inside the message."""

CHUNK = 256 * 1024
"""The most bytes of a long body received in one go, and so between two looks at the loop."""

CALL, READY, RESULT, ERROR, NOT_OPENED, NOT_PACKED, NOT_STARTED = range(1, 8)
"""What a message is: a call; and the answers to it, or to the start of a worker."""

HEADER = struct.Struct("<B?HIQ")
_DESCRIPTOR = struct.calcsize("i")
_SPACE = socket.CMSG_SPACE(_DESCRIPTOR) if hasattr(socket, "CMSG_SPACE") else 0
_FIRST = 16 * 1024
_PLAIN = frozenset((type(None), bool, int, float, str, bytes))


class Frame(NamedTuple):
    """A message as it arrived.

    Attributes:
        kind: One of the constants of this module.
        leaving: Whether the worker has grown too large and asks to be replaced.
        note: What goes with the body, unpickled; ``None``: nothing.
        body: Pickled bytes.
        descriptor: A descriptor that came along and belongs to the receiver; ``None``: none came.
    """

    kind: int
    leaving: bool
    note: Any
    body: bytes | bytearray | memoryview
    descriptor: int | None


def head(kind: int, note: Any, size: int, *, leaving: bool = False) -> bytes:
    """Return the header and the note of a message whose body has *size* bytes."""
    if note is None:
        return HEADER.pack(kind, leaving, 0, 0, size)
    noted = pickle.dumps(note, pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(kind, leaving, 0, len(noted), size) + noted


def send_some(link: socket.socket, first: bytes, body: bytes, descriptor: int | None) -> memoryview | None:
    """Send a message of which *first* is the header and the note; return what did not go, or ``None``."""
    size = len(first) + len(body)
    try:
        if descriptor is not None:
            along = array.array("i", [descriptor])
            sent = link.sendmsg([first, body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, along)])
        elif len(body) <= INLINE:
            sent = link.send(first + body)
        else:
            sent = link.sendmsg([first, body])
    except BlockingIOError:
        sent = 0
    if sent == size:
        return None
    if sent >= len(first):
        return memoryview(body)[sent - len(first) :]
    return memoryview(first + body)[sent:]


def receive_some(link: socket.socket) -> tuple[bytes, int | None]:
    """Receive the next bytes, and the descriptor that came with them; ``b""``: the end."""
    data, ancillary, _flags, _address = link.recvmsg(_FIRST, _SPACE)
    descriptor = None
    if not ancillary:
        return data, None
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptor = array.array("i", content[:_DESCRIPTOR])[0]
    return data, descriptor


class FrameReader:
    """Puts one message after the other together from bytes as they arrive."""

    def __init__(self) -> None:
        self.ended = False
        """Whether the other end has closed the socket."""
        self._first = b""
        self._body: bytearray | None = None
        self._received = 0
        self._kind: tuple[int, bool, Any]
        self._descriptor: int | None = None

    def receive(self, link: socket.socket) -> Frame | None:
        """Receive once; return the message if it is whole."""
        if self._body is not None:
            return self._receive_into_room(link)
        data, descriptor = receive_some(link)
        if not data:
            self.ended = True
        return self.feed(data, descriptor)

    @property
    def room(self) -> memoryview | None:
        """Where the next bytes of a long body can be received directly; ``None``: no such body is under way."""
        if self._body is None:
            return None
        return memoryview(self._body)[self._received : self._received + CHUNK]

    def received(self, count: int) -> Frame | None:
        """Count *count* bytes that were received into `room`; return the message if it is whole."""
        assert self._body is not None
        self._received += count
        if self._received < len(self._body):
            return None
        body, self._body = self._body, None
        return Frame(*self._kind, body, self.take_descriptor())

    def feed(self, data: bytes, descriptor: int | None) -> Frame | None:
        """Take *data*; return the message if it is whole."""
        if descriptor is not None:
            self._descriptor = descriptor
        if self._first:
            data, self._first = self._first + data, b""
        if len(data) < HEADER.size:
            self._first = data
            return None
        kind, leaving, _, noted, size = HEADER.unpack_from(data)
        if not noted and len(data) == HEADER.size + size and self._descriptor is None:
            return Frame(kind, leaving, None, data[HEADER.size :], None)
        start = HEADER.size + noted
        if len(data) < start:
            self._first = data
            return None
        note = pickle.loads(data[HEADER.size : start]) if noted else None  # noqa: S301
        if len(data) == start + size:
            return Frame(kind, leaving, note, memoryview(data)[start:], self.take_descriptor())
        self._kind = kind, leaving, note
        self._body = bytearray(size)
        self._received = len(data) - start
        self._body[: self._received] = memoryview(data)[start:]
        return None

    def _receive_into_room(self, link: socket.socket) -> Frame | None:
        room = self.room
        assert room is not None
        count = link.recv_into(room)
        self.ended = not count
        return self.received(count)

    def take_descriptor(self) -> int | None:
        """Return a descriptor that came with a message which never became whole."""
        descriptor, self._descriptor = self._descriptor, None
        return descriptor


def pack(value: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle *value*; return the pickle and the blocks of more than `INLINE` bytes that are not in it."""
    if type(value) in _PLAIN:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL), []
    blocks: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        # Buffers of other classes, such as those of arrays, may be kept by whoever receives them.
        if not is_of_block(buffer) or len(buffer.raw()) <= INLINE:
            return True
        blocks.append(buffer.raw())
        return False

    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=stays_inside), blocks


def unpack(body: bytes | bytearray | memoryview, blocks: Iterable[memoryview] = ()) -> Any:
    """Return what `pack` pickled."""
    return pickle.loads(body, buffers=blocks)  # noqa: S301
