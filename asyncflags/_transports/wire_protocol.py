"""One connection of the fast lane: a protocol object for many exchanges, one after another."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncflags._transports.wire_heads import MAX_HEAD_BYTES, Head, HeadReader, decoded
from asyncflags._transports.wire_streams import WireStream
from asyncflags.errors import DownloadError, ProtocolError, ReadError, redact_url

if TYPE_CHECKING:
    from asyncflags._transports.wire_pool import Pool

__all__ = ["Connection", "Outcome", "Scratch"]

Outcome: TypeAlias = "WireStream | DownloadError"

_MOST_INTERIM = 32
"""Interim answers before the final one; each of them keeps a reader waiting."""

_SCRATCH_BYTES = 256 * 1024
_AHEAD_BYTES = 64 * 1024


class Scratch:
    """Memory that all connections of one loop read into, because each read is looked at before the next begins.

    Attributes:
        whole: For heads, and for what comes while somebody waits for chunks.
        ahead: For a body that nobody waits for at the moment.
    """

    __slots__ = ("ahead", "memory", "whole")

    def __init__(self) -> None:
        self.memory = bytearray(_SCRATCH_BYTES)
        self.whole = memoryview(self.memory)
        self.ahead = self.whole[:_AHEAD_BYTES]


class Connection(asyncio.BufferedProtocol):
    """Makes one exchange at a time.

    Args:
        loop: Where it lives.
        origin: What the pool knows its origin by.
        host: For messages.
        pool: Gets the connection back after a body that came whole, and is told when it is gone.
        heads: Reads the heads of answers.
        scratch: What is read into.

    Attributes:
        loop, origin: As given.
        is_untouched: Whether the other side has said nothing since the last request, and nobody here has closed it.
        idle_since: Time of the loop, in seconds, at which the pool got it last.
        transport: The loop's transport; ``None`` before there is one, and as soon as it is of no use.
    """

    __slots__ = (
        "_buffer",
        "_checked",
        "_head",
        "_heads",
        "_host",
        "_interim",
        "_is_ended",
        "_is_lent",
        "_is_paused",
        "_is_persistent",
        "_is_unasked",
        "_pool",
        "_scratch",
        "_stream",
        "_url",
        "_waiter",
        "idle_since",
        "is_untouched",
        "loop",
        "origin",
        "transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: str,
        host: str,
        pool: Pool,
        heads: HeadReader,
        scratch: Scratch,
    ) -> None:
        self.loop = loop
        self._host = host
        self._pool = pool
        self._heads = heads
        self._scratch = scratch
        self._buffer = scratch.whole
        self._is_lent = False
        self._waiter: asyncio.Future[Outcome] | None = None
        self._stream: WireStream | None = None
        self._url = ""
        # The beginning of a head that came in several pieces, and how far it was checked.
        self._head = bytearray()
        self._checked = 0
        self._interim = 0
        self._is_paused = False
        self._is_persistent = False
        self._is_ended = False
        self._is_unasked = False
        self.origin = origin
        self.is_untouched = True
        self.idle_since = 0.0
        self.transport: asyncio.Transport | None = None

    # What the transport calls.

    def ask(self, head: bytes, url: str) -> asyncio.Future[Outcome]:
        """Send a request; the future brings the answer, or the error instead of one. It is never an exception."""
        self._url = url
        self._interim = 0
        self.is_untouched = True
        self._waiter = waiter = self.loop.create_future()
        if self.transport is not None:
            self.transport.write(head)
        elif self._is_unasked:
            self._end(ProtocolError("the server answers before it is asked", url=url))
        else:
            self._end(self._closed())
        return waiter

    def give_up(self, waiter: asyncio.Future[Outcome]) -> None:
        """Nobody waits for the answer any more that *waiter* brings; safe if the connection has moved on."""
        if self._waiter is waiter:
            self.abort()

    # What the stream calls.

    def pause(self) -> None:
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()

    def finish(self, *, is_clean: bool) -> None:
        self._stream = None
        if is_clean and self._is_persistent and self.transport is not None:
            self.resume()
            self._pool.put(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once. TLS is not told: a peer that does not answer would hold the connection."""
        transport, self.transport = self.transport, None
        self._pool.withdraw(self)
        self.is_untouched = False
        if transport is not None:
            transport.abort()
        self._end(ReadError("the connection was closed on this side", url=self._url))

    # What the loop calls.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._pool.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        stream = self._stream
        if stream is None:
            self._buffer = self._scratch.whole
            return self._buffer
        lent = stream.lend()
        self._is_lent = lent is not None
        if lent is None:
            lent = self._scratch.whole if stream.is_awaited else self._scratch.ahead
        self._buffer = lent
        return lent

    def buffer_updated(self, nbytes: int) -> None:
        stream = self._stream
        if stream is None:
            if self._waiter is not None and not self._waiter.done():
                self._answered(nbytes)
            else:
                # Nobody asked for these bytes, so they must not become the answer to what is asked next.
                self._is_unasked = True
                self.abort()
        elif self._is_lent:
            stream.filled(nbytes)
        else:
            buffer = self._buffer
            stream.arrived(buffer[:nbytes], is_filled=nbytes == len(buffer))

    def eof_received(self) -> None:
        self._is_ended = self._is_end_proven()
        # It must not be handed out any more, though the loop closes it only in its next turn.
        self._pool.withdraw(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._pool.forget(self)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.lost(exc, is_clean=self._is_ended)
        elif exc is None:
            self._end(self._closed())
        else:
            self._end(ReadError(f"the connection to {self._host} broke: {_short(exc)}", url=self._url))

    def _closed(self) -> ReadError:
        return ReadError(
            f"{self._host} closed the connection before the head of its answer was whole", url=self._url
        )

    def _is_end_proven(self) -> bool:
        """Whether the other side said that it ends, as RFC 9112 section 9.8 wants it of TLS."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        if tls is None:
            return True
        try:
            return not tls.read(1)
        except ssl.SSLError:
            # There is more to come as far as TLS knows.
            return False

    def _end(self, error: DownloadError) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.lost(error, is_clean=False)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(error)

    def _answered(self, size: int) -> None:
        """Bytes of a head came."""
        self.is_untouched = False
        scratch = self._scratch
        is_filled = size == len(scratch.memory)
        try:
            if self._head:
                raw = self._head + scratch.whole[:size]
                self._read_heads(raw, memoryview(raw), len(raw), is_filled)
            else:
                self._read_heads(scratch.memory, scratch.whole, size, is_filled)
        except DownloadError as error:
            self._head = bytearray()
            error.url = redact_url(self._url)
            waiter, self._waiter = self._waiter, None
            if waiter is not None:
                waiter.set_result(error)
            self.abort()

    def _read_heads(self, raw: bytearray, view: memoryview, size: int, is_filled: bool) -> None:
        """Read interim heads and the final one, if it is there."""
        start = 0
        while True:
            end = raw.find(b"\r\n\r\n", start, size)
            if end < 0:
                beginning = raw[start:size]
                self._checked = self._heads.check_beginning(beginning, 0 if start else self._checked)
                self._head = beginning
                return
            if end - start + 4 > MAX_HEAD_BYTES:
                raise ProtocolError(f"the head of the answer is larger than {MAX_HEAD_BYTES} bytes")
            head = self._heads.read(decoded(view[start:end]))
            start = end + 4
            if head.status >= 200:
                break
            self._skip(head.status)
        if self._head:
            self._head = bytearray()
        self._checked = 0
        self._begin(head, view[start:size], is_filled)

    def _skip(self, status: int) -> None:
        """Pass over an interim answer (RFC 9110 section 15.2)."""
        if status == 101:
            raise ProtocolError("the server switches to a protocol that nobody asked for")
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            raise ProtocolError(f"the server sends more than {_MOST_INTERIM} interim answers")

    def _begin(self, head: Head, rest: memoryview, is_filled: bool) -> None:
        waiter, self._waiter = self._waiter, None
        assert waiter is not None
        self._is_persistent = head.is_persistent
        stream = WireStream(head, self)
        self._stream = stream
        stream.begin(rest, is_filled=is_filled)
        waiter.set_result(stream)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
