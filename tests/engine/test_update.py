"""Files that are there already, asked for only if the server has another one (RFC 9110 section 13.1)."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Request, Result, errors
from asyncflags._engine.job import Job
from asyncflags._engine.known import KnownFile
from asyncflags.testing import FaultyOrigin, Origin

from .interrupted import eager, left, names, ranges_asked

MADE = datetime(2024, 2, 29, 12, tzinfo=UTC)
FIELD = "Thu, 29 Feb 2024 12:00:00 GMT"
OLD, NEW = b"old" * 1000, b"newer" * 1000


def updating(**options: Any) -> AsyncDownloader:
    return eager(if_exists="update", **options)


def there(folder: Path, body: bytes = OLD, modified_at: float | None = None) -> Path:
    path = folder / "file"
    path.write_bytes(body)
    if modified_at is not None:
        os.utime(path, (modified_at, modified_at))
    return path


async def test_one_that_is_still_the_same_is_kept(origin: Origin, tmp_path: Path) -> None:
    url, path = origin.add("/file", NEW, last_modified=MADE), there(tmp_path)
    before = path.stat()
    async with updating() as dl:
        result = await dl.download(url, tmp_path)
        assert (dl.progress().completed, dl.progress().size) == (1, 0)
    assert (result.skipped, result.status, result.path, result.size) == (True, 304, path, len(OLD))
    assert result.attempts == 1
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert names(tmp_path) == ["file"]
    assert [request.status for request in origin.requests] == [304]


async def test_one_that_has_changed_is_replaced_and_gets_the_server_s_time(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", NEW, last_modified=MADE)
    path = there(tmp_path, modified_at=MADE.timestamp() - 1)
    async with updating() as dl:
        result = await dl.download(url, tmp_path)
        assert (result.skipped, result.status, path.read_bytes()) == (False, 200, NEW)
        assert path.stat().st_mtime == MADE.timestamp()
        assert (await dl.download(url, tmp_path)).status == 304
    assert [request.headers["If-Modified-Since"] for request in origin.requests] == [
        "Thu, 29 Feb 2024 11:59:59 GMT",
        FIELD,
    ]


async def test_one_that_is_missing_is_asked_for_without_a_condition(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", NEW, last_modified=MADE)
    async with updating() as dl:
        result = await dl.download(url, tmp_path)
    assert (result.skipped, (tmp_path / "file").read_bytes()) == (False, NEW)
    assert (tmp_path / "file").stat().st_mtime == MADE.timestamp()
    assert not {"If-Modified-Since", "If-None-Match"} & set(origin.requests[0].headers)


async def test_a_server_without_dates_sends_it_again(origin: Origin, tmp_path: Path) -> None:
    path = there(tmp_path)
    async with updating() as dl:
        assert (await dl.download(origin.add("/file", NEW), tmp_path)).status == 200
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_a_list_tells_which_were_kept(durability: Any, origin: Origin, tmp_path: Path) -> None:
    urls = [origin.add(f"/{number}", NEW + bytes([number]), last_modified=MADE) for number in range(5)]
    async with updating(durability=durability) as dl:
        first = await dl.download_many(urls[:3], tmp_path)
        again = await dl.download_many(urls, tmp_path)
    assert (first.completed, again.completed, again.skipped) == (3, 2, 3)
    assert [request.status for request in origin.requests[3:]].count(304) == 3


async def test_a_304_that_nobody_asked_for_is_an_error(faulty: FaultyOrigin, tmp_path: Path) -> None:
    async with updating() as dl:
        with pytest.raises(errors.StatusError):
            await dl.download(faulty.url + "/304", tmp_path)
    assert names(tmp_path) == []


async def test_in_streams_and_memory_there_is_nothing_to_keep(origin: Origin) -> None:
    url = origin.add("/file", NEW, last_modified=MADE)
    async with updating() as dl:
        assert (await dl.fetch(url)).content == NEW
    assert "If-Modified-Since" not in origin.requests[0].headers


async def test_a_file_that_is_not_the_expected_one_is_not_kept_for_it(origin: Origin, tmp_path: Path) -> None:
    url, path = origin.add("/file", NEW, last_modified=MADE), there(tmp_path, b"x" * len(NEW))
    checksum = "sha256:" + hashlib.sha256(NEW).hexdigest()
    async with updating() as dl:
        result = await dl.download(url, tmp_path, checksum=checksum)
    # What is told as verified has been verified.
    assert (path.read_bytes(), result.checksum, result.skipped) == (NEW, checksum, False)


async def test_a_file_that_is_the_expected_one_is_kept(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", NEW, last_modified=MADE)
    there(tmp_path, NEW)
    checksum = "sha256:" + hashlib.sha256(NEW).hexdigest()
    async with updating() as dl:
        result = await dl.download(url, tmp_path, checksum=checksum)
    assert (result.skipped, result.checksum) == (True, checksum)


@pytest.mark.parametrize("size", [len(OLD), 7])
async def test_a_file_of_another_size_than_expected_is_not_kept(
    size: int, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", OLD, last_modified=MADE)
    there(tmp_path, OLD[:7])
    async with updating() as dl:
        if size == 7:
            assert (await dl.download(url, tmp_path, size=7)).skipped
            return
        result = await dl.download(url, tmp_path, size=size)
    assert ((tmp_path / "file").read_bytes(), result.skipped) == (OLD, False)


# With a part, and with cuts.


async def test_a_part_of_the_new_one_is_continued_and_not_asked_for_under_the_old_one_s_condition(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", NEW, etag='"new"', last_modified=MADE)
    path = there(tmp_path)
    left(path, NEW[:2000], url, etag='"new"', last_modified=FIELD, total=len(NEW))
    async with updating() as dl:
        result = await dl.download(url, tmp_path)
    assert (result.status, path.read_bytes(), names(tmp_path)) == (206, NEW, ["file"])
    assert "If-Modified-Since" not in origin.requests[0].headers
    assert path.stat().st_mtime == MADE.timestamp()


async def test_cut_in_the_middle_the_new_one_is_continued_and_the_old_one_stands_until_then(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", NEW, etag='"new"', last_modified=MADE)
    path = there(tmp_path, modified_at=0.0)
    origin.cut("/file", 2000, times=2)
    async with updating(retries=0) as dl:
        with pytest.raises(errors.TruncatedBody):
            await dl.download(url, tmp_path)
        assert path.read_bytes() == OLD
        result = await dl.download(url, tmp_path, retries=1)
    assert (result.attempts, path.read_bytes(), names(tmp_path)) == (2, NEW, ["file"])
    assert ranges_asked(origin.requests) == [None, "bytes=1000-", "bytes=1976-"]
    assert path.stat().st_mtime == MADE.timestamp()


# What an earlier run recorded of the file.


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, KnownFile]:
    """What jobs know of the file under their URL."""
    found: dict[str, KnownFile] = {}
    begin = Job.__init__

    def informed(self: Job, engine: Any, request: Request, *args: Any, **options: Any) -> None:
        begin(self, engine, request, *args, **(options | {"known": found.get(request.url)}))

    monkeypatch.setattr(Job, "__init__", informed)
    return found


async def ask(url: str, folder: Path, **options: Any) -> Result:
    async with updating() as dl:
        return await dl.download(url, folder, **options)


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
async def test_a_known_tag_is_the_condition(
    etag: str, known: dict[str, KnownFile], origin: Origin, tmp_path: Path
) -> None:
    url, path = origin.add("/file", OLD, etag=etag), there(tmp_path)
    known[url] = KnownFile(str(path), len(OLD), etag, FIELD)
    result = await ask(url, tmp_path)
    assert (result.skipped, result.status) == (True, 304)
    assert origin.requests[0].headers["If-None-Match"] == etag
    assert "If-Modified-Since" not in origin.requests[0].headers


async def test_another_tag_brings_the_new_file(
    known: dict[str, KnownFile], origin: Origin, tmp_path: Path
) -> None:
    url, path = origin.add("/file", NEW, etag='"v2"'), there(tmp_path)
    known[url] = KnownFile(str(path), len(OLD), '"v1"')
    assert (await ask(url, tmp_path)).status == 200
    assert path.read_bytes() == NEW


async def test_a_known_date_is_the_condition_where_there_is_no_tag(
    known: dict[str, KnownFile], origin: Origin, tmp_path: Path
) -> None:
    url, path = origin.add("/file", OLD, etag=None, last_modified=MADE), there(tmp_path, modified_at=0.0)
    known[url] = KnownFile(str(path), len(OLD), None, FIELD)
    assert (await ask(url, tmp_path)).status == 304
    assert origin.requests[0].headers["If-Modified-Since"] == FIELD


@pytest.mark.parametrize("what", ["size", "path"])
async def test_what_is_known_of_another_file_is_not_the_condition(
    what: str, known: dict[str, KnownFile], origin: Origin, tmp_path: Path
) -> None:
    url, path = origin.add("/file", OLD, etag='"v1"', last_modified=MADE), there(tmp_path, modified_at=0.0)
    size = len(OLD) + (what == "size")
    known[url] = KnownFile(str(path) + ("x" if what == "path" else ""), size, '"v1"')
    assert (await ask(url, tmp_path)).status == 200
    assert "If-None-Match" not in origin.requests[0].headers


async def test_a_file_that_is_gone_is_asked_for_whatever_is_known_of_it(
    known: dict[str, KnownFile], origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", OLD, etag='"v1"')
    known[url] = KnownFile(str(tmp_path / "file"), len(OLD), '"v1"')
    assert (await ask(url, tmp_path)).status == 200
    assert "If-None-Match" not in origin.requests[0].headers
