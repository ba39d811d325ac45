"""Exchanges and bytes a CPU second: the fast lane, aiohttp's client, and a bare protocol that only counts.

    python tests/benchmarks/bench_transports.py --url http://127.0.0.1:8912 --large big/00000.bin

The server is given, so that its CPU time is not counted; nginx serving files from memory will do. Rounds are
interleaved and medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import socket
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import uvloop

from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import AddressInfo, ExchangeRequest, Transport
from asyncflags._transports.wire import WireTransport

FIELDS = {"User-Agent": "bench", "Accept": "*/*", "Accept-Encoding": "identity"}
ROOM_BYTES = 1 << 18

Work = Callable[[argparse.Namespace], Awaitable[int]]


async def resolve(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)  # type: ignore[return-value]


def transports(make: Callable[[], Transport], work: Callable[..., Awaitable[int]]) -> Work:
    async def run(options: argparse.Namespace) -> int:
        transport = make()
        try:
            return await work(transport, options)
        finally:
            await transport.aclose()

    return run


async def small(transport: Transport, options: argparse.Namespace) -> int:
    """Fetch small bodies, some at once; return the bytes of all."""
    numbers = iter(range(options.count))
    space = memoryview(bytearray(ROOM_BYTES))

    async def worker() -> int:
        received = 0
        for number in numbers:
            url = f"{options.url}/{options.small.format(number % options.files)}"
            stream = await transport.open(ExchangeRequest(url, FIELDS, connect_timeout=10.0))
            while data := await stream.receive(lambda: space):
                received += len(data)
            await stream.aclose()
        return received

    return sum(await asyncio.gather(*(worker() for _ in range(options.jobs))))


async def large(transport: Transport, options: argparse.Namespace) -> int:
    """Fetch one large body into the same memory again and again."""
    space = memoryview(bytearray(options.room))
    stream = await transport.open(ExchangeRequest(f"{options.url}/{options.large}", FIELDS))
    received = 0
    while data := await stream.receive(lambda: space):
        received += len(data)
    await stream.aclose()
    return received


class Bare(asyncio.Protocol):
    """Counts bytes, and asks again when as many came as an answer has."""

    def __init__(self, requests: Iterator[bytes], size: int) -> None:
        self._requests = requests
        self._size = size
        self._due = 0
        self.received = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._ask()

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._due = 0
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._due:
            self._due = self._size + data.index(b"\r\n\r\n") + 4
        self._due -= len(data)
        self.received += len(data)
        if not self._due:
            self._ask()


async def bare(options: argparse.Namespace) -> int:
    host, _, port = options.url.removeprefix("http://").partition(":")
    head = "GET /{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
    requests = (
        head.format(options.small.format(number % options.files), f"{host}:{port}").encode()
        for number in range(options.count)
    )
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Bare(requests, options.size), host, int(port or 80))
        for _ in range(options.jobs)
    ]
    for _, protocol in made:
        await protocol.done
    return sum(protocol.received for _, protocol in made)


def measure(work: Work, options: argparse.Namespace, loop: str) -> tuple[float, float, int]:
    """Seconds by the clock and of CPU, and bytes."""
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        begun, used = time.perf_counter(), cpu()
        size = runner.run(_awaited(work, options))
        return time.perf_counter() - begun, cpu() - used, size


async def _awaited(work: Work, options: argparse.Namespace) -> int:
    return await work(options)


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def table(title: str, unit: str, works: dict[str, Work], options: argparse.Namespace, divisor: float) -> None:
    rows = list(itertools.product(works, options.loops.split(",")))
    taken: dict[tuple[str, str], list[tuple[float, float, int]]] = {row: [] for row in rows}
    for _ in range(options.runs):
        for name, loop in rows:
            taken[name, loop].append(measure(works[name], options, loop))
    print(f"\n{title}\n{'':24}{'wall s':>9}{'CPU s':>9}{unit:>16}{'bytes':>15}")
    for (name, loop), runs in taken.items():
        wall, used = (statistics.median(run[at] for run in runs) for at in (0, 1))
        print(f"{name + ', ' + loop:24}{wall:9.3f}{used:9.3f}{used / divisor:16.3f}{runs[0][2]:15,}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8912")
    parser.add_argument("--small", default="small/{:05}.bin", help="path of the small files")
    parser.add_argument("--size", type=int, default=4096, help="bytes of each of them")
    parser.add_argument("--files", type=int, default=10_000, help="how many of them there are")
    parser.add_argument("--large", default="big/00000.bin", help="path of the large file; empty: left out")
    parser.add_argument("--room", type=int, default=1 << 20, help="bytes lent at a time for the large file")
    parser.add_argument("--count", type=int, default=10_000, help="exchanges; 0: left out")
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loops", default="uvloop,asyncio")
    parser.add_argument("--cafile", help="authorities for a URL with https; without, the system's")
    options = parser.parse_args()
    tls = ssl.create_default_context(cafile=options.cafile) if options.cafile else None

    def wire() -> Transport:
        return WireTransport(resolve, ssl_context=tls)

    def through_aiohttp() -> Transport:
        return AiohttpTransport(resolve, ssl_context=tls)

    if options.count:
        works = {
            "wire": transports(wire, small),
            "aiohttp": transports(through_aiohttp, small),
        }
        if tls is None:
            works["bare protocol"] = bare
        title = f"{options.count} bodies of {options.size} bytes, {options.jobs} at once"
        table(title, "us CPU each", works, options, options.count / 1e6)
    if options.large:
        works = {"wire": transports(wire, large), "aiohttp": transports(through_aiohttp, large)}
        table("one large body", "CPU s", works, options, 1.0)


if __name__ == "__main__":
    main()
