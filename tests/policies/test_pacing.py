from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.pacing import TokenBucket, take_from_all

RATES = st.floats(0.01, 1e10)


def taken_until(bucket: TokenBucket, start: float, stop: float, amount: float) -> list[float]:
    """When somebody who always wants more takes *amount*."""
    now, moments = start, []
    while now < stop:
        if wait := bucket.take(now, amount):
            now += wait
        else:
            moments.append(now)
    return moments


def test_a_full_bucket_lets_its_burst_go_at_once() -> None:
    bucket = TokenBucket(100.0, now=5.0)
    assert bucket.burst == 6.0
    assert [bucket.take(5.0) for _ in range(6)] == [0.0] * 6
    assert bucket.take(5.0) == pytest.approx(0.01)


def test_who_is_told_to_wait_has_taken_nothing() -> None:
    bucket = TokenBucket(100.0, now=0.0)
    bucket.take(0.0, 6.0)
    assert [bucket.take(0.0, 2.0) for _ in range(5)] == [pytest.approx(0.02)] * 5


@given(RATES, st.floats(0, 1e9), st.floats(0.001, 5))
def test_who_comes_back_when_told_is_served(rate: float, now: float, bursts: float) -> None:
    bucket = TokenBucket(rate, now=now)
    bucket.take(now, bucket.burst)
    amount = bursts * bucket.burst
    wait = bucket.take(now, amount)
    assert wait > 0 or amount < rate * 1e-5
    assert bucket.take(now + wait, amount) == 0.0


@given(st.floats(200.0, 1e9), st.floats(0.01, 1.0), st.floats(0.0, 3.0))
def test_the_rate_is_held_over_any_two_seconds(rate: float, part: float, start: float) -> None:
    bucket = TokenBucket(rate, now=start)
    amount = max(rate / 60, part * bucket.burst)
    moments = taken_until(bucket, start, start + 4.5, amount)
    for begin in [start, *moments]:
        if begin + 2 <= start + 4.5:
            size = amount * sum(begin <= moment < begin + 2 for moment in moments)
            assert size <= 2 * rate * 1.05 + 2
            assert size >= 2 * rate * 0.95 - 2


@pytest.mark.parametrize("rate", [2e6, 50e6])
def test_a_new_rate_holds_at_once_for_who_waits_already(rate: float) -> None:
    bucket = TokenBucket(10e6, now=0.0)
    taken_until(bucket, 0.0, 1.0, 50_000.0)
    bucket.take(1.0, bucket.burst)
    before = bucket.wait(1.0, 100_000.0)
    bucket.set_rate(rate, now=1.0)
    assert bucket.wait(1.0, 100_000.0) == pytest.approx(before * 10e6 / rate, rel=0.02)
    moments = taken_until(bucket, 1.0, 3.0, 50_000.0)
    assert 50_000 * len(moments) == pytest.approx(2 * rate, rel=0.05)


def test_a_lower_rate_takes_the_surplus_of_the_burst_away() -> None:
    bucket = TokenBucket(1000.0, now=0.0)
    bucket.set_rate(10.0, now=0.0)
    assert bucket.take(0.0, 1.5) == 0.0
    assert bucket.take(0.0, 1.0) == pytest.approx(0.1)


def test_an_amount_above_the_burst_is_owed() -> None:
    bucket = TokenBucket(10.0, now=0.0)
    assert bucket.take(0.0, 101.5) == 0.0
    assert bucket.take(0.0, 1.0) == pytest.approx(10.1)


def test_without_a_limit_nobody_waits_and_a_limit_begins_empty() -> None:
    bucket = TokenBucket(None, now=0.0)
    assert bucket.take(0.0, 1e12) == 0.0 and bucket.burst == math.inf
    bucket.set_rate(10.0, now=1.0)
    assert bucket.take(1.0) == pytest.approx(0.1)
    bucket.set_rate(None, now=1.0)
    assert bucket.take(1.0, 1e12) == 0.0


def test_what_is_given_back_can_be_taken_again() -> None:
    bucket = TokenBucket(10.0, now=0.0)
    bucket.take(0.0, 1.5)
    bucket.give_back(1.0)
    assert bucket.take(0.0, 1.0) == 0.0
    bucket.give_back(100.0)
    assert bucket.take(0.0, 1.5) == 0.0 and bucket.take(0.0, 1.0) > 0


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket = TokenBucket(10.0, now=10.0)
    bucket.take(10.0, 1.5)
    assert bucket.take(4.0) == pytest.approx(0.1)
    assert bucket.take(10.0) == pytest.approx(0.1)


def test_of_several_buckets_all_give_or_none() -> None:
    wide, narrow = TokenBucket(1000.0, now=0.0), TokenBucket(10.0, now=0.0)
    assert take_from_all([wide, narrow], 0.0, 1.5) == 0.0
    assert take_from_all([wide, narrow], 0.0, 1.0) == pytest.approx(0.1)
    assert wide.wait(0.0, 49.5) == 0.0
    assert wide.wait(0.0, 50.0) > 0
    assert take_from_all([], 0.0) == 0.0


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate, now=0.0)
    bucket = TokenBucket(5.0, now=0.0)
    with pytest.raises(ValueError, match="rate"):
        bucket.set_rate(rate, now=0.0)
    assert bucket.rate == 5.0


@given(RATES, st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 1e6), RATES | st.none()), max_size=20))
def test_a_wait_is_never_negative_nor_endless(
    rate: float, steps: list[tuple[float, float, float | None]]
) -> None:
    now, bucket = 0.0, TokenBucket(rate, now=0.0)
    for elapsed, amount, changed in steps:
        now += elapsed
        assert 0 <= bucket.take(now, amount) < math.inf
        bucket.set_rate(changed, now=now)
