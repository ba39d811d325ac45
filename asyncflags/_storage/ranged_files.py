"""One range of a part file as a sink of its own, while other ranges of it are written beside it."""

from __future__ import annotations

from collections.abc import Iterator

from asyncflags._policies.ranges import Ranges
from asyncflags._storage.files import FileSink
from asyncflags._storage.sinks import Sink
from asyncflags._types import Buffer

__all__ = ["RangeSink"]


class RangeSink(Sink):
    """Writes into an allocated part file from one offset on.

    Publication, and what becomes of the whole, is the file's own.

    Args:
        file: The part file; it must be allocated.
        start: Offset of the first byte.
        doubted: Bytes that stand there already and are compared before they are replaced.

    Attributes:
        differing: Offsets in *doubted* at which other bytes came.
    """

    __slots__ = ("_doubted", "_file", "_position", "_start", "differing")

    def __init__(self, file: FileSink, start: int, doubted: Ranges | None = None) -> None:
        self._file = file
        self._start = self._position = start
        self._doubted = doubted if doubted is not None else Ranges()
        self.differing: list[int] = []

    def write(self, data: Buffer) -> None:
        if self._doubted:
            self._compare(memoryview(data))
        self._file.write_at(self._position, data)
        self._position += len(data)

    def tail(self, size: int) -> bytes:
        start = max(self._start, self._position - size)
        return self._file.read_at(start, self._position - start)

    def read_back(self) -> Iterator[bytes]:
        return iter(())

    def reset(self) -> None:
        self._position = self._start

    def publish(self, *, modified_at: float | None) -> None:
        """Nothing: the file is published as a whole."""

    def discard(self) -> None:
        """Nothing: what was written counts only once it is noted."""

    def _compare(self, data: memoryview) -> None:
        for start, stop in self._doubted:
            start, stop = max(start, self._position), min(stop, self._position + len(data))
            if start >= stop:
                continue
            came = data[start - self._position : stop - self._position]
            if self._file.read_at(start, stop - start) != came:
                self.differing.append(start)
