"""Bodies of the fast lane, from the socket into the engine's memory.

While somebody waits in `receive`, the kernel writes into the memory that was lent; otherwise at most one small piece is
kept and reading stops. Chunks are taken apart from a buffer that all connections share, but the rest of a large
chunk goes the direct way, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from asyncflags._policies.framing import MAX_LENGTH, Framing
from asyncflags._transports.base import ResponseStream, Room
from asyncflags._transports.wire_chunks import ChunkReader
from asyncflags._transports.wire_heads import Head
from asyncflags.errors import DownloadError, ReadError, TruncatedBody

__all__ = ["Source", "WireStream"]

_LEAST_DIRECT_BYTES = 32 * 1024
"""Bytes of a chunk's rest below which a read of its own costs more than a copy."""

_EMPTY = memoryview(b"")


class Source(Protocol):
    """What a stream asks of its connection."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def finish(self, *, is_clean: bool) -> None:
        """The body is whole; *is_clean*: nothing followed it."""

    def abort(self) -> None: ...


class WireStream(ResponseStream):
    """One answer.

    Args:
        head: Its head.
        source: The connection; told when the body is whole, and never asked for anything from then on.
    """

    __slots__ = (
        "_broken",
        "_chunks",
        "_error",
        "_framing",
        "_head",
        "_is_ended",
        "_left",
        "_lent",
        "_names",
        "_pending",
        "_raw",
        "_received",
        "_room",
        "_source",
        "_waiter",
        "http_version",
        "status",
    )

    def __init__(self, head: Head, source: Source) -> None:
        self.status = head.status
        self.http_version = head.http_version
        self._head = head
        self._source: Source | None = source
        self._framing = head.framing
        # Nothing announces the end of a body that ends by closing, so it has more to come at all times.
        self._left = head.length if head.length is not None else MAX_LENGTH
        self._chunks = ChunkReader() if head.framing is Framing.CHUNKED else None
        self._names: dict[str, str] | None = None
        self._pending = b""
        self._raw = b""
        self._received = 0
        self._is_ended = False
        self._error: DownloadError | None = None
        self._broken = ""
        self._waiter: asyncio.Future[bytes | memoryview] | None = None
        self._room: Room | None = None
        self._lent: memoryview | None = None

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self._head.fields

    def header(self, name: str) -> str | None:
        names = self._names
        if names is None:
            names = self._names = {}
            for known, value in self._head.fields:
                names.setdefault(known.lower(), value)
        return names.get(name.lower())

    # What the engine calls.

    async def receive(self, room: Room) -> bytes | memoryview:
        while True:
            if self._pending:
                pending, self._pending = self._pending, b""
                return pending
            if self._raw:
                # Many tiny chunks at a time; the loop gets its turn between them.
                await asyncio.sleep(0)
                self._unpack_rest()
                continue
            if self._is_ended:
                return b""
            if self._source is None:
                raise self._failure()
            data = await self._wait(self._source, room)
            if data:
                return data

    async def _wait(self, source: Source, room: Room) -> bytes | memoryview:
        waiter: asyncio.Future[bytes | memoryview] = asyncio.get_running_loop().create_future()
        self._waiter, self._room = waiter, room
        source.resume()
        try:
            return await waiter
        finally:
            self._waiter = self._room = self._lent = None

    async def aclose(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.abort()
        if self._pending or self._raw:
            # It was not read to its end, and never will be.
            self._pending = self._raw = b""
            self._is_ended = False

    # What the connection calls.

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for bytes."""
        return self._waiter is not None and not self._waiter.done()

    def begin(self, view: memoryview, *, is_filled: bool) -> None:
        """Take what came together with the head.

        Args:
            view: The bytes.
            is_filled: Whether the read used up its buffer, so that more may have come.
        """
        if self._chunks is not None:
            if view:
                self._unpack(view, is_filled=is_filled)
            return
        size = len(view)
        if size >= self._left:
            self._pending = bytes(view[: self._left])
            self._received = self._left
            self._end(is_clean=size == self._left and not is_filled)
        elif size:
            self._pending = bytes(view)
            self._received = size
            self._left -= size

    def lend(self) -> memoryview | None:
        """Memory of the engine's for the next bytes; ``None``: they go through the connection's."""
        if self._room is None or not self.is_awaited:
            return None
        if self._lent is not None:
            return self._lent
        chunks = self._chunks
        if chunks is None:
            space = self._room()
            # The read that completes a body has a byte to spare, so that it also tells whether more follows.
            self._lent = space[:-1] if len(space) == self._left > 1 else space
        elif chunks.left >= _LEAST_DIRECT_BYTES and not self._raw:
            self._lent = self._room()[: chunks.left]
        return self._lent

    def filled(self, size: int) -> None:
        """*size* bytes came into the memory lent."""
        lent, waiter = self._lent, self._waiter
        assert lent is not None
        assert waiter is not None
        is_filled = size == len(lent)
        if self._chunks is not None:
            self._chunks.skip(size)
        elif size >= self._left:
            is_clean = size == self._left and not is_filled
            size = self._left
            self._end(is_clean=is_clean)
        else:
            self._left -= size
        self._received += size
        self._lent = None
        if is_filled and self._source is not None and not self._is_ended:
            # There is more at hand; it waits for the next room and not in the way of it.
            self._source.pause()
        waiter.set_result(lent[:size])

    def arrived(self, view: memoryview, *, is_filled: bool) -> None:
        """Bytes came into the connection's own memory."""
        if self._chunks is not None:
            self._unpack(view, is_filled=is_filled)
        else:
            size = min(len(view), self._left)
            is_last = size == self._left
            self._left -= size
            self._received += size
            self._pending += bytes(view[:size])
            if is_last:
                self._end(is_clean=len(view) == size and not is_filled)
        if not self._wake() and self._source is not None:
            self._source.pause()

    def lost(self, error: BaseException | None, *, is_clean: bool) -> None:
        """The connection ended.

        Args:
            error: What broke it.
            is_clean: Whether the other side ended it in the way of the protocol.
        """
        self._source = None
        if error is None and is_clean:
            self._is_ended = self._framing is Framing.CLOSE
        else:
            self._broken = _reason(error)
        self._wake()

    def fail(self, error: DownloadError) -> None:
        """The framing is broken: the connection is of no use any more."""
        self._error = error
        source, self._source = self._source, None
        if source is not None:
            source.abort()
        self._wake()

    def _failure(self) -> DownloadError:
        """Why there is no more to come."""
        if self._error is not None:
            return self._error
        if self._broken:
            return ReadError(f"the connection broke after {self._received} bytes: {self._broken}")
        expected = self._head.length
        announced = "its last chunk" if expected is None else f"{expected}"
        return TruncatedBody(
            f"the body ended after {self._received} bytes, before {announced}",
            expected=expected,
            received=self._received,
        )

    def _unpack(self, view: memoryview, *, is_filled: bool) -> None:
        """Take chunks apart, and keep what is too much for one turn."""
        chunks = self._chunks
        assert chunks is not None
        if self._raw:
            self._raw += bytes(view)
            return
        try:
            pieces, taken = chunks.feed(view)
        except DownloadError as error:
            self.fail(error)
            return
        data = b"".join(pieces)
        self._received += len(data)
        self._pending += data
        if chunks.is_finished:
            self._end(is_clean=taken == len(view) and not is_filled)
        elif taken < len(view):
            self._raw = bytes(view[taken:])

    def _unpack_rest(self) -> None:
        raw, self._raw = self._raw, b""
        self._unpack(memoryview(raw), is_filled=False)

    def _end(self, *, is_clean: bool) -> None:
        self._is_ended = True
        source, self._source = self._source, None
        if source is not None:
            source.finish(is_clean=is_clean)

    def _wake(self) -> bool:
        """Hand over what there is to whoever waits; whether somebody did."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        data, self._pending = self._pending, b""
        waiter.set_result(data or _EMPTY)
        return True


def _reason(error: BaseException | None) -> str:
    text = " ".join(str(error or "").split()) or (type(error).__name__ if error else "it was closed")
    return text[:200]
