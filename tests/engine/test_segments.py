"""A file over several connections: when it comes so, that it is the same file, and what it costs."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from asyncflags import Limits, errors
from asyncflags._policies.segments import SegmentRules
from asyncflags.testing import FaultyOrigin, Origin
from asyncflags.testing._faults.entities import Reply, versioned, with_fields

from .segmenting import RULES, Dividing, SlowFile, body_of, serve, sha256, whole
from .waiting import decisions

BODY = body_of(40_000)


async def test_a_slow_file_comes_over_several_connections_and_is_the_same(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, waits=True)
    async with Dividing() as dl:
        result = await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert (result.status, result.attempts, result.size) == (200, 1, len(BODY))
    assert result.length_verified
    assert file.most > 1
    assert file.most <= 4
    assert "range" not in file.requests[0].headers
    assert all(request.headers["if-range"] == '"v1"' for request in file.requests[1:])


async def test_what_comes_over_several_connections_is_sent_little_more_than_once(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, waits=True)
    async with Dividing() as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
        assert dl.client.progress().size <= file.sent
    # A connection is closed where its segment ends, and by then a few pieces more are on their way.
    assert file.sent <= len(BODY) + len(file.requests) * 20_000


@pytest.mark.parametrize("segments", [1, 2, 3, 8])
async def test_no_more_connections_than_allowed_are_open_at_once(
    segments: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY, waits=segments > 1)
    async with Dividing(segments) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert file.most <= segments
    assert (len(file.requests) == 1) is (segments == 1)


async def test_no_more_than_the_host_allows(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY, waits=True)
    limits = Limits(max_segments=8, max_connections_per_host=2)
    async with Dividing(limits=limits) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert file.most == 2


async def test_with_one_connection_to_the_host_the_file_is_not_divided(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    file = SlowFile(BODY)
    async with Dividing(limits=Limits(max_segments=8, max_connections_per_host=1)) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(file.requests) == 1


async def test_where_one_connection_fills_the_line_there_is_one_in_the_end(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    body = body_of(120_000)
    file = SlowFile(body, piece=1000, is_shared=True, waits=True)
    async with Dividing(8, rules=replace(RULES, margin=1.5, window=0.02)) as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == body
    assert file.most == 2
    # The second connection was tried, and given back: the first goes on alone, and takes what it left.
    assert len(file.requests) <= 4


@pytest.mark.parametrize(
    "case", ["small", "weak", "date of this second", "none", "no ranges", "chunked", "resume=False"]
)
async def test_what_must_not_be_divided_is_not(case: str, faulty: FaultyOrigin, tmp_path: Path) -> None:
    resource = versioned(BODY, 1, "weak" if case == "weak" else "none" if case == "none" else "strong")
    rules = replace(RULES, least_total=len(BODY) + 1) if case == "small" else RULES
    file = SlowFile(BODY, resource=resource)
    if case == "no ranges":
        file = _Plain(BODY, {"Accept-Ranges": "none"})
    elif case == "chunked":
        file = _Plain(BODY, {"Transfer-Encoding": "chunked"})
    elif case == "date of this second":
        date = "Sun, 06 Nov 1994 08:49:37 GMT"
        file = _Plain(BODY, {"ETag": None, "Last-Modified": date, "Date": date})
    async with Dividing(rules=rules, resume=case != "resume=False") as dl:
        await dl.client.download(serve(faulty, file), tmp_path)
    assert whole(tmp_path) == BODY
    assert len(file.requests) == 1


class _Plain(SlowFile):
    """Sends other fields with the whole."""

    def __init__(self, body: bytes, fields: dict[str, str | None]) -> None:
        super().__init__(body)
        self._fields = fields

    async def _send(self, reader: Any, writer: Any, reply: Reply) -> None:
        await super()._send(reader, writer, replace(reply, answer=with_fields(reply.answer, self._fields)))


async def test_neither_memory_nor_streams_come_in_segments(faulty: FaultyOrigin) -> None:
    file = SlowFile(BODY)
    stream = io.BytesIO()
    async with Dividing() as dl:
        assert (await dl.client.fetch(serve(faulty, file))).content == BODY
        await dl.client.download(faulty.url + "/file", stream)
    assert stream.getvalue() == BODY
    assert len(file.requests) == 2


async def test_the_checksum_of_a_divided_file_is_checked(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY, waits=True)
    async with Dividing() as dl:
        url = serve(faulty, file)
        await dl.client.download(url, tmp_path, checksum=sha256(BODY), size=len(BODY))
        assert whole(tmp_path) == BODY
        (tmp_path / "file").unlink()
        with pytest.raises(errors.ChecksumMismatch):
            await dl.client.download(url, tmp_path, checksum=sha256(b"another"))
    assert file.most > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_right", [True, False])
async def test_the_digest_of_the_whole_is_checked_at_the_end(
    is_right: bool, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    resource = versioned(BODY, 1, "strong").digested(["sha-256"])
    if not is_right:
        wrong = versioned(b"another", 1, "strong").digested(["sha-256"])
        resource = replace(resource, headers=wrong.headers)
    file = SlowFile(BODY, resource=resource, waits=True)
    async with Dividing(require_digest=True) as dl:
        downloading = dl.client.download(serve(faulty, file), tmp_path)
        if is_right:
            await downloading
            assert whole(tmp_path) == BODY
        else:
            with pytest.raises(errors.ChecksumMismatch):
                await downloading
            assert list(tmp_path.iterdir()) == []
    assert file.most > 1


@pytest.mark.parametrize("durability", ["rename", "fsync"])
async def test_a_divided_file_of_a_list_waits_for_its_checkpoint(
    durability: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    bodies = {f"/{name}": body_of(20_000, name) for name in "abc"}
    for path, body in bodies.items():
        faulty.script(path, SlowFile(body))
    async with Dividing(durability=durability, limits=Limits(max_segments=3)) as dl:
        report = await dl.client.download_many([faulty.url + path for path in bodies], tmp_path)
    report.raise_for_errors()
    assert {f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()} == bodies


async def test_progress_counts_every_segment(faulty: FaultyOrigin, tmp_path: Path) -> None:
    file = SlowFile(BODY, waits=True)
    seen: list[int] = []
    async with Dividing() as dl:
        downloading = asyncio.ensure_future(dl.client.download(serve(faulty, file), tmp_path))
        while not downloading.done():
            await asyncio.sleep(0.002)
            seen += [each.received for each in dl.client.progress().active]
            assert {each.expected for each in dl.client.progress().active} <= {None, len(BODY)}
        await downloading
    assert max(seen) <= len(BODY)
    # Seldom is the last byte of a segment fetched again.
    assert all(later >= earlier - 10 for earlier, later in pairwise(seen))


async def test_the_true_origin_that_throttles_each_connection_is_asked_over_several(
    origin: Origin, tmp_path: Path
) -> None:
    body = body_of(300_000)
    url = origin.add("/file", body, digests=["sha-256"])
    origin.throttle("/file", 1_500_000)
    async with Dividing(rules=SegmentRules(least_total=1, least_segment=10_000, window=0.03)) as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == body
    assert [request.status for request in origin.requests[:2]] == [200, 206]
    assert decisions(dl.events) == []


async def test_memory_is_bounded_by_blocks_for_each_connection(origin: Origin, tmp_path: Path) -> None:
    body = body_of(12_000_000)
    url = origin.add("/file", body)
    origin.throttle("/file", 40_000_000)
    async with Dividing(rules=SegmentRules(least_total=1, least_segment=10_000, window=0.02)) as dl:
        blocks = dl.client._ready().blocks
        await dl.client.download(url, tmp_path)
        assert whole(tmp_path) == body
        assert len(blocks._spare) <= 2 * 4
        assert len(origin.requests) > 1
