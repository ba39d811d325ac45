from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.ratelimits import RateLimit, parse_rate_limits

NOW = 1_800_000_000.0


def parsed(*headers: tuple[str, str]) -> tuple[RateLimit, ...]:
    return parse_rate_limits(headers, now=NOW)


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ([("RateLimit", '"default";r=50;t=30')], RateLimit(50, 30.0)),
        ([("RateLimit", '"default";r=999;pk=:dHJpYWwxMjEzMjM=:')], RateLimit(999)),
        (
            [("RateLimit", '"a";r=10;t=5'), ("RateLimit-Policy", '"a";q=100;w=60')],
            RateLimit(10, 5.0, 100, 60.0),
        ),
        ([("ratelimit", "default;r=0;t=10")], RateLimit(0, 10.0)),
        ([("RateLimit-Policy", '"peruser";q=100;w=60;pk=:cHsdsRa894==:')], RateLimit(None, None, 100, 60.0)),
        ([("RateLimit", '"a";r=1;t=2;r=3;acme-burst="x;y, z"')], RateLimit(3, 2.0)),
    ],
)
def test_the_current_form(headers: list[tuple[str, str]], limit: RateLimit) -> None:
    assert parsed(*headers) == (limit,)


def test_several_limits_belong_to_their_policies_by_name() -> None:
    assert parsed(
        ("RateLimit-Policy", '"burst";q=100;w=60,"daily";q=1000;w=86400'),
        ("RateLimit", '"daily";r=7;t=500'),
        ("RateLimit", '"burst";r=90;t=10'),
    ) == (RateLimit(7, 500.0, 1000, 86400.0), RateLimit(90, 10.0, 100, 60.0))


@pytest.mark.parametrize("unit", ["content-bytes", "concurrent-requests"])
def test_limits_on_something_other_than_requests_are_left_out(unit: str) -> None:
    policy = ("RateLimit-Policy", f'"a";q=65535;qu="{unit}";w=10')
    assert parsed(policy, ("RateLimit", '"a";r=300;t=60')) == ()


@pytest.mark.parametrize("unit", ["requests", "request"])
def test_the_unit_may_be_spelled_in_both_ways_of_the_draft(unit: str) -> None:
    assert parsed(("RateLimit-Policy", f'"a";q=5;qu="{unit}";w=10')) == (RateLimit(None, None, 5, 10.0),)


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ([("RateLimit", "limit=100, remaining=50, reset=5")], RateLimit(50, 5.0, 100)),
        (
            [
                ("RateLimit-Limit", "100, 100;w=60"),
                ("RateLimit-Remaining", "3"),
                ("RateLimit-Reset", "20"),
                ("RateLimit-Policy", "100;w=60"),
            ],
            RateLimit(3, 20.0, 100, 60.0),
        ),
        ([("X-RateLimit-Remaining", "598.0"), ("X-RateLimit-Reset", "41")], RateLimit(598, 41.0)),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000030")], RateLimit(0, 30.0)),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000030500")], RateLimit(0, 30.5)),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1799999999")], RateLimit(0, 0.0)),
        (
            [("X-Rate-Limit-Limit", "15"), ("X-Rate-Limit-Reset", "Fri, 15 Jan 2027 08:00:09 GMT")],
            RateLimit(None, 9.0, 15),
        ),
    ],
)
def test_the_older_forms(headers: list[tuple[str, str]], limit: RateLimit) -> None:
    assert parsed(*headers) == (limit,)


def test_counters_of_an_older_form_count_beside_policies_of_the_new_one() -> None:
    limits = parsed(
        ("RateLimit-Policy", '"a";q=9;w=3'), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", "2")
    )
    assert limits == (RateLimit(0, 2.0), RateLimit(None, None, 9, 3.0))


def test_the_newest_form_wins() -> None:
    assert parsed(("X-RateLimit-Remaining", "1"), ("RateLimit", '"a";r=2')) == (RateLimit(2),)


@pytest.mark.parametrize(
    "value",
    [
        "",
        '"a"',
        '"a";r=-1',
        '"a";r=1.5;t=1',
        '"a";r=9999999999999999',
        '"a";r=1,',
        '"a";r=1;;t=2',
        '"unterminated;r=1',
        '"ä";r=1',
        '"a";r=1 "b";r=2',
        ",".join(f'"{number}";r=1' for number in range(17)),
        '"' + "a" * 5000 + '";r=1',
    ],
)
def test_a_malformed_or_excessive_field_is_ignored_as_a_whole(value: str) -> None:
    assert parsed(("RateLimit", value)) == ()


def test_one_malformed_member_spoils_its_field() -> None:
    assert parsed(("RateLimit", '"a";r=1;t=1'), ("RateLimit", "??")) == ()


def test_a_window_of_zero_is_no_window() -> None:
    (limit,) = parsed(("RateLimit-Policy", '"a";q=5;w=0'))
    assert limit == RateLimit(None, None, 5) and limit.rate is None


def test_rate_and_effective_window() -> None:
    assert RateLimit(1, None, 120, 60.0).rate == 2.0
    assert RateLimit(1, None, 120, 60.0).effective_window == 60.0
    assert RateLimit(1, 7.0, 120, 60.0).effective_window == 7.0
    assert RateLimit(1).effective_window == 0.0


NAMES = st.sampled_from(
    ["RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Reset", "X-RateLimit-Reset", "Date"]
    + ["X-RateLimit-Remaining", "RateLimit-Remaining"]
)
VALUES = st.text(max_size=60) | st.from_regex(r"\A(\"?[a-z]+\"?(;[rtqw]=[0-9]{1,18}){0,3},?){1,4}\Z")


@given(st.lists(st.tuples(NAMES, VALUES | st.integers().map(str)), max_size=6), st.floats(0, 4e9))
def test_whatever_a_server_sends_the_values_are_bounded(headers: list[tuple[str, str]], now: float) -> None:
    limits = parse_rate_limits(headers, now=now)
    assert len(limits) <= 16
    for limit in limits:
        assert limit.remaining is None or 0 <= limit.remaining < 10**15
        assert limit.reset is None or 0 <= limit.reset <= 2**31
        assert limit.window is None or 0 < limit.window <= 2**31
        assert limit.rate is None or 0 <= limit.rate < 10**15
