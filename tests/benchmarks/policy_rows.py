"""The scenarios of politeness and concurrency: each takes a seed and gives a figure that its goal bounds."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from asyncflags._policies.backing_off import BackingOff, BackingOffRules
from asyncflags._policies.concurrency import AdaptiveRules, levels
from asyncflags._policies.pacing import TokenBucket
from tests.benchmarks.simulated import (
    Client,
    Growing,
    Host,
    Knee,
    Limited,
    Link,
    Server,
    Settings,
    Simulation,
    Stalling,
    Windowed,
)

MEGABYTE = 1_000_000.0
GRID = levels(1, AdaptiveRules().most)
Measured = Knee | Growing | Link

HOSTS: dict[str, Callable[[], Measured]] = {
    "best at 4": lambda: Knee(4),
    "best at 16": lambda: Knee(16),
    "best at 64": lambda: Knee(64),
    "latency grows, best at 16": lambda: Growing(16, power=2),
    "latency grows, never enough": lambda: Growing(8),
    "line of 100 Mbit/s": lambda: Link(12.5 * MEGABYTE, 1.5 * MEGABYTE),
}

LIMITERS: dict[str, Callable[[], Server]] = {
    "bucket of 50": lambda: Limited(),
    "bucket of 5": lambda: Limited(depth=5),
    "windows of 1 s": lambda: Windowed(),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        scenario: What happens.
        goal: What is wanted, for a person.
        measure: The figure of a seed.
        most: The largest figure that is good enough.
        shown: How a figure is printed.
    """

    scenario: str
    goal: str
    measure: Callable[[int], float]
    most: float
    shown: str = "{:.3f}"


def best_fixed(server: Measured) -> float:
    """Answers a second with the best fixed number of connections."""
    return max(server.goodput(level) for level in GRID)


def alone(
    server: Server, seed: int, *, seconds: float, cap: int | None = None, urls: int | None = None
) -> Host:
    """What a client met that downloads from one host."""
    simulation = Simulation(seed)
    names: Iterable[str] = itertools.repeat("host") if urls is None else itertools.repeat("host", urls)
    client = Client(simulation, {"host": server}, names, Settings(slots=256, cap=cap, read_ahead=600))
    client.run(seconds)
    return client.hosts["host"]


def shortfall(kind: str, seed: int) -> float:
    """By which part auto is behind the best fixed number, between 15 s and 45 s."""
    server = HOSTS[kind]()
    host = alone(server, seed, seconds=45)
    start = host.changes[0][0]
    return 1 - host.goodput(start + 15, start + 45) / best_fixed(server)


def delay(kind: str, seed: int) -> float:
    """By which part auto takes longer for what the best fixed number does in 45 s."""
    server = HOSTS[kind]()
    urls = int(45 * best_fixed(server))
    host = alone(server, seed, seconds=math.inf, urls=urls)
    return (host.finished_at() - host.changes[0][0]) * best_fixed(server) / urls - 1


def settled_level(kind: str, seed: int) -> int:
    """The level that auto has found after 60 s."""
    host = alone(HOSTS[kind](), seed, seconds=60)
    assert host.adaptive is not None
    return host.adaptive.best


def disagreement(kind: str, seed: int) -> float:
    """Steps of the grid between the levels of three runs."""
    found = [GRID.index(settled_level(kind, 1000 * run + seed)) for run in (1, 2, 3)]
    return max(found) - min(found)


def limited(kind: str, seed: int, cap: int | None = None) -> tuple[float, float]:
    """From the second minute to the fifth: the part of 50 requests a second that is missed, and of answers 429."""
    host = alone(LIMITERS[kind](), seed, seconds=300, cap=cap)
    start = host.changes[0][0] + 60
    refused = sum(moment >= start for moment in host.refused)
    served = sum(moment >= start for moment, _ in host.served)
    return 1 - served / 240 / 50, refused / (refused + served)


def twenty_hosts(seed: int, *, is_stalling: bool, cap: int | None) -> float:
    """Seconds until 19 hosts with 500 URLs each are done."""
    simulation = Simulation(seed)
    servers: dict[str, Server] = {f"host {number}": Knee(16) for number in range(19)}
    urls = list(servers) * 500
    if is_stalling:
        servers["stalling"] = Stalling()
        urls += ["stalling"] * 500
    simulation.random.shuffle(urls)
    client = Client(simulation, servers, urls, Settings(cap=cap))
    start = simulation.now
    client.run(120)
    hosts = [host for name, host in client.hosts.items() if name != "stalling"]
    assert all(len(host.served) == 500 for host in hosts)
    return max(host.finished_at() for host in hosts) - start


def cost_of_stalling(seed: int, cap: int | None) -> float:
    """By which part 19 hosts take longer beside one that stalls for ever."""
    return twenty_hosts(seed, is_stalling=True, cap=cap) / twenty_hosts(seed, is_stalling=False, cap=cap) - 1


def list_time(seed: int, *, is_sorted: bool, cap: int | None) -> float:
    """Seconds for 10,000 URLs of 10 hosts."""
    simulation = Simulation(seed)
    servers: dict[str, Server] = {f"host {number}": Knee(16, latency=0.1) for number in range(10)}
    urls = list(servers) * 1000
    if is_sorted:
        urls.sort()
    else:
        simulation.random.shuffle(urls)
    client = Client(simulation, servers, urls, Settings(cap=cap))
    start = simulation.now
    client.run()
    return max(host.finished_at() for host in client.hosts.values()) - start


def cost_of_order(seed: int, cap: int | None) -> float:
    """Time of a list sorted by host, as a multiple of the shuffled one's."""
    return list_time(seed, is_sorted=True, cap=cap) / list_time(seed, is_sorted=False, cap=cap)


def events_of_a_refusal(seed: int) -> float:
    """Events, and steps of the exponent, that 64 refusals of requests in flight make together."""
    simulation = Simulation(seed)
    back_off = BackingOff(BackingOffRules())
    sent = [simulation.now + 0.1 * simulation.random.random() for _ in range(64)]
    answers = sorted((max(sent) + simulation.random.random(), moment) for moment in sent)
    events = [
        back_off.refused(now, sent=moment, jitter=simulation.random.random(), retry_after=0.0)
        for now, moment in answers
    ]
    return max(sum(events), back_off.events)


def worst_rate(seed: int) -> float:
    """The largest part by which 16 downloads miss 10 MB/s, then 2 MB/s, over any two seconds of either."""
    simulation = Simulation(seed)
    bucket = TokenBucket(10 * MEGABYTE, now=simulation.now)
    begin = simulation.now
    taken: list[tuple[float, int]] = []
    turns = deque(range(16))
    asked = itertools.count()
    current = 0

    def ask(number: int) -> None:
        if number != current:
            # Somebody changed the rate, and who waits asks anew.
            return
        size = max(1, int(min(65536.0, bucket.burst) * simulation.random.uniform(0.2, 1)))
        wait = bucket.take(simulation.now, size)
        if not wait:
            taken.append((simulation.now, size))
            turns.rotate(-1)
        go_on(wait)

    def go_on(wait: float) -> None:
        nonlocal current
        current = next(asked)
        number = current
        simulation.after(wait, lambda: ask(number))

    def change() -> None:
        bucket.set_rate(2 * MEGABYTE, now=simulation.now)
        go_on(0.0)

    go_on(0.0)
    simulation.at(begin + 10, change)
    simulation.run(begin + 20)
    first = _deviation([each for each in taken if each[0] < begin + 10], 10 * MEGABYTE, begin, begin + 10)
    second = _deviation(
        [each for each in taken if each[0] >= begin + 10], 2 * MEGABYTE, begin + 10, begin + 20
    )
    return max(first, second)


def _deviation(taken: Sequence[tuple[float, int]], rate: float, start: float, stop: float) -> float:
    """The largest relative error of any window of two seconds between *start* and *stop*."""
    moments = [moment for moment, _ in taken]
    sums = list(itertools.accumulate((size for _, size in taken), initial=0))
    worst = 0.0
    for edge in [start, *moments]:
        # Just before an amount and just after it: the fullest and the emptiest windows begin there.
        for begin in (edge, edge + 1e-9):
            if begin + 2 <= stop:
                size = sums[bisect_right(moments, begin + 2)] - sums[bisect_left(moments, begin)]
                worst = max(worst, abs(size / (2 * rate) - 1))
    return worst


def rows() -> list[Row]:
    """The table."""
    table = [
        Row(
            "20 hosts, one stalls for ever; 8 connections each",
            "+5%",
            lambda seed: cost_of_stalling(seed, 8),
            0.05,
        ),
        Row("the same, auto", "+5%", lambda seed: cost_of_stalling(seed, None), 0.05),
    ]
    for kind in LIMITERS:
        for cap, name in ((None, "auto"), (64, "64 connections")):
            table += _limited_rows(kind, cap, name)
    for kind in HOSTS:
        table += [
            Row(f"{kind}: behind the best fixed number", "10%", partial(shortfall, kind), 0.10),
            Row(f"{kind}: longer in all", "15%", partial(delay, kind), 0.15),
            Row(f"{kind}: three runs, steps apart", "1", partial(disagreement, kind), 1, "{:.0f}"),
        ]
    return [
        *table,
        Row("64 in flight refused: events", "1", events_of_a_refusal, 1, "{:.0f}"),
        Row("10 MB/s, then 2 MB/s: error over two seconds", "5%", worst_rate, 0.05),
        Row("list sorted by host, 8 connections: time", "1.1", lambda seed: cost_of_order(seed, 8), 1.1),
        Row("the same, auto", "1.1", lambda seed: cost_of_order(seed, None), 1.1),
    ]


def _limited_rows(kind: str, cap: int | None, name: str) -> list[Row]:
    # Both figures are of one and the same run.
    run = cache(partial(limited, kind, cap=cap))
    return [
        Row(f"50 requests/s, {kind}, {name}: missed", "10%", lambda seed: run(seed)[0], 0.10),
        Row(f"50 requests/s, {kind}, {name}: answers 429", "3%", lambda seed: run(seed)[1], 0.03, "{:.4f}"),
    ]
