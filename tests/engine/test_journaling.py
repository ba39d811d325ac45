"""Lists with a journal: what is asked for again, what never is, and what is told when."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import AsyncDownloader, Downloader, Event, Limits, Outcome, Request
from asyncflags._engine import journaling_record
from asyncflags._engine.host_rules import HostRules
from asyncflags._engine.journaling_names import JournalNames
from asyncflags._engine.options import Options
from asyncflags._engine.planning import Destination, wanted_path
from asyncflags._policies.urls import parse_url
from asyncflags._storage.journal import Journal
from asyncflags._storage.journal_reading import JournalReader
from asyncflags._storage.journal_rows import JournalRow, Settled, State, key_of, name_hash
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.errors import ClosedError, InvalidUrl, StorageError
from asyncflags.testing.faulty import FaultyOrigin

from .waiting import decisions, until

ROOT = Path(__file__).resolve().parents[2]
FEW = Limits(max_downloads=3, max_threads=2)


def url(name: object) -> str:
    return f"https://flags.example/{name}"


def urls(*names: object) -> list[str]:
    return [url(name) for name in names]


class Origin:
    """Answers with the URL, counts who was asked for, and holds back what it is told to."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bad: set[str] = set()
        self.held: set[str] = set()
        self.released = asyncio.Event()
        self.conditions: list[str | None] = []

    async def __call__(self, request: ExchangeRequest) -> MockResponse:
        name = request.url.rpartition("/")[2]
        self.asked[name] += 1
        self.conditions.append(request.headers.get("If-None-Match"))
        if name in self.held:
            await self.released.wait()
        if name in self.bad:
            return MockResponse(status=404)
        if request.headers.get("If-None-Match") == '"v1"':
            return MockResponse(status=304, headers={"ETag": '"v1"'})
        body = request.url.encode()
        fields = {"ETag": '"v1"', "Content-Length": str(len(body))}
        if name == "named":
            fields["Content-Disposition"] = "attachment; filename=a"
        return MockResponse(body=body, headers=fields)


class Runs:
    """Runs with one journal into one folder, each with a downloader of its own."""

    def __init__(self, place: Path, durability: Any) -> None:
        self.folder = place / "flags"
        self.journal = place / "flags.journal"
        self.origin = Origin()
        self.events: list[Event] = []
        self.durability = durability

    def downloader(self, **options: Any) -> AsyncDownloader:
        return AsyncDownloader(
            transport=MockTransport(self.origin),
            limits=FEW,
            on_event=self.events.append,
            durability=self.durability,
            retries=0,
            **options,
        )

    async def run(self, requests: Any, **options: Any) -> list[Outcome]:
        """All outcomes of a run, which begins with nothing asked for."""
        self.origin.asked.clear()
        async with self.downloader() as dl:
            async with dl.as_completed(requests, self.folder, journal=self.journal, **options) as outcomes:
                return [outcome async for outcome in outcomes]

    async def interrupted(self, requests: Any) -> None:
        """A run that is left while what is held back is under way and the rest has ended."""
        self.origin.asked.clear()
        async with self.downloader() as dl:
            async with dl.as_completed(requests, self.folder, journal=self.journal) as outcomes:
                reading = asyncio.create_task(anext(outcomes))
                await until(lambda: self.origin.held <= self.origin.asked.keys())
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await reading
        self.origin.held.clear()

    async def rows(self) -> list[JournalRow]:
        """What stands in the journal, as another process would read it."""

        def read() -> list[JournalRow]:
            with JournalReader(str(self.journal)) as reader:
                return list(reader.rows())

        return await asyncio.to_thread(read)

    async def states(self) -> dict[str, State]:
        return {row.url.rpartition("/")[2]: State(row.state) for row in await self.rows()}

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(params=["rename", "fsync"])
async def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Runs:
    return Runs(tmp_path, request.param)


async def test_what_is_done_is_not_asked_for_again_and_reported_as_skipped(runs: Runs) -> None:
    first = await runs.run(urls("a", "b"))
    second = await runs.run([Request(url("a")), *urls("b", "c")])
    assert runs.origin.asked == {"c": 1}
    skipped = {outcome.url: outcome.unwrap() for outcome in second if outcome.unwrap().skipped}
    assert skipped.keys() == set(urls("a", "b"))
    for outcome in first:
        result, again = outcome.unwrap(), skipped[outcome.url]
        assert (again.path, again.size, again.etag) == (result.path, result.size, result.etag)
        assert (again.attempts, again.status) == (0, 0)


async def test_the_outcome_is_of_the_very_request_that_was_given(runs: Runs) -> None:
    requests = [Request(url("a")), Request(url("bad")), Request(url("b"), path="c")]
    runs.origin.bad.add("bad")
    for _ in range(2):
        outcomes = await runs.run(requests)
        assert {id(outcome.request) for outcome in outcomes} == set(map(id, requests))
        (failure,) = [outcome.error for outcome in outcomes if outcome.error is not None]
        assert failure.request is requests[1]


async def test_a_file_that_is_gone_or_has_another_size_is_downloaded_again(runs: Runs) -> None:
    await runs.run(urls("a", "b", "c"))
    (runs.folder / "a").unlink()
    (runs.folder / "b").write_bytes(b"")
    await runs.run(urls("a", "b", "c"))
    assert runs.origin.asked == {"a": 1, "b": 1}
    assert runs.names() == ["a", "b", "c"]
    assert (runs.folder / "b").read_text() == url("b")


async def test_what_failed_is_tried_again_when_the_list_gives_it(runs: Runs) -> None:
    runs.origin.bad.add("a")
    await runs.run(urls("a", "b"))
    assert await runs.states() == {"a": State.FAILED, "b": State.DONE}
    runs.origin.bad.clear()
    await runs.run(urls("c"))
    assert runs.origin.asked == {"c": 1}
    await runs.run(urls("a"))
    assert await runs.states() == {"a": State.DONE, "b": State.DONE, "c": State.DONE}


async def test_what_was_left_unfinished_goes_on_first_also_when_the_list_has_changed(runs: Runs) -> None:
    runs.origin.held.update("ab")
    await runs.interrupted(urls("a", "b", "done", "new"))
    left = {name for name, state in (await runs.states()).items() if state < State.DONE}
    assert left >= {"a", "b"}
    outcomes = await runs.run(urls("c", "b"))
    assert sorted(outcome.url for outcome in outcomes) == sorted(urls(*left, "c"))
    assert runs.origin.asked.keys() == {*left, "c"}
    assert set((await runs.states()).values()) == {State.DONE}
    assert runs.names() == ["a", "b", "c", "done", "new"]


async def test_an_outcome_is_handed_over_after_it_is_noted(runs: Runs) -> None:
    runs.origin.bad.add("3")
    async with runs.downloader() as dl:
        async with dl.as_completed(urls(*range(20)), runs.folder, journal=runs.journal) as outcomes:
            async for outcome in outcomes:
                expected = State.FAILED if outcome.error is not None else State.DONE
                assert (await runs.states())[outcome.url.rpartition("/")[2]] is expected


async def test_a_row_says_done_after_its_file_stands_under_its_name(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing: list[bool] = []
    record = Journal.record

    def watched(journal: Journal, started: Sequence[int], settled: Sequence[Settled], *, now: float) -> None:
        standing.extend((runs.folder / str(row.row - 1)).is_file() for row in settled)
        record(journal, started, settled, now=now)

    monkeypatch.setattr(Journal, "record", watched)
    await runs.run(urls(*range(300)))
    assert standing == [True] * 300


async def test_names_stay_those_of_their_rows_in_whatever_order_a_list_comes(runs: Runs) -> None:
    lists = [f"https://flags.example/{place}/index.html" for place in range(4)]
    await runs.run(lists)
    before = {name: (runs.folder / name).read_text() for name in runs.names()}
    assert len(before) == 4
    for name in before:
        (runs.folder / name).unlink()
    await runs.run(["https://flags.example/new/index.html", *reversed(lists)])
    assert before.items() < {name: (runs.folder / name).read_text() for name in runs.names()}.items()
    assert len(runs.names()) == 5


async def test_the_same_url_twice_is_two_files_in_every_run(runs: Runs) -> None:
    for asked in ({"a": 2}, {}):
        await runs.run(urls("a", "a"))
        assert runs.origin.asked == asked
        assert runs.names() == ["a", "a-2"]


async def test_two_requests_with_one_path_are_one_file_and_one_error(runs: Runs) -> None:
    requests = [Request(url("a"), path="x"), Request(url("b"), path="x")]
    for _ in range(2):
        outcomes = await runs.run(requests)
        assert [type(outcome.error) for outcome in outcomes if outcome.error] == [StorageError]
        assert runs.names() == ["x"]


async def test_a_file_whose_name_another_download_took_is_downloaded_again(runs: Runs) -> None:
    await runs.run(urls("a"))
    await runs.run(urls("named"), name_from="server")
    await runs.run(urls("a", "named"))
    assert sorted((runs.folder / name).read_text() for name in runs.names()) == urls("a", "named")


async def test_with_rename_what_is_done_is_not_done_again(runs: Runs) -> None:
    runs.folder.mkdir()
    (runs.folder / "a").write_text("mine")
    for _ in range(2):
        await runs.run(urls("a"), if_exists="rename")
    assert runs.names() == ["a", "a-2"]
    assert (runs.folder / "a").read_text() == "mine"


async def test_with_update_what_is_done_is_asked_for_with_its_validator(runs: Runs) -> None:
    await runs.run(urls("a"), if_exists="update")
    for _ in range(2):
        runs.origin.conditions.clear()
        (outcome,) = await runs.run(urls("a"), if_exists="update")
        assert runs.origin.conditions == ['"v1"']
        assert (outcome.unwrap().skipped, outcome.unwrap().status) == (True, 304)


async def test_a_journal_in_use_is_refused_before_anything_is_asked_for(runs: Runs) -> None:
    runs.origin.held.add("a")
    async with runs.downloader() as dl:
        async with dl.as_completed(urls("a"), runs.folder, journal=runs.journal):
            with pytest.raises(StorageError, match=f"in use by process {os.getpid()} "):
                await dl.download_many(urls("b"), runs.folder, journal=runs.journal)
    assert "b" not in runs.origin.asked


async def test_a_reader_that_stops_stops_the_list(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journaling_record, "_MOST_WAITING", 8)
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield url(taken)

    async with runs.downloader() as dl:
        dl._ready().hosts.rules = HostRules(read_ahead=64)
        async with dl.as_completed(endless(), runs.folder, journal=runs.journal) as outcomes:
            await until(lambda: runs.origin.asked.total() >= 8)
            for _ in range(200):
                await asyncio.sleep(0.001)
            # What waits for its checkpoint is bounded too, by 512.
            assert taken <= 256 + 512 + 64 + 64
            assert len(await outcomes.take(8)) == 8


async def test_what_a_slow_list_has_given_is_not_kept_waiting_for_more(runs: Runs) -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield url("a")
        await more.wait()
        yield url("b")

    async with runs.downloader() as dl:
        async with dl.as_completed(slow(), runs.folder, journal=runs.journal) as outcomes:
            assert (await anext(outcomes)).url == url("a")
            more.set()
            assert (await anext(outcomes)).url == url("b")


async def test_what_a_list_gave_before_it_failed_is_downloaded(runs: Runs) -> None:
    def broken() -> Iterator[str]:
        yield from urls("a", "b")
        raise LookupError("no more")

    names = []
    async with runs.downloader() as dl:
        async with dl.as_completed(broken(), runs.folder, journal=runs.journal) as outcomes:
            with pytest.raises(LookupError, match="no more"):
                async for outcome in outcomes:
                    names.append(outcome.url)
    assert sorted(names) == urls("a", "b")
    assert set((await runs.states()).values()) == {State.DONE}


async def test_closing_the_downloader_leaves_rows_to_go_on_with_and_the_journal_free(runs: Runs) -> None:
    runs.origin.held.add("a")
    dl = runs.downloader()
    async with dl.as_completed(urls("a"), runs.folder, journal=runs.journal) as outcomes:
        await until(lambda: bool(runs.origin.asked))
        await dl.aclose()
        with pytest.raises(ClosedError):
            await anext(outcomes)
    assert (await runs.states())["a"] < State.DONE
    runs.origin.held.clear()
    assert len(await runs.run([])) == 1


async def test_what_fails_after_its_download_is_tried_again(runs: Runs) -> None:
    def refuse(path: Path) -> None:
        raise LookupError(path.name)

    for _ in range(2):
        (outcome,) = await runs.run(urls("a"), postprocess=refuse, postprocess_in="thread")
        assert outcome.error is not None
        assert runs.origin.asked == {"a": 1}
    assert [(row.state, row.error) for row in await runs.rows()] == [(State.FAILED, "PostprocessError")]


async def test_a_malformed_request_is_noted_as_that(runs: Runs) -> None:
    requests = [Request("nonsense"), Request(url("a"), path="../a"), Request(url("b"), checksum="x:y")]
    outcomes = await runs.run(requests)
    assert len(outcomes) == 3
    assert [row.error for row in await runs.rows()] == ["InvalidUrl", "UnsafePath", "DownloadError"]


async def test_a_damaged_journal_is_told_and_costs_no_download(runs: Runs) -> None:
    runs.journal.write_text("no journal")
    assert len(await runs.run(urls("a", "b"))) == 2
    assert [event.kind for event in decisions(runs.events)] == ["journal_damaged"]
    assert (runs.journal.parent / "flags.journal.damaged-1").read_text() == "no journal"
    assert set((await runs.states()).values()) == {State.DONE}


async def test_a_journal_that_is_lost_on_the_way_costs_no_download_and_no_file(runs: Runs) -> None:
    lists = [f"https://flags.example/{place}/index.html" for place in range(40)]

    def lose() -> None:
        with sqlite3.connect(runs.journal) as connection:
            connection.execute("update owner set record = '{}'")
        connection.close()

    async def losing() -> AsyncIterator[str]:
        for number, each in enumerate(lists):
            if number == 20:
                await until(lambda: runs.origin.asked.total() == 20)
                await asyncio.to_thread(lose)
                for _ in range(100):
                    await asyncio.sleep(0.001)
            yield each

    assert len(await runs.run(losing())) == 40
    assert [event.kind for event in decisions(runs.events)] == ["journal_lost"]
    assert len(runs.names()) == 40
    assert sorted((runs.folder / name).read_text() for name in runs.names()) == sorted(lists)


async def test_a_journal_that_fails_in_an_unforeseen_way_ends_the_run(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **named: object) -> None:
        raise LookupError("unforeseen")

    monkeypatch.setattr(Journal, "record", fail)
    with pytest.raises(LookupError, match="unforeseen"):
        await runs.run(url(number) for number in range(2000))


def seed(runs: Runs, count: int) -> None:
    """Rows that are done, but for one in their middle, as so many downloads would have left them."""
    with sqlite3.connect(runs.journal) as connection:
        connection.executemany(
            "insert into downloads (id, key, url, withheld, state, attempts, path, name, bytes) "
            "values (?, ?, ?, 0, ?, 1, ?, ?, 0)",
            (
                (
                    number + 1, key_of(url(number), None, 0), url(number), 0 if number == count // 2 else 2,
                    str(number), name_hash(str(number)),
                )
                for number in range(count)
            ),
        )  # fmt: skip
    connection.close()
    for number in range(count):
        if number != count // 2:
            (runs.folder / str(number)).touch()


async def test_a_long_journal_goes_on_at_once_and_its_done_rows_take_no_task_each(runs: Runs) -> None:
    await runs.run([])
    seed(runs, 5000)
    most = 0
    async with runs.downloader() as dl:
        requests = urls(*range(5001))
        async with dl.as_completed(requests, runs.folder, journal=runs.journal) as outcomes:
            found = []
            while batch := await outcomes.take(256):
                found += batch
                most = max(most, len(asyncio.all_tasks()))
    downloaded = {outcome.url for outcome in found if not outcome.unwrap().skipped}
    assert len(found) == 5001
    assert downloaded == set(urls(2500, 5000))
    assert most < 30


def test_the_blocking_face_keeps_a_journal_too(tmp_path: Path) -> None:
    transport = MockTransport({url("a"): MockResponse(body=b"flag")})
    with Downloader(transport=transport) as dl:
        for _ in range(2):
            with dl.as_completed(urls("a"), tmp_path, journal=tmp_path / "journal") as outcomes:
                assert [outcome.unwrap().size for outcome in outcomes] == [4]
        assert dl.download_many(iter(urls("a")), tmp_path, journal=tmp_path / "journal").skipped == 1
    assert len(transport.requests) == 1


RUN = """
import sys, asyncflags
urls = sys.stdin.read().split()
with asyncflags.Downloader(durability=sys.argv[2], limits=asyncflags.Limits(max_downloads=4)) as dl:
    with dl.as_completed(urls, sys.argv[1], journal=sys.argv[1] + ".journal") as outcomes:
        for outcome in outcomes:
            print(outcome.url, flush=True)
"""


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_after_any_kill_no_download_that_was_reported_is_asked_for_again(
    durability: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    count, folder, asked, ended = 60, tmp_path / "flags", Counter[str](), set[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Any) -> None:
        asked[request.target] += 1
        assert faulty.url + request.target not in ended
        with contextlib.suppress(RuntimeError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.target))
            await asyncio.sleep(0.002)
            writer.write(request.target.encode())
            await writer.drain()

    lists = [f"{faulty.url}/{number}" for number in range(count)]
    for number in range(count):
        faulty.script(f"/{number}", answer)
    for lines in (1, 7, 20, 0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, str(folder), durability, cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join(lists).encode())
        process.stdin.close()
        number = 0
        async for line in process.stdout:
            number += 1
            ended.add(line.decode().strip())
            if number == lines:
                process.kill()
        await process.wait()
    assert process.returncode == 0
    assert ended == set(lists)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(map(str, range(count)))
    assert all((folder / name).read_text() == f"/{name}" for name in names)
    assert sum(asked.values()) - count <= 3 * (4 + 64)


@given(
    st.builds(
        "http://h{}/{}{}".format,
        st.sampled_from(["", ":80", ":81"]),
        st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("/%.#?@ "), max_size=30),
        st.sampled_from(["", "#x/y", "?x/y", "/", " "]),
    ),
    st.sampled_from(["flat", "url"]),
)
def test_rows_are_named_as_downloads_are(text: str, layout: Any) -> None:
    options = Options(layout=layout)
    try:
        sent = parse_url(text).url
    except InvalidUrl:
        return
    path, exact = wanted_path(Request(text), Destination(folder="/flags"), options, sent, None)
    assert JournalNames("/flags", options).wanted(Request(text)) == (path.removeprefix("/flags/"), exact)


def test_paths_of_rows_are_those_that_were_given() -> None:
    names = JournalNames("/flags", Options())
    assert names.wanted(Request(url("a"), path=".//b\\c".replace("//", "/"))) == ("b/c", True)
    assert names.wanted(Request(url("a"), path="../b")) is None
    assert JournalNames("/flags", Options(name_from="server")).wanted(Request(url("a"))) is None
