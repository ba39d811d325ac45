"""Several processes and one destination: one writes, the others touch nothing, and a killed one is followed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncflags import errors
from asyncflags.testing import Origin

from .interrupted import eager, names, part_of, ranges_asked, record_of
from .waiting import until

ROOT = Path(__file__).resolve().parents[2]
BODY = hashlib.shake_128(b"body").digest(3_000_000)
CUT = 1_000_000

RUN = """
import sys, asyncflags
from asyncflags import errors
from asyncflags._storage import files, part_files
if sys.argv[3] == "far":
    part_files.is_remote = lambda path: True
with asyncflags.Downloader(durability="rename", retries=0) as dl:
    try:
        print(dl.download(sys.argv[1], sys.argv[2]).status)
    except errors.DownloadError as error:
        print(type(error).__name__, error)
"""


@asynccontextmanager
async def downloading(url: str, dest: Path, where: str = "near") -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that downloads; it has ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        url,
        str(dest),
        where,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextmanager
def held(origin: Origin, after: int = CUT) -> Iterator[asyncio.Event]:
    """Let bodies wait after so many bytes; whatever happens, they go on afterwards."""
    gate = origin.hold("/file", after)
    try:
        yield gate
    finally:
        gate.set()


async def has_written(path: Path, size: int = CUT) -> None:
    """Wait until what was sent is on the disk, but for what a batch may hold back, and is known there."""
    part, record = part_of(path), record_of(path)
    await until(lambda: is_longer(record, 0) and is_longer(part, size - (1 << 19)))


def is_longer(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size > size


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        each.name: (each.stat().st_ino, each.read_bytes() if each.suffix == ".json" else b"")
        for each in folder.iterdir()
    }


@pytest.mark.parametrize("where", ["near", "far"])
async def test_the_second_process_is_refused_and_touches_nothing_and_follows_when_the_first_is_killed(
    where: str, origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY), tmp_path / "file"
    with held(origin):
        async with downloading(url, dest, where):
            await has_written(dest)
            before = snapshot(tmp_path)
            async with downloading(url, dest, where) as second:
                told, _ = await second.communicate()
            assert told.startswith(b"StorageError"), told
            assert b"is writing" in told
            assert snapshot(tmp_path) == before
    size = part_of(dest).stat().st_size
    async with downloading(url, dest, where) as third:
        assert (await third.communicate())[0].split() == [b"206"]
    assert dest.read_bytes() == BODY
    assert names(tmp_path) == ["file"]
    assert ranges_asked(origin.requests)[-1] == f"bytes={size - 1024}-"


WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"resume": False},
    {"compressed": True},
    {"if_exists": "update"},
    {"if_exists": "skip"},
)


async def test_the_first_process_finishes_as_if_nobody_had_tried_in_any_way(
    origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY), tmp_path / "file"
    with held(origin) as gate:
        async with downloading(url, dest) as first:
            await has_written(dest)
            for options in WAYS:
                async with eager(retries=0, **options) as dl:
                    with pytest.raises(errors.StorageError, match="is writing"):
                        await dl.download(url, dest)
                    report = await dl.download_many([url], tmp_path)
                    assert [type(outcome.error) for outcome in report.failures] == [errors.StorageError]
            gate.set()
            assert (await first.communicate())[0].split() == [b"200"]
    assert dest.read_bytes() == BODY
    assert names(tmp_path) == ["file"]
    # Whose the part is, is looked at before anything is asked for.
    assert len(origin.requests) == 1


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT], ids=str)
async def test_after_any_end_of_a_process_the_next_one_asks_for_the_rest_alone(
    ending: signal.Signals, origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY, etag='"v1"'), tmp_path / "file"
    with held(origin):
        async with downloading(url, dest) as first:
            await has_written(dest)
            first.send_signal(ending)
            await first.communicate()
    assert names(tmp_path) == ["file.part", "file.part.json"]
    known = json.loads(record_of(dest).read_text())
    assert (known["url"], known["etag"], known["total"]) == (url, '"v1"', len(BODY))
    assert BODY.startswith(part_of(dest).read_bytes())
    size = part_of(dest).stat().st_size
    async with eager() as dl:
        assert (await dl.download(url, dest)).status == 206
        assert dl.progress().size == len(BODY) - size + 1024
    assert dest.read_bytes() == BODY
    assert names(tmp_path) == ["file"]


async def test_killed_again_and_again_each_run_begins_where_the_last_one_was(
    origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY, etag='"v1"'), tmp_path / "file"
    sizes = [0]
    for _ in range(3):
        with held(origin, 700_000):
            async with downloading(url, dest):
                await has_written(dest, sizes[-1] + 700_000)
        sizes.append(part_of(dest).stat().st_size)
    async with eager() as dl:
        await dl.download(url, dest, checksum="sha256:" + hashlib.sha256(BODY).hexdigest())
    starts = [request.served[0] for request in origin.requests if request.served is not None]
    assert starts == [0, *(size - 1024 for size in sizes[1:])]
    assert sizes == sorted(set(sizes))
    assert names(tmp_path) == ["file"]


async def test_two_downloaders_of_one_process_exclude_each_other_as_processes_do(
    origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY), tmp_path / "file"
    with held(origin) as gate:
        async with eager() as first, eager() as second:
            running = asyncio.ensure_future(first.download(url, dest))
            await has_written(dest)
            with pytest.raises(errors.StorageError, match="is writing"):
                await second.download(url, dest)
            gate.set()
            assert (await running).size == len(BODY)
            assert (await second.download(url, dest)).size == len(BODY)
    assert names(tmp_path) == ["file"]


async def test_a_file_that_is_kept_leaves_the_part_of_one_who_is_replacing_it(
    origin: Origin, tmp_path: Path
) -> None:
    url, dest = origin.add("/file", BODY), tmp_path / "file"
    dest.write_bytes(b"there before")
    with held(origin) as gate:
        async with eager() as first, eager(if_exists="skip") as second:
            running = asyncio.ensure_future(first.download(url, dest))
            await has_written(dest)
            before = snapshot(tmp_path)
            assert (await second.download(url, dest)).skipped
            assert snapshot(tmp_path) == before
            gate.set()
            assert (await running).size == len(BODY)
    assert dest.read_bytes() == BODY
    assert names(tmp_path) == ["file"]
