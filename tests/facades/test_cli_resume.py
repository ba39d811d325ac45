"""``asyncflags get`` after a run that ended early: what is asked for again, and what is not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asyncflags.testing import Origin

from .shell import shell

BODY = bytes(range(256)) * 1200
CUT = 100_000
MODIFIED = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.add("/flag.iso", BODY, last_modified=MODIFIED)
        yield running


async def interrupted(origin: Origin, folder: Path, *options: str) -> None:
    """Leave what a run leaves whose only attempt was cut short."""
    origin.cut("/flag.iso", CUT, times=1)
    ran = await shell("get", f"{origin.url}/flag.iso", "--retries", "0", *options, folder=folder)
    assert ran.code == 7


async def test_the_next_run_asks_for_the_rest_alone(origin: Origin, tmp_path: Path) -> None:
    await interrupted(origin, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["flag.iso.part", "flag.iso.part.json"]
    ran = await shell("get", "-v", "--json", f"{origin.url}/flag.iso", folder=tmp_path)
    assert (ran.code, (tmp_path / "flag.iso").read_bytes()) == (0, BODY)
    start, stop = origin.requests[-1].served or (0, 0)
    assert CUT - 2048 <= start <= CUT
    assert (stop, origin.requests[-1].status) == (len(BODY), 206)
    assert (ran.objects[0]["status"], ran.objects[0]["attempts"]) == (206, 1)
    assert f"{CUT} bytes of an earlier run are taken up" in ran.err
    assert os.listdir(tmp_path) == ["flag.iso"]


async def test_another_version_is_begun_anew(origin: Origin, tmp_path: Path) -> None:
    await interrupted(origin, tmp_path)
    changed = BODY[::-1]
    origin.add("/flag.iso", changed)
    ran = await shell("get", f"{origin.url}/flag.iso", folder=tmp_path)
    assert (ran.code, (tmp_path / "flag.iso").read_bytes()) == (0, changed)
    assert "If-Range" in origin.requests[-1].headers
    assert os.listdir(tmp_path) == ["flag.iso"]


async def test_no_resume_leaves_no_part(origin: Origin, tmp_path: Path) -> None:
    await interrupted(origin, tmp_path, "--no-resume")
    assert os.listdir(tmp_path) == []


async def test_no_resume_takes_no_part_up(origin: Origin, tmp_path: Path) -> None:
    await interrupted(origin, tmp_path)
    ran = await shell("get", "--no-resume", f"{origin.url}/flag.iso", folder=tmp_path)
    assert (ran.code, (tmp_path / "flag.iso").read_bytes()) == (0, BODY)
    assert "Range" not in origin.requests[-1].headers
    assert os.listdir(tmp_path) == ["flag.iso"]


async def test_a_part_of_another_url_is_not_touched(origin: Origin, tmp_path: Path) -> None:
    await interrupted(origin, tmp_path)
    origin.add("/other.iso", b"other")
    ran = await shell("get", f"{origin.url}/other.iso", "-o", "flag.iso", folder=tmp_path)
    assert ran.code == 3
    assert "holds a part of another download" in ran.err
    assert (tmp_path / "flag.iso.part").stat().st_size == CUT


async def test_update_keeps_a_file_that_the_server_says_is_the_same(origin: Origin, tmp_path: Path) -> None:
    options = ["--json", "--if-exists", "update", f"{origin.url}/flag.iso"]
    first = await shell("get", *options, folder=tmp_path)
    again = await shell("get", *options, folder=tmp_path)
    found = [(ran.objects[0]["status"], ran.objects[0]["skipped"]) for ran in (first, again)]
    assert found == [(200, False), (304, True)]
    assert (tmp_path / "flag.iso").stat().st_mtime == MODIFIED.timestamp()


async def test_update_replaces_a_file_that_the_server_has_another_one_of(
    origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "flag.iso").write_bytes(b"old")
    os.utime(tmp_path / "flag.iso", (0, 0))
    ran = await shell("get", "--if-exists", "update", f"{origin.url}/flag.iso", folder=tmp_path)
    assert (ran.code, (tmp_path / "flag.iso").read_bytes()) == (0, BODY)
    assert origin.requests[0].headers["If-Modified-Since"] == "Thu, 01 Jan 1970 00:00:00 GMT"
