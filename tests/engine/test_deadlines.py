"""A run that has to end in time, and one of which is told what it waits for."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Downloader, Event, Limits, Report, errors
from asyncflags._engine import watchdog
from asyncflags._engine.deadlines import RunDeadline, message_of
from asyncflags._engine.scheduler import Outcomes
from asyncflags._storage.journal_reading import JournalReader
from asyncflags._storage.journal_rows import State
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport

from .waiting import parts, until

FEW = Limits(max_downloads=3, max_threads=2)
SOON = 0.04
PASSED = r"the run's deadline of 0\.04 s passed"


def url(name: object) -> str:
    return f"https://flags.example/{name}"


async def silence() -> None:
    await asyncio.Event().wait()


async def answer(request: ExchangeRequest) -> MockResponse:
    """What is called held never comes, and of what is called half nothing but that."""
    name = request.url.rpartition("/")[2]
    if name.startswith("held"):
        await silence()
    if name.startswith("half"):
        fields = {"ETag": '"v1"', "Content-Length": "1000000", "Accept-Ranges": "bytes"}
        return MockResponse(headers=fields, body=[bytes(500_000), silence])
    return MockResponse(body=request.url.encode())


@pytest.fixture(params=["rename", "fsync"])
async def dl(request: pytest.FixtureRequest) -> AsyncIterator[AsyncDownloader]:
    transport = MockTransport(answer)
    async with AsyncDownloader(transport=transport, limits=FEW, durability=request.param) as running:
        yield running


class Endless:
    """URLs without end, and how many were taken."""

    def __init__(self, name: str) -> None:
        self.taken = 0
        self.closed = False
        self._name = name

    def __iter__(self) -> Iterator[str]:
        try:
            while True:
                self.taken += 1
                yield url(f"{self._name}{self.taken}")
        finally:
            self.closed = True


async def rest_of(outcomes: Outcomes) -> dict[str, errors.DownloadError | None]:
    """What became of all that is not read yet, by the last part of its URL."""
    return {outcome.url.rpartition("/")[2]: outcome.error async for outcome in outcomes}


async def test_what_is_under_way_fails_and_the_iteration_ends(dl: AsyncDownloader, tmp_path: Path) -> None:
    urls = [url("held1"), url("a"), url("held2"), url("b")]
    async with dl.as_completed(urls, tmp_path) as outcomes:
        assert {(await anext(outcomes)).url for _ in range(2)} == {url("a"), url("b")}
        assert not outcomes.expired
        outcomes.expire(message_of(10))
        found = await rest_of(outcomes)
        assert outcomes.expired
    assert found.keys() == {"held1", "held2"}
    for name, error in found.items():
        assert isinstance(error, errors.TotalTimeout)
        assert (error.url, error.attempts) == (url(name), 1)
        assert error.request is not None
        assert error.message == "the run's deadline of 10 s passed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert dl.progress().failed == 2
    assert dl.progress().active == ()


async def test_the_deadline_of_a_run_passes_by_itself(dl: AsyncDownloader, tmp_path: Path) -> None:
    async with dl.as_completed([url("held")], tmp_path, deadline=SOON) as outcomes:
        found = await rest_of(outcomes)
    assert [str(error) for error in found.values()] == [
        f"the run's deadline of 0.04 s passed [{url('held')}]"
    ]


async def test_the_rest_of_the_list_is_not_read(dl: AsyncDownloader, tmp_path: Path) -> None:
    urls = Endless("held")
    report = await dl.download_many(iter(urls), tmp_path, deadline=SOON)
    taken = urls.taken
    assert urls.closed
    await asyncio.sleep(0.01)
    assert urls.taken == taken
    assert (report.completed, report.expired) == (0, True)
    assert 3 <= report.failed <= taken
    with pytest.raises(ExceptionGroup, match="downloads failed") as caught:
        report.raise_for_errors()
    assert all(isinstance(error, errors.TotalTimeout) for error in caught.value.exceptions)


async def test_a_list_that_gives_nothing_ends_too_and_tells_that_it_was_not_read_to_its_end(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    closed: list[bool] = []

    async def urls() -> AsyncIterator[str]:
        try:
            yield url("a")
            await silence()
        finally:
            closed.append(True)

    report = await dl.download_many(urls(), tmp_path, deadline=SOON)
    # On a machine that stands still for so long, the one that it gave may be late.
    assert (report.total, report.expired, closed) == (1, True, [True])
    with pytest.raises(ExceptionGroup) as caught:
        report.raise_for_errors()
    assert caught.group_contains(errors.TotalTimeout)


async def test_parts_that_can_be_continued_stay(dl: AsyncDownloader, tmp_path: Path) -> None:
    async with dl.as_completed([url("half")], tmp_path) as outcomes:
        await until(lambda: dl.progress().size == 500_000)
        outcomes.expire(message_of(10))
        await rest_of(outcomes)
        assert parts(tmp_path) == ["half.part", "half.part.json"]


async def test_a_run_that_is_done_in_time_knows_nothing_of_its_deadline(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    report = await dl.download_many([url("a"), url("b")], tmp_path, deadline=60)
    assert (report.completed, report.failed, report.expired) == (2, 0, False)
    report.raise_for_errors()


async def test_a_run_that_was_left_has_no_deadline_any_more(dl: AsyncDownloader, tmp_path: Path) -> None:
    async with dl.as_completed([url("held")], tmp_path, deadline=60) as outcomes:
        (guard,) = [each for each in outcomes._guards if isinstance(each, RunDeadline)]
        assert guard._timer is not None
    assert guard._timer is None
    outcomes.expire(message_of(10))
    assert not outcomes.expired


async def test_a_deadline_is_that_of_its_own_run_alone(dl: AsyncDownloader, tmp_path: Path) -> None:
    other = asyncio.ensure_future(dl.fetch(url("held")))
    await dl.download_many([url("held")], tmp_path, deadline=SOON)
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])


async def test_outcomes_that_nobody_has_read_yet_are_all_there_after_the_deadline(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    urls = Endless("x")
    async with dl.as_completed(iter(urls), tmp_path, deadline=SOON) as outcomes:
        await asyncio.sleep(0.045)
        await until(lambda: outcomes.expired)
        found = [outcome async for outcome in outcomes]
    assert len(found) == len({outcome.url for outcome in found}) == urls.taken
    assert all(isinstance(outcome.error, errors.TotalTimeout | None) for outcome in found)


async def test_a_function_on_the_files_ends_with_the_run(dl: AsyncDownloader, tmp_path: Path) -> None:
    running = tmp_path / "running"
    function = functools.partial(_linger, running)
    async with dl.as_completed([url("a")], tmp_path / "flags", postprocess=function) as outcomes:
        await until(running.exists)
        outcomes.expire(message_of(10))
        found = await rest_of(outcomes)
    assert isinstance(found["a"], errors.TotalTimeout)
    assert (tmp_path / "flags" / "a").read_bytes() == url("a").encode()


def _linger(running: Path, path: Path) -> None:
    running.touch()
    time.sleep(0.05)


async def test_with_a_journal_what_was_unfinished_is_left_for_the_next_run(tmp_path: Path) -> None:
    waiting: list[bool] = [True]

    async def later(request: ExchangeRequest) -> MockResponse:
        if request.url.endswith("held") and waiting[0]:
            await silence()
        return MockResponse(status=404) if request.url.endswith("bad") else MockResponse(body=b"flag")

    transport, journal = MockTransport(later), tmp_path / "journal"
    urls = [url("a"), url("held"), url("bad")]
    async with AsyncDownloader(transport=transport, limits=FEW, durability="rename") as dl:
        async with dl.as_completed(urls, tmp_path / "flags", journal=journal) as outcomes:
            assert {(await anext(outcomes)).url for _ in range(2)} == {url("a"), url("bad")}
            outcomes.expire(message_of(10))
            assert isinstance((await rest_of(outcomes))["held"], errors.TotalTimeout)
        states = await asyncio.to_thread(_states, journal)
        assert states[url("bad")] == State.FAILED
        assert states[url("held")] not in (State.FAILED, State.DONE)
        waiting[0] = False
        second = await dl.download_many([], tmp_path / "flags", journal=journal)
    assert (second.completed, second.failed, second.expired) == (1, 0, False)
    assert (tmp_path / "flags" / "held").read_bytes() == b"flag"


def _states(journal: Path) -> dict[str, int]:
    with JournalReader(str(journal)) as reader:
        return {row.url: row.state for row in reader.rows()}


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf")])
async def test_a_deadline_of_nothing_is_a_value_error(deadline: float, dl: AsyncDownloader) -> None:
    with pytest.raises(ValueError, match="None means no limit"):
        dl.as_completed([], deadline=deadline)
    with pytest.raises(ValueError, match="None means no limit"):
        await dl.download_many([], deadline=deadline)


@pytest.mark.parametrize("deadline", ["5", True])
async def test_a_deadline_that_is_no_number_is_a_type_error(deadline: Any, dl: AsyncDownloader) -> None:
    with pytest.raises(TypeError, match="number of seconds"):
        dl.as_completed([], deadline=deadline)


def in_order(dl: Downloader, urls: list[str], folder: Path) -> Any:
    return list(dl.map(urls, folder, deadline=SOON))


def as_completed(dl: Downloader, urls: list[str], folder: Path) -> Any:
    with dl.as_completed(urls, folder, deadline=SOON) as outcomes:
        for outcome in outcomes:
            outcome.unwrap()


def report(dl: Downloader, urls: list[str], folder: Path) -> Any:
    (failure,) = dl.download_many(urls, folder, deadline=SOON).failures
    failure.unwrap()


@pytest.mark.parametrize("work", [in_order, as_completed, report])
def test_the_blocking_face_has_deadlines_too(work: Callable[..., Any], tmp_path: Path) -> None:
    with Downloader(transport=MockTransport(answer), limits=FEW) as dl:
        with pytest.raises(errors.TotalTimeout, match=PASSED) as caught:
            work(dl, [url("held"), url("a")], tmp_path)
    assert caught.value.url == url("held")


def test_a_map_that_is_done_in_time_knows_nothing_of_its_deadline(tmp_path: Path) -> None:
    with Downloader(transport=MockTransport(answer), limits=FEW) as dl:
        assert len(list(dl.map([url("a"), url("b")], tmp_path, deadline=60))) == 2


def test_a_report_without_a_deadline_did_not_expire() -> None:
    assert Report().expired is False


# The watchdog.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_PATIENCE", 0.02)


def waits(events: list[Event]) -> list[Event]:
    return [event for event in events if event.kind == "waiting"]


@pytest.mark.usefixtures("impatient")
async def test_what_is_waited_for_is_told_when_nothing_comes_and_again(tmp_path: Path) -> None:
    events: list[Event] = []
    async with AsyncDownloader(transport=MockTransport(answer), limits=FEW, on_event=events.append) as dl:
        async with dl.as_completed([url("held")], tmp_path):
            await until(lambda: len(waits(events)) >= 2)
            told = len(waits(events))
        await asyncio.sleep(0.04)
        assert len(waits(events)) == told
    first, second = waits(events)[:2]
    assert first.detail.startswith("nothing has come for ")
    assert "flags.example" in first.detail
    assert second.seconds > first.seconds >= 0.02
    assert first.url == ""


@pytest.mark.usefixtures("impatient")
async def test_nothing_is_told_while_bytes_come(tmp_path: Path) -> None:
    async def pause() -> None:
        await asyncio.sleep(0.002)

    events: list[Event] = []
    transport = MockTransport(lambda request: MockResponse(body=[pause, b"x"] * 30))
    async with AsyncDownloader(transport=transport, on_event=events.append) as dl:
        report = await dl.download_many([url("slow")], tmp_path)
    assert report.elapsed > 0.04
    # A machine that stood still for so long itself may have been told of.
    assert len(waits(events)) <= 1


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_is_told_so(tmp_path: Path) -> None:
    told = "waiting for its outcomes to be read"
    events: list[Event] = []
    async with AsyncDownloader(transport=MockTransport(answer), limits=FEW, on_event=events.append) as dl:
        async with dl.as_completed(iter(Endless("x")), tmp_path):
            await until(lambda: any(told in event.detail for event in waits(events)))
