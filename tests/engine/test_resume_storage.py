"""Disks and folders that fail in the middle: the run goes on, and what the disk keeps can be gone on with."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Request, errors
from asyncflags._storage import liveness
from asyncflags.testing import Origin

from .interrupted import eager, names, part_of, ranges_asked
from .waiting import until

BODY = hashlib.shake_128(b"body").digest(1_500_000)
CUT = 900_000
REFUSALS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO]

Patch = Callable[[str, int, int], None]


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Patch:
    """Has calls that touch part files refused from some call on: ``refusing("write", code, after)``."""

    def patch(name: str, code: int, after: int) -> None:
        original, left = getattr(os, name), [after]

        def refused(first: Any, *args: Any, **options: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else str(first)
            if path.endswith("/file.part"):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(code, os.strerror(code))
            return original(first, *args, **options)

        monkeypatch.setattr(os, name, refused)

    return patch


async def fails(dl: AsyncDownloader, url: str, dest: Path, code: int) -> None:
    with pytest.raises(errors.StorageError) as caught:
        await dl.download(url, dest)
    assert os.strerror(code).lower() in str(caught.value).lower()
    assert caught.value.attempts == 1
    assert not (dest / "file").exists()


@pytest.mark.parametrize("durability", ["fsync", "rename"])
@pytest.mark.parametrize("code", REFUSALS)
async def test_a_write_that_is_refused_keeps_what_was_written(
    code: int,
    durability: Any,
    refusing: Patch,
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = origin.add("/file", BODY, etag='"v1"')
    refusing("write", code, 2)
    async with eager(durability=durability) as dl:
        await fails(dl, url, tmp_path, code)
    monkeypatch.undo()
    kept = part_of(tmp_path / "file").read_bytes()
    assert kept
    assert BODY.startswith(kept)
    async with eager(durability=durability) as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == [None, f"bytes={len(kept) - 1024}-"]
    assert (tmp_path / "file").read_bytes() == BODY
    assert names(tmp_path) == ["file"]


async def test_the_first_failure_of_a_process_keeps_the_loop_free(
    refusing: Patch, origin: Origin, tmp_path: Path
) -> None:
    # Who this process is takes files of the system, or programs, to find out, and is known from then on.
    for cached in (liveness.this_process, liveness._boot):
        cached.cache_clear()
    refusing("write", errno.ENOSPC, 0)
    async with eager() as dl:
        await fails(dl, origin.add("/file", BODY), tmp_path, errno.ENOSPC)


@pytest.mark.parametrize("name", ["replace", "fsync"])
@pytest.mark.parametrize("as_list", [False, True])
async def test_a_file_that_cannot_be_published_has_no_final_name_and_the_next_run_is_right(
    name: str, as_list: bool, refusing: Patch, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = origin.add("/file", BODY, etag='"v1"')
    refusing(name, errno.EIO, 0)
    async with eager(durability="fsync") as dl:
        if as_list:
            report = await dl.download_many([url, origin.add("/other", BODY)], tmp_path)
            assert (report.completed, [type(each.error) for each in report.failures]) == (
                1,
                [errors.StorageError],
            )
            assert not (tmp_path / "file").exists()
        else:
            await fails(dl, url, tmp_path, errno.EIO)
    monkeypatch.undo()
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == BODY
    assert names(tmp_path) == (["file", "other"] if as_list else ["file"])


async def test_after_a_failed_sync_the_bytes_are_not_relied_on(
    refusing: Patch, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system may drop the pages that it could not write, and then says that all is well (fsync(2)).
    url = origin.add("/file", BODY, etag='"v1"')
    refusing("fsync", errno.EIO, 0)
    async with eager(durability="fsync") as dl:
        await fails(dl, url, tmp_path, errno.EIO)
    monkeypatch.undo()
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert ranges_asked(origin.requests) == [None, None]
    assert (tmp_path / "file").read_bytes() == BODY


def remove(folder: Path) -> None:
    """Take a folder away in one step, as nobody could who removes its files one after the other while others come."""
    shutil.rmtree(folder.rename(folder.with_name("removed")))


async def removed_half_way(
    dl: AsyncDownloader, url: str, origin: Origin, folder: Path
) -> BaseException | None:
    """Take the folder away in the middle of a download; how that ends."""
    gate = origin.hold("/file", CUT)
    running = asyncio.ensure_future(dl.download(url, folder))
    await until(lambda: part_of(folder / "file").exists())
    remove(folder)
    gate.set()
    await asyncio.wait((running,))
    return running.exception()


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_a_folder_removed_in_the_middle_is_told_and_not_made_again(
    durability: Any, origin: Origin, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    url = origin.add("/file", BODY)
    async with eager(durability=durability) as dl:
        error = await removed_half_way(dl, url, origin, folder)
        assert type(error) is errors.StorageError
        assert not folder.exists()
        folder.mkdir()
        await dl.download(url, folder)
    assert names(folder) == ["file"]


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_a_folder_removed_in_the_middle_of_a_list_fails_its_files_alone(
    durability: Any, origin: Origin, tmp_path: Path
) -> None:
    origin.add("/file", BODY)
    gate = origin.hold("/file", CUT)
    requests = [
        Request(origin.url + "/file", path="gone/file"),
        *(Request(origin.add(f"/{number}", BODY), path=f"here/{number}") for number in range(3)),
    ]
    async with eager(durability=durability) as dl:
        running = asyncio.ensure_future(dl.download_many(requests, tmp_path))
        await until(lambda: part_of(tmp_path / "gone" / "file").exists())
        remove(tmp_path / "gone")
        gate.set()
        report = await running
    assert (report.completed, [type(each.error) for each in report.failures]) == (3, [errors.StorageError])
    assert names(tmp_path / "here") == ["0", "1", "2"]
    assert not (tmp_path / "gone").exists() or names(tmp_path / "gone") == []


async def test_a_part_removed_in_the_middle_is_an_error_and_never_half_a_file(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", BODY)
    gate = origin.hold("/file", CUT)
    async with eager() as dl:
        running = asyncio.ensure_future(dl.download(url, tmp_path))
        await until(lambda: part_of(tmp_path / "file").exists())
        part_of(tmp_path / "file").unlink()
        gate.set()
        await asyncio.wait((running,))
        assert type(running.exception()) is errors.StorageError
        await dl.download(url, tmp_path)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == BODY


async def test_a_part_replaced_in_the_middle_is_never_published_for_ours(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", BODY)
    gate = origin.hold("/file", CUT)
    async with eager() as dl:
        running = asyncio.ensure_future(dl.download(url, tmp_path))
        await until(lambda: part_of(tmp_path / "file").exists())
        part_of(tmp_path / "file").unlink()
        part_of(tmp_path / "file").write_bytes(b"somebody else's")
        gate.set()
        await asyncio.wait((running,))
        running.exception()
    assert not (tmp_path / "file").exists() or (tmp_path / "file").read_bytes() == BODY
