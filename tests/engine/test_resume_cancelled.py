"""Downloads that can be resumed, cancelled at any moment: their parts stay, of one version, and nothing writes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Event, Limits, Timeout
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.errors import ClosedError, TotalTimeout, TruncatedBody

from .interrupted import eager, left, names, part_of, record_of
from .test_cancellation import Canceller, Work, cancelled_after, read_all, slowed, url
from .waiting import settle_threads, step, until

OLD, NEW = b"old!" * 150_000, b"new!" * 150_000
"""Two versions of three batches."""
CUT = 400_000
PIECE = 50_000
MOST_STEPS = 400
VERSIONS = {'"old"': OLD, '"new"': NEW}
DISPOSITION = {"Content-Disposition": 'attachment; filename="a"'}


def pieces(body: bytes) -> list[Any]:
    return [body[start : start + PIECE] for start in range(0, len(body), PIECE)]


def serve(etag: str, request: ExchangeRequest, cut: int | None = None) -> MockResponse:
    """Answer as a true origin that serves the version of *etag*, cut after *cut* bytes of the answer."""
    body, start = VERSIONS[etag], 0
    headers = {"ETag": etag, **DISPOSITION}
    if request.headers.get("If-Range") == etag:
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    headers["Content-Length"] = str(len(body) - start)
    steps: list[Any] = pieces(body[start:][:cut])
    if cut is not None:
        steps.append(TruncatedBody("cut"))
    return MockResponse(status=206 if start else 200, headers=headers, body=steps)


Script = Callable[[ExchangeRequest], MockResponse]


def whole() -> Script:
    return lambda request: serve('"old"', request)


def cut_once() -> Script:
    asked: set[str] = set()

    def answer(request: ExchangeRequest) -> MockResponse:
        first = request.url not in asked
        asked.add(request.url)
        return serve('"old"', request, CUT if first else None)

    return answer


def changed() -> Script:
    asked: set[str] = set()

    def answer(request: ExchangeRequest) -> MockResponse:
        first = request.url not in asked
        asked.add(request.url)
        return serve('"old"', request, CUT) if first else serve('"new"', request)

    return answer


def single(**options: Any) -> Work:
    return lambda dl, folder: dl.download(url("a"), folder, **options)


CASES: dict[str, tuple[Callable[[], Script], Work, bool]] = {
    "whole, synced": (whole, single(), False),
    "cut": (cut_once, single(durability="rename"), False),
    "changed": (changed, single(durability="rename"), False),
    "taken up": (whole, single(durability="rename"), True),
    "taken up, named by the server": (whole, single(name_from="server"), True),
    "taken up, changed": (lambda: lambda request: serve('"new"', request), single(), True),
    "list": (cut_once, read_all("a", "b", durability="rename"), False),
    "list, synced": (cut_once, read_all("a", "b"), False),
    "list, taken up": (whole, read_all("a", "b"), True),
}
"""How it is answered, what is done, and whether a part was left before."""


def assert_resumable(folder: Path) -> int:
    """Whatever is there is of one version and known; how many bytes of parts there are."""
    size = 0
    for path in folder.iterdir():
        if path.name.endswith(".part"):
            known = json.loads(path.with_name(path.name + ".json").read_text())
            assert VERSIONS[known["etag"]].startswith(path.read_bytes())
            assert path.stat().st_size
            size += path.stat().st_size
        elif path.name.endswith(".json"):
            assert path.with_suffix("").exists(), names(folder)
        else:
            assert path.read_bytes() in VERSIONS.values()
    return size


async def assert_resumes(script: Script, folder: Path, work: Work) -> None:
    """The next run goes on with what is there and leaves nothing but whole files."""
    has_part = part_of(folder / "a").exists()
    transport = MockTransport(script)
    async with eager(transport=transport) as dl:
        await work(dl, folder)
    assert (part_of(folder / "a").exists(), record_of(folder / "a").exists()) == (False, False)
    assert (folder / "a").read_bytes() in VERSIONS.values()
    ranged = [request for request in transport.requests if "Range" in request.headers]
    assert any(request.url.endswith("/a") for request in ranged) or not has_part


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
@pytest.mark.parametrize("name", CASES)
async def test_cancelled_after_any_step_what_can_be_resumed_stays(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.checkpoint._LONGEST_WAIT", 0)
    script, work, is_left = CASES[name]
    kept = set()
    for steps in range(0, MOST_STEPS, 1 if kind == "task" else 3):
        folder = tmp_path / str(steps)
        folder.mkdir()
        if is_left:
            left(folder / "a", OLD[:CUT], url("a"), etag='"old"', total=len(OLD))
        transport = MockTransport(script())
        async with eager(transport=transport, limits=Limits(max_downloads=2, max_threads=2)) as dl:
            ended = await cancelled_after(steps, Canceller(kind), dl, folder, work)
            size = assert_resumable(folder)
            assert dl._ready().names._active == set()
        kept.add(size)
        if is_left and name != "taken up, changed" and not (folder / "a").exists():
            assert size >= CUT, "what was left by another run is lost"
        if steps % 8 == 0:
            await assert_resumes(whole() if name != "changed" else script(), folder, work)
        if ended:
            break
    else:
        pytest.fail(f"not finished after {MOST_STEPS} steps")
    # Of a download that is cancelled in its middle something is always left.
    assert max(kept) >= 2 * PIECE


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_control_comes_back_with_the_part_only_when_no_thread_writes_any_more(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, canceller = slowed(monkeypatch, "write"), Canceller(kind)
    async with AsyncDownloader(transport=MockTransport(whole()), limits=Limits(max_threads=1)) as dl:
        canceller.start(dl.download(url("a"), tmp_path))
        await until(gate.arrived.is_set)
        canceller.cancel()
        for _ in range(40):
            await asyncio.sleep(0)
        assert not canceller.task.done()
        gate.opened.set()
        await asyncio.wait((canceller.task,))
        settle_threads(dl._opening.disk)
        size = assert_resumable(tmp_path)
    assert size >= PIECE
    assert names(tmp_path) == ["a.part", "a.part.json"]


async def test_a_total_timeout_leaves_the_part(tmp_path: Path) -> None:
    never = asyncio.Event()
    script = MockTransport(lambda request: stalled(request, never))
    async with eager(transport=script, timeout=Timeout(total=0.03)) as dl:
        with pytest.raises(TotalTimeout):
            await dl.download(url("a"), tmp_path)
    assert assert_resumable(tmp_path) >= CUT - (1 << 18)
    await assert_resumes(whole(), tmp_path, single())


def stalled(request: ExchangeRequest, event: asyncio.Event) -> MockResponse:
    answer = serve('"old"', request)
    return MockResponse(headers=answer.headers, body=[*pieces(OLD[:CUT]), event.wait])


@pytest.mark.parametrize("how", ["single", "list", "left early"])
async def test_a_downloader_that_is_closed_leaves_the_parts(how: str, tmp_path: Path) -> None:
    never = asyncio.Event()
    events: list[Event] = []
    dl = eager(transport=MockTransport(lambda request: stalled(request, never)), on_event=events.append)
    if how == "left early":
        async with dl.as_completed([url("a")], tmp_path):
            await until(lambda: any(each.received >= CUT for each in dl.progress().active))
    else:
        work = dl.download(url("a"), tmp_path) if how == "single" else dl.download_many([url("a")], tmp_path)
        running = asyncio.ensure_future(work)
        await until(lambda: any(each.received >= CUT for each in dl.progress().active))
        await dl.aclose()
        await asyncio.wait((running,))
        assert type(running.exception()) is ClosedError
    await dl.aclose()
    # A batch may have been on its way from one hand to the other.
    assert assert_resumable(tmp_path) >= CUT - (1 << 18)
    await assert_resumes(whole(), tmp_path, single())


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_whole_bodies_that_wait_for_their_checkpoint_are_not_thrown_away(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.checkpoint._LONGEST_WAIT", 3600)
    never = asyncio.Event()

    def answer(request: ExchangeRequest) -> MockResponse:
        return stalled(request, never) if request.url.endswith("/z") else serve('"old"', request)

    canceller = Canceller(kind)
    async with eager(transport=MockTransport(answer), durability="fsync") as dl:
        canceller.start(read_all("a", "b", "z")(dl, tmp_path))
        await until(lambda: [each.name for each in dl.progress().active] == ["z"])
        for _ in range(20):
            await step(dl._opening.disk)
        canceller.cancel()
        await asyncio.wait((canceller.task,))
        assert_resumable(tmp_path)
    assert part_of(tmp_path / "a").read_bytes() == OLD
    transport = MockTransport(whole())
    async with eager(transport=transport, durability="fsync") as dl:
        await dl.download_many([url("a"), url("b")], tmp_path)
    assert [request.headers["Range"] for request in transport.requests] == [f"bytes={len(OLD) - 1024}-"] * 2


async def test_what_nothing_proves_is_removed_when_it_is_cancelled(tmp_path: Path) -> None:
    never = asyncio.Event()

    def weak(request: ExchangeRequest) -> MockResponse:
        headers = {"ETag": 'W/"old"', "Content-Length": str(len(OLD))}
        return MockResponse(headers=headers, body=[*pieces(OLD[:CUT]), never.wait])

    async with eager(transport=MockTransport(weak)) as dl:
        running = asyncio.ensure_future(dl.download(url("a"), tmp_path))
        await until(lambda: part_of(tmp_path / "a").exists())
        running.cancel()
        await asyncio.wait((running,))
        assert names(tmp_path) == []
