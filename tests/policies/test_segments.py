from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.ranges import Ranges
from asyncflags._policies.segments import Progressing, Ramp, SegmentRules, share

SMALL = SegmentRules(least_segment=10, window=1.0)
RATES = st.sampled_from([0.0, 0.5, 1.0, 7.0, 1e9])


@st.composite
def under_way(draw: st.DrawFn) -> list[Progressing]:
    """Segments that together are one file, each somewhere between its start and its end."""
    edges = sorted(draw(st.sets(st.integers(0, 300), min_size=2, max_size=6)))
    return [
        Progressing(start, draw(st.integers(start, stop)), stop, draw(RATES))
        for start, stop in pairwise(edges)
    ]


@given(under_way(), st.integers(0, 40))
def test_sharing_neither_overlaps_nor_loses_nor_makes_a_small_segment(
    segments: list[Progressing], least: int
) -> None:
    shared = share(segments, SegmentRules(least_segment=least))
    if shared is None:
        assert all(segment.rest // 2 < max(1, least) for segment in segments)
        return
    index, middle = shared
    segment = segments[index]
    assert segment.position < middle < segment.stop
    assert min(middle - segment.position, segment.stop - middle) >= least
    assert 0 <= (middle - segment.position) - (segment.stop - middle) <= 1
    parts = [(each.start, each.stop) for each in segments if each is not segment]
    parts += [(segment.start, middle), (middle, segment.stop)]
    assert sum(stop - start for start, stop in parts) == Ranges(parts).size
    assert Ranges(parts).parts == ((segments[0].start, segments[-1].stop),)


@given(under_way())
def test_sharing_until_nothing_is_left_ends(segments: list[Progressing]) -> None:
    for _ in range(40):
        shared = share(segments, SMALL)
        if shared is None:
            return
        index, middle = shared
        old = segments[index]
        segments[index] = Progressing(old.start, old.position, middle, old.rate)
        segments.append(Progressing(middle, middle, old.stop, old.rate))
    raise AssertionError("300 bytes were divided more than 40 times into segments of at least 10")


def test_the_segment_that_takes_longest_is_shared_and_not_the_longest_one() -> None:
    segments = [Progressing(0, 0, 1000, 100.0), Progressing(1000, 1000, 1100, 1.0)]
    assert share(segments, SMALL) == (1, 1050)


def test_a_segment_where_nothing_comes_takes_longest() -> None:
    segments = [
        Progressing(0, 0, 1000, 0.001),
        Progressing(1000, 1060, 1100, 0.0),
        Progressing(1100, 1150, 1200, 0.0),
    ]
    assert share(segments, SMALL) == (2, 1175)


def test_a_slow_segment_that_is_nearly_done_leaves_the_turn_to_the_next() -> None:
    segments = [Progressing(0, 81, 100, 0.0), Progressing(100, 180, 200, 50.0)]
    assert share(segments, SMALL) == (1, 190)


@pytest.mark.parametrize("segments", [[], [Progressing(0, 10, 10, 5.0)], [Progressing(0, 0, 19, 5.0)]])
def test_nothing_is_shared_when_every_rest_is_small(segments: list[Progressing]) -> None:
    assert share(segments, SMALL) is None


def test_a_segment_is_not_divided_below_a_mebibyte_by_default() -> None:
    assert share([Progressing(0, 0, (2 << 20) - 1, 1.0)], SegmentRules()) is None
    assert share([Progressing(0, 0, 2 << 20, 1.0)], SegmentRules()) == (0, 1 << 20)
    assert SegmentRules().least_total == 8 * 1024 * 1024


def transfer(ramp: Ramp, goodput: Callable[[int], float], windows: int = 20) -> list[int]:
    """The numbers of connections that were wanted while bytes came at goodput(connections) a second."""
    now, received, wanted = 100.0, 0.0, [ramp.wanted]
    for _ in range(windows * 4):
        ramp.observe(now, int(received), ramp.wanted)
        if ramp.wanted != wanted[-1]:
            wanted.append(ramp.wanted)
        now += 0.25
        received += goodput(ramp.wanted) * 0.25
    return wanted


def test_one_connection_is_wanted_at_first() -> None:
    assert Ramp(8, SMALL).wanted == 1


@pytest.mark.parametrize("most", [1, 2, 5])
def test_connections_are_added_one_by_one_while_each_helps(most: int) -> None:
    assert transfer(Ramp(most, SMALL), lambda connections: 1000.0 * connections) == list(range(1, most + 1))


def test_a_connection_that_does_not_help_is_given_back_for_good() -> None:
    ramp = Ramp(8, SMALL)
    assert transfer(ramp, lambda connections: 1000.0 * min(connections, 3)) == [1, 2, 3, 4, 3]
    assert transfer(ramp, lambda connections: 1000.0 * connections) == [3]


def test_where_one_connection_fills_the_line_it_stays_alone() -> None:
    assert transfer(Ramp(8, SMALL), lambda _: 1000.0) == [1, 2, 1]


@pytest.mark.parametrize(("growth", "wanted"), [(1.26, [1, 2, 3]), (1.25, [1, 2, 3]), (1.24, [1, 2, 1])])
def test_the_margin_decides_what_helps(growth: float, wanted: list[int]) -> None:
    assert (
        transfer(
            Ramp(3, SegmentRules(window=1.0, margin=1.25)),
            lambda connections: [0, 100_000, 100_000 * growth, 200_000][connections],
        )
        == wanted
    )


def test_a_connection_beyond_the_last_that_helps_is_given_back_at_the_limit_too() -> None:
    assert transfer(Ramp(3, SMALL), lambda connections: 1000.0 * min(connections, 2)) == [1, 2, 3, 2]


def test_a_second_connection_is_tried_where_nothing_comes_and_given_back() -> None:
    assert transfer(Ramp(8, SMALL), lambda _: 0.0) == [1, 2, 1]


def test_nothing_is_decided_before_a_window_is_full() -> None:
    ramp = Ramp(8, SMALL)
    assert [ramp.observe(now, int(1000 * now), 1) for now in (0.0, 0.5, 0.99)] == [1, 1, 1]
    assert ramp.observe(1.0, 1000, 1) == 2


def test_a_window_begins_when_all_wanted_connections_are_there() -> None:
    ramp = Ramp(8, SMALL)
    ramp.observe(0.0, 0, 1)
    assert ramp.observe(1.0, 1000, 1) == 2
    assert [ramp.observe(1.0 + step, 1000 + 1000 * step, 1) for step in range(5)] == [2] * 5
    ramp.observe(6.0, 6000, 2)
    assert ramp.observe(6.9, 7800, 2) == 2
    assert ramp.observe(7.0, 8000, 2) == 3


@pytest.mark.parametrize(("received", "active"), [(900, 0), (900, 2), (10, 1)])
def test_a_lost_connection_or_dropped_bytes_begin_the_window_anew(received: int, active: int) -> None:
    ramp = Ramp(8, SMALL)
    ramp.observe(0.0, 500, 1)
    assert ramp.observe(0.9, received, active) == 1
    assert ramp.observe(1.0, received, 1) == 1
    assert ramp.observe(1.9, received + 900, 1) == 1
    assert ramp.observe(2.0, received + 1000, 1) == 2


def test_a_clock_that_stands_still_decides_nothing() -> None:
    ramp = Ramp(8, SegmentRules(window=0.0))
    assert [ramp.observe(5.0, received, 1) for received in (0, 10, 20)] == [1, 1, 1]


@given(
    st.integers(-1, 9),
    st.lists(st.tuples(st.floats(0, 2), st.integers(-50, 500), st.integers(0, 9)), max_size=40),
)
def test_between_one_and_the_limit_and_one_step_at_a_time(
    most: int, steps: list[tuple[float, int, int]]
) -> None:
    ramp, now, received, before = Ramp(most, SMALL), 0.0, 0, 1
    for elapsed, size, active in steps:
        now, received = now + elapsed, received + size
        wanted = ramp.observe(now, received, active)
        assert wanted == ramp.wanted and 1 <= wanted <= max(1, most) and abs(wanted - before) <= 1
        before = wanted
