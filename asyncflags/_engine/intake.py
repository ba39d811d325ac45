"""The way of a body from the network to its sink: decoded, counted and hashed as it passes.

An `Intake` is a blocking object; the engine calls it on its disk bridge, one call at a time. It holds
what must be true of the whole body and refuses to complete one of which it is not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from asyncflags.errors import BodyTooLarge, ChecksumMismatch, ProtocolError, TruncatedBody

if TYPE_CHECKING:
    from asyncflags._policies.checksums import Checksum
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
    """Takes one body into one sink.

    Args:
        sink: Where it goes.
        checksum: What the bytes as written must hash to, or ``None``.
        size: How many bytes as written there must be, or ``None``.
        max_size: How many there may be at most, or ``None``.
        length_proven: Whether the framing proves that the body is whole.
        coding: Content coding to undo, or ``None``: the bytes are kept as they are.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        checksum: Checksum | None,
        size: int | None,
        max_size: int | None,
        length_proven: bool,
        coding: str | None,
    ) -> None:
        self.sink = sink
        self.written = 0
        self._received = 0
        self._checksum = checksum
        self._hash = checksum.new_hash() if checksum is not None else None
        self._size = size
        self._max_size = max_size
        self._length_proven = length_proven
        self._decoder = Decoder(coding) if coding is not None else None

    def take(self, chunks: Iterable[Buffer]) -> None:
        """Take the next chunks.

        Raises:
            BodyTooLarge: There are more bytes than allowed.
            ProtocolError: The content coding is broken.
            StorageError: The sink refuses.
        """
        for chunk in chunks:
            self._received += len(chunk)
            if self._decoder is None:
                self._keep(chunk)
            else:
                for piece in self._decoder.decode(chunk):
                    self._keep(piece)

    def complete(self, chunks: Iterable[Buffer]) -> None:
        """Take the last chunks and check the whole.

        Raises:
            BodyTooLarge: There are more bytes than allowed.
            ChecksumMismatch: The whole body is not the expected one.
            ProtocolError: The content coding is broken.
            StorageError: The sink refuses.
            TruncatedBody: The body is not whole.
        """
        self.take(chunks)
        if self._decoder is not None and self._received:
            for piece in self._decoder.finish():
                self._keep(piece)
        self._check_size()
        self._check_hash()

    def complete_and_publish(self, chunks: Iterable[Buffer], modified_at: float | None) -> None:
        """`complete`, then publish, in one call."""
        self.complete(chunks)
        self.sink.publish(modified_at=modified_at)

    def discard(self) -> None:
        """Leave no trace in the sink."""
        self.sink.discard()

    def _keep(self, data: Buffer) -> None:
        self.written += len(data)
        if self._max_size is not None and self.written > self._max_size:
            raise BodyTooLarge(f"the body is larger than the allowed {self._max_size} bytes (max_size)")
        if (
            self._decoder is not None
            and self.written > _BOMB_SIZE
            and self.written > self._received * _BOMB_RATIO
        ):
            raise BodyTooLarge(
                f"the body decodes to more than {_BOMB_RATIO} times its size, as decompression bombs do; "
                "download the bytes as stored instead (compressed=False, without --compressed)"
            )
        self.sink.write(data)
        if self._hash is not None:
            self._hash.update(data)

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

    def _check_hash(self) -> None:
        if self._checksum is None or self._hash is None:
            return
        actual = self._hash.hexdigest()
        if actual != self._checksum.hexdigest:
            raise ChecksumMismatch(
                f"the {self._checksum.algorithm} of the {self.written} bytes is {actual}, "
                f"expected {self._checksum.hexdigest}; the file was not kept",
                algorithm=self._checksum.algorithm,
                expected=self._checksum.hexdigest,
                actual=actual,
            )


def size_mismatch(expected: int, actual: int) -> ChecksumMismatch:
    """The error for a whole body of another size than the caller expects."""
    return ChecksumMismatch(
        f"the file has {actual} bytes, expected {expected}; the file was not kept",
        algorithm="size",
        expected=str(expected),
        actual=str(actual),
    )
