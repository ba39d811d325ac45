"""The names a run has given away."""

from __future__ import annotations

import sys
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags._storage import claims
from asyncflags._storage.claims import NameClaims

MOST_BYTES_A_NAME = 24


@given(names=st.lists(st.text(max_size=3)))
@settings(max_examples=200)
def test_claims_answer_as_a_set_does(names: list[str]) -> None:
    known, taken = set[str](), NameClaims()
    for name in names:
        assert (name in taken) is (name in known)
        assert taken.add(name) is (name not in known)
        known.add(name)
        assert name in taken


@given(values=st.lists(st.integers(1, 2**64 - 1), max_size=300, unique=True))
def test_a_table_that_grows_forgets_nothing(values: list[int]) -> None:
    table = array("Q", bytes(8 * 4))
    for count, value in enumerate(values, 1):
        table[claims._slot(table, value)] = value
        if count * 4 > len(table) * 3:
            table = claims._grown(table)
    assert all(table[claims._slot(table, value)] == value for value in values)


def test_many_names_are_kept_in_few_bytes_each() -> None:
    taken, count = NameClaims(), 100_000
    assert all(taken.add(f"flags/{number}.gif") for number in range(count))
    assert not any(taken.add(f"flags/{number}.gif") for number in range(0, count, 97))
    tables = [table for table in taken._tables if table is not None]
    size = sys.getsizeof(taken._tables) + sys.getsizeof(taken._counts) + sum(map(sys.getsizeof, tables))
    assert size / count <= MOST_BYTES_A_NAME
