"""The map of a divided file: nothing is fetched twice, nothing is forgotten, and doubt takes back what it must."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags._engine.segmented_pieces import Pieces, Segment, without
from asyncflags._engine.segmented_seams import Contradiction, Seams
from asyncflags._engine.sources import Source
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.segments import SegmentRules
from asyncflags._policies.urls import parse_url

RULES = SegmentRules(least_segment=10, window=1.0)
FIRST = Source(parse_url("https://flags.example/fr.gif"), {})
SECOND = Source(parse_url("https://mirror.example/fr.gif"), {})

spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))


def bytes_of(ranges: Ranges) -> set[int]:
    return {place for start, stop in ranges for place in range(start, stop)}


@given(st.lists(spans, max_size=5), spans)
def test_without_takes_away_what_it_is_told_and_no_more(
    parts: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    ranges = Ranges(parts)
    assert bytes_of(without(ranges, *span)) == bytes_of(ranges) - set(range(*span))


def give(segment: Segment, size: int) -> None:
    """Let the next bytes of a segment come and be written."""
    segment.position += size
    written = segment.position - segment.start
    segment.intake = cast("Any", SimpleNamespace(written=written))


@settings(max_examples=60)
@given(st.data())
def test_however_segments_come_and_fail_they_are_the_file_in_the_end(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 200))
    there = data.draw(st.lists(spans, max_size=3))
    given_first = Ranges((start, min(stop, total)) for start, stop in there if start < total)
    pieces = Pieces(total, RULES, {FIRST: given_first} if given_first else {})
    fetched: list[tuple[int, int]] = list(given_first)
    for now in range(100):
        if pieces.is_whole and not pieces.under_way:
            break
        act = data.draw(st.sampled_from(["take", "give", "end"]))
        if act == "take" or not pieces.under_way:
            pieces.take(data.draw(st.sampled_from([FIRST, SECOND])), float(now))
            continue
        segment = data.draw(st.sampled_from(pieces.under_way))
        if act == "give":
            give(segment, data.draw(st.integers(0, segment.stop - segment.position)))
        else:
            pieces.end(segment)
            fetched.append((segment.start, segment.written))
    else:
        # Whatever was drawn, what lacks can still be fetched, one gap after the other.
        for segment in list(pieces.under_way):
            pieces.end(segment)
            fetched.append((segment.start, segment.written))
        while (found := pieces.take(FIRST, 1000.0)) is not None:
            give(found, found.stop - found.start)
            pieces.end(found)
            fetched.append((found.start, found.stop))
    assert pieces.is_whole
    assert pieces.size == total
    # No byte was fetched twice.
    assert sum(stop - start for start, stop in fetched) == total


def test_a_gap_comes_before_a_share() -> None:
    pieces = Pieces(1000, RULES, {FIRST: Ranges(((0, 400),))})
    first = pieces.take(FIRST, 0.0)
    assert first is not None
    assert (first.start, first.stop) == (400, 1000)
    second = pieces.take(SECOND, 1.0)
    assert second is not None
    assert (first.stop, second.start, second.stop) == (700, 700, 1000)
    give(first, 100)
    pieces.end(first)
    third = pieces.take(FIRST, 2.0)
    assert third is not None
    assert (third.start, third.stop) == (500, 700)


def test_bytes_gathered_and_not_yet_written_are_not_given_away() -> None:
    pieces = Pieces(1000, RULES, {})
    first = pieces.begin_whole(FIRST, 0.0)
    first.position = 900
    second = pieces.take(FIRST, 1.0)
    assert second is not None
    assert second.start == 950
    assert pieces.written_by(FIRST) == Ranges()


def test_one_that_was_asked_a_moment_ago_is_not_taken_for_slow() -> None:
    pieces = Pieces(10_000, RULES, {})
    slow = pieces.begin_whole(FIRST, 0.0)
    give(slow, 100)
    young = pieces.take(FIRST, 10.0)
    assert young is not None
    third = pieces.take(FIRST, 10.1)
    assert third is not None
    assert third.stop == young.start


@pytest.mark.parametrize("offset", [1, 400, 500, 600])
def test_before_and_behind_a_gap_it_is_known_what_stands_there(offset: int) -> None:
    pieces = Pieces(1000, RULES, {FIRST: Ranges(((0, 500),)), SECOND: Ranges(((600, 1000),))})
    assert pieces.run_before(500) == (250, FIRST)
    assert pieces.run_before(1) == (1, FIRST)
    assert pieces.run_before(0) == (0, None)
    assert pieces.run_before(600) == (0, None)
    assert pieces.run_after(600) == (400, SECOND)
    assert pieces.run_after(500) == (0, None)
    assert pieces.run_after(999) == (1, SECOND)


def test_what_a_source_gave_is_a_gap_once_it_is_given_up() -> None:
    pieces = Pieces(1000, RULES, {FIRST: Ranges(((0, 300),)), SECOND: Ranges(((300, 600),))})
    late = pieces.take(SECOND, 0.0)
    assert late is not None
    give(late, 50)
    pieces.give_back(SECOND)
    assert pieces.size == 300
    pieces.end(late)
    assert pieces.written_by(SECOND) == Ranges()
    assert pieces.doubted == {SECOND: Ranges(((300, 600),))}
    again = pieces.take(FIRST, 1.0)
    assert again is not None
    assert (again.start, again.stop) == (300, 1000)


def seam(at: int) -> tuple[Segment, Segment]:
    left = Segment(FIRST, 0, at, began=0.0)
    right = Segment(SECOND, at, 100, began=0.0)
    right.head += b"right"
    return left, right


@pytest.mark.parametrize("order", ["left first", "right first"])
@pytest.mark.parametrize("data", [b"right", b"rig", b"right and more", b"wrong", b"rug"])
def test_what_meets_must_fit_whoever_comes_first(order: str, data: bytes) -> None:
    left, right = seam(50)
    seams = Seams()
    from_left, from_right = partial(seams.from_left, left, data), partial(seams.from_right, right)
    first, second = (from_left, from_right) if order == "left first" else (from_right, from_left)
    first()
    if b"right".startswith(data[:5]):
        second()
        return
    with pytest.raises(Contradiction) as caught:
        second()
    assert caught.value.segment is (left if order == "left first" else right)


def test_what_does_not_count_contradicts_nobody() -> None:
    left, right = seam(50)
    seams = Seams()
    seams.from_left(left, b"wrong")
    left.is_void = True
    seams.from_right(right)
