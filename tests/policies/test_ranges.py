from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.ranges import (
    ContentRange,
    Ranges,
    parse_content_range,
    parse_unsatisfied,
    range_field,
)
from asyncflags.errors import RangeError

LARGEST = 2**63 - 1
EDGES = st.integers(0, 40)
PAIRS = st.tuples(EDGES, EDGES).map(lambda pair: (min(pair), max(pair)))
LISTS = st.lists(PAIRS, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-3, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=2),
    max_leaves=12,
)


def model(pairs: list[tuple[int, int]]) -> set[int]:
    return {byte for start, stop in pairs for byte in range(start, stop)}


# RFC 9110 section 14.4.
@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("bytes 42-1233/1234", ContentRange(42, 1234, 1234)),
        ("bytes 42-1233/*", ContentRange(42, 1234, None)),
        ("bytes 0-0/1", ContentRange(0, 1, 1)),
        (" Bytes 007-008/0009\t", ContentRange(7, 9, 9)),
        (f"bytes 0-{LARGEST - 1}/{LARGEST}", ContentRange(0, LARGEST, LARGEST)),
    ],
)
def test_a_content_range_is_read(value: str, given: ContentRange) -> None:
    assert parse_content_range(value) == given


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "without a Content-Range"),
        ("", "malformed"),
        ("bytes", "malformed"),
        ("bytes 1-2", "malformed"),
        ("bytes=1-2/3", "malformed"),
        ("bytes: 1-2/3", "unit is not bytes"),
        ("bytes  1-2/3", "malformed"),
        ("bytes 1 - 2/3", "malformed"),
        ("bytes -2/3", "malformed"),
        ("bytes 1-/3", "malformed"),
        ("bytes +1-2/3", "malformed"),
        ("bytes 1-2/3;q=1", "malformed"),
        ("bytes ١-2/3", "malformed"),
        ("bytes 0x1-2/3", "malformed"),
        ("bytes 1_0-20/30", "malformed"),
        ("bytes 00000000000000000001-2/3", "malformed"),
        ("bytes 0-9/" + "9" * 50_000, "malformed"),
        ("bytes */3", "names no range"),
        ("bytes */*", "names no range"),
        ("items 1-2/3", "unit is not bytes"),
        ("bytes 1-2/3, bytes 5-6/9", "several"),
        ("bytes 2-1/3", "contradicts itself"),
        ("bytes 1-3/3", "contradicts itself"),
        ("bytes 1-9/3", "contradicts itself"),
        ("bytes 0-0/0", "contradicts itself"),
        (f"bytes 0-{LARGEST}/*", "beyond"),
        ("bytes 0-1/9999999999999999999", "beyond"),
    ],
)
def test_a_content_range_that_cannot_be_trusted_is_refused(value: str | None, says: str) -> None:
    with pytest.raises(RangeError, match=says):
        parse_content_range(value)


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\A[a-z]{0,5} [0-9*/, -]{0,30}\Z")))
def test_any_text_is_a_content_range_or_a_range_error(text: str) -> None:
    try:
        given = parse_content_range(text)
    except RangeError as error:
        assert len(str(error)) < 250 and str(error).isprintable()
    else:
        assert 0 <= given.start < given.stop <= (given.total or LARGEST)


@given(st.integers(0, LARGEST - 1), st.data())
def test_a_written_range_reads_back(start: int, data: st.DataObject) -> None:
    stop = data.draw(st.integers(start + 1, LARGEST))
    total = data.draw(st.none() | st.integers(stop, LARGEST))
    field = range_field(start, stop).replace("=", " ") + f"/{'*' if total is None else total}"
    assert parse_content_range(field) == ContentRange(start, stop, total)


# RFC 9110 section 14.1.2: the first and the second 500 bytes, and all from byte 9500 on.
@pytest.mark.parametrize(
    ("start", "stop", "field"),
    [(0, 500, "bytes=0-499"), (500, 1000, "bytes=500-999"), (9500, None, "bytes=9500-"), (0, 1, "bytes=0-0")],
)
def test_a_range_is_asked_for_by_its_last_byte(start: int, stop: int | None, field: str) -> None:
    assert range_field(start, stop) == field


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (5, 4), (-1, None), (-1, 4)])
def test_a_range_without_bytes_cannot_be_asked_for(start: int, stop: int | None) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        range_field(start, stop)


@pytest.mark.parametrize(
    ("value", "total"),
    [("bytes */1234", 1234), (" BYTES */0 ", 0), ("bytes */*", None), ("bytes 0-1/2", None), ("items */3", None),
     ("bytes */-3", None), ("bytes */3, bytes */4", None), ("bytes */9999999999999999999", None),
     (f"bytes */{LARGEST}", LARGEST), ("", None), (None, None)],
)  # fmt: skip
def test_the_length_in_a_416_is_read_or_unknown(value: str | None, total: int | None) -> None:
    assert parse_unsatisfied(value) == total


@given(LISTS)
def test_ranges_hold_the_bytes_of_all_their_parts(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    assert model(list(ranges)) == model(pairs)
    assert ranges.size == len(model(pairs))
    assert bool(ranges) == bool(model(pairs))


@given(LISTS)
def test_ranges_are_merged_and_in_order(pairs: list[tuple[int, int]]) -> None:
    edges = [edge for part in Ranges(pairs).parts for edge in part]
    assert edges == sorted(set(edges))


@given(LISTS, LISTS)
def test_ranges_with_the_same_bytes_are_equal(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    first, second = Ranges(some), Ranges(others)
    assert (first == second) == (model(some) == model(others))
    assert first != second or hash(first) == hash(second)


@given(LISTS)
def test_adding_one_by_one_gives_the_same_in_any_order(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges()
    for start, stop in reversed(pairs):
        ranges = ranges.add(start, stop)
    assert ranges == Ranges(pairs)


@given(LISTS, EDGES)
def test_gaps_are_what_is_missing_of_a_file(pairs: list[tuple[int, int]], total: int) -> None:
    ranges = Ranges(pairs)
    gaps = ranges.gaps(total)
    assert model(list(gaps)) == set(range(total)) - model(pairs)
    assert gaps == Ranges(gaps).parts
    assert ranges.covers(total) == (not gaps)


@given(LISTS)
def test_the_prefix_is_the_run_from_the_first_byte(pairs: list[tuple[int, int]]) -> None:
    held = model(pairs)
    prefix = Ranges(pairs).prefix
    assert set(range(prefix)) <= held and prefix not in held


@given(LISTS)
def test_ranges_survive_json_pickle_and_repr(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    assert Ranges.parse(json.loads(json.dumps(ranges.parts))) == ranges
    assert pickle.loads(pickle.dumps(ranges)) == ranges
    assert eval(repr(ranges)) == ranges


def test_adding_leaves_the_old_ranges_as_they_were() -> None:
    ranges = Ranges(((0, 10),))
    assert ranges.add(10, 20) == Ranges(((0, 20),))
    assert ranges.parts == ((0, 10),)
    with pytest.raises(AttributeError):
        ranges.parts = ()  # type: ignore[misc]


@pytest.mark.parametrize("pair", [(-1, 3), (3, 2), (-2, -1)])
def test_there_is_no_range_before_the_file_nor_one_that_ends_before_it_starts(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no range"):
        Ranges((pair,))
    with pytest.raises(ValueError, match="no range"):
        Ranges().add(*pair)


def test_overlapping_ranges_of_a_record_are_merged() -> None:
    assert Ranges.parse([[20, 30], [0, 10], [5, 21]]) == Ranges(((0, 30),))
    assert Ranges.parse([[0, LARGEST]]).size == LARGEST


@pytest.mark.parametrize(
    "value",
    [None, {}, "[]", 3, [3], [[]], [[1]], [[1, 2, 3]], [[1, 1]], [[2, 1]], [[-1, 1]], [[0, 1.0]], [[0, "1"]],
     [[False, True]], [[0, None]], [[0, 2**63]], [[0, 10**400]], ((0, 1),), [(0, 1)], [[0, 1], None]],
)  # fmt: skip
def test_a_record_that_holds_no_ranges_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="range"):
        Ranges.parse(value)


@given(JSON)
def test_any_json_is_ranges_or_a_value_error(value: object) -> None:
    try:
        ranges = Ranges.parse(value)
    except ValueError:
        return
    assert isinstance(value, list)
    assert ranges == Ranges((start, stop) for start, stop in value)
