"""What leaving the loop for a thread costs, measured here and now: medians, each beside its peer in one run.

``python tests/benchmarks/bench_bridges.py [--repetitions N] [--items N] [--folder PATH]``

The peers of a row take turns within a repetition, so that a noisy machine is noisy for all of them. Not
collected by the tests: figures belong to a machine, and only their ratios travel.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from asyncflags.bridges import ThreadBridge
from asyncflags.bridges._loop_thread import loop_factory
from asyncflags.bridges.grouped import GroupedCalls

Work = Callable[[], Awaitable[object]]

HOPS = 640
CALLERS = 64
ROUNDS = 16
BODY = os.urandom(4096)
TICK_SECONDS = 0.001


def nothing() -> None:
    """The work of a hop that is priced alone."""


def write_file(path: str) -> None:
    """A small file as downloads write it: beside its name, then under it."""
    with open(path + ".part", "wb", buffering=0) as part:
        part.write(BODY)
    os.replace(path + ".part", path)


class Stall:
    """The longest time for which a loop did not look after its timers, beyond what it was to wait anyway."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._wait()

    def _wait(self) -> None:
        # Not the loop's own clock, which uvloop keeps in whole milliseconds.
        self._since = time.perf_counter()
        self._handle = self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._since - TICK_SECONDS)
        self._wait()

    def stop(self) -> float:
        self._handle.cancel()
        return max(self.longest, time.perf_counter() - self._since - TICK_SECONDS)


async def one_after_another(work: Work) -> None:
    for _ in range(HOPS):
        await work()


async def side_by_side(work: Work) -> None:
    for _ in range(HOPS // CALLERS):
        await asyncio.gather(*(work() for _ in range(CALLERS)))


async def timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def in_turn(cases: Mapping[str, Work], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each case in each repetition, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(repetitions + 1):
        for name, work in cases.items():
            taken = await timed(work())
            if repetition:
                seconds[name].append(taken)
    return seconds


def show(title: str, seconds: dict[str, list[float]], each: int, notes: dict[str, str]) -> None:
    """Print one row: microseconds of each case, and its ratio to the first one."""
    print(f"\n{title}")
    base = 0.0
    for name, values in seconds.items():
        median = statistics.median(values) / each * 1e6
        base = base or median
        low, high = min(values) / each * 1e6, max(values) / each * 1e6
        print(
            f"  {name:<34}{median:>9.1f} us  {median / base:>5.2f}   "
            f"({low:.1f} to {high:.1f}) {notes.get(name, '')}"
        )


def placements() -> dict[str, tuple[set[int], set[int]] | None]:
    """Processors of the loop and of the threads, by description; ``None``: wherever the system puts them."""
    found: dict[str, tuple[set[int], set[int]] | None] = {"where the system puts it": None}
    if hasattr(os, "sched_getaffinity"):
        first, *others = sorted(os.sched_getaffinity(0))
        found["on the loop's processor"] = {first}, {first}
        if others:
            found["on another processor"] = {first}, {others[0]}
    return found


def pin(processors: set[int]) -> None:
    """Keep the calling thread on *processors*."""
    os.sched_setaffinity(0, processors)


async def hops(repetitions: int) -> None:
    """A thread hop, one after another and 64 wide.

    Which processor the thread is on decides half of the price, and the system chooses another one from time to
    time, for whichever of the peers runs then. So each repetition has threads of its own, the peers begin in
    turn, and there are more repetitions than of other rows; those with a fixed choice tell more.
    """
    everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    for place, processors in placements().items():
        for title, mode in (("one after another", one_after_another), ("64 wide", side_by_side)):
            seconds: dict[str, list[float]] = {}
            try:
                for number in range(4 * repetitions):
                    await hop_once(mode, processors, seconds, is_reversed=bool(number % 2))
            finally:
                if processors is not None:
                    pin(everywhere)
            count = HOPS if mode is one_after_another else HOPS // CALLERS * CALLERS
            show(f"thread hop, {title}, thread {place}", seconds, count, {})


async def hop_once(
    mode: Callable[[Work], Awaitable[None]],
    processors: tuple[set[int], set[int]] | None,
    seconds: dict[str, list[float]],
    *,
    is_reversed: bool,
) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        async with ThreadBridge(1) as bridge:
            if processors is not None:
                pin(processors[0])
                await loop.run_in_executor(executor, pin, processors[1])
                await bridge.run(pin, processors[1])
            works: dict[str, Work] = {
                "run_in_executor, ThreadPool(1)": functools.partial(loop.run_in_executor, executor, nothing),
                "ThreadBridge(1).run": functools.partial(bridge.run, nothing),
                "... with a timeout": functools.partial(bridge.with_options(timeout=60).run, nothing),
            }
            # The first of them is what the others are compared with, whoever begins.
            for name in works:
                seconds.setdefault(name, [])
            for name, work in reversed(works.items()) if is_reversed else works.items():
                await work()
                seconds[name].append(await timed(mode(work)))


async def writers(write: Callable[[str], Awaitable[object]], folder: str) -> float:
    """Each of 64 callers writes its files; the longest stall of the loop meanwhile, in seconds."""
    stall = Stall()

    async def caller(number: int) -> None:
        for _ in range(ROUNDS):
            await write(f"{folder}/{number}")

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return stall.stop()


def in_milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.2f} ms (worst {max(seconds) * 1e3:.2f})"


async def files(repetitions: int, folder: str) -> None:
    """64 callers each writing a 4 KiB file: directly, a hop a file, and grouped."""
    loop = asyncio.get_running_loop()
    stalls: dict[str, list[float]] = {}

    async def directly(path: str) -> None:
        write_file(path)
        # A caller has something to wait for between two files: the next body.
        await asyncio.sleep(0)

    with ThreadPoolExecutor(1) as executor:
        async with ThreadBridge(4) as bridge:
            grouped = GroupedCalls(bridge)
            ways: dict[str, Callable[[str], Awaitable[object]]] = {
                "directly on the loop": directly,
                "grouped": lambda path: grouped.run(write_file, path, key=path, size=len(BODY)),
                "a hop a file, ThreadBridge(4)": lambda path: bridge.run(write_file, path),
                "a hop a file, ThreadPool(1)": lambda path: loop.run_in_executor(executor, write_file, path),
            }

            async def one(name: str) -> None:
                stalls.setdefault(name, []).append(await writers(ways[name], folder))

            cases: dict[str, Work] = {name: functools.partial(one, name) for name in ways}
            seconds = await in_turn(cases, repetitions)
    notes = {name: f"longest stall {in_milliseconds(values[1:])}" for name, values in stalls.items()}
    show("64 callers, 4 KiB files: temp, write, rename", seconds, CALLERS * ROUNDS, notes)
    print(f"  groups: {grouped.stats().batches}, largest {grouped.stats().largest_batch} calls")


@contextmanager
def saturated(bridge: ThreadBridge, calls: int) -> Iterator[None]:
    """*calls* sleeping calls in a bridge."""
    futures = [bridge.submit(time.sleep, 0.2) for _ in range(calls)]
    try:
        yield
    finally:
        for future in futures:
            future.cancel()


async def names(repetitions: int) -> None:
    """Looking up a name while forty blocking calls are under way, in the default executor or in a bridge."""
    loop = asyncio.get_running_loop()

    async def look_up() -> None:
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    async def beside_default() -> float:
        blocked = [loop.run_in_executor(None, time.sleep, 0.2) for _ in range(40)]
        taken = await timed(look_up())
        await asyncio.gather(*blocked)
        return taken

    async def beside_bridge(bridge: ThreadBridge) -> float:
        with saturated(bridge, 40):
            return await timed(look_up())

    # This row is asyncio's own loop's alone: uvloop resolves on the threads of libuv.
    seconds: dict[str, list[float]] = {}
    async with ThreadBridge(4) as bridge:
        for _ in range(repetitions):
            seconds.setdefault("40 calls in the default executor", []).append(await beside_default())
            seconds.setdefault("40 calls in a ThreadBridge", []).append(await beside_bridge(bridge))
    show("DNS look-up beside blocking calls", seconds, 1, {})


async def many(items: int) -> None:
    """A long stream: seconds an item and resident memory on the way, in KiB."""
    async with ThreadBridge(2) as bridge:
        started, seen, marks = time.perf_counter(), 0, [resident()]
        async with bridge.stream(abs, range(items), in_flight=64) as results:
            async for _ in results:
                seen += 1
                if seen % max(1, items // 4) == 0:
                    marks.append(resident())
        taken = time.perf_counter() - started
    print(f"\nstream of {items} items: {taken / items * 1e6:.1f} us an item; resident KiB {marks}")


def resident() -> int:
    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=11, help="rounds of each row, at least 5")
    parser.add_argument("--items", type=int, default=1_000_000, help="items of the stream")
    parser.add_argument("--folder", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    options = parser.parse_args()
    factory = loop_factory()
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {'uvloop' if factory else 'asyncio'}"
    )
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        asyncio.Runner(loop_factory=factory) as runner,
    ):
        runner.run(hops(options.repetitions))
        runner.run(files(options.repetitions, folder))
        if options.items:
            runner.run(many(options.items))
    with asyncio.Runner() as runner:
        runner.run(names(max(5, options.repetitions)))


if __name__ == "__main__":
    main()
