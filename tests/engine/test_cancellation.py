"""A download that is cancelled at any moment: nothing runs on, nothing is left, nothing is swallowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from asyncflags import AsyncDownloader, Limits
from asyncflags._storage.files import FileSink
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.errors import ClosedError

from .waiting import Gate, make_impatient, parts, settle_threads, step, until

BODY = bytes(range(256)) * 2400
"""Three batches."""

MOST_STEPS = 400

Work: TypeAlias = "Callable[[AsyncDownloader, Path], Coroutine[Any, Any, object]]"


class Canceller:
    """Runs work in a task and can cancel it in one of the three ways there are."""

    task: asyncio.Task[object]

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.noticed = False

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        run = {"task": self._plain, "timeout": self._timed, "scope": self._scoped}[self.kind]
        self.task = asyncio.get_running_loop().create_task(run(work))

    def cancel(self) -> None:
        if self.kind == "task":
            self.task.cancel()
        elif self.kind == "timeout":
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._scope.cancel()

    async def _plain(self, work: Coroutine[Any, Any, object]) -> object:
        try:
            return await work
        except asyncio.CancelledError:
            self.noticed = True
            raise

    async def _timed(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._plain(work)
        except TimeoutError:
            self._assert_uncancelled()

    async def _scoped(self, work: Coroutine[Any, Any, object]) -> None:
        with anyio.CancelScope() as self._scope:
            await self._plain(work)
        self._assert_uncancelled()

    def _assert_uncancelled(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


def answer(request: ExchangeRequest) -> MockResponse:
    if request.url.endswith("/moved"):
        return MockResponse(status=302, headers={"Location": "/large"})
    if request.url.endswith("/large"):
        return MockResponse(body=[BODY[start : start + 50_000] for start in range(0, len(BODY), 50_000)])
    return MockResponse(body=b"flag")


def flaky() -> Callable[[ExchangeRequest], MockResponse]:
    asked: set[str] = set()

    def handler(request: ExchangeRequest) -> MockResponse:
        first = request.url not in asked
        asked.add(request.url)
        return MockResponse(status=503) if first else answer(request)

    return handler


def url(name: str) -> str:
    return f"https://flags.example/{name}"


def download(name: str, **options: Any) -> Work:
    return lambda dl, folder: dl.download(url(name), folder, **options)


def read_all(*names: str, **options: Any) -> Work:
    async def work(dl: AsyncDownloader, folder: Path) -> None:
        async with dl.as_completed(map(url, names), folder, **options) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()

    return work


WORK: dict[str, Work] = {
    "small, renamed": download("small", durability="rename"),
    "small, synced": download("small"),
    "large, renamed": download("large", durability="rename"),
    "large, synced": download("large"),
    "redirected": download("moved", name_from="server"),
    "skipped or not": download("small", if_exists="skip"),
    "renamed": download("small", if_exists="rename"),
    "within a total": download("small", timeout=None),
    "processed": download("small", postprocess=str, postprocess_in="thread"),
    "fetched": lambda dl, _: dl.fetch(url("large")),
    "list, renamed": read_all("a", "large", "c", durability="rename"),
    "list, synced": read_all("a", "large", "c"),
    "list, processed": read_all("a", "b", postprocess=str, postprocess_in="thread"),
    "report": lambda dl, folder: dl.download_many([url("a"), url("b")], folder),
}


def contents(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def assert_idle(dl: AsyncDownloader, folder: Path) -> None:
    """Nothing of a download is left, and whatever stands under a name is whole."""
    engine = dl._ready()
    assert_whole(folder)
    assert engine.hosts.is_quiet
    assert engine.names._active == set()
    assert dl.progress().active == ()
    assert not dl._opening.calls._tasks


def assert_whole(folder: Path) -> None:
    """What stood under its name before the cancellation could take effect is whole; anything else is gone."""
    assert parts(folder) == []
    for path in folder.rglob("*"):
        assert path.is_dir() or path.read_bytes() in (BODY, b"flag"), path


async def cancelled_after(
    steps: int, canceller: Canceller, dl: AsyncDownloader, folder: Path, work: Work
) -> bool:
    """Cancel *work* after so many steps of the loop; whether it had ended by itself before."""
    bridges = (dl._opening.disk, dl.threads)
    canceller.start(work(dl, folder))
    for _ in range(steps + 1):
        await step(*bridges)
    if canceller.task.done():
        canceller.task.result()
        return True
    canceller.cancel()
    await asyncio.wait((canceller.task,))
    left = contents(folder)
    settle_threads(*bridges)
    assert contents(folder) == left, "a thread was still working when control came back"
    return False


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
@pytest.mark.parametrize("name", WORK)
async def test_cancelled_after_any_step_a_download_leaves_nothing(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.checkpoint._LONGEST_WAIT", 0)
    limits = Limits(max_downloads=2, max_threads=2)
    for steps in range(MOST_STEPS):
        folder = tmp_path / str(steps)
        folder.mkdir()
        canceller = Canceller(kind)
        async with AsyncDownloader(transport=MockTransport(answer), limits=limits) as dl:
            ended = await cancelled_after(steps, canceller, dl, folder, WORK[name])
            assert_idle(dl, folder)
            if kind == "task":
                assert canceller.task.cancelled() is not ended
            assert canceller.noticed or ended or kind != "task"
        if ended:
            return
    pytest.fail(f"not finished after {MOST_STEPS} steps")


@pytest.mark.parametrize("durability", ["rename", "fsync"])
async def test_left_after_any_step_a_list_leaves_nothing(
    durability: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.checkpoint._LONGEST_WAIT", 0)
    urls = [url(name) for name in ("a", "large", "c", "d")]
    for steps in range(60):
        folder = tmp_path / str(steps)
        async with AsyncDownloader(transport=MockTransport(answer), limits=Limits(max_downloads=2)) as dl:
            async with dl.as_completed(urls, folder, durability=durability):
                for _ in range(steps):
                    await step(dl._opening.disk)
            assert_idle(dl, folder)


@pytest.mark.parametrize("durability", ["rename", "fsync"])
async def test_closed_after_any_step_a_downloader_leaves_nothing(durability: Any, tmp_path: Path) -> None:
    for steps in range(60):
        folder = tmp_path / str(steps)
        folder.mkdir()
        dl = AsyncDownloader(transport=MockTransport(answer), durability=durability)
        single = asyncio.ensure_future(dl.download(url("large"), folder))
        many = asyncio.ensure_future(dl.download_many([url("a"), url("b")], folder))
        for _ in range(steps):
            await step(dl._opening.disk)
        await dl.aclose()
        await asyncio.wait((single, many))
        for task in (single, many):
            assert type(task.exception()) in (type(None), ClosedError)
        assert_whole(folder)


async def test_two_who_close_at_once_both_leave_nothing(tmp_path: Path) -> None:
    for steps in range(40):
        dl = AsyncDownloader(transport=MockTransport(answer))
        many = asyncio.ensure_future(
            dl.download_many([url("large"), url("a"), url("b")], tmp_path / str(steps))
        )
        for _ in range(steps):
            await step(dl._opening.disk)
        await asyncio.gather(dl.aclose(), dl.aclose())
        await asyncio.wait((many,))
        assert type(many.exception()) in (type(None), ClosedError)
        assert_whole(tmp_path)


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_cancelled_during_a_retry_it_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for steps in range(60):
        folder = tmp_path / str(steps)
        folder.mkdir()
        async with AsyncDownloader(transport=MockTransport(flaky()), durability="rename") as dl:
            dl._ready().jitter = lambda: 0.0
            make_impatient(dl._ready().hosts)
            ended = await cancelled_after(steps, Canceller(kind), dl, folder, download("small"))
            assert_idle(dl, folder)
        if ended:
            return
    pytest.fail("not finished")


SLOW_PLACES = ["write", "prepare", "sync", "rename"]


def slowed(monkeypatch: pytest.MonkeyPatch, place: str) -> Gate:
    gate = Gate()
    original: Callable[..., Any] = getattr(FileSink, place)

    def held(*args: Any, **kwargs: Any) -> Any:
        gate.hold()
        return original(*args, **kwargs)

    monkeypatch.setattr(FileSink, place, held)
    return gate


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
@pytest.mark.parametrize("place", SLOW_PLACES)
@pytest.mark.parametrize("name", ["large, synced", "list, synced"])
async def test_control_comes_back_only_when_no_thread_works_any_more(
    name: str, place: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.checkpoint._LONGEST_WAIT", 0)
    gate, canceller = slowed(monkeypatch, place), Canceller(kind)
    async with AsyncDownloader(transport=MockTransport(answer), limits=Limits(max_threads=1)) as dl:
        canceller.start(WORK[name](dl, tmp_path))
        await until(gate.arrived.is_set)
        canceller.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        # A second cancellation does not cut the wait short.
        if kind == "task":
            canceller.task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not canceller.task.done()
        gate.opened.set()
        await asyncio.wait((canceller.task,))
        settle_threads(dl._opening.disk)
        assert canceller.noticed
        assert gate.held == 0
        assert_idle(dl, tmp_path)


async def test_closing_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = slowed(monkeypatch, "write")
    dl = AsyncDownloader(transport=MockTransport(answer))
    running = asyncio.ensure_future(dl.download(url("small"), tmp_path))
    await until(gate.arrived.is_set)
    closing = asyncio.ensure_future(dl.aclose())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    gate.opened.set()
    await closing
    await asyncio.wait((running,))
    assert type(running.exception()) is ClosedError
    assert_whole(tmp_path)


async def test_a_cancelled_closing_closes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, transport = slowed(monkeypatch, "write"), MockTransport(answer)
    dl = AsyncDownloader(transport=transport)
    running = asyncio.ensure_future(dl.download(url("small"), tmp_path))
    await until(gate.arrived.is_set)
    closing = asyncio.ensure_future(dl.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    gate.opened.set()
    await asyncio.wait((running, closing))
    assert closing.cancelled()
    running.exception()
    assert transport.closed
    assert_whole(tmp_path)


async def waits_for(dl: AsyncDownloader, work: Awaitable[object], ready: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(work)
    await until(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_for_a_slot_of_the_downloader_can_be_cancelled(tmp_path: Path) -> None:
    never = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[never.wait]))
    async with AsyncDownloader(transport=transport, limits=Limits(max_downloads=1)) as dl:
        first = asyncio.ensure_future(dl.fetch(url("a")))
        await until(lambda: bool(transport.requests))
        await waits_for(dl, dl.fetch(url("b")), lambda: len(dl._opening.calls._tasks) == 2)
        assert len(transport.requests) == 1
        first.cancel()
        await asyncio.wait((first,))
        assert_idle(dl, tmp_path)


async def test_waiting_for_a_slot_of_the_host_can_be_cancelled(tmp_path: Path) -> None:
    never = asyncio.Event()
    transport = MockTransport(lambda request: MockResponse(body=[never.wait]))
    async with AsyncDownloader(transport=transport, limits=Limits(max_connections_per_host=1)) as dl:
        first = asyncio.ensure_future(dl.fetch(url("a")))
        await until(lambda: bool(transport.requests))
        await waits_for(dl, dl.fetch(url("b")), lambda: dl.stats().queued == 1)
        first.cancel()
        await asyncio.wait((first,))
        assert_idle(dl, tmp_path)


async def test_an_answer_that_does_not_come_can_be_cancelled(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def silent(request: ExchangeRequest) -> MockResponse:
        await never.wait()
        raise AssertionError

    transport = MockTransport(silent)
    async with AsyncDownloader(transport=transport) as dl:
        await waits_for(dl, dl.download(url("a"), tmp_path), lambda: bool(transport.requests))
        assert_idle(dl, tmp_path)


async def test_a_pause_between_attempts_can_be_cancelled(tmp_path: Path) -> None:
    transport = MockTransport(lambda request: MockResponse(status=503))
    async with AsyncDownloader(transport=transport) as dl:
        dl._ready().jitter = lambda: 0.99
        await waits_for(dl, dl.download(url("a"), tmp_path), lambda: dl.progress().retries == 1)
        assert_idle(dl, tmp_path)
