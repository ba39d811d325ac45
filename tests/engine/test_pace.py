"""When a download counts as stalled, and whose fault a silence is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Limits, Timeout, errors
from asyncflags._engine import pace
from asyncflags._engine.watch import Watch
from asyncflags._storage.files import FileSink
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport

from .waiting import Gate, make_impatient, serving, until

URL = "https://flags.example/fr.gif"
QUICK = Timeout(connect=0.02, read=0.02)
PATIENCE_SECONDS = 1.0
"""What is noticed only after this was not noticed when it should have been."""


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_WINDOW", 0.05)


async def pause() -> None:
    await asyncio.sleep(0.01)


@asynccontextmanager
async def downloader(transport: MockTransport, **options: Any) -> AsyncIterator[AsyncDownloader]:
    chosen: dict[str, Any] = {"timeout": QUICK, "retries": 0, "min_speed": None} | options
    async with AsyncDownloader(transport=transport, **chosen) as dl, asyncio.timeout(PATIENCE_SECONDS):
        yield dl


async def silence() -> None:
    await asyncio.Event().wait()


async def silent_head(request: ExchangeRequest) -> MockResponse:
    await silence()
    raise AssertionError


async def test_an_answer_that_does_not_begin_is_a_read_timeout() -> None:
    async with downloader(MockTransport(silent_head)) as dl:
        with pytest.raises(errors.ReadTimeout, match="no answer"):
            await dl.fetch(URL)


async def test_a_body_that_stops_is_a_read_timeout() -> None:
    async with downloader(serving([b"fl", silence])) as dl:
        with pytest.raises(errors.ReadTimeout, match="after 2 bytes"):
            await dl.fetch(URL)


async def test_a_body_that_stops_is_noticed_after_the_read_timeout_and_not_after_that_for_connecting() -> (
    None
):
    async with downloader(serving([b"fl", silence]), timeout=Timeout(connect=600, read=0.02)) as dl:
        with pytest.raises(errors.ReadTimeout):
            await dl.fetch(URL)


async def test_a_connection_without_a_limit_is_not_ended_by_the_limit_for_reading() -> None:
    async def slow_head(request: ExchangeRequest) -> MockResponse:
        for _ in range(8):
            await pause()
        return MockResponse(body=b"flag")

    async with downloader(MockTransport(slow_head), timeout=Timeout(connect=None, read=0.04)) as dl:
        assert (await dl.fetch(URL)).content == b"flag"


async def test_bytes_now_and_then_are_no_silence() -> None:
    async with downloader(serving([pause, b"x"] * 10), timeout=Timeout(connect=0.05, read=0.05)) as dl:
        assert (await dl.fetch(URL)).size == 10


async def test_too_few_bytes_in_a_window_are_too_slow() -> None:
    async with downloader(serving([pause, b"x"] * 1000), min_speed=1e6) as dl:
        with pytest.raises(errors.TooSlow, match="min_speed"):
            await dl.fetch(URL)


@pytest.mark.parametrize("timeout", [None, Timeout(read=None), Timeout(connect=None, read=None)], ids=str)
async def test_the_least_speed_holds_without_a_read_timeout(timeout: Timeout | None) -> None:
    async with downloader(serving([b"x", silence]), timeout=timeout, min_speed=1e6) as dl:
        with pytest.raises(errors.TooSlow):
            await dl.fetch(URL)


async def test_the_least_speed_holds_for_large_bodies_too() -> None:
    # Each piece is a batch that goes to the disk; three a window is far less than what is asked for.
    pieces = [pause, bytes(1 << 18)] * 4000
    async with downloader(serving(pieces), timeout=Timeout(), min_speed=1e9) as dl:
        with pytest.raises(errors.TooSlow):
            await dl.fetch(URL)


@pytest.mark.parametrize("min_speed", [None, 0, 10.0])
async def test_a_transfer_that_is_fast_enough_is_left_alone(min_speed: float | None) -> None:
    async with downloader(serving([pause, b"x"] * 20), timeout=Timeout(), min_speed=min_speed) as dl:
        assert (await dl.fetch(URL)).size == 20


async def test_a_slow_disk_is_not_the_server_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, write = Gate(), FileSink.write

    def held(sink: FileSink, data: Any) -> None:
        gate.hold()
        write(sink, data)

    monkeypatch.setattr(FileSink, "write", held)
    async with downloader(serving([bytes(1 << 18)] * 8), min_speed=1e9) as dl:
        task = asyncio.ensure_future(dl.download(URL, tmp_path))
        await until(gate.arrived.is_set)
        for _ in range(10):
            await pause()
        gate.opened.set()
        assert (await task).size == 8 << 18


async def test_waiting_for_the_host_s_slot_is_nobody_s_silence() -> None:
    opened = asyncio.Event()
    transport = serving([opened.wait, b"flag"])
    limits = Limits(max_connections_per_host=1)
    async with downloader(transport, limits=limits, timeout=Timeout(connect=0.02, read=0.02)) as dl:
        # The first one may take its time, so that the second has to wait for longer than it may read.
        first = asyncio.ensure_future(dl.fetch(URL, timeout=None))
        await until(lambda: bool(transport.requests))
        second = asyncio.ensure_future(dl.fetch(URL))
        for _ in range(10):
            await pause()
        assert not second.done()
        opened.set()
        await asyncio.gather(first, second)


async def test_a_pause_of_the_host_is_nobody_s_silence() -> None:
    answers = [MockResponse(status=503), MockResponse(body=b"flag")]
    transport = MockTransport(lambda request: answers.pop(0))
    async with downloader(transport, retries=1, timeout=Timeout(connect=0.01, read=0.01)) as dl:
        make_impatient(dl._ready().hosts, 0.1)
        assert (await dl.fetch(URL)).content == b"flag"


# The whole download.


async def test_the_whole_download_has_its_own_limit() -> None:
    timeout = Timeout(connect=None, read=None, total=0.03)
    async with downloader(serving([b"fl", silence]), timeout=timeout) as dl:
        with pytest.raises(errors.TotalTimeout, match=r"not finished within 0\.03 s") as caught:
            await dl.fetch(URL)
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.attempts, caught.value.url) == (1, URL)


async def test_the_limit_of_the_whole_includes_pauses_and_attempts() -> None:
    transport = MockTransport(lambda request: MockResponse(status=503))
    async with downloader(transport, timeout=Timeout(total=0.05), retries=1000) as dl:
        dl._ready().jitter = lambda: 0.02
        with pytest.raises(errors.TotalTimeout) as caught:
            await dl.fetch(URL)
    assert caught.value.attempts > 1


async def test_the_limit_of_the_whole_leaves_nothing_behind(tmp_path: Path) -> None:
    async with downloader(serving([bytes(1 << 20), silence]), timeout=Timeout(total=0.03)) as dl:
        with pytest.raises(errors.TotalTimeout):
            await dl.download(URL, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_limit_of_the_whole_that_is_not_reached_changes_nothing() -> None:
    async with downloader(serving(), timeout=Timeout(total=60)) as dl:
        assert (await dl.fetch(URL)).content == b"flag"


async def test_a_caller_s_own_timeout_stays_the_caller_s() -> None:
    async with downloader(serving([silence]), timeout=Timeout(total=60)) as dl:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await dl.fetch(URL)
    assert not isinstance(caught.value, errors.DownloadError)


async def test_timeouts_are_tried_again() -> None:
    visits: list[int] = []

    def answer(request: ExchangeRequest) -> MockResponse:
        visits.append(1)
        return MockResponse(body=[silence] if len(visits) < 3 else b"flag")

    async with downloader(MockTransport(answer), retries=5) as dl:
        dl._ready().jitter = lambda: 0.0
        assert (await dl.fetch(URL)).attempts == 3


# The timer of an attempt by itself.


class Stalled(errors.ReadTimeout):
    pass


def once(*answers: float | errors.DownloadError) -> Any:
    left = list(answers)
    return lambda now: now + left.pop(0) if isinstance(left[0], float) else left.pop(0)


async def test_a_watch_raises_what_its_look_returns() -> None:
    now = asyncio.get_running_loop().time()
    with pytest.raises(Stalled):
        with Watch(once(0.001, 0.001, Stalled("stalled")), now):
            await silence()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_watch_that_sees_nothing_leaves_no_timer_behind() -> None:
    looked: list[float] = []

    def look(now: float) -> float:
        looked.append(now)
        return now + 0.001

    with Watch(look, asyncio.get_running_loop().time()):
        await pause()
    seen = len(looked)
    await pause()
    assert seen == len(looked) > 0


async def test_a_watch_does_not_swallow_another_cancellation() -> None:
    async def guarded() -> None:
        with Watch(once(Stalled("stalled")), asyncio.get_running_loop().time() + 0.005):
            await silence()

    task = asyncio.ensure_future(guarded())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_cancellations_at_once_the_caller_s_wins() -> None:
    async def guarded() -> None:
        with Watch(once(Stalled("stalled")), asyncio.get_running_loop().time()):
            try:
                await silence()
            finally:
                task.cancel()

    task = asyncio.ensure_future(guarded())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_block_s_own_error_is_not_covered_up() -> None:
    with pytest.raises(KeyError):
        with Watch(once(Stalled("stalled")), asyncio.get_running_loop().time()):
            try:
                await silence()
            except asyncio.CancelledError:
                raise KeyError from None
