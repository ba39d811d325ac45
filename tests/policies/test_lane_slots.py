"""Slots of hosts for what has begun, sleepers, and flows that share the lanes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.lanes import Lanes

from .test_lanes import lanes_of, order


def test_a_request_of_what_has_begun_goes_first_and_needs_no_slot_of_all() -> None:
    lanes = lanes_of("aab", slots=1)
    assert lanes.next(0.0) == ("a", 0)
    lanes.ask("b", 77)
    assert lanes.waiting("b") == 1
    assert lanes.next(0.0) == ("b", 77)
    assert (lanes.free, lanes.in_flight, lanes.active) == (0, 2, 1)
    lanes.vacate("b")
    lanes.ask("a", 78)
    lanes.done("a")
    assert [lanes.next(0.0), lanes.next(0.0)] == [("a", 78), ("b", 2)]


def test_a_request_waits_for_its_host_and_may_step_out() -> None:
    lanes = lanes_of("aa", cap=1)
    lanes.next(0.0)
    first, second = lanes.ask("a", 7), lanes.ask("a", 8, priority=1)
    assert lanes.next(0.0) is None
    lanes.recant("a", second)
    lanes.vacate("a")
    assert lanes.next(0.0) == ("a", 7)
    lanes.vacate("a")
    assert lanes.next(0.0) == ("a", 1) and first


def test_who_sleeps_has_no_slot_and_takes_one_back_without_waiting() -> None:
    lanes = lanes_of("ab", slots=1)
    lanes.next(0.0)
    lanes.vacate("a")
    lanes.sleep("a")
    assert (lanes.free, lanes.asleep) == (1, 1)
    assert lanes.next(0.0) == ("b", 1)
    lanes.wake("a")
    assert lanes.free == -1
    lanes.finish()
    lanes.done("b")
    assert (lanes.free, lanes.hosts) == (1, 0)


def test_only_so_many_of_a_host_may_sleep_before_no_more_begin() -> None:
    lanes = lanes_of("aaaaab", cap=1)
    for _ in range(2):
        assert lanes.next(0.0) is not None
        lanes.vacate("a") if lanes.queued("b") else lanes.vacate("b")
        lanes.sleep("a")
    assert order(lanes) == ""
    lanes.wake("a")
    assert order(lanes) == "a"


def test_only_so_many_of_all_may_sleep_before_nobody_begins() -> None:
    lanes = lanes_of("abcdefgh", slots=1, cap=9)
    for _ in range(4):
        given = lanes.next(0.0)
        assert given is not None
        lanes.vacate(given[0])
        lanes.sleep(given[0])
    assert order(lanes) == "" and lanes.free == 1
    lanes.wake("a")
    lanes.finish()
    assert order(lanes) == "e"


def test_several_flows_take_turns_at_one_host() -> None:
    lanes: Lanes[str, str] = Lanes(slots=100, cap=100, read_ahead=100)
    for flow in "xy":
        for number in range(3):
            lanes.add("a", f"{flow}{number}", flow=flow)
    assert lanes.hosts == 1
    given = [lanes.next(0.0) for _ in range(6)]
    assert given == [("a", item) for item in ("x0", "y0", "x1", "y1", "x2", "y2")]


def test_a_flow_that_is_held_is_in_nobody_s_way_until_it_is_released() -> None:
    lanes: Lanes[str, str] = Lanes(slots=100, cap=100, read_ahead=100)
    for flow in "xy":
        for host in "ab":
            lanes.add(host, flow, flow=flow)
    given = [lanes.next(0.0, None, lambda item: item == "x") for _ in range(3)]
    assert given == [("a", "y"), ("b", "y"), None]
    lanes.release("x")
    assert [lanes.next(0.0) for _ in range(2)] == [("a", "x"), ("b", "x")]


def test_a_flow_that_leaves_takes_its_items_out() -> None:
    lanes: Lanes[str, str] = Lanes(slots=100, cap=100, read_ahead=100)
    for host in "ab":
        lanes.add(host, "x", flow="x")
    lanes.add("a", "y", flow="y")
    assert lanes.leave("x") == ["x", "x"]
    assert (len(lanes), lanes.hosts) == (1, 1)
    assert lanes.next(0.0) == ("a", "y")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50), st.data())
def test_items_that_step_out_are_never_given(priorities: list[int], data: st.DataObject) -> None:
    lanes: Lanes[str, int] = Lanes(slots=100, cap=100, read_ahead=1000)
    numbers = [lanes.add("a", item, priority=priority) for item, priority in enumerate(priorities)]
    gone = data.draw(st.sets(st.sampled_from(range(len(numbers)))))
    for item in gone:
        lanes.withdraw("a", numbers[item])
    left = sorted(set(range(len(numbers))) - gone, key=lambda item: (-priorities[item], item))
    assert len(lanes) == lanes.queued("a") == len(left)
    assert [item for _, item in iter(lambda: lanes.next(0.0) or ("", -1), ("", -1))] == left


def test_a_decision_does_not_look_at_every_host() -> None:
    """A hundred times the hosts cost a few more comparisons and not a hundred times as many."""

    class Counted(float):
        comparisons = 0

        def __lt__(self, other: float) -> bool:
            Counted.comparisons += 1
            return float(self) < float(other)

        def __neg__(self) -> Counted:
            return Counted(-float(self))

    def comparisons(hosts: int) -> float:
        source = random.Random(1)
        lanes: Lanes[int, int] = Lanes(slots=4, cap=4, read_ahead=10**6)
        for number in range(2 * hosts):
            lanes.add(number % hosts, number, priority=Counted(source.random()))
        Counted.comparisons = 0
        for _ in range(100):
            given = lanes.next(0.0)
            assert given is not None
            lanes.done(given[0])
        return Counted.comparisons / 100

    few, many = comparisons(100), comparisons(10_000)
    assert few > 0 and many < 4 * few
