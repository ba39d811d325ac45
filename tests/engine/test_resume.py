"""One download whose attempts are cut: what is asked for again, how often, and what is left when all have failed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Event, errors
from asyncflags._policies.backoff import Backoff
from asyncflags.testing import ChangingEntity, FaultyOrigin, Origin
from asyncflags.testing.faulty import FaultyRequest, body_for

from .interrupted import eager, names, part_of, ranges_asked, record_of
from .waiting import decisions, until

BODY = bytes(range(256)) * 2400
"""Two batches and a half."""

CUT = 400_000
SMALL = bytes(range(100))


def cut_small(faulty: FaultyOrigin, cuts: list[int | None], **options: Any) -> ChangingEntity:
    """Serve 100 bytes at ``/file``, with answers that are cut after so many bytes of their own."""
    entity = ChangingEntity([SMALL], cuts, **options)
    faulty.script("/file", entity)
    return entity


async def test_the_rest_alone_is_asked_for_and_a_kibibyte_to_compare(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", BODY, etag='"v1"')
    origin.cut("/file", CUT, times=1)
    async with eager() as dl:
        result = await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == BODY
    assert (result.size, result.status, result.attempts) == (len(BODY), 206, 2)
    assert (result.length_verified, result.etag) == (True, '"v1"')
    assert [request.served for request in origin.requests] == [(0, len(BODY)), (CUT - 1024, len(BODY))]
    assert origin.requests[1].headers["If-Range"] == '"v1"'
    assert names(tmp_path) == ["file"]


async def test_the_counters_tell_bytes_of_the_file_and_end_with_all_of_them(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", BODY)
    origin.cut("/file", CUT, times=1)
    seen: list[tuple[int, int | None]] = []

    def look(event: Event) -> None:
        seen.extend((each.received, each.expected) for each in dl.progress().active)

    dl = eager(on_event=look)
    async with dl:
        await dl.download(url, tmp_path)
        assert dl.progress().size == len(BODY) + 1024
    assert seen == [(CUT, len(BODY))]


async def test_a_redirected_download_is_continued_where_it_leads(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with eager() as dl:
        await dl.download(faulty.url + "/range/redirected", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body_for("/range/redirected")
    asked = [request for request in faulty.requests if request.path == "/range/resume"]
    assert ranges_asked(asked) == [None, "bytes=1976-"]


async def test_a_server_without_if_range_is_asked_once_by_if_match(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with eager() as dl:
        await dl.download(faulty.url + "/range/if-range-ignored", tmp_path)
    conditions = [
        [name for name in ("if-range", "if-match") if name in request.headers] for request in faulty.requests
    ]
    assert conditions == [[], ["if-range"], ["if-match"]]


async def test_what_is_refused_is_told_and_asked_for_whole_at_once(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    events: list[Event] = []
    async with eager(on_event=events.append) as dl:
        result = await dl.download(faulty.url + "/range/wrong-offset", tmp_path)
    assert result.attempts == 2
    assert [event.kind for event in decisions(events)] == ["retrying", "resume_refused"]
    assert "from byte" in events[1].detail
    assert ranges_asked(faulty.requests)[2:] == [None]


async def test_off_every_attempt_asks_for_the_whole_and_nothing_is_left(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", BODY)
    origin.cut("/file", CUT, times=2)
    async with eager(resume=False, retries=1) as dl:
        with pytest.raises(errors.TruncatedBody):
            await dl.download(url, tmp_path)
        assert names(tmp_path) == []
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == [None, None, None]
    assert (tmp_path / "file").read_bytes() == BODY


# How often.


async def test_progress_gives_the_budget_back_each_time(faulty: FaultyOrigin, tmp_path: Path) -> None:
    async with eager(retries=1) as dl:
        result = await dl.download(faulty.url + "/range/byte-by-byte", tmp_path)
    assert result.attempts == 20
    assert (tmp_path / "byte-by-byte").read_bytes() == body_for("/range/byte-by-byte")


@pytest.mark.parametrize(("retries", "attempts"), [(None, 1), (0, 1), (1, 2), (4, 5)])
async def test_without_progress_the_budget_is_used_up(
    retries: int | None, attempts: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with eager(retries=retries) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.download(faulty.url + "/range/never-further", tmp_path)
    assert caught.value.attempts == attempts
    assert len(faulty.requests) == attempts


async def test_bytes_that_come_once_more_are_no_progress(faulty: FaultyOrigin, tmp_path: Path) -> None:
    # Of 10 bytes the last 5 are asked for again, of 12 the last 6.
    entity = cut_small(faulty, [10, 5, 7, 6, 6, 6, 6])
    async with eager(retries=2) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.download(faulty.url + "/file", tmp_path)
    assert ranges_asked(entity.requests) == [None, "bytes=5-", "bytes=5-", "bytes=6-", "bytes=6-"]
    assert caught.value.attempts == 5


async def test_a_file_that_always_changes_makes_no_progress_by_beginning_anew(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    versions = [bytes([number]) * 50 for number in range(20)]
    faulty.script("/file", ChangingEntity(versions, [30] * 20))
    async with eager(retries=3) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.download(faulty.url + "/file", tmp_path)
    assert caught.value.attempts == 4


async def test_pauses_begin_anew_after_progress(faulty: FaultyOrigin, tmp_path: Path) -> None:
    cut_small(faulty, [10, 5, 5, 7])
    events: list[Event] = []
    async with eager(on_event=events.append) as dl:
        engine = dl._ready()
        engine.backoff, engine.jitter = Backoff(initial=0.002), lambda: 0.5
        await dl.download(faulty.url + "/file", tmp_path)
    assert [(event.kind, event.seconds) for event in decisions(events)] == [
        ("retrying", pause) for pause in (0.001, 0.002, 0.004, 0.001)
    ]


# What is left.


def then_refused(faulty: FaultyOrigin, entity: ChangingEntity, status: int) -> None:
    """Serve *entity* at ``/file`` once, and *status* from then on."""

    async def script(reader: Any, writer: Any, request: FaultyRequest) -> None:
        if request.visit == 1:
            await entity(reader, writer, request)
        else:
            writer.write(b"HTTP/1.1 %d Status\r\nContent-Length: 0\r\n\r\n" % status)

    faulty.script("/file", script)


@pytest.mark.parametrize(("status", "attempts"), [(503, 3), (404, 2), (403, 2)])
async def test_the_last_real_error_is_raised_and_the_part_stays(
    status: int, attempts: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    then_refused(faulty, ChangingEntity([SMALL], [60]), status)
    async with eager(retries=2) as dl:
        with pytest.raises(errors.StatusError) as caught:
            await dl.download(faulty.url + "/file", tmp_path)
        assert (caught.value.status, caught.value.attempts) == (status, attempts)
        assert names(tmp_path) == ["file.part", "file.part.json"]
        assert part_of(tmp_path / "file").read_bytes() == SMALL[:60]
        again = cut_small(faulty, [])
        await dl.download(faulty.url + "/file", tmp_path)
    assert ranges_asked(again.requests) == ["bytes=30-"]
    assert (tmp_path / "file").read_bytes() == SMALL


async def fails_once(dl: AsyncDownloader, url: str, dest: Path, **options: Any) -> None:
    with pytest.raises(errors.DownloadError):
        await dl.download(url, dest, retries=0, **options)


@pytest.mark.parametrize("cut", [1, 2, 99])
@pytest.mark.parametrize("validators", ["strong", "date"])
async def test_what_can_be_resumed_stays_with_what_is_known_of_it(
    validators: Any, cut: int, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    cut_small(faulty, [cut], validators=validators)
    async with eager() as dl:
        await fails_once(dl, faulty.url + "/file", tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.json"]
    assert part_of(tmp_path / "file").read_bytes() == SMALL[:cut]
    known = json.loads(record_of(tmp_path / "file").read_text())
    assert (known["total"], known["url"]) == (100, faulty.url + "/file")
    assert (known["etag"] or known["last_modified"]) is not None
    assert record_of(tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("validators", ["weak", "none"])
async def test_what_nothing_proves_is_removed(validators: Any, faulty: FaultyOrigin, tmp_path: Path) -> None:
    cut_small(faulty, [60] * 9, validators=validators)
    async with eager() as dl:
        await fails_once(dl, faulty.url + "/file", tmp_path)
    assert names(tmp_path) == []


async def test_a_body_that_ends_with_the_connection_is_never_continued(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    faulty.raw("/file", b'HTTP/1.1 200 OK\r\nETag: "v1"\r\n\r\n', SMALL, then="reset")
    async with eager(retries=2) as dl:
        with pytest.raises(errors.ReadError):
            await dl.download(faulty.url + "/file", tmp_path)
    assert ranges_asked(faulty.requests) == [None, None, None]
    assert names(tmp_path) == []


async def test_nothing_is_left_of_an_attempt_that_brought_nothing(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    cut_small(faulty, [0])
    async with eager() as dl:
        await fails_once(dl, faulty.url + "/file", tmp_path)
    assert names(tmp_path) == []


async def test_a_whole_body_that_is_the_wrong_one_is_not_kept_to_go_on_with(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    cut_small(faulty, [60])
    async with eager() as dl:
        with pytest.raises(errors.ChecksumMismatch):
            await dl.download(faulty.url + "/file", tmp_path, checksum="sha256:" + "0" * 64)
    assert names(tmp_path) == []


async def test_the_checksum_is_of_all_bytes_whichever_attempt_they_came_with(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    cut_small(faulty, [10, 20, 30])
    checksum = "sha256:" + hashlib.sha256(SMALL).hexdigest()
    async with eager() as dl:
        result = await dl.download(faulty.url + "/file", tmp_path, checksum=checksum)
    assert (result.checksum, result.attempts) == (checksum, 4)


async def test_a_coded_download_is_never_asked_for_in_part(faulty: FaultyOrigin, tmp_path: Path) -> None:
    cut_small(faulty, [60])
    async with eager(compressed=True) as dl:
        await dl.download(faulty.url + "/file", tmp_path)
    assert ranges_asked(faulty.requests) == [None, None]
    assert (tmp_path / "file").read_bytes() == SMALL


async def test_the_old_file_stands_until_the_new_one_is_whole(faulty: FaultyOrigin, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    cut_small(faulty, [60, 10])
    async with eager() as dl:
        await fails_once(dl, faulty.url + "/file", tmp_path)
        assert (tmp_path / "file").read_bytes() == b"old"
        await dl.download(faulty.url + "/file", tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL
    assert names(tmp_path) == ["file"]


async def test_a_list_leaves_parts_of_what_failed_and_goes_on_with_them(
    origin: Origin, tmp_path: Path
) -> None:
    urls = []
    for number in range(6):
        urls.append(origin.add(f"/{number}", BODY + bytes([number])))
        if number % 2:
            origin.cut(f"/{number}", CUT, times=1)
    async with eager(retries=0, durability="fsync") as dl:
        report = await dl.download_many(urls, tmp_path)
        assert (report.completed, report.failed) == (3, 3)
        assert [name for name in names(tmp_path) if name.endswith(".part")] == ["1.part", "3.part", "5.part"]
        again = await dl.download_many(urls, tmp_path, if_exists="skip")
    assert (again.completed, again.skipped) == (3, 3)
    assert names(tmp_path) == [str(number) for number in range(6)]
    assert all((tmp_path / str(number)).read_bytes() == BODY + bytes([number]) for number in range(6))
    served = [request.served for request in origin.requests[6:]]
    assert served == [(CUT - 1024, len(BODY) + 1)] * 3


@pytest.mark.parametrize("cuts", [[3000], [3000, 3000], [3000, 2000, 2000]], ids=str)
async def test_a_part_that_cannot_be_begun_anew_is_never_joined(
    cuts: list[int | None], faulty: FaultyOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [letter.encode() * 5000 for letter in "abcd"]
    faulty.script("/file", ChangingEntity(versions, cuts))

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with eager() as first:
        monkeypatch.setattr(os, "ftruncate", refuse)
        with pytest.raises(errors.StorageError):
            await first.download(faulty.url + "/file", tmp_path)
        monkeypatch.undo()
    assert not (tmp_path / "file").exists()
    async with eager() as second:
        await second.download(faulty.url + "/file", tmp_path)
    assert (tmp_path / "file").read_bytes() in versions


async def test_a_list_that_was_left_early_goes_on_in_the_same_client(origin: Origin, tmp_path: Path) -> None:
    urls = [origin.add(f"/{number}", BODY, etag='"v1"') for number in range(3)]
    gate = origin.hold("/2", CUT)
    async with eager() as dl:
        async with dl.as_completed(urls, tmp_path):
            await until(lambda: [each.name for each in dl.progress().active] == ["2"])
            await until(lambda: dl.progress().active[0].received >= CUT)
        gate.set()
        assert "2.part" in names(tmp_path)
        await dl.download(urls[2], tmp_path)
    assert ranges_asked(origin.requests)[-1] == f"bytes={CUT - 1024}-"
    assert (tmp_path / "2").read_bytes() == BODY


@pytest.mark.parametrize("name_from", ["url", "server"])
async def test_bytes_that_came_with_the_end_of_the_connection_are_kept(
    name_from: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    # With a name from the server the disk is asked first, and the connection has ended meanwhile.
    cut_small(faulty, [60])
    async with eager(name_from=name_from) as dl:
        await fails_once(dl, faulty.url + "/file", tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.json"]
    assert part_of(tmp_path / "file").read_bytes() == SMALL[:60]
