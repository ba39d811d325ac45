"""Lists over real sockets: what one host does is no other host's trouble."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from asyncflags import AsyncDownloader, Event, Limits, Request, errors
from asyncflags._engine.host_rules import HostRules
from asyncflags._policies.backing_off import BackingOffRules
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.circuits import CircuitRules
from asyncflags._policies.retry import is_retryable
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport

from .waiting import until

SOON = HostRules(
    back_off=BackingOffRules(pauses=Backoff(initial=0.01)),
    circuit=CircuitRules(pauses=Backoff(initial=0.01, maximum=0.02), patience=0.05),
    silence=0.03,
    sweep=0.01,
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nflag"


class Server:
    """Answers every request with what *answer* says; ``None``: never."""

    def __init__(self, answer: Callable[[int], bytes | None], port: int = 0) -> None:
        self.answer = answer
        self.port = port
        self.asked = 0
        self.open = 0
        self.most = 0
        self._gone = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        self._server.close()
        await until(lambda: not self.open)

    def urls(self, count: int) -> list[str]:
        return [f"http://127.0.0.1:{self.port}/{self.port}-{number}" for number in range(count)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await reader.readuntil(b"\r\n\r\n"):
                    self.asked += 1
                    answer = self.answer(self.asked)
                    if answer is None:
                        gone = asyncio.ensure_future(self._gone.wait())
                        closed = asyncio.ensure_future(reader.read())
                        await asyncio.wait((gone, closed), return_when=asyncio.FIRST_COMPLETED)
                        gone.cancel()
                        closed.cancel()
                        break
                    writer.write(answer)
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def downloader(rules: HostRules = SOON, **options: Any) -> AsyncIterator[AsyncDownloader]:
    async with AsyncDownloader(**({"durability": "rename"} | options)) as dl:
        dl._ready().hosts.rules = rules
        dl._ready().backoff = Backoff(initial=0.002)
        yield dl


def dead_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_a_host_that_stalls_delays_no_other(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stalling = await stack.enter_async_context(Server(lambda number: None))
        good = [await stack.enter_async_context(Server(lambda number: OK)) for _ in range(3)]
        # Sorted by host, the one that stalls in front.
        urls = stalling.urls(50) + [url for server in good for url in server.urls(50)]
        limits = Limits(max_downloads=4)
        dl = await stack.enter_async_context(downloader(limits=limits))
        async with dl.as_completed(urls, tmp_path) as outcomes:
            for _ in range(150):
                outcome = await anext(outcomes)
                assert outcome.error is None
            assert stalling.asked <= 8


async def test_a_sorted_list_keeps_all_hosts_busy(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(lambda number: OK)) for _ in range(3)]
        dl = await stack.enter_async_context(downloader(limits=Limits(max_downloads=6)))
        order: list[str] = []
        async with dl.as_completed([url for server in servers for url in server.urls(40)], tmp_path) as run:
            async for outcome in run:
                order.append(outcome.url.split("/")[2])
    # None of them is far behind the others at any time.
    counts: Counter[str] = Counter()
    for host in order[:90]:
        counts[host] += 1
        assert max(counts.values()) - min(counts[each] for each in set(order)) <= 16


async def test_many_requests_that_are_refused_at_once_are_one_event(tmp_path: Path) -> None:
    refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
    events: list[Event] = []
    async with Server(lambda number: refusal if 1 < number <= 65 else OK) as server:
        limits = Limits(max_downloads=64, max_connections_per_host=64)
        async with downloader(limits=limits, on_event=events.append) as dl:
            await dl.fetch(server.urls(1)[0])
            report = await dl.download_many(server.urls(200), tmp_path)
    assert (report.completed, report.failed) == (200, 0)
    # Of 64 refusals; connections that are slow to be made come after the first pause.
    assert [event.kind for event in events].count("backing_off") <= 8


async def test_a_dead_port_fails_a_long_list_soon_with_the_first_cause(tmp_path: Path) -> None:
    port = dead_port()
    events: list[Event] = []
    urls = [f"http://127.0.0.1:{port}/{number}" for number in range(200)]
    async with downloader(on_event=events.append, retries=1) as dl:
        report = await dl.download_many(urls, tmp_path)
    assert report.failed == 200
    assert {type(outcome.error) for outcome in report.failures} == {errors.ConnectError}
    assert all("refused" in str(outcome.error) for outcome in report.failures)
    told = [event for event in events if event.kind == "circuit_opened"]
    assert [event.url for event in told][:1] == [f"http://127.0.0.1:{port}"]
    assert report.attempts < 60
    untried = [each.error for each in report.failures if each.error and not each.error.attempts]
    assert untried and all(is_retryable(error) and error.url for error in untried)


async def test_a_host_that_comes_back_is_served_again(tmp_path: Path) -> None:
    events: list[Event] = []
    server = Server(lambda number: OK, dead_port())
    url = f"http://127.0.0.1:{server.port}/"
    async with contextlib.AsyncExitStack() as stack:
        async with downloader(on_event=events.append) as dl:
            with pytest.raises(errors.ConnectError):
                await dl.fetch(url, retries=8)
            await stack.enter_async_context(server)
            await asyncio.sleep(0.03)
            assert (await dl.fetch(url)).content == b"flag"
    kinds = [event.kind for event in events if event.kind.startswith("circuit")]
    assert (kinds[0], kinds[-1]) == ("circuit_opened", "circuit_closed")


async def test_the_level_is_looked_for_and_never_above_the_downloads(tmp_path: Path) -> None:
    async with Server(lambda number: OK) as server:
        limits = Limits(max_downloads=8, max_connections_per_host="auto")
        async with downloader(HostRules(), limits=limits) as dl:
            report = await dl.download_many(server.urls(300), tmp_path)
            (host,) = dl.stats().hosts
        assert report.completed == 300
        assert 4 <= host.level <= 8 and server.most <= 8
        assert (host.requests, host.queued, host.size) == (300, 0, 1200)
        assert host.latency > 0


# Without sockets: what a list does with its lanes.


def answering(body: bytes = b"flag", status: int = 200) -> MockTransport:
    return MockTransport(lambda request: MockResponse(status=status, body=body))


async def test_priorities_decide_what_begins_first(tmp_path: Path) -> None:
    transport = answering()
    requests = [Request(f"https://a.example/{number}", priority=number // 10) for number in range(30)]
    async with downloader(transport=transport, limits=Limits(max_downloads=1)) as dl:
        await dl.download_many(requests, tmp_path)
    asked = [int(request.url.rpartition("/")[2]) for request in transport.requests]
    assert [number // 10 for number in asked] == [2] * 10 + [1] * 10 + [0] * 10


async def test_a_malformed_url_is_reported_at_once(tmp_path: Path) -> None:
    never = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[never.wait]))
    async with downloader(transport=transport, limits=Limits(max_downloads=1)) as dl:
        urls = [*(f"https://a.example/{number}" for number in range(50)), "ftp://a.example/x"]
        async with dl.as_completed(urls, tmp_path) as outcomes:
            outcome = await anext(outcomes)
            assert isinstance(outcome.error, errors.InvalidUrl)


async def test_a_consumer_that_stops_stops_what_begins_and_what_is_read(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"https://{taken % 5}.example/{taken}"

    transport = answering()
    rules = HostRules(read_ahead=40)
    async with downloader(rules, transport=transport, limits=Limits(max_downloads=3)) as dl:
        async with dl.as_completed(endless(), tmp_path) as outcomes:
            await until(lambda: len(transport.requests) >= 3)
            for _ in range(300):
                await asyncio.sleep(0)
            assert len(transport.requests) <= 9 and taken <= 9 + 40
            for _ in range(100):
                assert (await anext(outcomes)).error is None


async def test_who_waits_for_another_list_in_the_midst_of_one_is_served(tmp_path: Path) -> None:
    async with downloader(transport=answering(), limits=Limits(max_downloads=2)) as dl:
        urls = [f"https://a.example/{number}" for number in range(40)]
        async with dl.as_completed(urls, tmp_path) as outcomes:
            await anext(outcomes)
            for _ in range(50):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                report = await dl.download_many(urls, tmp_path / "inner")
                assert (await dl.fetch("https://a.example/1")).content == b"flag"
            assert report.completed == 40
            assert len([outcome async for outcome in outcomes]) == 39


async def test_several_lists_share_a_host_in_turns(tmp_path: Path) -> None:

    async def answer(request: ExchangeRequest) -> MockResponse:
        # Only once both of them wait is there anything to share.
        await ready.wait()
        return MockResponse(body=b"flag")

    ready, transport = asyncio.Event(), MockTransport(answer)
    async with downloader(transport=transport, limits=Limits(max_downloads=1)) as dl:

        async def look() -> None:
            await until(lambda: dl.stats().queued >= 119)
            ready.set()

        looking = asyncio.ensure_future(look())
        reports = await asyncio.gather(
            *(
                dl.download_many([f"https://a.example/{name}/{n}" for n in range(60)], tmp_path / name)
                for name in "xy"
            )
        )
        await looking
    assert [report.completed for report in reports] == [60, 60]
    first = Counter(request.url.split("/")[3] for request in transport.requests[:60])
    assert min(first["x"], first["y"]) > 15


async def test_a_list_that_is_left_takes_out_what_waits(tmp_path: Path) -> None:
    async with downloader(transport=answering(), limits=Limits(max_downloads=1)) as dl:
        urls = [f"https://a.example/{number}" for number in range(500)]
        async with dl.as_completed(urls, tmp_path) as outcomes:
            await anext(outcomes)
            assert dl.stats().queued > 100
        hosts = dl._ready().hosts
        assert dl.stats().queued == 0
        await until(lambda: hosts.is_quiet)


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelled_at_any_step_no_slot_is_lost(steps: int, tmp_path: Path) -> None:
    answers = Counter[str]()

    def answer(request: ExchangeRequest) -> MockResponse:
        answers[request.url] += 1
        if answers[request.url] == 1:
            return MockResponse(status=503)
        if request.url.endswith("0"):
            return MockResponse(status=302, headers={"Location": "https://b.example/x"})
        return MockResponse(body=b"flag")

    rules = HostRules(back_off=BackingOffRules(pauses=Backoff(initial=0.0)))
    limits = Limits(max_downloads=3, max_connections_per_host=1)
    async with downloader(rules, transport=MockTransport(answer), limits=limits) as dl:
        urls = [f"https://a.example/{number}" for number in range(9)]
        tasks = [asyncio.ensure_future(dl.fetch(url)) for url in urls]
        listing = asyncio.ensure_future(dl.download_many(urls, tmp_path))
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        listing.cancel()
        await asyncio.wait([*tasks, listing])
        assert (await dl.fetch("https://a.example/last")).content == b"flag"
        assert dl._ready().hosts.is_quiet


async def test_reading_a_long_list_leaves_the_loop_its_turns(tmp_path: Path) -> None:
    turns: list[int] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(dl.stats().queued)

    never = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[never.wait]))
    async with downloader(HostRules(), transport=transport) as dl:
        ticking = asyncio.ensure_future(tick())
        urls = (f"https://a.example/{number}" for number in range(20_000))
        async with dl.as_completed(urls, tmp_path):
            await until(lambda: dl.stats().queued > 19_000)
        ticking.cancel()
        await asyncio.wait((ticking,))
    # Nobody else had to wait until all of it was read, nor until a large part of it was.
    assert max(after - before for before, after in pairwise(turns)) < 5_000


async def test_an_end_is_told_with_how_long_it_took(tmp_path: Path) -> None:
    events: list[Event] = []
    transport = MockTransport(lambda request: MockResponse(status=404 if "bad" in request.url else 200))
    async with downloader(transport=transport, on_event=events.append) as dl:
        await dl.download_many(["https://a.example/good", "https://a.example/bad"], tmp_path)
    assert sorted((event.kind, event.url) for event in events) == [
        ("failed", "https://a.example/bad"),
        ("finished", "https://a.example/good"),
    ]
    assert all(event.seconds > 0 for event in events)
