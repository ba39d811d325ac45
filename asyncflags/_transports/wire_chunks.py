"""Chunked bodies, taken apart as they come (RFC 9112 section 7.1).

Strict, because chunk lines are where readers are made to disagree: a size is hexadecimal digits and nothing else,
lines end with CR LF, extensions follow their grammar and are bounded, and so is the trailer section, which is dropped.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from asyncflags._policies.framing import MAX_LENGTH
from asyncflags.errors import ProtocolError

__all__ = ["ChunkReader"]

# Groups are not possessive, which early releases of Python 3.11 misread where they are nested. Nothing here can be
# matched in two ways, so nothing is tried twice either.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)((?:" + _EXTENSION + rb")*)\r\n")
_TRAILER = re.compile(_TOKEN + rb":[\t -~\x80-\xff]*+\r\n")
_UNFINISHED_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:[ \t]*+(?:;[\t -~\x80-\xff]*+)?)?\r?\Z")
_UNFINISHED_TRAILER = re.compile(rb"(?:" + _TOKEN + rb"(?::[\t -~\x80-\xff]*+)?)?\r?\Z")

_MOST_LINE_BYTES = 4096
_MOST_EXTENSION_BYTES = 16 * 1024
_MOST_TRAILER_BYTES = 16 * 1024
_MOST_CHUNKS_AT_ONCE = 1024
_SHOWN = 60

_SIZE, _DATA, _DATA_END, _TRAILERS, _END = range(5)

_Bytes: TypeAlias = "bytes | memoryview"


class ChunkReader:
    """Takes one chunked body apart.

    Attributes:
        left: Bytes that are missing of the chunk that is being read; 0 between chunks.
        is_finished: Whether the body and its trailer section have ended.
    """

    __slots__ = ("_line", "_overhead", "_state", "left")

    def __init__(self) -> None:
        self.left = 0
        self._state = _SIZE
        self._line = b""
        self._overhead = 0

    @property
    def is_finished(self) -> bool:
        return self._state == _END

    def skip(self, size: int) -> None:
        """*size* bytes of the current chunk were read by somebody else."""
        self.left -= size
        if not self.left:
            self._state = _DATA_END

    def feed(self, data: memoryview) -> tuple[list[_Bytes], int]:
        """Take bytes as they came.

        Args:
            data: What follows the bytes that were taken so far.

        Returns:
            The pieces of the body, some of which lie in *data*; and how many bytes were taken. What is left
            belongs to a next message, or, before the end, waits for its turn so that a loop full of tiny chunks
            gets a pause.

        Raises:
            ProtocolError: The framing is malformed.
        """
        pieces: list[_Bytes] = []
        position, size = 0, len(data)
        for _ in range(_MOST_CHUNKS_AT_ONCE):
            if self._state == _DATA:
                piece = data[position : position + self.left]
                pieces.append(piece)
                position += len(piece)
                self.skip(len(piece))
            if position == size or self._state == _END:
                break
            position = self._read_line(data, position)
        return pieces, position

    def _read_line(self, data: memoryview, position: int) -> int:
        """Read the line that begins or goes on at *position*; return where what follows it begins."""
        if not self._line:
            if self._state == _DATA_END and bytes(data[position : position + 2]) == b"\r\n":
                self._state = _SIZE
                position += 2
                if position == len(data):
                    return position
            if self._state == _SIZE:
                matched = _SIZE_LINE.match(data, position)
                if matched is not None:
                    self._open(matched)
                    return matched.end()
        return self._read_torn_line(data, position)

    def _read_torn_line(self, data: memoryview, position: int) -> int:
        known = len(self._line)
        piece = bytes(data[position : position + _MOST_LINE_BYTES + 2 - known])
        line = self._line + piece
        end = line.find(b"\n", known)
        if end < 0:
            self._check_unfinished(line)
            self._line = line
            return position + len(piece)
        self._line = b""
        self._take(line[: end + 1])
        return position + end + 1 - known

    def _check_unfinished(self, line: bytes) -> None:
        if len(line) > _MOST_LINE_BYTES:
            raise ProtocolError(f"the server sends a chunk line longer than {_MOST_LINE_BYTES} bytes")
        if self._state == _DATA_END and line != b"\r":
            raise _malformed("a chunk is longer than announced", line)
        unfinished = _UNFINISHED_SIZE if self._state == _SIZE else _UNFINISHED_TRAILER
        if self._state != _DATA_END and unfinished.match(line) is None:
            raise _malformed("a chunk line is malformed", line)

    def _take(self, line: bytes) -> None:
        """Take a line that is whole."""
        if self._state == _DATA_END:
            if line != b"\r\n":
                raise _malformed("a chunk is longer than announced", line)
            self._state = _SIZE
        elif self._state == _SIZE:
            matched = _SIZE_LINE.fullmatch(line)
            if matched is None:
                raise _malformed("a chunk line is malformed", line)
            self._open(matched)
        elif line == b"\r\n":
            self._state = _END
        elif _TRAILER.fullmatch(line) is None:
            raise _malformed("a trailer field is malformed", line)
        else:
            self._overhead += len(line)
            if self._overhead > _MOST_TRAILER_BYTES:
                raise ProtocolError(
                    f"the server sends more than {_MOST_TRAILER_BYTES} bytes of trailer fields"
                )

    def _open(self, matched: re.Match[bytes]) -> None:
        """Begin the chunk that a size line announces."""
        self.left = int(matched[1], 16)
        if self.left > MAX_LENGTH:
            raise ProtocolError(f"the server announces a chunk beyond {MAX_LENGTH} bytes")
        extension = matched.end(2) - matched.start(2)
        if extension:
            self._count(extension, len(matched[0]))
        if self.left:
            self._state = _DATA
        else:
            self._state = _TRAILERS
            self._overhead = 0

    def _count(self, extension: int, line: int) -> None:
        """Bound what comes beside the body; a body that is large may carry more of it."""
        self._overhead = max(0, self._overhead + extension - self.left)
        if self._overhead > _MOST_EXTENSION_BYTES or line > _MOST_LINE_BYTES:
            raise ProtocolError("the server sends more chunk extensions than body")


def _malformed(reason: str, line: bytes) -> ProtocolError:
    return ProtocolError(f"the server broke the framing of the body: {reason}: {line[:_SHOWN]!r}")
