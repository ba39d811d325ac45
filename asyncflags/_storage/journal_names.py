"""Names that no other row of a journal has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from asyncflags._policies.naming import numbered
from asyncflags._storage import journal_schema as schema
from asyncflags._storage.journal_rows import name_hash

__all__ = ["NameBook", "chunks"]

T = TypeVar("T")

_MOST_NUMBERS = 4096


class NameBook:
    """Gives new rows names that no other row has."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # The names of the batch at hand: which of the wanted ones rows have, and which were given away.
        self._taken: set[int] = set()
        self._looked_up: set[int] = set()
        # The last number given to a name that many would like to have.
        self._numbers: dict[int, int] = {}

    def look_up(self, paths: Iterable[str]) -> None:
        """Begin a batch whose rows would like to have *paths*."""
        self._looked_up = set(map(name_hash, paths))
        self._taken = set()
        for names in chunks(list(self._looked_up)):
            self._taken |= self._find(names)

    def take(self, path: str) -> str:
        """Take *path*, or the next numbered form of it that is free."""
        first = name_hash(path)
        if first not in self._taken:
            self._taken.add(first)
            return path
        number = self._first_free(path, self._numbers.get(first, 1) + 1)
        if len(self._numbers) >= _MOST_NUMBERS:
            self._numbers.clear()
        self._numbers[first] = number
        path = numbered(path, number)
        self._taken.add(name_hash(path))
        return path

    def take_exactly(self, path: str) -> str:
        """Take *path*, whoever has it."""
        self._taken.add(name_hash(path))
        return path

    def _first_free(self, path: str, first: int) -> int:
        def is_taken(number: int) -> bool:
            name = name_hash(numbered(path, number))
            if name in self._taken:
                return True
            return name not in self._looked_up and bool(self._find([name]))

        if not is_taken(first):
            return first
        taken, step = first, 1
        while is_taken(taken + step):
            taken, step = taken + step, step * 2
        low, high = taken, taken + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_taken(middle) else (low, middle)
        return high

    def _find(self, names: Sequence[int]) -> set[int]:
        (found,) = self._connection.execute(schema.find_names(len(names)), names).fetchone()
        return set(json.loads(found))


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """*values*, as many at a time as one statement takes."""
    for start in range(0, len(values), schema.CHUNK):
        yield values[start : start + schema.CHUNK]
