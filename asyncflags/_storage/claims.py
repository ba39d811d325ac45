"""Which names a run has given away, in a few bytes each."""

from __future__ import annotations

from array import array

__all__ = ["NameClaims"]

_SHARDS = 1 << 10
_SMALLEST = 4


class NameClaims:
    """A set of names that only grows, at no more than 24 bytes a name for long lists.

    Keeps a 64-bit hash of each name, salted anew in each process. Two different names share one with a
    probability of one in a million for some six million names; then the second file merely gets a
    number it did not need. Hashes live in a thousand small open-addressing tables, each at most three
    quarters full, so that growing never stops the caller for long.
    """

    __slots__ = ("_counts", "_tables")

    def __init__(self) -> None:
        self._tables: list[array[int] | None] = [None] * _SHARDS
        self._counts = array("L", [0]) * _SHARDS

    def __contains__(self, name: str) -> bool:
        value = _mark(name)
        table = self._tables[value % _SHARDS]
        return table is not None and table[_slot(table, value)] == value

    def add(self, name: str) -> bool:
        """Add *name*; whether it was new."""
        value = _mark(name)
        shard = value % _SHARDS
        table = self._tables[shard]
        if table is None:
            table = self._tables[shard] = _empty(_SMALLEST)
        slot = _slot(table, value)
        if table[slot] == value:
            return False
        table[slot] = value
        self._counts[shard] += 1
        if self._counts[shard] * 4 > len(table) * 3:
            self._tables[shard] = _grown(table)
        return True


def _mark(name: str) -> int:
    # Zero stands for a free slot, so no name may have it.
    return hash(name) & 0xFFFF_FFFF_FFFF_FFFF or 1


def _empty(slots: int) -> array[int]:
    return array("Q", bytes(8 * slots))


def _slot(table: array[int], value: int) -> int:
    """Index of *value* in the table, or of the free slot where it belongs."""
    mask = len(table) - 1
    # The lowest bits chose the shard; the ones above them spread values within it.
    index = (value // _SHARDS) & mask
    while (there := table[index]) and there != value:
        index = (index + 1) & mask
    return index


def _grown(table: array[int]) -> array[int]:
    larger = _empty(len(table) * 2)
    for value in table:
        if value:
            larger[_slot(larger, value)] = value
    return larger
