"""What is remembered of names: for how long, in which order it is given out, and how much."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.dns_cache import Addresses, DnsCache, DnsRules, Refusal

RULES = DnsRules()
FOUR = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
SIX = ["2001:db8::1", "2001:db8::2"]


def family(address: str) -> int:
    return 6 if ":" in address else 4


def cache(**rules: float) -> DnsCache[str]:
    return DnsCache(family, DnsRules(**rules))  # type: ignore[arg-type]


def known_at(known: DnsCache[str], now: float) -> list[str] | object | None:
    found = known.find("flags.test", now)
    return sorted(found.turned()) if isinstance(found, Addresses) else found


def test_addresses_hold_for_a_minute_and_serve_a_further_one_while_they_are_asked_for_again() -> None:
    known = cache()
    known.learn("flags.test", FOUR, 0.0)
    assert (known_at(known, 59.9), known.wants_refresh("flags.test", 59.9)) == (FOUR, False)
    assert (known_at(known, 60.0), known.wants_refresh("flags.test", 60.0)) == (FOUR, True)
    assert known_at(known, 119.9) == FOUR
    assert known_at(known, 120.0) is None


@pytest.mark.parametrize(("is_temporary", "seconds"), [(True, RULES.failed), (False, RULES.missing)])
def test_a_failure_is_remembered_briefly_and_recovers_by_itself(is_temporary: bool, seconds: float) -> None:
    known = cache()
    known.refuse("flags.test", "why", 0.0, is_temporary=is_temporary)
    found = known.find("flags.test", seconds - 0.1)
    assert isinstance(found, Refusal)
    assert found.reason == "why"
    assert known.find("flags.test", seconds) is None
    assert len(known) == 0


def test_a_resolver_that_cannot_tell_takes_away_no_address_that_still_serves() -> None:
    known = cache()
    known.learn("flags.test", FOUR, 0.0)
    known.refuse("flags.test", "why", 70.0, is_temporary=True)
    assert known_at(known, 70.0) == FOUR
    assert not known.wants_refresh("flags.test", 70.9)
    assert known.wants_refresh("flags.test", 71.0)
    assert known_at(known, 120.0) is None


def test_a_name_that_is_gone_takes_its_addresses_with_it() -> None:
    known = cache()
    known.learn("flags.test", FOUR, 0.0)
    known.refuse("flags.test", "gone", 70.0, is_temporary=False)
    assert isinstance(known.find("flags.test", 70.0), Refusal)


def test_a_failure_that_is_remembered_asks_for_no_refresh() -> None:
    known = cache()
    known.refuse("flags.test", "why", 0.0, is_temporary=True)
    assert not known.wants_refresh("flags.test", 0.5)
    assert not known.wants_refresh("other.test", 0.5)


@given(four=st.integers(0, 5), six=st.integers(0, 5), callers=st.integers(1, 40), flip=st.booleans())
def test_each_address_of_a_family_is_the_first_equally_often_and_none_is_ever_left_out(
    four: int, six: int, callers: int, flip: bool
) -> None:
    found = [f"192.0.2.{n}" for n in range(four)] + [f"2001:db8::{n}" for n in range(six)]
    found = found[::-1] if flip else found
    addresses = Addresses(found, family)
    orders = [addresses.turned() for _ in range(callers)]
    assert all(sorted(order) == sorted(found) for order in orders)
    for wanted in {family(each) for each in found}:
        firsts = Counter(next(each for each in order if family(each) == wanted) for order in orders)
        size = sum(family(each) == wanted for each in found)
        assert max(firsts.values()) - (min(firsts.values()) if len(firsts) == size else 0) <= 1
    # The system's choice of the family that comes first stays.
    assert all(family(order[0]) == family(found[0]) for order in orders if found)


def test_of_an_answer_with_thousands_of_addresses_few_are_kept() -> None:
    addresses = cache().learn("flags.test", [f"192.0.2.{n}" for n in range(5000)], 0.0)
    assert len(addresses.turned()) == RULES.addresses


def test_what_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    known = cache(names=2)
    known.learn("first.test", FOUR, 0.0)
    known.learn("second.test", FOUR, 0.0)
    known.find("first.test", 1.0)
    known.refuse("third.test", "why", 2.0, is_temporary=True)
    assert known.find("second.test", 2.0) is None
    assert known.find("first.test", 2.0) is not None
    assert known.find("third.test", 2.0) is not None


def ask(known: DnsCache[str], first: int, last: int, chance: random.Random) -> None:
    for number in range(first, last):
        name = f"host-{number}.test"
        if known.find(name, number * 0.001) is None and chance.random() < 0.2:
            known.refuse(name, "why", number * 0.001, is_temporary=chance.random() < 0.5)
        else:
            known.learn(name, FOUR[: chance.randint(1, 3)], number * 0.001)


def test_two_hundred_thousand_names_take_no_more_memory_than_twenty_thousand() -> None:
    known, chance = cache(), random.Random(5)
    ask(known, 0, 20_000, chance)
    tracemalloc.start()
    try:
        ask(known, 20_000, 40_000, chance)
        before, _ = tracemalloc.get_traced_memory()
        ask(known, 40_000, 200_000, chance)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(known) == RULES.names
    assert after < before * 1.05
