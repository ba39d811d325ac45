"""Where two segments meet, both have said something of the same bytes, and it must be the same.

A part that starts in the middle of nothing has no bytes before it to be compared with. But the answer that it was
taken from goes on beyond the place where it ends now, by as much as was under way already; those bytes
tell a part that lies about its place, and a source that serves another file of the same length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncflags.errors import RangeError

if TYPE_CHECKING:
    from asyncflags._engine.segmented_pieces import Segment
    from asyncflags._engine.sources import Source

__all__ = ["Contradiction", "Seams"]


class Contradiction(RangeError):
    """Two answers gave different bytes for one place.

    Attributes:
        other: Who gave the bytes that those at hand contradict.
        segment: Its answer, where that is known.
    """

    def __init__(self, message: str, other: Source | None, segment: Segment | None = None) -> None:
        super().__init__(message)
        self.other = other
        self.segment = segment


class Seams:
    """Compares what comes from the left of a seam with what comes from its right, in whatever order."""

    __slots__ = ("_left", "_right")

    def __init__(self) -> None:
        self._left: dict[int, tuple[bytes, Segment]] = {}
        self._right: dict[int, Segment] = {}

    def from_left(self, segment: Segment, data: bytes) -> None:
        """*segment* has ended, and its answer goes on with *data*.

        Raises:
            Contradiction: Another one began there with other bytes.
        """
        self._left[segment.stop] = (data, segment)
        right = self._right.get(segment.stop)
        if right is not None:
            _compare(data, right.head, right)

    def from_right(self, segment: Segment) -> None:
        """*segment* began with ``segment.head``, to which more may be added.

        Raises:
            Contradiction: Another one went on there with other bytes.
        """
        self._right[segment.start] = segment
        if segment.start in self._left:
            data, left = self._left[segment.start]
            _compare(segment.head, data, left)


def _compare(mine: bytes | bytearray, theirs: bytes | bytearray, other: Segment) -> None:
    size = min(len(mine), len(theirs))
    if mine[:size] != theirs[:size] and not other.is_void:
        raise Contradiction("two parts of the file that meet do not fit together", other.source, other)
