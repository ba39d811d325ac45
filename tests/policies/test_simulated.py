"""The scenarios of `tests/benchmarks/bench_policy.py`, small: a few seeds, in simulated time."""

from __future__ import annotations

import pytest

from tests.benchmarks import policy_rows
from tests.benchmarks.simulated import Client, Knee, Server, Settings, Simulation, Stalling

SEEDS = [101, 102]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cap", [8, None])
def test_a_host_that_stalls_for_ever_costs_the_others_less_than_5_percent(seed: int, cap: int | None) -> None:
    assert policy_rows.cost_of_stalling(seed, cap) <= 0.05


@pytest.mark.parametrize("kind", policy_rows.LIMITERS)
@pytest.mark.parametrize("cap", [64, None])
def test_a_host_that_allows_50_a_second_gets_nearly_that(kind: str, cap: int | None) -> None:
    missed, refused = policy_rows.limited(kind, SEEDS[0], cap)
    assert missed <= 0.10 and refused <= 0.03


@pytest.mark.parametrize(
    "kind", ["best at 4", "best at 16", "latency grows, best at 16", "line of 100 Mbit/s"]
)
def test_auto_is_as_good_as_the_best_fixed_number(kind: str) -> None:
    assert policy_rows.shortfall(kind, SEEDS[0]) <= 0.10
    assert policy_rows.delay(kind, SEEDS[0]) <= 0.15


@pytest.mark.parametrize("kind", ["best at 4", "best at 16", "line of 100 Mbit/s"])
def test_three_runs_end_within_a_step_of_each_other(kind: str) -> None:
    assert policy_rows.disagreement(kind, SEEDS[0]) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_64_refusals_are_one_event(seed: int) -> None:
    assert policy_rows.events_of_a_refusal(seed) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_16_downloads_keep_to_a_rate_that_changes(seed: int) -> None:
    assert policy_rows.worst_rate(seed) <= 0.05


@pytest.mark.parametrize("cap", [8, None])
def test_a_list_sorted_by_host_takes_no_longer_than_a_shuffled_one(cap: int | None) -> None:
    assert policy_rows.cost_of_order(SEEDS[0], cap) <= 1.1


def test_a_read_ahead_too_small_to_see_the_second_host_serves_one_at_a_time() -> None:
    """What the budget is for: the simulation tells when it is missing."""
    servers: dict[str, Server] = {"first": Knee(16), "second": Knee(16)}
    simulation = Simulation(1)
    urls = ["first"] * 400 + ["second"] * 400
    client = Client(simulation, servers, urls, Settings(cap=8, read_ahead=16))
    client.run()
    first, second = client.hosts.values()
    assert sum(moment < first.served[300][0] for moment, _ in second.served) == 0


def test_urls_of_a_host_that_stalls_fail_in_the_end() -> None:
    simulation = Simulation(1)
    client = Client(simulation, {"host": Stalling()}, ["host"] * 3, Settings(cap=8, retries=1))
    client.run()
    assert client.failed["host"] == 3 and client.lanes.hosts == 0
