"""Lists without end: what a URL costs, and how much memory stays, at 10,000 URLs and at a million.

``python tests/benchmarks/bench_lists.py [--count N] [--hosts N] [--order mixed|sorted]``

There is no network and no disk in it: answers are scripted and bodies go into memory and are dropped, so what is
left is what planning, scheduling and reporting cost. Not collected by the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from asyncflags import AsyncDownloader
from asyncflags._engine.planning import memory
from asyncflags._transports.base import ExchangeRequest, ResponseStream, Room, Transport

try:
    import uvloop
except ImportError:
    # Windows has none.
    uvloop = None  # type: ignore[assignment]

FEW = 10_000
GOAL_OF_COST = 1.10
GOAL_OF_MEMORY = 50 << 20
BODY = b"flag"
HEAD = (("Content-Length", str(len(BODY))),)


class Answer(ResponseStream):
    """The same few bytes for every URL."""

    __slots__ = ("_rest", "http_version", "status")

    def __init__(self) -> None:
        self.status = 200
        self.http_version = (1, 1)
        self._rest = BODY

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return HEAD

    def header(self, name: str) -> str | None:
        return HEAD[0][1] if name.lower() == "content-length" else None

    async def receive(self, room: Room) -> bytes:
        data, self._rest = self._rest, b""
        return data

    async def aclose(self) -> None:
        """Nothing was opened."""


class Scripted(Transport):
    """As `MockTransport`, but it remembers nothing, which over a million requests would be what is measured."""

    async def open(self, request: ExchangeRequest) -> ResponseStream:
        # Every network gives the loop back at least once.
        await asyncio.sleep(0)
        return Answer()

    async def aclose(self) -> None:
        """Nothing was opened."""


async def in_memory(engine: Any, dest: Any) -> Any:
    return memory


def downloader() -> AsyncDownloader:
    """One whose lists keep each body in memory until its outcome is dropped."""
    made = AsyncDownloader(transport=Scripted(), durability="rename")
    # Older versions look for the folder of a run in the downloader itself, and are measured as well.
    owner: Any = getattr(made, "_runs", made)
    owner._folder = in_memory
    return made


@dataclass(frozen=True)
class Figures:
    """CPU in microseconds a URL over the whole list and over its last tenth, and the most resident memory seen."""

    cost: float
    last_cost: float
    resident: int


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def urls(count: int, hosts: int, order: str) -> Iterator[str]:
    share = max(1, count // hosts)
    for number in range(count):
        host = number // share if order == "sorted" else number % hosts
        yield f"http://host-{host}.test/file-{number}"


async def run(count: int, hosts: int, order: str) -> Figures:
    most, done, last = 0, 0, 0.0
    gc.collect()
    began = time.process_time()
    async with downloader() as dl:
        async with dl.as_completed(urls(count, hosts, order), ".") as outcomes:
            async for outcome in outcomes:
                assert outcome.result is not None, outcome.error
                done += 1
                if done % 5000 == 0:
                    most = max(most, resident())
                if done == count - count // 10:
                    last = time.process_time()
    ended = time.process_time()
    assert done == count
    return Figures((ended - began) / count * 1e6, (ended - last) / (count // 10) * 1e6, most)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if uvloop is not None:
        return uvloop.new_event_loop
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--order", choices=("mixed", "sorted"), default="mixed")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        few = [runner.run(run(FEW, options.hosts, options.order)) for _ in range(6)][1:]
        cost = statistics.median(figures.cost for figures in few)
        before = few[-1].resident
        many = runner.run(run(options.count, options.hosts, options.order))
    growth = many.resident - before
    print(f"{FEW:>9,} URLs  {cost:7.1f} us of CPU a URL  {before / 1e6:7.1f} MB resident")
    print(
        f"{options.count:>9,} URLs  {many.cost:7.1f} us of CPU a URL  {many.resident / 1e6:7.1f} MB resident"
    )
    print(f"              {many.last_cost:7.1f} us over the last tenth")
    holds = many.cost <= cost * GOAL_OF_COST and growth <= GOAL_OF_MEMORY
    print(f"ratio {many.cost / cost:.3f} (goal {GOAL_OF_COST}), growth {growth / 1e6:.1f} MB (goal 52.4)")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
