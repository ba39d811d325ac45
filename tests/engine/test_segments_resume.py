"""Divided files that are interrupted: what is kept, what is asked for again, and that nothing is lost or wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncflags import errors
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.segments import SegmentRules
from asyncflags._storage.records import read_record
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.testing import FaultyOrigin, Origin

from .interrupted import DEAD, left, names, part_of, record_of
from .segmenting import Dividing, SlowFile, body_of, serve, sha256, whole
from .test_cancellation import Canceller
from .waiting import settle_threads, step, until

BODY = body_of(40_000)
GAPPED = Ranges(((0, 5000), (9000, 20_000), (30_000, 34_000)))


def with_gaps(body: bytes, there: Ranges) -> bytes:
    """A part file as it is left: as long as the whole, with nothing where nothing came."""
    part = bytearray(len(body))
    for start, stop in there:
        part[start:stop] = body[start:stop]
    return bytes(part)


def leave(folder: Path, url: str, there: Ranges, **more: Any) -> None:
    left(folder / "file", with_gaps(BODY, there), url, total=len(BODY), ranges=there, **more)


def missing(there: Ranges) -> int:
    return len(BODY) - there.size


@pytest.mark.parametrize("segments", [1, 2, 8])
@pytest.mark.parametrize(
    "there",
    [
        GAPPED,
        Ranges(((0, 1), (39_999, 40_000))),
        Ranges(((10_000, 20_000),)),
        Ranges(((0, 39_998), (39_999, 40_000))),
        Ranges(((0, 20_000), (20_001, 40_000))),
    ],
)
async def test_the_gaps_that_a_run_left_are_filled_and_nothing_else_is_asked_for(
    there: Ranges, segments: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    leave(tmp_path, url := serve(faulty, file), there)
    async with Dividing(segments) as dl:
        result = await dl.client.download(url, tmp_path, checksum=sha256(BODY))
    assert whole(tmp_path) == BODY
    assert (result.status, result.size) == (206, len(BODY))
    assert len(dl.told("resumed")) == 1
    assert str(there.size) in dl.told("resumed")[0]
    asked = Ranges(file.parts)
    assert len(file.parts) == len(file.requests)
    # On both sides of a gap some bytes are asked for again, to be compared with those that are there.
    for start, stop in there.gaps(len(BODY)):
        assert any(first <= start and stop <= last for first, last in asked)
    if segments == 1:
        assert file.sent <= missing(there) + 2 * 1024 * len(there.gaps(len(BODY)))
        assert file.most == 1


@pytest.mark.parametrize("where", ["before", "behind"])
async def test_a_gap_whose_neighbours_are_other_bytes_by_now_is_not_filled(
    where: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    there = Ranges(((0, 5000), (9000, 40_000)))
    wrong = bytearray(with_gaps(BODY, there))
    wrong[4990 if where == "before" else 9010] ^= 1
    url = serve(faulty, file)
    left(tmp_path / "file", bytes(wrong), url, total=len(BODY), ranges=there)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert len(dl.told("segments_refused")) == 1


async def test_a_version_that_has_changed_is_fetched_whole(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY)
    leave(tmp_path, url := serve(faulty, file), GAPPED, etag='"v0"')
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert "range" not in file.requests[-1].headers or file.requests[-1].headers["if-range"] == '"v0"'


async def test_gaps_of_a_version_that_another_length_now_has_are_not_filled(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY + b"more")
    leave(tmp_path, url := serve(faulty, file), GAPPED)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY + b"more"


@pytest.mark.parametrize("ranges", [Ranges(), Ranges(((0, 100_000),)), Ranges(((50_000, 60_000),))])
async def test_ranges_that_cannot_be_true_are_not_believed(
    ranges: Ranges, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    url = serve(faulty, file)
    left(tmp_path / "file", bytes(60_000), url, total=len(BODY), ranges=ranges)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY


async def test_without_resume_the_gaps_of_a_run_before_are_dropped(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    leave(tmp_path, url := serve(faulty, file), GAPPED)
    async with Dividing(resume=False) as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert len(file.requests) == 1


async def test_after_a_power_cut_only_what_was_synced_is_relied_on(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    torn = bytes(len(BODY))
    url = serve(faulty, file)
    left(tmp_path / "file", torn, url, total=len(BODY), ranges=GAPPED, owner=replace(DEAD, boot="before"))
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY


async def test_a_first_part_long_enough_to_divide_the_rest_is_gone_on_with_over_several(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    url = serve(faulty, file)
    left(tmp_path / "file", BODY[:8000], url, total=len(BODY))
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert file.most > 1


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_cancelled_in_mid_flight_it_keeps_what_came_and_asks_for_the_gaps_alone(
    kind: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    url = serve(faulty, file)
    async with Dividing() as dl:
        canceller = Canceller(kind)
        canceller.start(dl.client.download(url, tmp_path))
        await until(lambda: len(file.parts) > 1 and file.sent > 12_000)
        file.may_go.clear()
        canceller.cancel()
        await asyncio.wait((canceller.task,))
        state = part_of(tmp_path / "file").read_bytes(), record_of(tmp_path / "file").read_bytes()
        settle_threads(dl.client._opening.disk)
        assert (part_of(tmp_path / "file").read_bytes(), record_of(tmp_path / "file").read_bytes()) == state
        assert dl.client.progress().active == ()
    record = read_record(str(record_of(tmp_path / "file")))
    assert record is not None
    assert record.ranges is not None
    there = record.ranges
    for start, stop in there:
        assert state[0][start:stop] == BODY[start:stop]
    # What came is there, but for what a connection held that was on its way.
    assert there.size > 4000
    file.may_go.set()
    before = len(file.parts)
    async with Dividing(1) as dl:
        await dl.client.download(url, tmp_path, checksum=sha256(BODY))
    assert whole(tmp_path) == BODY
    asked = sum(stop - start for start, stop in file.parts[before:])
    assert missing(there) <= asked <= missing(there) + 2 * 1024 * len(there.gaps(len(BODY)))


def has_sent(file: SlowFile, size: int) -> bool:
    return bool(file.requests) and file.sent >= size


def in_parts(request: ExchangeRequest) -> MockResponse:
    """A server of parts that gives the loop a turn before each piece."""
    asked = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
    start, last = int(asked[0]), int(asked[1]) if asked[1] else len(LARGE) - 1
    pieces: list[Any] = []
    for place in range(start, last + 1, 20_000):
        pieces += [lambda: asyncio.sleep(0), LARGE[place : min(place + 20_000, last + 1)]]
    headers = {"ETag": '"v1"', "Accept-Ranges": "bytes", "Content-Length": str(last + 1 - start)}
    if "Range" not in request.headers:
        return MockResponse(headers=headers, body=pieces)
    headers["Content-Range"] = f"bytes {start}-{last}/{len(LARGE)}"
    return MockResponse(status=206, headers=headers, body=pieces)


LARGE = body_of(600_000)
AT_ONCE = SegmentRules(least_total=1, least_segment=1000, window=0.0)


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_cancelled_after_any_step_no_thread_works_and_what_is_left_is_true(
    kind: str, tmp_path: Path
) -> None:
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        folder.mkdir()
        transport = MockTransport(in_parts)
        async with Dividing(3, rules=AT_ONCE, transport=transport) as dl:
            canceller = Canceller(kind)
            canceller.start(dl.client.download("https://flags.example/file", folder))
            for _ in range(steps + 1):
                await step(dl.client._opening.disk)
            if canceller.task.done():
                break
            canceller.cancel()
            await asyncio.wait((canceller.task,))
            contents = {path.name: path.read_bytes() for path in folder.iterdir()}
            settle_threads(dl.client._opening.disk)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
            assert_true(folder)
            assert dl.client._ready().hosts.is_quiet
            assert dl.client.progress().active == ()
    canceller.task.result()
    assert whole(folder) == LARGE
    assert len(transport.requests) > 1
    assert steps > 10


def assert_true(folder: Path) -> None:
    """A file under its name is whole, and a part holds what its record says."""
    left_over = names(folder)
    if "file" in left_over:
        assert whole(folder) == LARGE
    elif left_over:
        assert left_over == ["file.part", "file.part.json"]
        record = read_record(str(folder / "file.part.json"))
        assert record is not None
        part = (folder / "file.part").read_bytes()
        for start, stop in record.ranges if record.ranges is not None else [(0, len(part))]:
            assert part[start:stop] == LARGE[start:stop]


@pytest.mark.parametrize("kind", ["task", "timeout", "scope"])
async def test_cancelled_after_any_while_no_thread_works_and_the_next_run_ends_well(
    kind: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    for number, sent in enumerate([0, 1, 3000, 9000, 20_000, 30_000, 39_000]):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = SlowFile(BODY)
        url = serve(faulty, file, f"/{number}/file")
        async with Dividing() as dl:
            canceller = Canceller(kind)
            canceller.start(dl.client.download(url, folder))
            await until(partial(has_sent, file, sent))
            canceller.cancel()
            await asyncio.wait((canceller.task,))
            contents = {path.name: path.read_bytes() for path in folder.iterdir()}
            settle_threads(dl.client._opening.disk)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
            engine = dl.client._ready()
            assert engine.hosts.is_quiet
            assert engine.names._active == set()
            await dl.client.download(url, folder)
        assert whole(folder) == BODY


async def test_closed_in_mid_flight_a_client_keeps_what_came(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY)
    url = serve(faulty, file)
    dl = Dividing()
    downloading = asyncio.ensure_future(dl.client.download(url, tmp_path))
    await until(lambda: len(file.parts) > 1)
    await dl.client.aclose()
    with pytest.raises(errors.ClosedError):
        await downloading
    assert names(tmp_path) == ["file.part", "file.part.json"]


PROGRAM = """
    import asyncio, sys
    from asyncflags import AsyncDownloader, Limits
    from asyncflags._policies.segments import SegmentRules

    async def main():
        async with AsyncDownloader(limits=Limits(max_segments=4)) as dl:
            dl._ready().segment_rules = SegmentRules(least_total=1, least_segment=10_000, window=0.02)
            await dl.download(sys.argv[1], sys.argv[2], checksum=sys.argv[3])

    asyncio.run(main())
"""


def start(url: str, folder: Path, body: bytes) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), url, str(folder), sha256(body)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


@pytest.mark.may_block("it starts processes and waits for them")
async def test_killed_in_mid_flight_again_and_again_each_gap_is_gone_on_with(
    origin: Origin, tmp_path: Path
) -> None:
    body = body_of(40_000_000)
    url = origin.add("/file", body)
    origin.throttle("/file", 12_000_000)
    record = record_of(tmp_path / "file")
    there = Ranges()
    for _ in range(3):
        # What was recorded before is there again, and more.
        process = start(url, tmp_path, body)
        try:
            while process.poll() is None and recorded(record).size < there.size + 5_000_000:
                await asyncio.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL
        there = recorded(record)
    before = len(origin.requests)
    process = start(url, tmp_path, body)
    while process.poll() is None:
        await asyncio.sleep(0.02)
    assert process.returncode == 0
    assert whole(tmp_path) == body
    asked = Ranges(request.served for request in origin.requests[before:] if request.served is not None)
    assert all(request.status == 206 for request in origin.requests[before:])
    # Only bytes that were on their way, or not yet noted, are sent again.
    assert asked.size <= len(body) - there.size + 2 * 1024 * len(there.gaps(len(body)))


def recorded(path: Path) -> Ranges:
    record = read_record(str(path))
    return record.ranges if record is not None and record.ranges is not None else Ranges()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 12_000),
    cuts=st.lists(st.integers(0, 12_000) | st.none(), max_size=12),
    segments=st.integers(1, 6),
    ending=st.sampled_from(["close", "reset"]),
    interruptions=st.lists(st.integers(0, 12_000), max_size=2),
)
async def test_whatever_is_cut_and_interrupted_the_result_is_the_body(
    size: int,
    cuts: list[int | None],
    segments: int,
    ending: str,
    interruptions: list[int],
    tmp_path: Path,
) -> None:
    body = body_of(size)
    file = SlowFile(body, cuts=cuts, ending="close" if ending == "close" else "reset")
    async with FaultyOrigin() as faulty:
        url = serve(faulty, file)
        for sent in interruptions:
            await interrupted(url, tmp_path, file, file.sent + sent, segments)
        async with Dividing(segments, retries=14) as dl:
            await dl.client.download(url, tmp_path, checksum=sha256(body))
    assert whole(tmp_path) == body
    (tmp_path / "file").unlink()


async def interrupted(url: str, folder: Path, file: SlowFile, sent: int, segments: int) -> None:
    """Download until so many bytes were sent, unless it ends before."""
    async with Dividing(segments, retries=14) as dl:
        task = asyncio.ensure_future(dl.client.download(url, folder))
        while not task.done() and file.sent < sent:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait((task,))
    (folder / "file").unlink(missing_ok=True)
