"""One file from several sources at once: each is judged by the same total and checksum, and named when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from asyncflags import Request, errors
from asyncflags._storage.records import read_record
from asyncflags.testing import FaultyOrigin
from asyncflags.testing._faults.entities import Reply, versioned, with_fields
from asyncflags.testing._resource import Answer, Representation, digest_field

from .interrupted import names, record_of
from .segmenting import Dividing, SlowFile, body_of, serve, sha256, whole
from .waiting import decisions, until

BODY = body_of(40_000)
OTHER = body_of(40_000, "other")


def mirror_of(body: bytes) -> Representation:
    """What a server has that gives it an entity tag of its own."""
    return versioned(body, 7, "strong")


def asked(url: str, *mirrors: str, body: bytes | None = BODY) -> Request:
    return Request(url, mirrors=mirrors, checksum=sha256(body) if body is not None else None)


async def test_segments_come_from_several_sources_at_once(faulty: FaultyOrigin, tmp_path: Path) -> None:
    first, second = SlowFile(BODY, waits=True), SlowFile(BODY, resource=mirror_of(BODY))
    faulty.script("/file", first)
    url = asked(faulty.url + "/file", serve(faulty, second, "/mirror", elsewhere=True))
    first.is_divided_by(second)
    async with Dividing() as dl:
        result = await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert result.status == 200
    assert second.parts
    assert second.requests[0].headers.get("if-range") is None
    assert {request.headers.get("if-range") for request in second.requests[1:]} <= {'"v7"', None}
    assert all(request.headers.get("if-range") == '"v1"' for request in first.requests[1:])
    assert decisions(dl.events) == []


async def test_without_checksum_or_digest_no_other_source_is_asked(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first, second = SlowFile(BODY, waits=True), SlowFile(BODY)
    url = asked(serve(faulty, first), serve(faulty, second, "/mirror"), body=None)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert second.requests == []
    assert first.most > 1


async def test_a_digest_of_the_server_is_enough_to_ask_others(faulty: FaultyOrigin, tmp_path: Path) -> None:
    resource = versioned(BODY, 1, "strong").digested(["sha-512"])
    first, second = SlowFile(BODY, resource=resource, waits=True), SlowFile(BODY)
    first.is_divided_by(second)
    url = asked(serve(faulty, first), serve(faulty, second, "/mirror"), body=None)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert second.requests


WRONG = {
    "other bytes": mirror_of(OTHER),
    "other bytes under the same entity tag": versioned(OTHER, 1, "strong"),
    "another length": mirror_of(BODY + b"more"),
    "another digest": mirror_of(BODY).digested(["sha-256"]),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_mirror_that_serves_another_file_is_dropped_and_named(
    case: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    def lies(number: int, reply: Reply) -> Reply | None:
        if case != "another digest":
            return None
        return Reply(with_fields(reply.answer, {"Repr-Digest": digest_field(OTHER, ["sha-256"])}))

    first, second = SlowFile(BODY, waits=True), SlowFile(OTHER, resource=WRONG[case], treat=lies)
    first.is_divided_by(second)
    url = asked(serve(faulty, first), mirror := serve(faulty, second, "/mirror", elsewhere=True))
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert len(dl.told("mirror_dropped")) == 1
    assert mirror in dl.told("mirror_dropped")[0]
    assert dl.told("segments_refused") == []


@pytest.mark.parametrize("where", [21_000, 30_000, 39_999])
async def test_a_mirror_with_one_other_byte_is_found_by_the_checksum_and_named(
    where: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    wrong = bytearray(BODY)
    wrong[where] ^= 1
    # The first source gives its first half and then nothing more until the mirror has given the rest.
    first, second = (
        SlowFile(BODY, cuts=[20_000], piece=0),
        SlowFile(bytes(wrong), resource=mirror_of(bytes(wrong))),
    )
    url = asked(serve(faulty, first), mirror := serve(faulty, second, "/mirror"))
    async with Dividing(2) as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    if second.parts and max(stop for _, stop in second.parts) > where:
        assert all(mirror in detail for detail in dl.told("mirror_dropped"))


async def test_what_a_bad_mirror_gave_is_all_that_is_asked_for_again(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    wrong = bytearray(BODY)
    wrong[30_000] ^= 1
    first, second = SlowFile(BODY), SlowFile(bytes(wrong), resource=mirror_of(bytes(wrong)), piece=4000)
    first.stops_at(20_000, until=lambda: second.sent > 12_000)
    url = asked(serve(faulty, first), mirror := serve(faulty, second, "/mirror"))
    async with Dividing(2) as dl:
        result = await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert result.attempts == 1
    assert len(dl.told("mirror_dropped")) == 1
    assert mirror in dl.told("mirror_dropped")[0]
    assert ["range" in request.headers for request in first.requests].count(False) == 1


async def test_where_the_first_source_is_the_wrong_one_the_other_is_asked_alone(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first, second = SlowFile(OTHER), SlowFile(BODY, resource=mirror_of(BODY))
    url = asked(first_url := serve(faulty, first), serve(faulty, second, "/mirror"))
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path / "file")
    assert whole(tmp_path) == BODY
    assert any(first_url in detail for detail in dl.told("mirror_dropped"))


async def test_where_none_is_right_nothing_is_delivered(faulty: FaultyOrigin, tmp_path: Path) -> None:
    first, second = SlowFile(OTHER), SlowFile(OTHER[::-1], resource=mirror_of(OTHER[::-1]))
    url = asked(serve(faulty, first), serve(faulty, second, "/mirror"))
    async with Dividing() as dl:
        with pytest.raises(errors.ChecksumMismatch):
            await dl.client.download(url, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [403, 404, 500])
async def test_a_mirror_that_answers_with_an_error_is_dropped_and_named(
    code: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first = SlowFile(BODY, waits=True)
    second = SlowFile(BODY, treat=lambda number, reply: Reply(Answer(code)))
    first.is_divided_by(second)
    url = asked(serve(faulty, first), mirror := serve(faulty, second, "/mirror"))
    async with Dividing(retries=1) as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert all(mirror in detail for detail in dl.told("mirror_dropped"))
    assert len(second.requests) <= 3
    if code != 500:
        assert len(dl.told("mirror_dropped")) == 1


async def test_a_mirror_that_is_not_there_costs_nothing_but_itself(
    faulty: FaultyOrigin, tmp_path: Path, unused_tcp_port: int
) -> None:
    first = SlowFile(BODY)
    url = asked(serve(faulty, first), f"http://127.0.0.1:{unused_tcp_port}/file")
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY


async def test_a_source_that_fails_for_good_leaves_the_rest_to_the_others(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first, second = SlowFile(BODY, cuts=[10_000, *[0] * 50]), SlowFile(BODY, resource=mirror_of(BODY))
    url = asked(serve(faulty, first), serve(faulty, second, "/mirror"))
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert second.sent > 0
    # What came of the first one is kept.
    assert min(start for start, _ in second.parts) > 0


async def test_a_cancelled_download_records_what_the_source_of_its_validator_gave(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first, second = SlowFile(BODY, waits=True), SlowFile(OTHER[:20_000] + BODY[20_000:], piece=1000)
    first.is_divided_by(second)
    url = asked(serve(faulty, first), serve(faulty, second, "/mirror"))
    async with Dividing(2) as dl:
        task = asyncio.ensure_future(dl.client.download(url, tmp_path))
        await until(lambda: second.sent > 4000)
        task.cancel()
        await asyncio.wait((task,))
    record = read_record(str(record_of(tmp_path / "file")))
    assert record is not None
    assert record.validator.etag == '"v1"'
    assert record.ranges is not None
    assert len(record.ranges.parts) == 1
    part = (tmp_path / "file.part").read_bytes()
    assert part[: record.ranges.prefix] == BODY[: record.ranges.prefix]
    async with Dividing(1) as dl:
        await dl.client.download(replace(url, mirrors=()), tmp_path)
    assert whole(tmp_path) == BODY


def linked(body: bytes, link: str, *, digested: bool) -> Representation:
    resource = replace(versioned(body, 1, "strong"), headers={"Link": link})
    return resource.digested(["sha-256"]) if digested else resource


@pytest.mark.parametrize("known", ["checksum", "digest", "nothing"])
async def test_mirrors_that_the_server_names_are_used_where_the_whole_can_be_proven(
    known: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    second = SlowFile(BODY, resource=mirror_of(BODY))
    link = f"<{serve(faulty, second, '/mirror', elsewhere=True)}>; rel=duplicate; pri=1"
    first = SlowFile(BODY, resource=linked(BODY, link, digested=known == "digest"), waits=True)
    if known != "nothing":
        first.is_divided_by(second)
    url = asked(serve(faulty, first), body=BODY if known == "checksum" else None)
    async with Dividing() as dl:
        await dl.client.download(url, tmp_path)
    assert whole(tmp_path) == BODY
    assert bool(second.requests) is (known != "nothing")
    assert all("authorization" not in request.headers for request in second.requests)


async def test_mirrors_that_the_server_names_get_no_credentials(faulty: FaultyOrigin, tmp_path: Path) -> None:
    second = SlowFile(BODY, resource=mirror_of(BODY))
    link = f"<{serve(faulty, second, '/mirror', elsewhere=True)}>; rel=duplicate"
    first = SlowFile(BODY, resource=linked(BODY, link, digested=True), waits=True)
    first.is_divided_by(second)
    async with Dividing(auth=("name", "password")) as dl:
        await dl.client.download(serve(faulty, first), tmp_path)
    assert whole(tmp_path) == BODY
    assert all("authorization" in request.headers for request in first.requests)
    assert all("authorization" not in request.headers for request in second.requests)


async def test_a_mirror_that_the_server_names_goes_on_when_it_fails(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    second = SlowFile(BODY, resource=mirror_of(BODY))
    link = f"<{serve(faulty, second, '/mirror', elsewhere=True)}>; rel=duplicate"
    first = SlowFile(
        BODY,
        resource=linked(BODY, link, digested=True),
        cuts=[15_000, *[0] * 20],
        piece=0,
        without=("range",),
    )
    async with Dividing(1) as dl:
        await dl.client.download(serve(faulty, first), tmp_path)
    assert whole(tmp_path) == BODY
    assert second.requests
