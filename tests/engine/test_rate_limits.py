"""Limits of bytes a second, from the options to the wire, against real servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Downloader, Event, Limits, Timeout, errors
from asyncflags._policies.segments import SegmentRules
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.testing import Origin

from .waiting import parts, until

BODY = bytes(range(256)) * 4096
"""1 MiB."""
RATE = 500_000.0
SPEED = 100.0
URL = "https://flags.example/fr.gif"


class FastClock:
    """The loop's timers on a clock that runs a hundred times as fast."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self._loop.time() * SPEED

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        return self._loop.call_at(when / SPEED, callback)

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        return self._loop.call_soon_threadsafe(callback)


def hasten(dl: AsyncDownloader) -> FastClock:
    """Let the limits of *dl* go by a fast clock, so that what they hold can be counted in little time."""
    clock = FastClock()
    dl._ready()
    dl._opening.bandwidth.start(clock)
    return clock


@pytest.fixture
async def big(origin: Origin) -> str:
    return origin.add("/big", BODY)


def least(size: int, rate: float) -> float:
    """Seconds that *size* bytes take at *rate*, less the burst of a full bucket."""
    return (size - 1.0 - 0.05 * rate) / rate


async def test_a_body_comes_no_faster_than_allowed_and_is_whole(big: str, tmp_path: Path) -> None:
    async with AsyncDownloader(rate_limit=RATE) as dl:
        clock = hasten(dl)
        began = clock.time()
        result = await dl.download(big, tmp_path)
        assert clock.time() - began >= least(len(BODY), RATE)
    assert result.path is not None
    assert result.path.read_bytes() == BODY


@pytest.mark.parametrize("options", [{"rate_limit": RATE}, {"host_rate_limit": RATE}], ids=str)
async def test_downloads_at_once_have_one_limit_together(options: Any, big: str, tmp_path: Path) -> None:
    async with AsyncDownloader(**options) as dl:
        clock = hasten(dl)
        began = clock.time()
        report = await dl.download_many([big] * 4, tmp_path)
        assert clock.time() - began >= least(4 * len(BODY), RATE)
    assert report.size == 4 * len(BODY)


async def test_segments_of_one_file_have_one_limit_together(big: str, tmp_path: Path) -> None:
    async with AsyncDownloader(rate_limit=RATE, limits=Limits(max_segments=4)) as dl:
        clock = hasten(dl)
        dl._ready().segment_rules = SegmentRules(least_total=1, least_segment=1 << 16, window=0.01)
        began = clock.time()
        result = await dl.download(big, tmp_path)
        assert clock.time() - began >= least(len(BODY), RATE)
    assert result.size == len(BODY)


async def test_a_limit_that_goes_in_mid_run_lets_those_who_wait_go_on(big: str) -> None:
    async with AsyncDownloader(rate_limit=1000.0) as dl:
        task = asyncio.ensure_future(dl.fetch(big))
        await until(lambda: bool(dl.progress().size))
        assert not task.done()
        dl.set_rate_limit(None)
        assert (await task).content == BODY


async def test_a_limit_that_comes_in_mid_run_holds_for_what_is_under_way() -> None:
    gate = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[b"begun", gate.wait, bytes(100_000)]))
    async with AsyncDownloader(transport=transport) as dl:
        task = asyncio.ensure_future(dl.fetch(URL))
        await until(lambda: bool(dl.progress().size))
        dl.set_rate_limit(1.0)
        gate.set()
        await until(lambda: dl.progress().size > 5)
        for _ in range(100):
            await asyncio.sleep(0)
        # One small piece is received before it is paid for.
        assert dl.progress().size <= 5 + 1024
        task.cancel()
        await asyncio.wait([task])


async def test_a_host_s_own_limit_is_in_no_other_host_s_way(tmp_path: Path) -> None:
    transport = MockTransport(lambda request: MockResponse(body=bytes(10_000)))
    async with AsyncDownloader(transport=transport) as dl:
        dl.set_rate_limit(1.0, host="https://slow.example/whatever")
        slow = asyncio.ensure_future(dl.fetch("https://slow.example/a"))
        await until(lambda: bool(dl.progress().size))
        assert (await dl.fetch("https://fast.example/a")).size == 10_000
        assert (await dl.fetch("http://slow.example/a")).size == 10_000
        assert not slow.done()
        dl.set_rate_limit(None, host="https://SLOW.example:443")
        assert (await slow).size == 10_000


async def test_waiting_for_our_own_limit_is_nobody_s_silence() -> None:
    transport = MockTransport(lambda request: MockResponse(body=bytes(2000)))
    quick = Timeout(connect=0.02, read=0.02)
    async with AsyncDownloader(
        transport=transport, rate_limit=8000.0, timeout=quick, min_speed=1e9, retries=0
    ) as dl:
        assert (await dl.fetch(URL)).size == 2000


async def test_who_is_cancelled_while_waiting_leaves_what_cancelled_downloads_leave(tmp_path: Path) -> None:
    fields = {"ETag": '"v1"', "Accept-Ranges": "bytes", "Content-Length": "1000000"}
    transport = MockTransport(lambda request: MockResponse(headers=fields, body=[bytes(1_000_000)]))
    async with AsyncDownloader(transport=transport, rate_limit=100.0) as dl:
        task = asyncio.ensure_future(dl.download(URL, tmp_path))
        await until(lambda: bool(dl.progress().size))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert parts(tmp_path) == ["fr.gif.part", "fr.gif.part.json"]
        assert dl._opening.bandwidth._turns.waiting == 0


async def test_a_downloader_closes_while_its_downloads_wait(tmp_path: Path) -> None:
    transport = MockTransport(lambda request: MockResponse(body=bytes(10_000)))
    dl = AsyncDownloader(transport=transport, rate_limit=1.0)
    task = asyncio.ensure_future(dl.fetch(URL))
    await until(lambda: bool(dl.progress().size))
    await dl.aclose()
    with pytest.raises(errors.ClosedError):
        await task
    dl.set_rate_limit(5.0)


def test_the_blocking_face_changes_limits_from_any_thread() -> None:
    transport = MockTransport(lambda request: MockResponse(body=bytes(10_000)))
    with Downloader(transport=transport, rate_limit=1.0) as dl:
        waiting = threading.Thread(target=dl.fetch, args=(URL,))
        waiting.start()
        while not dl.progress().size:
            pass
        other = threading.Thread(target=dl.set_rate_limit, args=(None,))
        other.start()
        other.join()
        waiting.join(10)
        assert not waiting.is_alive()


def test_a_limit_can_be_changed_by_whom_an_event_tells() -> None:
    attempts: list[ExchangeRequest] = []

    def answer(request: ExchangeRequest) -> MockResponse:
        attempts.append(request)
        return MockResponse(status=302, headers={"Location": "/there"}) if len(attempts) == 1 else body

    def lift(event: Event) -> None:
        dl.set_rate_limit(None)

    body = MockResponse(body=bytes(10_000))
    with Downloader(transport=MockTransport(answer), rate_limit=1.0, on_event=lift) as dl:
        assert dl.fetch(URL).size == 10_000


@pytest.mark.parametrize("name", ["rate_limit", "host_rate_limit"])
@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_a_limit_out_of_range_is_a_value_error_at_once(name: str, rate: float) -> None:
    options: dict[str, Any] = {name: rate}
    with pytest.raises(ValueError, match=f"{name} must be more than 0"):
        AsyncDownloader(**options)


@pytest.mark.parametrize("host", ["flags.example", "", "ftp://flags.example", "https://"])
async def test_a_host_that_is_no_origin_is_a_value_error(host: str) -> None:
    async with AsyncDownloader(transport=MockTransport({})) as dl:
        with pytest.raises(ValueError):
            dl.set_rate_limit(1000.0, host=host)
        with pytest.raises(TypeError):
            dl.set_rate_limit("fast")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            dl.set_rate_limit(1.0, host=443)  # type: ignore[arg-type]
