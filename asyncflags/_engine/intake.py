"""The way of a body from the network to its sink: decoded, counted and hashed as it passes.

An `Intake` is a blocking object; the engine calls it on its disk bridge, one call at a time. It holds
what must be true of the whole body and refuses to complete one of which it is not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from asyncflags._engine.hashing import Hashing
from asyncflags.errors import BodyTooLarge, ChecksumMismatch, ProtocolError, RangeError, TruncatedBody

if TYPE_CHECKING:
    from asyncflags._policies.checksums import Checksum
    from asyncflags._policies.digests import AnswerDigests, Digest
    from asyncflags._policies.ranges import Ranges
    from asyncflags._storage.sinks import Sink
    from asyncflags._types import Buffer

__all__ = ["Decoder", "Intake"]

_DECODED_CHUNK = 1 << 20
_HEAD_BYTES = 2
# Text and markup compress up to some 20 times, and DEFLATE at most 1032 times; a body that passes both
# of these marks is a bomb whatever the caller allows.
_BOMB_RATIO = 200
_BOMB_SIZE = 64 << 20


class Decoder:
    """Undoes one content coding, in pieces of bounded size.

    Takes ``gzip`` (RFC 1952, any number of members) and ``deflate`` (RFC 1950, and the bare RFC 1951
    stream that some servers send under that name, RFC 9110 section 8.4.1.2).

    Raises:
        ProtocolError: From `decode` for a broken stream, from `finish` for one that ended too early.
    """

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "deflate"):
            raise ProtocolError(
                f"the server sent the content coding {coding!r}, which was not asked for; "
                "download the bytes as stored instead (compressed=False, without --compressed)"
            )
        self._coding = coding
        self._inflate = zlib.decompressobj(wbits=31)
        # The first two bytes of a deflate body tell which of its forms it has; until then they wait here.
        self._head: bytes | None = b"" if coding == "deflate" else None

    def decode(self, data: Buffer) -> Iterable[bytes]:
        """Yield what *data* decodes to, at most 1 MiB at a time."""
        rest: bytes | memoryview = memoryview(data)
        if self._head is not None:
            rest = self._head + rest
            if len(rest) < _HEAD_BYTES:
                self._head = rest
                return
            self._head = None
            self._inflate = zlib.decompressobj(wbits=15 if _has_zlib_header(rest) else -15)
        while rest:
            if self._inflate.eof:
                self._next_member()
            try:
                piece = self._inflate.decompress(rest, _DECODED_CHUNK)
            except zlib.error as error:
                raise ProtocolError(f"the {self._coding} body is broken: {error}") from error
            yield piece
            rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def finish(self) -> Iterable[bytes]:
        """Yield what is left, and check that the stream is whole."""
        while not self._inflate.eof:
            if self._head is not None:
                raise TruncatedBody(f"the {self._coding} body ends before its own end mark")
            piece = self._inflate.decompress(self._inflate.unconsumed_tail, _DECODED_CHUNK)
            if not piece:
                raise TruncatedBody(f"the {self._coding} body ends before its own end mark")
            yield piece

    def _next_member(self) -> None:
        if self._coding != "gzip":
            raise ProtocolError("bytes follow the end of the deflate body")
        self._inflate = zlib.decompressobj(wbits=31)


def _has_zlib_header(head: bytes) -> bool:
    """Whether a body starts as RFC 1950 section 2.2 says: method 8, and a check that divides by 31."""
    return head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0


class Intake:
    """Takes one body into one sink, in one answer or in several that continue each other.

    Each answer is announced by `begin` or `go_on`, on the loop; what they ask for is done with the first
    bytes that come.

    Args:
        sink: Where it goes.
        checksum: What the bytes as written must hash to, or ``None``.
        size: How many bytes as written there must be, or ``None``.
        max_size: How many there may be at most, or ``None``.
    """

    def __init__(
        self, sink: Sink, *, checksum: Checksum | None, size: int | None, max_size: int | None
    ) -> None:
        self.sink = sink
        self.written = 0
        self._received = 0
        # Which bytes are there, where they are not one run from the first byte on.
        self.ranges: Ranges | None = None
        self._size = size
        self._max_size = max_size
        self._length_proven = True
        self._decoder: Decoder | None = None
        self._restarting = self._disowning = False
        self._overlap: bytes | memoryview = b""
        # Of the bytes as written; of those of the representation, when they are others because they come
        # in a content coding; and of those of this answer, when it is not the only one.
        self._hashing = Hashing()
        self._coded = self._content = self._hashing
        if checksum is not None:
            self._hashing.expect(checksum)

    @property
    def is_checked(self) -> bool:
        """Whether the whole will be compared with a checksum or a digest."""
        return self._hashing.expects

    def begin(self, *, length_proven: bool, coding: str | None, digests: AnswerDigests) -> None:
        """An answer from the first byte on; what was taken before is dropped.

        Args:
            length_proven: Whether the framing proves that the body is whole.
            coding: Content coding to undo, or ``None``: the bytes are kept as they are.
            digests: What the server says that the body hashes to.
        """
        self._length_proven = length_proven
        self._decoder = Decoder(coding) if coding is not None else None
        self._overlap = b""
        self._restarting = self._restarting or bool(self.written)
        self.ranges = None
        self.written = self._received = 0
        self._hashing.restart()
        self._coded = self._content = self._hashing if coding is None else Hashing()
        self._coded.expect_digests("Repr-Digest", digests.representation)
        self._content.expect_digests("Content-Digest", digests.content)

    def go_on(self, tail: bytes, digests: AnswerDigests, *, is_proven: bool = True) -> None:
        """An answer that continues what was taken.

        Args:
            tail: The last bytes taken, with which the answer begins.
            digests: What the server says of this answer, and of the whole.
            is_proven: Whether a validator tells that it is of the same version.
        """
        self._disowning = self._disowning or not is_proven
        self._overlap = tail
        self._content = Hashing()
        if self._hashing.expects or self.sink.can_be_read_back:
            self._hashing.expect_digests("Repr-Digest", digests.representation)
        self._content.expect_digests("Content-Digest", digests.content)

    def take_up(self, size: int) -> None:
        """Go on with *size* bytes that the sink holds already; they are read for the hashes' sake.

        Raises:
            StorageError: They cannot be read.
        """
        self.ranges = None
        self.written = self._received = size
        # What an answer before was to hash to is nothing that this one could fulfil.
        self._content = self._coded
        self._overlap = b""
        self._hashing.take_up(size, self.sink.read_back())

    def take_up_ranges(self, ranges: Ranges) -> None:
        """Know of bytes that the sink holds already, with gaps between them; `take_up` has to follow."""
        self.ranges = ranges or None
        self.written = self._received = ranges.size

    def expect(self, digests: Sequence[Digest]) -> None:
        """Expect what a server says of the whole."""
        self._hashing.expect_digests("Repr-Digest", digests)

    def contradicts(self, digests: Sequence[Digest]) -> bool:
        """Whether the whole cannot be what is expected of it and have *digests* too."""
        return self._hashing.contradicts(digests)

    def make_ready(self) -> None:
        """Drop what the answer announced last does not continue.

        Raises:
            StorageError: The sink refuses.
        """
        if self._restarting:
            # Until that has worked, nothing may follow the bytes that stand there.
            self.sink.reset()
            self._restarting = False
        if self._disowning:
            # Gone before the first byte comes that it would not be true of.
            self.sink.disown()
            self._disowning = False

    def take(self, chunks: Iterable[Buffer]) -> None:
        """Take the next chunks.

        Raises:
            BodyTooLarge: There are more bytes than allowed.
            ProtocolError: The content coding is broken.
            RangeError: The answer does not continue what was taken.
            StorageError: The sink refuses.
        """
        self.make_ready()
        for chunk in chunks:
            if self._content is not self._coded:
                self._content.update(chunk)
            rest = self._without_overlap(chunk) if self._overlap else chunk
            self._received += len(rest)
            if self._decoder is None:
                self._keep(rest)
                continue
            self._coded.update(rest)
            for piece in self._decoder.decode(rest):
                self._keep(piece)

    def take_batch(self, chunks: Iterable[Buffer]) -> None:
        """`take`, of a body of which more is to come."""
        self.take(chunks)
        self.sink.note()

    def end_part(self, chunks: Iterable[Buffer], beyond: bytes = b"") -> None:
        """Take the last chunks of an answer that another one continues, and check that answer.

        Args:
            chunks: They are taken.
            beyond: What the answer holds behind them and is not taken.

        Raises:
            ChecksumMismatch: The answer's body is not what the server says.
            DownloadError: As for `take`.
        """
        self.take(chunks)
        self._check_overlap()
        if beyond:
            self._content.update(beyond)
        self._content.check()

    def complete(self, chunks: Iterable[Buffer]) -> None:
        """Take the last chunks and check the whole.

        Raises:
            BodyTooLarge: There are more bytes than allowed.
            ChecksumMismatch: The whole body is not the expected one.
            ProtocolError: The content coding is broken.
            RangeError: The answer does not continue what was taken.
            StorageError: The sink refuses.
            TruncatedBody: The body is not whole.
        """
        self.take(chunks)
        self._check_overlap()
        if self._decoder is not None and self._received:
            for piece in self._decoder.finish():
                self._keep(piece)
        self._check_size()
        if self._hashing.behind:
            self._hashing.read_again(self.sink.read_back())
        for hashing in {self._content, self._coded, self._hashing}:
            hashing.check()

    def complete_and_publish(self, chunks: Iterable[Buffer], modified_at: float | None) -> None:
        """`complete`, then publish, in one call."""
        self.complete(chunks)
        self.sink.publish(modified_at=modified_at)

    def leave(self) -> None:
        """Let go, and leave in the sink what can be taken up later."""
        if self._restarting:
            # What stands there is another version than the one that is known by now.
            self.sink.discard()
        else:
            self.sink.leave()

    def discard(self) -> None:
        """Leave no trace in the sink."""
        self.ranges = None
        self.written = self._received = 0
        self.sink.discard()

    def _without_overlap(self, chunk: Buffer) -> memoryview:
        """What *chunk* holds beyond bytes that were taken before, which must be the same."""
        view = memoryview(chunk)
        size = min(len(view), len(self._overlap))
        if view[:size] != self._overlap[:size]:
            raise RangeError("the bytes that the server repeats are not those that it sent before")
        self._overlap = self._overlap[size:]
        return view[size:]

    def _check_overlap(self) -> None:
        if self._overlap:
            raise TruncatedBody("the answer ended before it reached what was still missing")

    def _keep(self, data: Buffer) -> None:
        after = self.written + len(data)
        if self._max_size is not None and after > self._max_size:
            raise BodyTooLarge(f"the body is larger than the allowed {self._max_size} bytes (max_size)")
        if self._decoder is not None and after > _BOMB_SIZE and after > self._received * _BOMB_RATIO:
            raise BodyTooLarge(
                f"the body decodes to more than {_BOMB_RATIO} times its size, as decompression bombs do; "
                "download the bytes as stored instead (compressed=False, without --compressed)"
            )
        self.sink.write(data)
        self.written = after
        self._hashing.update(data)

    def _check_size(self) -> None:
        if self._size is None or self.written == self._size:
            return
        if not self._length_proven and self.written < self._size:
            raise TruncatedBody(
                f"the body ended after {self.written} of {self._size} bytes",
                expected=self._size,
                received=self.written,
            )
        raise size_mismatch(self._size, self.written)


def size_mismatch(expected: int, actual: int) -> ChecksumMismatch:
    """The error for a whole body of another size than the caller expects."""
    return ChecksumMismatch(
        f"the file has {actual} bytes, expected {expected}; the file was not kept",
        algorithm="size",
        expected=str(expected),
        actual=str(actual),
    )
