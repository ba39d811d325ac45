from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.timeouts import Stall, Timeout, check_pace

LIMITS = ("connect", "read", "total")
MOMENTS = st.floats(0, 1e9)
SPANS = st.floats(0.001, 1e6)


def test_the_defaults_are_those_of_the_contract() -> None:
    timeout = Timeout()
    assert (timeout.connect, timeout.read, timeout.total) == (10.0, 60.0, None)


@pytest.mark.parametrize("limit", LIMITS)
def test_none_means_no_limit(limit: str) -> None:
    assert getattr(Timeout(**{limit: None}), limit) is None


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", [0, 0.0, -1, math.nan, -math.inf])
def test_a_limit_that_is_no_span_of_time_is_refused(limit: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{limit} must be more than 0 seconds"):
        Timeout(**{limit: value})


@pytest.mark.parametrize("value", ["5", True, [5]])
def test_a_limit_that_is_no_number_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="read"):
        Timeout(read=value)


def check(
    now: float,
    *,
    last_byte_at: float = 0.0,
    window_started_at: float = 0.0,
    window_bytes: int = 0,
    read: float | None = None,
    min_speed: float | None = None,
    window: float = 60.0,
) -> Stall | float:
    return check_pace(
        now=now,
        last_byte_at=last_byte_at,
        window_started_at=window_started_at,
        window_bytes=window_bytes,
        read=read,
        min_speed=min_speed,
        window=window,
    )


def test_silence_for_the_whole_limit_ends_a_transfer() -> None:
    assert check(9.9, read=10.0) == 10.0
    assert check(10.0, read=10.0) is Stall.READ


def test_a_window_with_too_few_bytes_ends_a_transfer() -> None:
    assert check(59.9, min_speed=1.0, window_bytes=59) == 60.0
    assert check(60.0, min_speed=1.0, window_bytes=59) is Stall.SLOW


def test_a_window_with_just_enough_bytes_is_followed_by_the_next() -> None:
    assert check(61.0, min_speed=1.0, window_bytes=60) == 121.0


def test_silence_is_named_before_slowness() -> None:
    assert check(60.0, read=60.0, min_speed=1.0) is Stall.READ


def test_the_earlier_of_both_limits_is_the_next_moment() -> None:
    assert check(5.0, last_byte_at=5.0, read=10.0, min_speed=1.0) == 15.0
    assert check(55.0, last_byte_at=55.0, read=10.0, min_speed=1.0) == 60.0


@pytest.mark.parametrize("min_speed", [None, 0, 0.0])
def test_no_lower_bound_lets_a_trickle_through(min_speed: float | None) -> None:
    assert check(1e9, min_speed=min_speed) == math.inf


@given(
    now=MOMENTS,
    last_byte_at=MOMENTS,
    window_started_at=MOMENTS,
    window_bytes=st.integers(0, 10**9),
    read=st.none() | SPANS,
    min_speed=st.none() | st.floats(0, 1e9),
    window=SPANS,
)
def test_a_transfer_that_goes_on_is_looked_at_later_and_never_at_once(**state: Any) -> None:
    verdict = check_pace(**state)
    if not isinstance(verdict, Stall):
        assert verdict > state["now"]


@given(read=SPANS, last_byte_at=MOMENTS)
def test_asking_at_the_moment_named_finds_the_silence(read: float, last_byte_at: float) -> None:
    moment = check(last_byte_at, last_byte_at=last_byte_at, read=read)
    assert isinstance(moment, float)
    assert check(moment, last_byte_at=last_byte_at, read=read) is Stall.READ
