"""What the policies of politeness and concurrency decide, in simulated time: each row over 20 seeds.

``python tests/benchmarks/bench_policy.py [--seeds N] [--first SEED] [--only TEXT]``

A figure is one of the simulation, the same on every machine, except for the cost of scheduling at the end, of which
only the ratio travels. Not collected by the tests, which hold a few seeds of the same rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

# As a script it knows its own folder alone.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asyncflags._policies.lanes import Lanes
from tests.benchmarks.policy_rows import Row, rows

HOLDS = 0.95
GOAL_OF_COST = 1.1


@cache
def table() -> list[Row]:
    return rows()


def figure(place: tuple[int, int]) -> float:
    row, seed = place
    return table()[row].measure(seed)


def costs(few: int, many: int, repetitions: int = 5) -> tuple[float, float]:
    """Microseconds of scheduling for each URL of a short list and of a long one: medians, taken in turns."""
    pairs = [(_pass_through(few), _pass_through(many)) for _ in range(repetitions)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _pass_through(urls: int, hosts: int = 1000) -> float:
    lanes: Lanes[int, int] = Lanes(slots=64, cap=8, read_ahead=32_768)
    under_way: list[int] = []
    read = 0
    started = time.process_time()
    while read < urls or lanes or under_way:
        while read < urls and lanes.wants_more:
            lanes.add(read % hosts, read)
            read += 1
        while (given := lanes.next(0.0)) is not None:
            under_way.append(given[0])
        for host in under_way:
            lanes.done(host)
        under_way.clear()
    return (time.process_time() - started) / urls * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each row")
    parser.add_argument("--only", default="", help="rows with this text in their scenario")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    chosen = [index for index, row in enumerate(table()) if options.only in row.scenario]
    failures = 0
    print(f"{'scenario':62} {'goal':>5} {'median':>7} {'worst':>7}  holds")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        places = [
            (index, seed) for index in chosen for seed in range(options.first, options.first + options.seeds)
        ]
        figures = pool.map(figure, places)
        for index in chosen:
            row = table()[index]
            measured = [next(figures) for _ in range(options.seeds)]
            good = sum(each <= row.most for each in measured)
            failures += good < HOLDS * options.seeds
            median, worst = row.shown.format(statistics.median(measured)), row.shown.format(max(measured))
            print(
                f"{row.scenario:62} {row.goal:>5} {median:>7} {worst:>7}  {good} of {options.seeds}",
                flush=True,
            )
    if not options.only:
        few, many = costs(10_000, 1_000_000)
        print(f"scheduling, 1,000 hosts: {few:.2f} us of CPU a URL of 10,000, {many:.2f} us of 1,000,000")
        print(f"{'the same, as a ratio':62} {GOAL_OF_COST:>5} {many / few:>7.3f}")
        failures += many > GOAL_OF_COST * few
    print(f"{failures} rows miss their goal" if failures else "every row holds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
