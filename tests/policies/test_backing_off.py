from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.backing_off import BackingOff, BackingOffRules
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.ratelimits import RateLimit

RULES = BackingOffRules(pauses=Backoff(initial=2.0, maximum=60.0), cap=300.0)


def refused_at(now: float, *, retry_after: float | None = None, is_rate: bool = True) -> BackingOff:
    """A host that refused its first request, without jitter."""
    back_off = BackingOff(RULES)
    back_off.refused(now, sent=now - 0.1, jitter=0.0, retry_after=retry_after, is_rate=is_rate)
    return back_off


def passed(back_off: BackingOff, start: float, stop: float, jitter: float = 0.0) -> list[float]:
    """When requests went, of somebody who always has one more; each is answered at once."""
    now, moments = start, []
    while now < stop:
        if wait := back_off.take(now, jitter=jitter):
            now += wait
        else:
            moments.append(now)
            back_off.served(now, sent=now)
            now += 0.001
    return moments


@pytest.mark.parametrize("retry_after", [None, 0.0, 5.0])
def test_64_refusals_of_requests_in_flight_are_one_event(retry_after: float | None) -> None:
    back_off = BackingOff(RULES)
    events = [
        back_off.refused(10.0 + 0.01 * n, sent=9.0 + 0.01 * n, jitter=0.0, retry_after=retry_after)
        for n in range(64)
    ]
    assert events == [True] + [False] * 63
    assert back_off.events == 1


def test_a_request_sent_after_the_event_makes_a_new_one_and_the_exponent_grows() -> None:
    back_off = refused_at(10.0)
    assert back_off.resume_at == 11.0
    assert back_off.refused(11.2, sent=11.1, jitter=0.0)
    assert back_off.events == 2 and back_off.resume_at == pytest.approx(13.2)


@given(st.floats(0, 1, exclude_max=True))
def test_retry_after_of_zero_still_backs_off(jitter: float) -> None:
    back_off = BackingOff(RULES)
    back_off.refused(10.0, sent=9.0, jitter=jitter, retry_after=0.0)
    assert back_off.resume_at == pytest.approx(11.0 + jitter)
    assert back_off.take(10.0, jitter=jitter) == pytest.approx(1.0 + jitter)


def test_retry_after_is_obeyed_and_capped() -> None:
    assert refused_at(10.0, retry_after=7.0).resume_at == 17.0
    assert refused_at(10.0, retry_after=1e9).resume_at == 310.0


def test_a_refusal_of_the_same_event_may_prolong_the_pause_and_never_shortens_it() -> None:
    back_off = refused_at(10.0, retry_after=5.0)
    back_off.refused(10.1, sent=9.9, jitter=0.0, retry_after=8.0)
    back_off.refused(10.2, sent=9.9, jitter=0.0, retry_after=1.0)
    assert back_off.resume_at == pytest.approx(18.1) and back_off.events == 1


def test_the_exponent_falls_one_step_for_each_pause_spent_in_peace() -> None:
    back_off = refused_at(10.0, retry_after=4.0)
    back_off.refused(14.5, sent=14.2, jitter=0.0, retry_after=4.0)
    back_off.served(19.0, sent=18.9)
    assert back_off.events == 2
    back_off.served(23.0, sent=22.9)
    back_off.served(23.1, sent=22.9)
    assert back_off.events == 1
    back_off.served(27.1, sent=27.0)
    assert back_off.events == 0


def test_an_answer_to_a_request_from_before_the_event_is_no_success_since() -> None:
    back_off = refused_at(10.0)
    back_off.served(100.0, sent=9.5)
    assert back_off.events == 1


def test_those_that_were_refused_come_back_one_after_another() -> None:
    back_off = BackingOff(RULES)
    for _ in range(50):
        back_off.refused(10.0, sent=9.0, jitter=0.5, retry_after=10.0, is_rate=False)
    source = random.Random(3)
    now, gaps = 20.0, []
    while now < 22.0:
        wait = back_off.take(now, jitter=source.random())
        gaps += [wait] if wait else []
        now += wait
    assert 30 < len(gaps) < 80 and max(gaps) <= 2 * 2.0 / 50
    assert [back_off.take(30.0, jitter=0.5) for _ in range(9)] == [0.0] * 9


def test_a_503_teaches_no_pace() -> None:
    back_off = refused_at(10.0, is_rate=False)
    assert back_off.pace(12.0) is None
    assert back_off.take(12.0, jitter=0.0) == 0.0


def test_the_first_pace_is_below_what_the_host_let_through_and_grows_by_a_quarter_a_second() -> None:
    back_off = BackingOff(RULES)
    for n in range(30):
        back_off.served(9.9, sent=9.8 + 0.001 * n)
    back_off.refused(9.9, sent=9.8, jitter=0.0, retry_after=1.0)
    for _ in range(20):
        back_off.served(10.0, sent=9.85)
    assert back_off.pace(10.9) == pytest.approx(0.92 * 50)
    assert back_off.pace(11.9) == pytest.approx(0.92 * 50 * 1.25)


def twice_refused() -> BackingOff:
    """A host that was paced at 100 a second when it refused again, having let 60 a second through."""
    back_off = BackingOff(BackingOffRules(pauses=Backoff(initial=2.0), ease=0.8))
    for _ in range(125):
        back_off.served(10.0, sent=9.9)
    back_off.refused(10.0, sent=9.9, jitter=0.0)
    for _ in range(60):
        back_off.served(11.0, sent=10.9)
    back_off.refused(11.0, sent=10.9, jitter=0.0, retry_after=2.0)
    return back_off


def test_from_the_second_event_on_the_rate_lies_between_what_passed_and_what_was_refused() -> None:
    refused_rate = math.sqrt(60 * 100)
    assert twice_refused().pace(13.0) == pytest.approx(0.8 * refused_rate)
    assert twice_refused().pace(33.0) == pytest.approx(refused_rate)


def test_the_pace_is_raised_slowly_lingers_where_it_was_refused_and_is_forgotten_at_last() -> None:
    back_off = twice_refused()
    paces = [back_off.pace(13.0 + second) for second in range(60)]
    assert all(pace is not None for pace in paces)
    steps = [after - before for before, after in pairwise(paces) if before and after]
    assert min(steps) >= 0 and min(steps) == min(steps[18:22])
    assert max(steps[:40]) < 0.04 * 77.5
    assert back_off.pace(1000.0) is None
    assert back_off.take(1000.0, jitter=0.0) == 0.0 and back_off.take(1000.0, jitter=0.0) == 0.0


def test_requests_are_sent_at_the_pace() -> None:
    moments = passed(twice_refused(), 13.0, 23.0)
    expected = sum((0.8 + 0.2 * (1 + ((t / 10 - 20) / 20) ** 3)) * math.sqrt(6000) for t in range(100)) / 10
    assert 0.95 * expected < len(moments) < 1.02 * expected


def test_one_event_does_not_take_more_than_half_of_the_pace() -> None:
    back_off = twice_refused()
    pace = back_off.pace(40.0)
    assert pace is not None
    # Most of its time passed without a request, so that what was let through says little.
    back_off.refused(40.0, sent=39.9, jitter=0.0)
    assert back_off.pace(40.0) == pytest.approx(0.8 * pace / 2)


def test_what_the_server_says_is_left_is_not_exceeded_within_its_window() -> None:
    back_off = BackingOff(RULES)
    back_off.heed(10.0, [RateLimit(100, 1.0), RateLimit(5, 60.0)], in_flight=2)
    assert [back_off.take(10.0, jitter=0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 60.0]
    assert back_off.take(70.0, jitter=0.0) == 0.0
    assert back_off.take(70.0, jitter=0.0) == 0.0


def test_no_quota_stops_a_host_for_longer_than_the_cap() -> None:
    back_off = BackingOff(RULES)
    back_off.heed(10.0, [RateLimit(0, 86400.0)], in_flight=0)
    assert back_off.take(10.0, jitter=0.0) == 300.0
    assert back_off.events == 0


@pytest.mark.parametrize("limit", [RateLimit(None, 5.0, 100, 60.0), RateLimit(0), RateLimit(0, 0.0)])
def test_a_limit_without_a_count_or_a_window_stops_nobody(limit: RateLimit) -> None:
    back_off = BackingOff(RULES)
    back_off.heed(10.0, [limit], in_flight=64)
    assert back_off.take(10.0, jitter=0.0) == 0.0


def test_it_is_idle_before_anything_happened_and_after_everything_is_over() -> None:
    back_off = BackingOff(RULES)
    assert back_off.is_idle(0.0)
    back_off.refused(10.0, sent=9.0, jitter=0.0)
    assert not back_off.is_idle(1000.0)
    back_off.served(1000.0, sent=999.0)
    assert back_off.is_idle(1000.0)


STEPS = st.tuples(
    st.sampled_from(["refused", "served", "take"]), st.floats(0, 30), st.floats(0, 60), st.floats(0, 0.999)
)


@given(st.lists(STEPS, max_size=60), st.floats(0, 1e9))
def test_every_wait_is_bounded_and_ends(steps: list[tuple[str, float, float, float]], start: float) -> None:
    back_off, now, events = BackingOff(RULES), start, 0
    for kind, elapsed, ago, jitter in steps:
        now += elapsed
        if kind == "refused":
            events += back_off.refused(now, sent=now - ago, jitter=jitter, retry_after=ago)
        elif kind == "served":
            back_off.served(now, sent=now - ago)
        else:
            waits = 0
            while wait := back_off.take(now, jitter=jitter):
                # The pause, what is left, the distance to the one before, and the pace, one after another.
                assert 0 < wait <= 300 and waits < 4
                now, waits = now + wait + 1e-6, waits + 1
        assert 0 <= back_off.events <= events
