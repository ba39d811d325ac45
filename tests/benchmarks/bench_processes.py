"""Measure the process bridge beside the standard pool, in one run and in turn, and print the table.

Run it with ``python tests/benchmarks/bench_processes.py [repetitions]``. Every figure is a median of at least
five; compare the ratios, not the times, with those of another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncflags.bridges import ProcessBridge
from asyncflags.bridges.payloads import Block, MappedFile
from asyncflags.errors import TaskTimeout

if TYPE_CHECKING:
    import psutil

SIZE = 16 * 1024 * 1024
CALLS = 400
STEP = 4096
"""One byte of each page is looked at, so that a map is paid for as a copy is."""

NAMES = {"bridge": "run", "submit": "submit", "bare": "a bare socket and pickle alone"}

Measured = Callable[[], Awaitable[float]]


def touch(data: bytes) -> int:
    return sum(data[::STEP])


def touch_block(block: Block) -> int:
    return sum(block.view[::STEP])


def touch_file(file: MappedFile) -> int:
    return sum(file.view[::STEP])


_made = bytes(range(256)) * (SIZE // 256)


def produce(_: int) -> bytes:
    return _made


def produce_block(_: int) -> Block:
    return Block(_made)


def write_file(path: str) -> MappedFile:
    with open(path, "r+b") as file:
        file.write(_made)
    return MappedFile(path)


def burn() -> int:
    return sum(range(4 * 10**8))


def summarize(path: str) -> int:
    with open(path, "rb") as file:
        return len(json.load(file))


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"flag {number}", "colours": ["red", "white"]} for number in range(count)]


async def timed(work: Callable[[], Awaitable[object]], calls: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        await work()
    return (time.perf_counter() - start) / calls


async def medians(repetitions: int, **variants: Measured) -> dict[str, float]:
    """Run the variants in turn; one round before counts for none."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for repetition in range(repetitions + 1):
        for name, measure in variants.items():
            seconds = await measure()
            if repetition:
                found[name].append(seconds)
    return {name: statistics.median(times) for name, times in found.items()}


def report(loop: str, row: str, figure: str, goal: str) -> None:
    print(f"| {loop} | {row} | {figure} | {goal} |", flush=True)


def echo(link: socket.socket) -> None:
    """Serve calls with a socket and pickle, and nothing else."""
    while data := link.recv(65536):
        function, arguments = pickle.loads(data)
        link.send(pickle.dumps(function(*arguments)))


@contextlib.asynccontextmanager
async def bare_socket() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """What no bridge can do better than: one pickle, one send and one wake-up each way."""
    host = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    process = multiprocessing.get_context("forkserver").Process(target=echo, args=(theirs,))
    process.start()
    theirs.close()
    ours.setblocking(False)
    arrived: list[asyncio.Future[Any]] = []
    host.add_reader(ours, lambda: arrived.pop().set_result(pickle.loads(ours.recv(65536))))

    async def call(function: Callable[..., object], *arguments: object) -> Any:
        future = host.create_future()
        arrived.append(future)
        ours.send(pickle.dumps((function, arguments)))
        return await future

    try:
        yield call
    finally:
        host.remove_reader(ours)
        ours.close()
        process.join()


async def hops(loop: str, repetitions: int, bridge: ProcessBridge, pool: ProcessPoolExecutor) -> None:
    """A call of nothing; a wake-up of an idle processor costs as much as all the rest, so it is told where they ran."""
    host = asyncio.get_running_loop()
    async with bare_socket() as call:
        for place, processors in placements().items():
            everywhere = os.sched_getaffinity(0) if processors else set[int]()
            if processors:
                os.sched_setaffinity(0, {processors[0]})
                there = {processors[1]}
                await host.run_in_executor(pool, os.sched_setaffinity, 0, there)
                await bridge.run(os.sched_setaffinity, 0, there)
                await call(os.sched_setaffinity, 0, there)
            try:
                found = await medians(
                    2 * repetitions,
                    pool=lambda: timed(lambda: host.run_in_executor(pool, abs, -1), CALLS),
                    bridge=lambda: timed(lambda: bridge.run(abs, -1), CALLS),
                    submit=lambda: timed(lambda: asyncio.wrap_future(bridge.submit(abs, -1)), CALLS),
                    bare=lambda: timed(lambda: call(abs, -1), CALLS),
                )
            finally:
                if processors:
                    os.sched_setaffinity(0, everywhere)
            for name in ("bridge", "submit", "bare"):
                ratio = found[name] / found["pool"]
                figure = f"{found[name] * 1e6:.0f} us / {found['pool'] * 1e6:.0f} us = {ratio:.2f}"
                goal = "at most 0.2" if name == "bridge" and not processors else ""
                report(loop, f"process no-op{place}, {NAMES[name]}", figure, goal)


def placements() -> dict[str, tuple[int, int] | None]:
    """Processors of the loop and of the worker, by description; ``None``: wherever the system puts them."""
    found: dict[str, tuple[int, int] | None] = {"": None}
    if hasattr(os, "sched_getaffinity"):
        first, *others = sorted(os.sched_getaffinity(0))
        found[", worker on the loop's processor"] = first, first
        if others:
            found[", worker on another processor"] = first, others[0]
    return found


async def payloads(loop: str, repetitions: int, bridge: ProcessBridge, pool: ProcessPoolExecutor) -> None:
    host = asyncio.get_running_loop()
    data = bytes(bytearray(_made))

    async def back(work: Callable[[], Awaitable[Any]]) -> None:
        result = await work()
        sum(getattr(result, "view", result)[::STEP])
        del result
        await asyncio.sleep(0)

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        path = file.name
        into = await medians(
            repetitions,
            pool=lambda: timed(lambda: host.run_in_executor(pool, touch, data)),
            slab=lambda: timed(lambda: bridge.run(touch_block, Block(data))),
            path=lambda: timed(lambda: bridge.run(touch_file, MappedFile(path))),
            inline=lambda: timed(lambda: bridge.run(touch, data)),
        )
        out = await medians(
            repetitions,
            pool=lambda: timed(lambda: back(lambda: host.run_in_executor(pool, produce, 1))),
            slab=lambda: timed(lambda: back(lambda: bridge.run(produce_block, 1))),
            path=lambda: timed(lambda: back(lambda: bridge.run(write_file, path))),
            inline=lambda: timed(lambda: back(lambda: bridge.run(produce, 1))),
        )
    for direction, found in (("in", into), ("back", out)):
        for name in ("slab", "path", "inline"):
            figure = f"{found[name] * 1e3:.2f} ms / {found['pool'] * 1e3:.2f} ms = {found[name] / found['pool']:.2f}"
            report(loop, f"16 MB {direction}, {name}", figure, "at most 0.2" if name != "inline" else "")


async def kills(loop: str, repetitions: int, bridge: ProcessBridge) -> None:
    async def late(limit: float) -> float:
        await bridge.run(abs, -1)
        start = time.perf_counter()
        with contextlib.suppress(TaskTimeout):
            await bridge.with_options(timeout=limit).run(burn)
        return time.perf_counter() - start - limit

    async def cancelled() -> float:
        await bridge.run(abs, -1)
        task = asyncio.create_task(bridge.run(burn))
        await asyncio.sleep(0.1)
        start = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        return time.perf_counter() - start

    async def replaced() -> float:
        await bridge.run(abs, -1)
        with contextlib.suppress(TaskTimeout):
            await bridge.with_options(timeout=0.05).run(burn)
        return await timed(lambda: bridge.run(abs, -1))

    found = await medians(repetitions, timeout=lambda: late(0.1), cancel=cancelled, replaced=replaced)
    report(
        loop, "caller back after its timeout, worker stuck in C", f"{found['timeout'] * 1e3:.1f} ms", "100 ms"
    )
    report(loop, "caller back after its cancellation, the same", f"{found['cancel'] * 1e3:.1f} ms", "100 ms")
    report(loop, "next call done after the kill, warm", f"{found['replaced'] * 1e3:.1f} ms", "100 ms")


@contextlib.asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """Collect how late a task comes that wants to run every millisecond."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - start - 0.001)

    task = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    late.clear()
    try:
        yield late
        await asyncio.sleep(0.002)
    finally:
        task.cancel()


async def large_json(loop: str, repetitions: int, bridge: ProcessBridge) -> None:
    async def worst(work: Callable[[], Awaitable[object]]) -> float:
        async with stalls() as late:
            await work()
        return max(late)

    async def inline() -> None:
        summarize(file.name)

    with tempfile.NamedTemporaryFile("w") as file:
        json.dump(rows(75_000), file)
        file.flush()
        found = await medians(
            repetitions,
            inline=lambda: worst(inline),
            process=lambda: worst(lambda: bridge.run(summarize, file.name)),
            graph=lambda: worst(lambda: bridge.run(rows, 75_000)),
        )
        size = os.path.getsize(file.name) / 1e6
    report(
        loop, f"json.loads of {size:.1f} MB, stall of the loop, in a process", _ms(found["process"]), "5 ms"
    )
    report(loop, "the same on the loop", _ms(found["inline"]), "")
    report(loop, "a result of 75,000 dicts, stall of the loop while it is unpickled", _ms(found["graph"]), "")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


PARENT = """
import sys, time
sys.path.insert(0, {folder!r})
from bench_processes import burn_long
from asyncflags.bridges import ProcessBridge
if __name__ == "__main__":
    bridge = ProcessBridge(2)
    bridge.submit(burn_long)
    bridge.submit(burn_long)
    time.sleep(3600)
"""


def burn_long() -> int:
    print("running", flush=True)
    return sum(range(10**11))


def orphans(repetitions: int) -> None:
    """How long the descendants of a parent live on that was killed while they are stuck in C code."""
    import psutil

    lives = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "parent.py"
        script.write_text(PARENT.format(folder=str(Path(__file__).parent)))
        for _ in range(repetitions):
            with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
                assert parent.stdout is not None
                for _ in range(2):
                    parent.stdout.readline()
                descendants = psutil.Process(parent.pid).children(recursive=True)
                start = time.perf_counter()
                parent.send_signal(signal.SIGKILL)
                while any(map(runs, descendants)):
                    time.sleep(0.001)
                lives.append(time.perf_counter() - start)
    figure = f"median {_ms(statistics.median(lives))}, longest {_ms(max(lives))}"
    report("", "parent killed, last descendant gone", figure, "500 ms")


def runs(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def measure(loop: str, repetitions: int) -> None:
    context = multiprocessing.get_context("forkserver")
    async with ProcessBridge(1) as bridge:
        # First, because the fork server imports beforehand what the one who starts it asks for.
        await bridge.run(abs, -1)
        with ProcessPoolExecutor(1, context) as pool:
            await payloads(loop, repetitions, bridge, pool)
            # Last with these workers, because it leaves each of them on one processor.
            await hops(loop, repetitions, bridge, pool)
    async with ProcessBridge(1) as bridge:
        await bridge.run(abs, -1)
        await kills(loop, repetitions, bridge)
        await large_json(loop, repetitions, bridge)


def main() -> None:
    # Every worker imports this file, so what it alone does not need is imported here.
    import uvloop

    repetitions = max(5, int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, medians of {repetitions}\n")
    print("| loop | what | measured | goal |\n|---|---|---|---|")
    asyncio.run(measure("asyncio", repetitions))
    uvloop.run(measure("uvloop", repetitions))
    orphans(repetitions)


if __name__ == "__main__":
    main()
