"""What one run leaves, and what the next one makes of it: the rest alone is asked for, or nothing is relied on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncflags import Event, errors
from asyncflags._policies.ranges import Ranges
from asyncflags.testing import ChangingEntity, FaultyOrigin, Origin

from .interrupted import DEAD, eager, left, names, part_of, ranges_asked, record_of, sealed
from .waiting import decisions

BODY = hashlib.shake_128(b"body").digest(614_400)
SMALL = hashlib.shake_128(b"small").digest(3000)
CUT = 400_000
CHECKSUM = "sha256:" + hashlib.sha256(SMALL).hexdigest()


async def test_the_next_run_asks_for_the_rest_alone(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", BODY)
    origin.cut("/file", CUT, times=1)
    async with eager(retries=0) as first:
        with pytest.raises(errors.TruncatedBody):
            await first.download(url, tmp_path)
    assert names(tmp_path) == ["file.part", "file.part.json"]
    events: list[Event] = []
    async with eager(on_event=events.append) as second:
        result = await second.download(url, tmp_path)
        assert second.progress().size == len(BODY) - CUT + 1024
    assert (tmp_path / "file").read_bytes() == BODY
    assert names(tmp_path) == ["file"]
    assert (result.status, result.attempts, result.size) == (206, 1, len(BODY))
    assert [request.served for request in origin.requests] == [(0, len(BODY)), (CUT - 1024, len(BODY))]
    assert [event.kind for event in decisions(events)] == ["resumed"]
    assert f"{CUT} bytes" in events[0].detail


async def test_many_runs_that_each_bring_a_little_end_with_the_whole(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    entity = ChangingEntity([SMALL], [1100] * 30)
    faulty.script("/file", entity)
    for _ in range(30):
        async with eager(retries=0) as dl:
            try:
                await dl.download(faulty.url + "/file", tmp_path, checksum=CHECKSUM)
            except errors.TruncatedBody:
                continue
        break
    assert (tmp_path / "file").read_bytes() == SMALL
    assert all(request.headers["if-range"] == '"v1"' for request in entity.requests[1:])


# Digests and checksums of bytes of which this run has seen only the last.


async def test_a_checksum_is_of_the_bytes_of_all_runs(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL[:2000], url, total=3000)
    async with eager() as dl:
        result = await dl.download(url, tmp_path, checksum=CHECKSUM)
    assert (result.checksum, result.status) == (CHECKSUM, 206)
    assert (tmp_path / "file").read_bytes() == SMALL


async def test_a_digest_of_the_whole_told_by_the_part_is_of_the_bytes_of_all_runs(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    url = faulty.url + "/digest/resumed-only-on-parts"
    async with eager(retries=0) as first:
        with pytest.raises(errors.TruncatedBody):
            await first.download(url, tmp_path)
    async with eager() as second:
        assert (await second.download(url, tmp_path)).status == 206


async def test_a_wrong_digest_of_the_whole_told_by_the_part_is_found_across_runs(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    url = faulty.url + "/digest/resumed-only-on-parts-wrong"
    async with eager(retries=0) as first:
        with pytest.raises(errors.TruncatedBody):
            await first.download(url, tmp_path)
    async with eager(retries=0) as second:
        with pytest.raises(errors.ChecksumMismatch):
            await second.download(url, tmp_path)
    assert names(tmp_path) == []


async def test_bytes_that_rotted_on_the_disk_are_found_by_the_checksum_and_dropped(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", b"rotten" + SMALL[6:2000], url, total=3000)
    async with eager() as dl:
        with pytest.raises(errors.ChecksumMismatch):
            await dl.download(url, tmp_path, checksum=CHECKSUM)
        assert names(tmp_path) == []
        await dl.download(url, tmp_path, checksum=CHECKSUM)
    assert (tmp_path / "file").read_bytes() == SMALL


@pytest.mark.parametrize("at", [0, 1, 512, 1023])
async def test_bytes_that_rotted_near_the_end_are_found_by_comparing(
    at: int, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    rotten = bytearray(SMALL[:2500])
    rotten[2500 - 1024 + at] ^= 1
    left(tmp_path / "file", bytes(rotten), url, total=3000)
    events: list[Event] = []
    async with eager(on_event=events.append) as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL
    assert ranges_asked(origin.requests) == ["bytes=1476-", None]
    assert [event.kind for event in decisions(events)] == ["resumed", "resume_refused"]


# Records that do not hold.


def garbage(text: str) -> Any:
    return lambda path: record_of(path).write_text(text)


def changed(**values: Any) -> Any:
    """A record that is well sealed and says *values*."""

    def write(path: Path) -> None:
        value = json.loads(record_of(path).read_text())
        del value["check"]
        record_of(path).write_text(sealed(value | values))

    return write


def torn(path: Path) -> None:
    text = record_of(path).read_text()
    record_of(path).write_text(text[: len(text) // 2])


def half_overwritten(path: Path) -> None:
    """One page of the new record, and the rest of the old one."""
    text = record_of(path).read_text()
    assert "v1" in text[:200]
    record_of(path).write_text(text[:200].replace("v1", "v9") + text[200:])


def replaced_by_a_folder(path: Path) -> None:
    record_of(path).unlink()
    record_of(path).mkdir()


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: record_of(path).unlink(),
    "empty": garbage(""),
    "garbage": garbage("\0\1\2 no JSON"),
    "another format": changed(asyncflags=2),
    "a list": garbage("[]"),
    "deep": garbage("[" * 100_000),
    "not sealed": lambda path: record_of(path).write_text(record_of(path).read_text().replace("v1", "v2")),
    "without an owner": changed(owner=None),
    "with half a range": changed(ranges=[[0]]),
    "torn": torn,
    "half overwritten": half_overwritten,
    "a folder": replaced_by_a_folder,
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_a_part_whose_record_does_not_hold_is_begun_anew(
    kind: str, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", b"of who knows what", url, total=3000)
    UNUSABLE[kind](tmp_path / "file")
    async with eager() as dl:
        result = await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL
    assert (result.status, ranges_asked(origin.requests)) == (200, [None])
    assert names(tmp_path) == (["file", "file.part.json"] if kind == "a folder" else ["file"])


async def test_a_link_in_place_of_a_record_is_not_followed(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL[:2000], url, total=3000)
    record_of(tmp_path / "file").rename(tmp_path / "other")
    before = (tmp_path / "other").read_bytes()
    record_of(tmp_path / "file").symlink_to("other")
    async with eager() as dl:
        with pytest.raises(errors.StorageError, match="symbolic link"):
            await dl.download(url, tmp_path)
    assert (tmp_path / "other").read_bytes() == before
    assert part_of(tmp_path / "file").read_bytes() == SMALL[:2000]


@pytest.mark.parametrize("dest", ["folder", "file"])
async def test_a_record_without_its_part_is_cleared_away(dest: str, origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL[:2000], url, total=3000)
    part_of(tmp_path / "file").unlink()
    async with eager() as dl:
        await dl.download(url, tmp_path if dest == "folder" else tmp_path / "file")
    assert ranges_asked(origin.requests) == [None]
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("if_exists", ["overwrite", "update", "skip"])
async def test_a_record_that_a_kill_left_beside_a_finished_file_is_cleared_away(
    if_exists: Any, origin: Origin, tmp_path: Path
) -> None:
    # The name is given first and the record removed then; a kill in between leaves both.
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL, url, total=3000)
    part_of(tmp_path / "file").rename(tmp_path / "file")
    async with eager(if_exists=if_exists) as dl:
        await dl.download(url, tmp_path)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == SMALL


# Parts that are not as long as their record says.


async def test_a_part_longer_than_what_was_noted_is_cut_back(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    noted = Ranges(((0, 2000),))
    left(tmp_path / "file", SMALL[:2000] + b"never noted", url, total=3000, ranges=noted)
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == ["bytes=1000-"]
    assert (tmp_path / "file").read_bytes() == SMALL


@pytest.mark.parametrize("noted", [None, Ranges(((0, 2500),)), Ranges(((0, 1000), (2200, 2900)))])
async def test_a_part_shorter_than_what_was_noted_counts_as_far_as_it_goes(
    noted: Ranges | None, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL[:1000], url, total=3000, ranges=noted)
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == ["bytes=500-"]
    assert (tmp_path / "file").read_bytes() == SMALL


@pytest.mark.parametrize("more", [1, 500, 1023, 1024, 5000])
async def test_a_part_longer_than_the_file_is_never_published(
    more: int, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL + b"x" * more, url, total=3000)
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("total", [3000, None])
async def test_a_full_part_is_proven_by_its_end_alone(
    total: int | None, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL, url, total=total)
    async with eager() as dl:
        result = await dl.download(url, tmp_path)
    assert [request.served for request in origin.requests] == [(3000 - 1024, 3000)]
    assert (result.size, (tmp_path / "file").read_bytes()) == (3000, SMALL)


async def test_a_full_part_of_another_version_is_not_published(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v2"')
    left(tmp_path / "file", b"o" * 3000, url, total=3000)
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL


async def test_an_empty_part_is_begun_anew(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", b"", url, total=3000)
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == [None]
    assert names(tmp_path) == ["file"]


# After the machine went down.


@pytest.mark.parametrize("boot", ["another boot", ""])
@pytest.mark.parametrize(("durable", "asked"), [(0, None), (1, "bytes=0-"), (1500, "bytes=750-")])
async def test_after_a_power_cut_only_what_was_synced_is_relied_on(
    durable: int, asked: str | None, boot: str, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    holes = SMALL[:durable] + bytes(2500 - durable)
    left(tmp_path / "file", holes, url, total=3000, durable=durable, owner=replace(DEAD, boot=boot))
    async with eager() as dl:
        await dl.download(url, tmp_path, checksum=CHECKSUM)
    assert ranges_asked(origin.requests) == [asked]
    assert (tmp_path / "file").read_bytes() == SMALL


async def test_taken_up_once_it_is_relied_on_by_the_next_run_of_this_boot(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    holes = SMALL[:1500] + bytes(1000)
    left(tmp_path / "file", holes, url, total=3000, durable=1500, owner=replace(DEAD, boot="another"))
    origin.cut("/file", 1000, times=1)
    async with eager(retries=0) as first:
        with pytest.raises(errors.TruncatedBody):
            await first.download(url, tmp_path)
    assert part_of(tmp_path / "file").read_bytes() == SMALL[:1750]
    known = json.loads(record_of(tmp_path / "file").read_text())
    assert (known["ranges"], known["durable"]) == (None, [[0, 1500]])
    async with eager() as second:
        await second.download(url, tmp_path)
    assert ranges_asked(origin.requests) == ["bytes=750-", "bytes=875-"]
    assert (tmp_path / "file").read_bytes() == SMALL


# With resume off, and where nothing may be continued.


@pytest.mark.parametrize("options", [{"resume": False}, {"compressed": True}], ids=str)
async def test_where_nothing_may_be_continued_a_part_is_dropped(
    options: dict[str, Any], origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    left(tmp_path / "file", SMALL[:2000], url, total=3000)
    async with eager(**options) as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == [None]
    assert names(tmp_path) == ["file"]


async def test_a_download_taken_up_twice_in_one_client_goes_on_each_time(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", SMALL, etag='"v1"')
    async with eager(retries=0) as dl:
        for _ in range(3):
            origin.cut("/file", 1200, times=1)
            with pytest.raises(errors.TruncatedBody):
                await dl.download(url, tmp_path / "file")
        await dl.download(url, tmp_path / "file")
    assert ranges_asked(origin.requests) == [None, "bytes=600-", "bytes=900-", "bytes=1076-"]


async def test_bytes_of_a_mirror_that_is_not_asked_any_more_are_not_taken_for_ours(
    origin: Origin, tmp_path: Path
) -> None:
    # The tag is the same by chance: servers that number their versions all begin with the same one.
    url = origin.add("/file", SMALL, etag='"v1"')
    other = b"other" + SMALL[5:2000]
    left(tmp_path / "file", other, url, total=3000, source="https://mirror.example/file")
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == SMALL
