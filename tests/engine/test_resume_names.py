"""Parts of other downloads: never touched, never joined, and out of the way where the name may be another one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from asyncflags import Request, errors
from asyncflags._storage.records import identity_of
from asyncflags.testing import Origin

from .interrupted import eager, left, names, part_of, ranges_asked, record_of

BODY = hashlib.shake_128(b"body").digest(3000)
THEIRS = "https://other.example/flag.gif"


def leave_theirs(path: Path) -> dict[str, bytes]:
    """Leave a part of another URL under *path*; what stands then."""
    left(path, b"theirs", THEIRS, total=3000)
    return contents(path)


def contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in (part_of(path), record_of(path))}


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "error", "update"])
async def test_an_exact_name_with_another_url_s_part_is_an_error_that_tells_the_way_out(
    if_exists: Any, origin: Origin, tmp_path: Path
) -> None:
    path = tmp_path / "flag.gif"
    before = leave_theirs(path)
    async with eager(if_exists=if_exists) as dl:
        with pytest.raises(errors.StorageError) as caught:
            await dl.download(origin.add("/flag.gif", BODY), path)
    message = str(caught.value)
    assert all(text in message for text in (f"{path}.part", THEIRS, "another name", "--no-resume"))
    assert contents(path) == before
    assert names(tmp_path) == sorted(before)
    assert origin.requests == []


async def test_without_resume_another_url_s_part_is_dropped(origin: Origin, tmp_path: Path) -> None:
    leave_theirs(tmp_path / "flag.gif")
    async with eager(resume=False) as dl:
        await dl.download(origin.add("/flag.gif", BODY), tmp_path / "flag.gif")
    assert names(tmp_path) == ["flag.gif"]
    assert (tmp_path / "flag.gif").read_bytes() == BODY


@pytest.mark.parametrize("theirs", [1, 2, 5])
async def test_a_name_of_our_choice_moves_on_to_the_next_number(
    theirs: int, origin: Origin, tmp_path: Path
) -> None:
    taken = [tmp_path / name for name in ["flag.gif", *(f"flag-{number}.gif" for number in range(2, 6))]]
    before = [leave_theirs(path) for path in taken[:theirs]]
    async with eager() as dl:
        result = await dl.download(origin.add("/flag.gif", BODY), tmp_path)
    assert result.path == tmp_path / f"flag-{theirs + 1}.gif"
    assert result.path.read_bytes() == BODY
    assert [contents(path) for path in taken[:theirs]] == before


async def test_a_list_moves_on_and_its_downloads_still_share_no_name(origin: Origin, tmp_path: Path) -> None:
    before = leave_theirs(tmp_path / "flag.gif")
    urls = [origin.add(f"/{number}/flag.gif", BODY + bytes([number])) for number in range(4)]
    async with eager() as dl:
        report = await dl.download_many(urls, tmp_path)
    assert report.completed == 4
    assert contents(tmp_path / "flag.gif") == before
    bodies = {path.read_bytes() for path in tmp_path.glob("flag-*.gif")}
    assert bodies == {BODY + bytes([number]) for number in range(4)}
    assert len(names(tmp_path)) == 6


async def test_in_a_list_an_exact_name_with_another_url_s_part_fails_alone(
    origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    before = leave_theirs(tmp_path / "sub" / "x.gif")
    requests = [Request(origin.add("/x", BODY), path="sub/x.gif"), Request(origin.add("/y", BODY), path="y")]
    async with eager() as dl:
        report = await dl.download_many(requests, tmp_path)
    assert [type(outcome.error) for outcome in report.failures] == [errors.StorageError]
    assert contents(tmp_path / "sub" / "x.gif") == before
    assert (tmp_path / "y").read_bytes() == BODY


@pytest.mark.parametrize("number", [1, 2])
async def test_our_own_part_is_found_under_the_number_that_it_had(
    number: int, origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/flag.gif", BODY, etag='"v1"')
    if number == 2:
        leave_theirs(tmp_path / "flag.gif")
    ours = tmp_path / ("flag.gif" if number == 1 else "flag-2.gif")
    left(ours, BODY[:2000], url, total=3000)
    async with eager() as dl:
        result = await dl.download(url, tmp_path)
    assert (result.path, ranges_asked(origin.requests)) == (ours, ["bytes=1000-"])
    assert ours.read_bytes() == BODY


async def test_a_renamed_download_takes_its_part_up(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/flag.gif", BODY, etag='"v1"')
    (tmp_path / "flag.gif").write_bytes(b"there before")
    left(tmp_path / "flag-2.gif", BODY[:2000], url, total=3000)
    async with eager(if_exists="rename") as dl:
        result = await dl.download(url, tmp_path)
    assert (result.path, ranges_asked(origin.requests)) == (tmp_path / "flag-2.gif", ["bytes=1000-"])
    assert (tmp_path / "flag.gif").read_bytes() == b"there before"


async def test_a_name_from_the_server_is_taken_up_once_it_is_known(origin: Origin, tmp_path: Path) -> None:
    disposition = {"Content-Disposition": 'attachment; filename="flag.gif"'}
    url = origin.add("/download", BODY, etag='"v1"', headers=disposition)
    left(tmp_path / "flag.gif", BODY[:2000], url, total=3000)
    async with eager(name_from="server") as dl:
        result = await dl.download(url, tmp_path)
    assert (result.path, result.attempts) == (tmp_path / "flag.gif", 1)
    assert ranges_asked(origin.requests) == [None, "bytes=1000-"]
    assert (tmp_path / "flag.gif").read_bytes() == BODY
    assert names(tmp_path) == ["flag.gif"]


async def test_a_name_from_the_server_moves_on_where_another_url_s_part_is(
    origin: Origin, tmp_path: Path
) -> None:
    before = leave_theirs(tmp_path / "flag.gif")
    disposition = {"Content-Disposition": 'attachment; filename="flag.gif"'}
    async with eager(name_from="server") as dl:
        result = await dl.download(origin.add("/download", BODY, headers=disposition), tmp_path)
    assert result.path == tmp_path / "flag-2.gif"
    assert contents(tmp_path / "flag.gif") == before


async def test_the_layout_of_the_url_takes_parts_up_in_its_folders(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/a/b/flag.gif", BODY, etag='"v1"')
    async with eager(layout="url", retries=0) as first:
        origin.cut("/a/b/flag.gif", 2000, times=1)
        with pytest.raises(errors.TruncatedBody):
            await first.download(url, tmp_path)
    async with eager(layout="url") as second:
        result = await second.download(url, tmp_path)
    assert result.path is not None
    assert result.path.read_bytes() == BODY
    assert ranges_asked(origin.requests) == [None, "bytes=1000-"]
    assert names(result.path.parent) == ["flag.gif"]


async def test_user_information_in_the_url_makes_no_other_download_of_it(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/flag.gif", BODY, etag='"v1"')
    left(tmp_path / "flag.gif", BODY[:2000], url, total=3000)
    async with eager() as dl:
        await dl.download(url.replace("http://", "http://me:secret@") + "#fragment", tmp_path)
    assert ranges_asked(origin.requests) == ["bytes=1000-"]


async def test_another_query_makes_another_download(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/flag.gif", BODY, etag='"v1"')
    left(tmp_path / "flag.gif", BODY[:2000], url + "?token=a", total=3000)
    async with eager() as dl:
        result = await dl.download(url + "?token=b", tmp_path)
    assert result.path == tmp_path / "flag-2.gif"


async def test_no_secret_stands_in_the_record(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/flag.gif", BODY).replace("http://", "http://me:password@") + "?token=secret&x=1"
    origin.cut("/flag.gif", 2000)
    async with eager(retries=0) as dl:
        with pytest.raises(errors.TruncatedBody):
            await dl.download(url, tmp_path)
    known = record_of(tmp_path / "flag.gif").read_text()
    assert "secret" not in known
    assert "password" not in known
    assert identity_of(url.replace("me:password@", "")) in known


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
@pytest.mark.parametrize("with_record", [True, False])
async def test_what_is_no_file_at_the_part_s_name_is_an_error_and_stays(
    what: str, with_record: bool, origin: Origin, tmp_path: Path
) -> None:
    url, path = origin.add("/flag.gif", BODY, etag='"v1"'), tmp_path / "flag.gif"
    left(path, BODY[:2000], url, total=3000)
    part_of(path).rename(tmp_path / "kept")
    if what == "folder":
        part_of(path).mkdir()
    elif what == "link":
        part_of(path).symlink_to("kept")
    else:
        os.mkfifo(part_of(path))
    if not with_record:
        record_of(path).unlink()
    async with eager() as dl:
        with pytest.raises(errors.StorageError):
            await dl.download(url, path)
    assert (tmp_path / "kept").read_bytes() == BODY[:2000]
    assert os.path.lexists(part_of(path))
