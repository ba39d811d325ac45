"""Attempts, the pauses between them, and the pauses that a host asks for. Nothing here waits in earnest."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Event, Limits, errors
from asyncflags._engine import hosts, turns
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport

from .waiting import decisions, until

URL = "https://flags.example/fr.gif"
OK = MockResponse(body=b"flag")
ORIGIN = "https://flags.example"


class Clock:
    """Time that passes only while somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.stopped = False

    async def sleep(self, seconds: float) -> None:
        if self.stopped:
            await asyncio.Event().wait()
        self.slept.append(seconds)
        moment = self.now + seconds
        await asyncio.tasks.sleep(0)
        self.now = max(self.now, moment)

    def time(self) -> float:
        return self.now


class FastLoop:
    """The running loop, but that its alarms ring at once, and it is their time then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.time = clock.time

    def call_at(self, moment: float, callback: Callable[[], Any]) -> Any:
        def ring() -> None:
            self._clock.now = max(self._clock.now, moment)
            callback()

        return self._loop.call_later(0, ring)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Sleeping:
    """Stands for asyncio in the modules that sleep; everything else is asyncio's own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sleep = clock.sleep

    def get_running_loop(self) -> Any:
        return FastLoop(self._clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "asyncio", Sleeping(clock))
    monkeypatch.setattr(hosts, "asyncio", Sleeping(clock))
    return clock


def scripted(*answers: MockResponse | errors.DownloadError) -> MockTransport:
    """These answers one after the other, and the last one from then on."""
    left = list(answers)

    def answer(request: ExchangeRequest) -> MockResponse:
        current = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(current, errors.DownloadError):
            raise current
        return current

    return MockTransport(answer)


def busy(retry_after: str | None = None, status: int = 500) -> MockResponse:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return MockResponse(status=status, headers=headers)


events: list[Event] = []


@pytest.fixture(autouse=True)
def _no_events() -> None:
    events.clear()


def downloader(*answers: MockResponse | errors.DownloadError, **options: Any) -> AsyncDownloader:
    dl = AsyncDownloader(transport=scripted(*answers), on_event=events.append, **options)
    dl._ready().jitter = lambda: 0.5
    return dl


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504])
async def test_a_passing_error_is_tried_again(status: int, clock: Clock) -> None:
    async with downloader(busy(status=status), busy(status=status), OK) as dl:
        assert (await dl.fetch(URL)).attempts == 3
        assert (dl.progress().attempts, dl.progress().retries) == (3, 2)
    assert clock.slept == [0.25, 0.5]
    assert [event.kind for event in events] == ["retrying", "retrying", "finished"]
    assert [(event.attempt, event.seconds) for event in decisions(events)] == [(1, 0.25), (2, 0.5)]


@pytest.mark.parametrize("refusal", [busy(status=429), busy("0", status=503)], ids=["429", "503"])
async def test_a_refusal_is_waited_for_by_the_host_and_not_by_the_download_too(
    refusal: MockResponse, clock: Clock
) -> None:
    async with downloader(refusal, refusal, OK) as dl:
        assert (await dl.fetch(URL)).attempts == 3
    # The first pause is 0.5 s and the second one 1 s, of which half is certain and half jitter.
    assert clock.slept == []
    assert clock.now >= 1000 + 0.375 + 0.75
    assert [event.url for event in events if event.kind == "backing_off"] == [ORIGIN, ORIGIN]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (None, 1), (1, 2), (5, 6)])
async def test_a_host_that_refuses_everything_is_given_up(
    retries: int | None, attempts: int, clock: Clock
) -> None:
    async with downloader(busy(status=503), retries=retries) as dl:
        with pytest.raises(errors.StatusError) as caught:
            await dl.fetch(URL)
    assert caught.value.attempts == attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 416, 418, 501, 505])
async def test_a_lasting_error_is_not_tried_again(status: int, clock: Clock) -> None:
    async with downloader(busy(status=status)) as dl:
        with pytest.raises(errors.StatusError) as caught:
            await dl.fetch(URL)
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert clock.slept == []


@pytest.mark.parametrize(
    "error",
    [errors.ConnectError, errors.DnsError, errors.ReadError, errors.TruncatedBody, errors.ConnectTimeout],
)
async def test_trouble_of_the_network_is_tried_again(error: type[errors.DownloadError], clock: Clock) -> None:
    async with downloader(error("trouble"), OK) as dl:
        assert (await dl.fetch(URL)).attempts == 2


@pytest.mark.parametrize("error", [errors.TlsError, errors.ProtocolError, errors.InvalidUrl])
async def test_what_will_not_change_is_not_tried_again(
    error: type[errors.DownloadError], clock: Clock
) -> None:
    async with downloader(error("trouble")) as dl:
        with pytest.raises(error) as caught:
            await dl.fetch(URL)
    assert caught.value.attempts == 1


async def test_the_last_real_error_is_raised_with_what_is_known(clock: Clock) -> None:
    broken = MockResponse(headers={"Content-Length": "9"}, body=[b"fl"])
    async with downloader(busy(), busy(), broken, retries=2) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.fetch(URL + "?token=x")
    error = caught.value
    assert (error.attempts, error.url) == (3, URL + "?token=***")
    assert error.request is not None
    assert error.request.url == URL + "?token=x"
    assert (error.expected, error.received) == (9, 2)


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (None, 1), (1, 2), (5, 6)])
async def test_the_budget_is_kept(retries: int | None, attempts: int, clock: Clock) -> None:
    async with downloader(busy(), retries=retries) as dl:
        with pytest.raises(errors.StatusError) as caught:
            await dl.fetch(URL)
    assert caught.value.attempts == attempts
    assert len(clock.slept) == attempts - 1


async def test_pauses_grow_to_a_minute_and_no_further(clock: Clock) -> None:
    async with downloader(busy(), retries=10) as dl:
        with pytest.raises(errors.StatusError):
            await dl.fetch(URL)
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


# What the host asks for.


async def test_seconds_asked_for_are_waited_for(clock: Clock) -> None:
    async with downloader(busy("7", status=429), OK) as dl:
        await dl.fetch(URL)
    assert clock.now >= 1007.0
    told = [event for event in decisions(events) if event.kind != "paced"]
    assert [(event.kind, event.url) for event in told] == [("backing_off", ORIGIN), ("retrying", URL)]
    assert told[0].seconds == 7.0


async def test_a_date_asked_for_is_waited_for(clock: Clock) -> None:
    async with downloader(busy(email.utils.formatdate(time.time() + 100, usegmt=True)), OK) as dl:
        await dl.fetch(URL)
    assert 1095 <= clock.now <= 1101


@pytest.mark.parametrize("value", ["0", "-1", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_pause_of_nothing_still_backs_off(value: str, clock: Clock) -> None:
    async with downloader(busy(value, status=503), OK) as dl:
        await dl.fetch(URL)
    assert clock.now >= 1000 + 0.375


@pytest.mark.parametrize("value", ["301", "99999999999999999999"])
async def test_too_long_a_pause_is_a_failure_that_tells_its_length(value: str, clock: Clock) -> None:
    async with downloader(busy(value)) as dl:
        with pytest.raises(errors.StatusError) as caught:
            await dl.fetch(URL)
    assert caught.value.attempts == 1
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 300
    assert clock.slept == []


async def test_one_pause_holds_for_all_downloads_of_the_host_and_for_no_other(clock: Clock) -> None:
    asked: list[tuple[str, float]] = []

    def answer(request: ExchangeRequest) -> MockResponse:
        asked.append((request.url, clock.now))
        return busy("60", status=503) if len(asked) == 1 else OK

    async with AsyncDownloader(transport=MockTransport(answer), limits=Limits(max_downloads=50)) as dl:
        dl._ready().jitter = lambda: 0.0
        first = asyncio.ensure_future(dl.fetch(URL))
        await until(lambda: dl.progress().retries == 1)
        await asyncio.gather(first, *(dl.fetch(f"https://flags.example/{number}") for number in range(20)))
        paused = [moment for url, moment in asked[1:] if "flags.example" in url]
        assert len(paused) == 21
        # They wait once, together, and not one after the other.
        assert all(1060 <= moment <= 1073 for moment in paused)


async def test_a_host_gets_no_more_requests_at_once_than_its_limit() -> None:
    running, most = 0, 0
    gate = asyncio.Event()

    async def answer(request: ExchangeRequest) -> MockResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return OK

    limits = Limits(max_downloads=20, max_connections_per_host=3)
    async with AsyncDownloader(transport=MockTransport(answer), limits=limits) as dl:
        urls = [f"https://{host}.example/{number}" for number in range(8) for host in ("a", "b")]
        tasks = [asyncio.ensure_future(dl.fetch(url)) for url in urls]
        await until(lambda: dl.stats().queued == 10)
        assert running == 6
        gate.set()
        await asyncio.gather(*tasks)
    assert most == 6


async def test_no_more_downloads_run_at_once_than_the_limit() -> None:
    gate = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[gate.wait, b"flag"]))
    async with AsyncDownloader(transport=transport, limits=Limits(max_downloads=3)) as dl:
        tasks = [asyncio.ensure_future(dl.fetch(f"https://{number}.example/")) for number in range(9)]
        await until(lambda: len(transport.requests) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(transport.requests) == 3
        gate.set()
        await asyncio.gather(*tasks)
