from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags._policies.concurrency import AdaptiveConcurrency, AdaptiveRules, Change, Reason, levels


class Loop:
    """Keeps a level of requests in flight to a host whose latency depends on their number."""

    def __init__(
        self, latency: Callable[[int], float], *, demand: int = 1000, noise: float = 0.0, **rules: int
    ) -> None:
        self.adaptive = AdaptiveConcurrency(AdaptiveRules(**rules), now=100.0)
        self.latency = latency
        self.demand = demand
        self.noise = noise
        self.random = random.Random(5)
        self.now = 100.0
        self.ends: list[tuple[float, float]] = []
        self.changes: list[Change] = []

    def run(self, seconds: float) -> list[int]:
        """The levels that were wanted, one after another."""
        until, wanted = self.now + seconds, [self.adaptive.level]
        while self.now < until:
            while len(self.ends) < min(self.adaptive.level, self.demand):
                self.adaptive.started(self.now)
                latency = self.latency(len(self.ends) + 1) * self.random.uniform(
                    1 - self.noise, 1 + self.noise
                )
                heapq.heappush(self.ends, (self.now + latency, self.now))
            self.now, sent = heapq.heappop(self.ends)
            for change in (
                self.adaptive.received(self.now, 1000),
                self.adaptive.ended(self.now, sent=sent, latency=self.now - sent),
            ):
                if change is not None:
                    self.changes.append(change)
                    assert change.after == self.adaptive.level
            if self.adaptive.level != wanted[-1]:
                wanted.append(self.adaptive.level)
        return wanted


def knee(best: int, latency: float = 0.05) -> Callable[[int], float]:
    return lambda in_flight: latency * max(1.0, in_flight / best)


def test_the_grid_is_geometric_and_holds_both_bounds() -> None:
    assert levels(1, 64) == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
    assert levels(5, 50) == (5, 6, 8, 12, 16, 24, 32, 48, 50)
    assert levels(7, 7) == (7,)


@given(st.integers(1, 500), st.integers(0, 500))
def test_a_step_of_the_grid_is_at_most_a_doubling(least: int, further: int) -> None:
    grid = levels(least, least + further)
    assert grid[0] == least and grid[-1] == least + further
    assert all(before < after <= 2 * before for before, after in pairwise(grid))


@pytest.mark.parametrize("best", [2, 4, 6, 16, 24, 64])
def test_it_ends_where_more_connections_stop_helping(best: int) -> None:
    loop = Loop(knee(best), noise=0.3)
    loop.run(25)
    grid = levels(1, 64)
    assert abs(grid.index(loop.adaptive.best) - grid.index(best)) <= 1


def test_it_doubles_first_and_then_looks_at_both_neighbours() -> None:
    loop = Loop(knee(16))
    wanted = loop.run(20)
    assert wanted[:5] == [4, 8, 16, 32, 16] and set(wanted[5:]) == {12, 16, 24}
    assert [change.reason for change in loop.changes[:5]] == [*[Reason.RAMP] * 3, Reason.WORSE, Reason.PROBE]
    assert loop.adaptive.best == 16


def test_a_level_whose_neighbours_are_worse_is_held() -> None:
    loop = Loop(knee(16), noise=0.1)
    while not loop.adaptive.is_settled:
        loop.run(0.1)
    assert loop.run(7) == [16]


def test_it_stays_within_its_bounds() -> None:
    assert max(Loop(knee(64), most=20).run(20)) == 20
    assert min(Loop(knee(1), least=3).run(20)) == 3


def test_a_level_that_was_found_is_tried_less_and_less_often() -> None:
    loop = Loop(knee(8))
    loop.run(10)
    probes = []
    for _ in range(3):
        before = len(loop.changes)
        loop.run(40)
        probes.append(len(loop.changes) - before)
    assert probes[0] > probes[-1]


def test_a_host_that_becomes_better_is_found_out_later() -> None:
    loop = Loop(knee(4))
    loop.run(20)
    loop.latency = knee(32)
    loop.run(60)
    assert loop.adaptive.best == 32


def test_a_host_that_becomes_much_slower_is_asked_less_at_once() -> None:
    loop = Loop(knee(32))
    loop.run(10)
    assert loop.adaptive.level == 32
    loop.latency = knee(4)
    loop.run(8)
    assert loop.adaptive.level <= 16
    assert Reason.LATENCY in {change.reason for change in loop.changes}
    loop.run(60)
    assert loop.adaptive.best == 4


def test_a_level_that_is_not_used_is_not_judged() -> None:
    loop = Loop(knee(64), demand=2)
    assert loop.run(30) == [4]
    loop.demand = 1000
    loop.run(10)
    assert loop.adaptive.best == 64


def test_a_refusal_is_one_step_back_however_many_requests_it_meets() -> None:
    loop = Loop(knee(16))
    loop.run(9)
    assert loop.adaptive.level == 16
    assert loop.adaptive.refused(loop.now, sent=loop.now - 0.1) == Change(16, 12, Reason.REFUSED)
    assert [loop.adaptive.refused(loop.now + 0.1, sent=loop.now - 0.01 * n) for n in range(9)] == [None] * 9
    assert loop.adaptive.refused(loop.now + 1, sent=loop.now + 0.5) == Change(12, 8, Reason.REFUSED)


def test_after_a_refusal_it_stays_a_while_and_then_tries_again() -> None:
    loop = Loop(knee(16))
    loop.run(9)
    loop.adaptive.refused(loop.now, sent=loop.now - 0.1)
    assert loop.run(5) == [12]
    loop.run(20)
    assert loop.adaptive.best == 16


def test_a_refusal_during_a_probe_goes_back_to_where_it_came_from() -> None:
    loop = Loop(knee(16))
    while loop.adaptive.level != 24:
        loop.run(0.01)
    assert loop.adaptive.refused(loop.now, sent=loop.now) == Change(24, 16, Reason.REFUSED)


def test_at_the_lowest_level_a_refusal_changes_nothing_more() -> None:
    adaptive = AdaptiveConcurrency(AdaptiveRules(start=1), now=0.0)
    for moment in range(1, 5):
        adaptive.refused(float(moment), sent=moment - 0.5)
        assert adaptive.level == 1


def test_large_files_are_judged_by_their_bytes() -> None:
    """Nothing ends in all this time, and 8 connections are what the line takes."""
    adaptive, now = AdaptiveConcurrency(AdaptiveRules(), now=0.0), 0.0
    in_flight = 0
    while now < 30.0:
        for _ in range(adaptive.level - in_flight):
            adaptive.started(now)
        for _ in range(in_flight - adaptive.level):
            adaptive.ended(now, sent=now - 20.0, latency=0.05)
        in_flight = adaptive.level
        now += 0.05
        adaptive.received(now, int(0.05 * 1e6 * min(in_flight, 8)))
    assert adaptive.best == 8


@pytest.mark.parametrize("values", [{"least": 0}, {"least": 5, "most": 4}])
def test_impossible_bounds_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="least"):
        AdaptiveRules(**values)


STEPS = st.tuples(
    st.sampled_from(["start", "end", "fail", "bytes", "refuse"]), st.floats(0, 3), st.integers(0, 10**9)
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=80), st.integers(1, 9), st.integers(0, 90), st.integers(1, 200))
def test_whatever_happens_the_level_is_one_of_the_grid(
    steps: list[tuple[str, float, int]], least: int, further: int, start: int
) -> None:
    rules = AdaptiveRules(least=least, most=least + further, start=start)
    adaptive, now = AdaptiveConcurrency(rules, now=0.0), 0.0
    for kind, elapsed, size in steps:
        now += elapsed
        if kind == "start":
            adaptive.started(now)
        elif kind == "bytes":
            adaptive.received(now, size)
        elif kind == "refuse":
            adaptive.refused(now, sent=now - elapsed / 2)
        else:
            adaptive.ended(now, sent=now - elapsed, latency=elapsed if kind == "end" else None)
        assert adaptive.level in levels(least, least + further)
        assert adaptive.best in levels(least, least + further)
