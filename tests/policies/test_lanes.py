from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asyncflags._policies.lanes import Lanes


def lanes_of(text: str, *, slots: int = 100, cap: int = 100, read_ahead: int = 1000) -> Lanes[str, int]:
    """One item for each letter, whose host the letter is."""
    lanes: Lanes[str, int] = Lanes(slots=slots, cap=cap, read_ahead=read_ahead)
    for number, host in enumerate(text):
        lanes.add(host, number)
    return lanes


def order(lanes: Lanes[str, int], now: float = 0.0) -> str:
    """Whose turn it is until nobody can have one."""
    hosts = ""
    while (given := lanes.next(now)) is not None:
        hosts += given[0]
    return hosts


def test_a_list_sorted_by_host_is_served_in_turns() -> None:
    assert order(lanes_of("aaaabbbbcc")) == "abcabcabab"


def test_items_of_one_host_keep_their_order() -> None:
    lanes = lanes_of("abab")
    assert [lanes.next(0.0) for _ in range(4)] == [("a", 0), ("b", 1), ("a", 2), ("b", 3)]


def test_a_host_that_comes_later_neither_waits_for_the_others_nor_catches_up() -> None:
    lanes = lanes_of("a" * 10)
    for _ in range(5):
        lanes.next(0.0)
    for number in range(3):
        lanes.add("b", number)
    assert order(lanes) == "bababaaa"


def test_the_cap_of_a_host_holds_and_delays_no_other() -> None:
    lanes = lanes_of("aaaabb", cap=2)
    assert order(lanes) == "abab"
    lanes.done("a")
    assert order(lanes) == "a"


def test_the_slots_of_all_hosts_hold() -> None:
    lanes = lanes_of("aabbcc", slots=3)
    assert order(lanes) == "abc" and lanes.free == 0
    lanes.done("b")
    assert len(order(lanes)) == 1


def test_a_higher_priority_goes_first_over_all_hosts() -> None:
    lanes = lanes_of("aab")
    lanes.add("b", 9, priority=1)
    lanes.add("c", 10, priority=2)
    assert [lanes.next(0.0) for _ in range(5)] == [("c", 10), ("b", 9), ("a", 0), ("b", 2), ("a", 1)]


def test_a_host_that_rests_delays_no_other_and_comes_back_in_time() -> None:
    lanes = lanes_of("aabb")
    lanes.pause("a", 5.0)
    assert order(lanes, 4.9) == "bb"
    assert lanes.wake_at() == 5.0
    assert order(lanes, 5.0) == "aa" and lanes.wake_at() == math.inf


def test_of_several_pauses_the_last_end_counts_until_it_is_lifted() -> None:
    lanes = lanes_of("a")
    lanes.pause("a", 5.0)
    lanes.pause("a", 3.0)
    assert order(lanes, 4.0) == "" and lanes.wake_at() == 5.0
    lanes.resume("a")
    assert order(lanes, 4.0) == "a"


def test_a_host_that_is_not_admitted_rests_as_long_as_it_is_told() -> None:
    lanes = lanes_of("aabb")
    assert lanes.next(1.0, lambda host: 2.0 if host == "a" else 0.0) == ("b", 2)
    assert lanes.wake_at() == 3.0
    assert lanes.next(3.0, lambda host: 0.0) == ("a", 0)


def test_a_slot_that_is_lent_serves_others_and_still_counts_for_its_host() -> None:
    lanes = lanes_of("aaab", slots=2, cap=2)
    assert order(lanes) == "ab"
    lanes.done("b")
    assert order(lanes) == "a" and lanes.free == 0
    lanes.stalled("a")
    lanes.stalled("a")
    lanes.add("c", 0)
    assert order(lanes) == "c" and lanes.in_flight == 3
    lanes.revived("a")
    lanes.revived("a")
    assert lanes.free == -1
    lanes.done("a")
    assert order(lanes) == ""


def test_no_more_slots_are_lent_than_there_are() -> None:
    lanes = lanes_of("a" * 10, slots=2)
    for _ in range(8):
        if lanes.next(0.0):
            lanes.stalled("a")
    assert lanes.in_flight == 4 and lanes.free == 0


def test_a_cap_that_changes_holds_at_once() -> None:
    lanes = lanes_of("a" * 9, cap=2)
    assert order(lanes) == "aa"
    lanes.set_cap("a", 4)
    assert order(lanes) == "aa"
    lanes.set_cap("a", 1)
    lanes.done("a")
    assert order(lanes) == ""


def test_what_is_dropped_comes_back_in_order_and_leaves_nothing() -> None:
    lanes = lanes_of("aaab")
    lanes.add("a", 9, priority=5)
    assert lanes.drop("a") == [9, 0, 1, 2] and lanes.drop("z") == []
    assert (len(lanes), lanes.hosts) == (1, 1)
    assert order(lanes) == "b"


def test_memory_is_spent_on_hosts_with_work_alone() -> None:
    lanes: Lanes[int, int] = Lanes(slots=2, cap=2, read_ahead=10)
    for host in range(5000):
        lanes.add(host, host)
        lanes.pause(host, float(host))
        lanes.resume(host)
        assert lanes.next(0.0) == (host, host)
        lanes.done(host)
        assert lanes.hosts == 0
    assert len(lanes._ready) + len(lanes._resting) < 200


def test_a_host_that_rests_without_work_is_forgotten_when_its_pause_ends() -> None:
    lanes = lanes_of("a")
    lanes.next(0.0)
    lanes.pause("a", 5.0)
    lanes.done("a")
    assert lanes.hosts == 1
    lanes.next(5.0)
    assert lanes.hosts == 0


def test_the_feeder_stops_at_its_budget() -> None:
    lanes = lanes_of("a" * 49, slots=4, cap=1, read_ahead=50)
    assert lanes.wants_more
    lanes.add("a", 0)
    assert not lanes.wants_more
    lanes.next(0.0)
    assert lanes.wants_more


def test_the_feeder_stops_where_two_hosts_for_each_slot_can_begin() -> None:
    lanes = lanes_of("abcdefg", slots=4)
    assert lanes.wants_more
    lanes.add("h", 0)
    assert not lanes.wants_more


def test_hosts_that_rest_or_are_full_do_not_stop_the_feeder() -> None:
    lanes = lanes_of("abcdefghabcdefgh", slots=4, cap=1)
    assert not lanes.wants_more
    for host in "abcd":
        lanes.pause(host, 9.0)
    assert lanes.wants_more


@pytest.mark.parametrize("name", ["slots", "cap", "read_ahead"])
def test_impossible_limits_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Lanes(**{"slots": 1, "cap": 1, "read_ahead": 1, name: 0})


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=200), st.integers(1, 9))
def test_no_host_with_work_is_more_than_a_turn_behind_another(hosts: list[str], slots: int) -> None:
    lanes = lanes_of("".join(hosts), slots=slots)
    left, turns = Counter(hosts), Counter[str]()
    while (given := lanes.next(0.0)) is not None:
        turns[given[0]] += 1
        lanes.done(given[0])
        assert all(turns[given[0]] - turns[host] <= 1 for host in left if turns[host] < left[host])
    assert turns == left


class AgainstAModel(RuleBasedStateMachine):
    """Whatever is done, nothing is lost or given twice, and every bound holds."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[int, int] = Lanes(slots=3, cap=2, read_ahead=8)
        self.now = 0.0
        self.number = 0
        self.waiting: dict[int, set[int]] = {host: set() for host in range(4)}
        self.under_way: Counter[int] = Counter()
        self.silent: Counter[int] = Counter()
        self.resting: dict[int, float] = {}

    @rule(host=st.integers(0, 3), priority=st.integers(0, 2))
    def add(self, host: int, priority: int) -> None:
        self.number += 1
        self.lanes.add(host, self.number, priority=priority)
        self.waiting[host].add(self.number)

    @rule(elapsed=st.integers(0, 3))
    def pass_time(self, elapsed: int) -> None:
        self.now += elapsed

    @rule()
    def take(self) -> None:
        taken = self.lanes.next(self.now)
        able = [
            host
            for host, items in self.waiting.items()
            if items and self.under_way[host] < 2 and self.resting.get(host, -1.0) <= self.now
        ]
        free = 3 - self.under_way.total() + min(3, self.silent.total())
        assert (taken is not None) == (bool(able) and free > 0)
        if taken is not None:
            assert taken[0] in able
            self.waiting[taken[0]].remove(taken[1])
            self.under_way[taken[0]] += 1

    @precondition(lambda self: self.under_way.total() > self.silent.total())
    @rule(data=st.data(), is_end=st.booleans())
    def go_on(self, data: st.DataObject, is_end: bool) -> None:
        host = data.draw(st.sampled_from(sorted((self.under_way - self.silent).elements())))
        if is_end:
            self.lanes.done(host)
            self.under_way[host] -= 1
        else:
            self.lanes.stalled(host)
            self.silent[host] += 1

    @precondition(lambda self: self.silent.total())
    @rule(data=st.data())
    def revive(self, data: st.DataObject) -> None:
        host = data.draw(st.sampled_from(sorted(self.silent.elements())))
        self.lanes.revived(host)
        self.silent[host] -= 1

    @rule(host=st.integers(0, 3), seconds=st.integers(0, 4))
    def pause(self, host: int, seconds: int) -> None:
        if self.waiting[host]:
            self.lanes.pause(host, self.now + seconds)
            self.resting[host] = max(self.resting.get(host, -1.0), self.now + seconds)

    @rule(host=st.integers(0, 3))
    def drop(self, host: int) -> None:
        assert set(self.lanes.drop(host)) == self.waiting[host]
        self.waiting[host].clear()

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.lanes) == sum(map(len, self.waiting.values()))
        assert self.lanes.in_flight == self.under_way.total()
        assert all(self.lanes.queued(host) == len(items) for host, items in self.waiting.items())
        assert self.lanes.hosts <= 4


AgainstAModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_against_a_model = AgainstAModel.TestCase
