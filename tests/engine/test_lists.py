"""Many downloads: taken lazily, bounded, and each with its own outcome."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Limits, Outcome, Request, errors
from asyncflags._engine.host_rules import HostRules
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport

from .waiting import parts, serving, until

FEW = Limits(max_downloads=3, max_threads=2)


def url(number: object) -> str:
    return f"https://flags.example/{number}"


class Counted:
    """Numbers turned into URLs, which tells how far it was taken and whether it was closed."""

    def __init__(self, count: int = 10**9) -> None:
        self.taken = 0
        self.closed = False
        self._count = count

    def generate(self) -> Iterator[str]:
        try:
            for number in range(self._count):
                self.taken = number + 1
                yield url(number)
        finally:
            self.closed = True

    async def generate_async(self) -> AsyncIterator[str]:
        try:
            for number in range(self._count):
                self.taken = number + 1
                await asyncio.sleep(0)
                yield url(number)
        finally:
            self.closed = True


def by_name(request: ExchangeRequest) -> MockResponse:
    return (
        MockResponse(status=404) if request.url.endswith("bad") else MockResponse(body=request.url.encode())
    )


@pytest.fixture(params=["rename", "fsync"])
async def dl(request: pytest.FixtureRequest) -> AsyncIterator[AsyncDownloader]:
    async with AsyncDownloader(
        transport=MockTransport(by_name), limits=FEW, durability=request.param
    ) as running:
        yield running


async def outcomes_of(dl: AsyncDownloader, urls: Any, folder: Path, **options: Any) -> list[Outcome]:
    async with dl.as_completed(urls, folder, **options) as outcomes:
        return [outcome async for outcome in outcomes]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_every_request_has_its_outcome_with_the_very_request(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    requests = [Request(url(number)) for number in range(20)] + [Request(url("bad"))]
    found = await outcomes_of(dl, requests, tmp_path)
    assert {id(outcome.request) for outcome in found} == {id(request) for request in requests}
    (failed,) = [outcome for outcome in found if outcome.error is not None]
    assert (failed.url, failed.result) == (url("bad"), None)
    assert isinstance(failed.error, errors.StatusError)
    for outcome in found:
        if outcome.error is None:
            result = outcome.unwrap()
            assert result.path is not None
            assert result.path.read_bytes() == outcome.url.encode()
    assert parts(tmp_path) == []


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "async generator", "dict", "iterator"])
async def test_any_iterable_will_do(kind: str, dl: AsyncDownloader, tmp_path: Path) -> None:
    urls = [url(number) for number in range(5)]
    given: Any = {
        "list": urls,
        "tuple": tuple(urls),
        "generator": (each for each in urls),
        "async generator": Counted(5).generate_async(),
        "dict": dict.fromkeys(urls),
        "iterator": iter(urls),
    }[kind]
    assert (await dl.download_many(given, tmp_path)).completed == 5
    assert names(tmp_path) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "urls", ["https://flags.example/", b"https://flags.example/", Request(url(1)), 5, None], ids=repr
)
async def test_what_is_no_list_is_a_type_error(urls: Any, dl: AsyncDownloader, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="URLs is expected"):
        dl.as_completed(urls, tmp_path)


async def test_an_empty_list_is_an_empty_report(dl: AsyncDownloader, tmp_path: Path) -> None:
    report = await dl.download_many([], tmp_path / "new")
    assert (report.total, report.failures) == (0, ())
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_list_is_taken_no_further_than_the_limits_allow(asynchronous: bool, tmp_path: Path) -> None:
    counted = Counted()
    urls = counted.generate_async() if asynchronous else counted.generate()
    ahead = 8
    async with AsyncDownloader(transport=serving(), limits=FEW, durability="rename") as dl:
        dl._ready().hosts.rules = HostRules(read_ahead=ahead)
        async with dl.as_completed(urls, tmp_path) as outcomes:
            for read in range(12):
                for _ in range(200):
                    await asyncio.sleep(0)
                # As many are under way, and as many wait for the reader, as there may be downloads.
                assert counted.taken <= read + 2 * FEW.max_downloads + 1 + ahead
                await anext(outcomes)
        assert counted.closed


async def test_nothing_is_taken_before_the_list_is_entered(tmp_path: Path) -> None:
    counted = Counted()
    async with AsyncDownloader(transport=serving()) as dl:
        dl.as_completed(counted.generate(), tmp_path)
        await asyncio.sleep(0)
    assert counted.taken == 0


async def test_iterating_without_entering_is_an_error_and_no_wait_for_ever(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving()) as dl:
        with pytest.raises(RuntimeError, match="async with"):
            async with asyncio.timeout(0.5):
                async for _ in dl.as_completed([url(1)], tmp_path):
                    pass


async def test_no_more_downloads_run_at_once_than_the_limit(tmp_path: Path) -> None:
    gate = asyncio.Event()
    transport = serving([gate.wait, b"flag"])
    async with AsyncDownloader(transport=transport, limits=FEW) as dl:
        task = asyncio.ensure_future(dl.download_many(map(url, range(10)), tmp_path))
        await until(lambda: len(transport.requests) == 3)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(transport.requests) == 3
        gate.set()
        assert (await task).completed == 10


async def test_leaving_early_cancels_the_rest_and_closes_the_generator(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    counted = Counted()
    async with dl.as_completed(counted.generate(), tmp_path) as outcomes:
        async for _ in outcomes:
            break
    assert counted.closed
    assert parts(tmp_path) == []
    left = names(tmp_path)
    await asyncio.sleep(0)
    assert names(tmp_path) == left
    assert (await dl.download_many([url("again")], tmp_path)).completed == 1


async def test_an_error_in_the_block_cancels_the_rest_and_is_the_one_raised(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    with pytest.raises(KeyError):
        async with dl.as_completed(Counted().generate(), tmp_path) as outcomes:
            await anext(outcomes)
            raise KeyError
    assert parts(tmp_path) == []


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_error_of_the_generator_comes_after_the_outcomes_before_it(
    asynchronous: bool, dl: AsyncDownloader, tmp_path: Path
) -> None:
    def broken() -> Iterator[str]:
        yield from map(url, range(5))
        raise LookupError("the list broke off")

    async def broken_async() -> AsyncIterator[str]:
        for each in map(url, range(5)):
            yield each
        raise LookupError("the list broke off")

    found = []
    with pytest.raises(LookupError, match="broke off"):
        async with dl.as_completed(broken_async() if asynchronous else broken(), tmp_path) as outcomes:
            async for outcome in outcomes:
                found.append(outcome.unwrap())
    assert len(found) == 5
    with pytest.raises(LookupError):
        await dl.download_many(broken(), tmp_path / "again")


async def test_what_is_no_url_in_a_list_ends_it_as_a_type_error(dl: AsyncDownloader, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a URL is a str or a Request"):
        await dl.download_many([url(1), 5], tmp_path)  # type: ignore[list-item]


BAD_REQUESTS = [
    Request("not a url"),
    Request(url("x"), checksum="nonsense"),
    Request(url("x"), size=-1),
    Request(url("x"), path="../evil"),
    Request(url("x"), path="\ud800"),
    Request(url("x"), path="a/" * 3000 + "b"),
    Request(url("x"), headers={"X": "a\r\nb"}),
    Request("https://name:\udcff@flags.example/"),
]


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda request: ascii(request)[:60])
async def test_a_malformed_request_is_its_own_failure_alone(
    bad: Request, dl: AsyncDownloader, tmp_path: Path
) -> None:
    report = await dl.download_many([url(1), bad, url(2)], tmp_path)
    assert (report.completed, report.failed) == (2, 1)
    (failure,) = report.failures
    assert failure.request is bad
    assert isinstance(failure.error, errors.DownloadError)
    assert failure.error.request is bad
    assert names(tmp_path) == ["1", "2"]


async def test_names_that_come_again_are_numbered(dl: AsyncDownloader, tmp_path: Path) -> None:
    urls = [f"https://{host}.example/fr.gif" for host in range(5)]
    report = await dl.download_many(urls, tmp_path)
    assert report.completed == 5
    assert names(tmp_path) == ["fr-2.gif", "fr-3.gif", "fr-4.gif", "fr-5.gif", "fr.gif"]
    assert {(tmp_path / name).read_bytes().decode() for name in names(tmp_path)} == set(urls)


@pytest.mark.parametrize(
    "twins", [("FR.gif", "fr.GIF"), ("caf%C3%A9", "cafe%CC%81"), ("stra%C3%9Fe", "STRASSE")]
)
async def test_names_that_some_file_systems_take_for_the_same_are_told_apart(
    twins: tuple[str, str], dl: AsyncDownloader, tmp_path: Path
) -> None:
    await dl.download_many(map(url, twins), tmp_path)
    found = names(tmp_path)
    assert len(found) == 2
    assert sum("-2" in name for name in found) == 1


async def test_two_requests_for_one_path_are_one_file_and_one_failure(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    requests = [Request(url(number), path="same") for number in range(2)]
    report = await dl.download_many(requests, tmp_path)
    assert (report.completed, report.failed) == (1, 1)
    assert isinstance(report.failures[0].error, errors.StorageError)


@pytest.mark.parametrize("order", ["exact first", "exact last"])
async def test_a_file_of_a_list_is_never_taken_for_the_part_of_another_one(
    order: str, dl: AsyncDownloader, tmp_path: Path
) -> None:
    exact, named = Request(url("exact"), path="flag.part"), Request(url("flag"))
    requests = [exact, named] if order == "exact first" else [named, exact]
    for outcome in await outcomes_of(dl, requests, tmp_path):
        if outcome.error is None:
            path = outcome.unwrap().path
            assert path is not None
            assert path.read_bytes() == outcome.url.encode()
    assert {(tmp_path / name).read_bytes() for name in names(tmp_path)} <= {
        b"https://flags.example/exact",
        b"https://flags.example/flag",
    }


async def test_a_name_is_given_once_in_a_run_also_when_its_file_is_gone(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    async with dl.as_completed([url("x"), url("x")], tmp_path) as outcomes:
        found = []
        async for outcome in outcomes:
            path = outcome.unwrap().path
            assert path is not None
            path.unlink()
            found.append(path.name)
    assert sorted(found) == ["x", "x-2"]


async def test_files_that_are_there_are_skipped_and_counted_apart(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    (tmp_path / "1").write_bytes(b"old")
    report = await dl.download_many(map(url, range(3)), tmp_path, if_exists="skip")
    assert (report.completed, report.skipped, report.failed, report.total) == (2, 1, 0, 3)
    assert (tmp_path / "1").read_bytes() == b"old"


async def test_a_report_counts_all_and_keeps_a_thousand_failures(tmp_path: Path) -> None:
    urls = (url("bad") if number % 5 else url(number) for number in range(1300))
    transport = MockTransport(by_name)
    async with AsyncDownloader(transport=transport, durability="rename") as dl:
        report = await dl.download_many(urls, tmp_path)
        progress = dl.progress()
    assert (report.completed, report.failed, report.total, report.attempts) == (260, 1040, 1300, 1300)
    assert (progress.completed, progress.failed) == (260, 1040)
    assert len(report.failures) == 1000
    assert report.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    with pytest.raises(ExceptionGroup, match="1040 of 1300 downloads failed") as caught:
        report.raise_for_errors()
    assert len(caught.value.exceptions) == 1000


async def test_a_report_without_failures_raises_nothing(dl: AsyncDownloader, tmp_path: Path) -> None:
    (await dl.download_many([url(1)], tmp_path)).raise_for_errors()


async def test_closing_the_downloader_ends_the_reader_with_a_closed_error(tmp_path: Path) -> None:
    never = asyncio.Event()
    dl = AsyncDownloader(transport=serving([never.wait]))
    counted = Counted()

    async def read_on() -> None:
        async with dl.as_completed(counted.generate(), tmp_path) as outcomes:
            async for _ in outcomes:
                pass

    readers = [asyncio.ensure_future(read_on()), asyncio.ensure_future(dl.download_many([url(1)], tmp_path))]
    await until(lambda: dl.progress().attempts > 1)
    await dl.aclose()
    await asyncio.wait(readers)
    assert [type(reader.exception()) for reader in readers] == [errors.ClosedError, errors.ClosedError]
    assert counted.closed
    assert list(tmp_path.iterdir()) == []


async def test_closing_ends_a_list_whose_reader_is_busy_elsewhere(tmp_path: Path) -> None:
    dl = AsyncDownloader(transport=serving(), limits=FEW)
    async with dl.as_completed(Counted().generate(), tmp_path) as outcomes:
        await anext(outcomes)
        await dl.aclose()
        with pytest.raises(errors.ClosedError):
            async for _ in outcomes:
                pass
    assert parts(tmp_path) == []


async def test_a_folder_that_cannot_be_made_is_raised_on_entering(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    counted = Counted()
    with pytest.raises(errors.StorageError):
        async with dl.as_completed(counted.generate(), tmp_path / "file"):
            pass
    assert counted.taken == 0


async def peak_of(count: int, folder: Path) -> int:
    """The most memory in bytes that a list of so many failures takes while it runs."""
    transport = MockTransport(lambda request: MockResponse(status=404))
    # A recorder of every request would itself grow with the list.
    transport.requests = type("Forgetful", (list,), {"append": lambda self, request: None})()
    async with AsyncDownloader(transport=transport, limits=Limits(max_downloads=8)) as dl:
        dl._ready().hosts.rules = HostRules(read_ahead=64)
        tracemalloc.start()
        try:
            async with dl.as_completed(Counted(count).generate(), folder, if_exists="overwrite") as outcomes:
                async for _ in outcomes:
                    pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


async def test_memory_does_not_grow_with_the_list_but_for_the_names_it_gave_away(tmp_path: Path) -> None:
    # What one download leaves behind is thousands of bytes if it is anything.
    few, many = await peak_of(1000, tmp_path), await peak_of(6000, tmp_path)
    assert many - few < 5000 * 24 + (3 << 20)
