"""What surrounds the rules of robots.txt: who is meant, what an answer says, how long it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.robots import (
    MAX_ROBOTS_BYTES,
    RobotsAnswer,
    RobotsMemory,
    RobotsRules,
    answer_of,
    origin_text,
    product_token,
    request_rate,
    rules_text,
)


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("asyncflags/0.1.0", "asyncflags"),
        ("FlagBot/2.0 (+https://flags.example/bot) Other/1", "FlagBot"),
        ("FlagBot(contact)", "FlagBot"),
        ("FlagBot", "FlagBot"),
        ("(only a comment)", "*"),
        ("", "*"),
    ],
)
def test_rules_speak_to_the_first_product_of_the_user_agent(agent: str, token: str) -> None:
    assert product_token(agent) == token


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, RobotsAnswer.RULES),
        (204, RobotsAnswer.RULES),
        (301, RobotsAnswer.NO_RULES),
        (401, RobotsAnswer.NO_RULES),
        (403, RobotsAnswer.NO_RULES),
        (404, RobotsAnswer.NO_RULES),
        (410, RobotsAnswer.NO_RULES),
        (429, RobotsAnswer.UNREADABLE),
        (500, RobotsAnswer.UNREADABLE),
        (503, RobotsAnswer.UNREADABLE),
    ],
)
def test_an_answer_means_what_the_rfc_says(status: int, answer: RobotsAnswer) -> None:
    assert answer_of(status) is answer


def test_rules_are_read_as_utf_8_without_a_mark_at_their_start() -> None:
    assert rules_text(b"\xef\xbb\xbfUser-agent: *\n\xff") == "User-agent: *\n\ufffd"


def test_of_rules_that_are_too_long_the_first_whole_lines_count() -> None:
    line = b"Disallow: /private/\n"
    text = rules_text(line * 100_000)
    assert len(text) <= MAX_ROBOTS_BYTES
    assert len(text) > MAX_ROBOTS_BYTES - len(line)
    assert set(text.splitlines()) == {line.decode().strip()}
    assert rules_text(b"x" * (MAX_ROBOTS_BYTES + 1)) == ""


@pytest.mark.parametrize(
    ("delay", "rate", "expected"),
    [
        (None, None, None),
        (0.0, None, None),
        (4.0, None, 0.25),
        (None, (10, 5), 2.0),
        (4.0, (10, 5), 0.25),
        (0.1, (1, 2), 0.5),
        (1e300, None, 1 / 86400),
        (None, (1, 10**400), 1 / 86400),
    ],
)
def test_the_slower_of_both_rates_holds_and_none_stands_still_for_more_than_a_day(
    delay: float | None, rate: tuple[int, int] | None, expected: float | None
) -> None:
    assert request_rate(delay, rate) == (pytest.approx(expected) if expected is not None else None)


@given(
    delay=st.none() | st.floats(0, allow_infinity=False),
    rate=st.none() | st.tuples(st.integers(), st.integers()),
)
def test_every_rate_is_one_that_can_be_kept(delay: float | None, rate: tuple[int, int] | None) -> None:
    allowed = request_rate(delay, rate)
    assert allowed is None or allowed >= 1 / 86400 * 0.999


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (("https", "flags.test", 443), "https://flags.test"),
        (("http", "flags.test", 8080), "http://flags.test:8080"),
        (("http", "::1", 80), "http://[::1]"),
    ],
)
def test_an_origin_is_written_as_in_a_url(origin: tuple[str, str, int], text: str) -> None:
    assert origin_text(origin) == text


def test_rules_hold_for_a_day_and_a_failure_to_read_them_for_seconds() -> None:
    memory: RobotsMemory[str] = RobotsMemory()
    memory.keep("a", "rules", 0.0)
    memory.keep("b", "failure", 0.0, is_readable=False)
    assert (memory.find("a", 1.9), memory.find("b", 1.9)) == ("rules", "failure")
    assert (memory.find("a", 86399.0), memory.find("b", 2.0)) == ("rules", None)
    assert memory.find("a", 86400.0) is None
    assert len(memory) == 0


def test_the_least_lately_used_origins_are_forgotten_first() -> None:
    memory: RobotsMemory[int] = RobotsMemory(RobotsRules(origins=2))
    memory.keep("a", 1, 0.0)
    memory.keep("b", 2, 0.0)
    memory.find("a", 1.0)
    memory.keep("c", 3, 2.0)
    assert [memory.find(origin, 2.0) for origin in "abc"] == [1, None, 3]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 400), st.integers(0, 3)), max_size=60))
def test_the_bytes_remembered_stay_within_their_bound_and_the_newest_are_always_there(
    steps: list[tuple[int, int, int]],
) -> None:
    memory: RobotsMemory[int] = RobotsMemory(RobotsRules(origins=5, total_bytes=500, lifetime=10.0))
    now = 0.0
    for origin, size, later in steps:
        now += later
        memory.keep(origin, size, now, size=size)
        assert memory.find(origin, now) == size
        assert len(memory) <= 5
        assert memory.size <= 500
        # What is counted is what is there.
        assert memory.size == sum(known[1] for known in memory._known.values())
