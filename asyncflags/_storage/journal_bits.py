"""Which rows a run has seen, in one bit each."""

from __future__ import annotations

__all__ = ["Bits"]


class Bits:
    """A set of small numbers that only grows: ten million of them take 1.25 MB."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __contains__(self, number: int) -> bool:
        index = number >> 3
        return index < len(self._bytes) and bool(self._bytes[index] >> (number & 7) & 1)

    def add(self, number: int) -> None:
        """Add *number*, which is 0 or more."""
        index = number >> 3
        if index >= len(self._bytes):
            self._bytes.extend(bytes(index + 1024 - len(self._bytes)))
        self._bytes[index] |= 1 << (number & 7)
