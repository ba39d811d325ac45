from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.backoff import Backoff

BACKOFFS = st.builds(Backoff, initial=st.floats(0, 1e6), maximum=st.floats(0, 1e6), factor=st.floats(1, 1e6))
JITTER = st.floats(0, 1, exclude_max=True)


def test_the_default_ceiling_doubles_from_half_a_second_to_a_minute() -> None:
    ceilings = [Backoff().ceiling(failures) for failures in range(1, 10)]
    assert ceilings == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_full_jitter_scales_the_ceiling() -> None:
    assert Backoff().delay(3, jitter=0.0) == 0.0
    assert Backoff().delay(3, jitter=0.25) == 0.5


def test_the_first_pause_never_exceeds_the_maximum() -> None:
    assert Backoff(initial=5.0, maximum=2.0).ceiling(1) == 2.0


def test_no_initial_pause_means_no_pause_at_all() -> None:
    assert Backoff(initial=0.0).ceiling(10**9) == 0.0


@given(BACKOFFS, st.integers(1, 10**12), JITTER)
def test_every_pause_lies_between_zero_and_the_maximum(
    backoff: Backoff, failures: int, jitter: float
) -> None:
    assert 0 <= backoff.delay(failures, jitter=jitter) <= backoff.ceiling(failures) <= backoff.maximum


@given(BACKOFFS, st.integers(1, 5000))
def test_the_ceiling_never_falls(backoff: Backoff, failures: int) -> None:
    assert backoff.ceiling(failures) <= backoff.ceiling(failures + 1)


@pytest.mark.parametrize(
    "values",
    [
        {"initial": -0.1},
        {"maximum": -1.0},
        {"factor": -2.0},
        {"factor": 0.5},
        {"initial": math.nan},
        {"maximum": math.inf},
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Backoff(**values)


@pytest.mark.parametrize("failures", [0, -1])
def test_failures_are_counted_from_one(failures: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Backoff().ceiling(failures)


@pytest.mark.parametrize("jitter", [-0.1, 1.0, math.nan])
def test_jitter_outside_its_range_is_refused(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        Backoff().delay(1, jitter=jitter)
