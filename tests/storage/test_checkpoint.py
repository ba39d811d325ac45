"""Durable publication in groups."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from asyncflags._storage import checkpoint as module
from asyncflags._storage.checkpoint import Checkpoint
from asyncflags._storage.files import FileSink
from asyncflags.bridges.grouped import GroupedCalls
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import StorageError

Steps = list[tuple[str, str]]


@pytest.fixture
async def disk() -> AsyncIterator[ThreadBridge]:
    async with ThreadBridge(2) as bridge:
        yield bridge


@pytest.fixture
async def checkpoint(disk: ThreadBridge) -> AsyncIterator[Checkpoint]:
    running = Checkpoint(GroupedCalls(disk), 2)
    yield running
    await running.aclose()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What is asked of the disk, in order."""
    found: Steps = []
    fsync, replace = os.fsync, os.replace

    def watched_sync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync"
        found.append((kind, os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def watched_replace(source: str, target: str) -> None:
        found.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_replace)
    return found


async def written(disk: ThreadBridge, path: Path, body: bytes = b"flag") -> FileSink:
    sink = FileSink(str(path))
    if body:
        await disk.run(sink.write, body)
    return sink


async def gathered(checkpoint: Checkpoint, disk: ThreadBridge, *paths: Path) -> list[asyncio.Task[None]]:
    """Publications that wait for their checkpoint."""
    tasks = [asyncio.ensure_future(checkpoint.publish(await written(disk, path), 4, None)) for path in paths]
    await asyncio.sleep(0)
    return tasks


async def test_a_group_is_synced_then_renamed_and_each_folder_synced_once(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, steps: Steps
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    paths = [tmp_path / name for name in ("x/a", "x/b", "y/c")]
    tasks = await gathered(checkpoint, disk, *paths)
    checkpoint.flush()
    await asyncio.gather(*tasks)
    assert sorted(steps[:3]) == [("sync", "a.part"), ("sync", "b.part"), ("sync", "c.part")]
    assert sorted(steps[3:6]) == [("rename", "a"), ("rename", "b"), ("rename", "c")]
    assert sorted(steps[6:]) == [("folder", "x"), ("folder", "y")]
    assert all(path.read_bytes() == b"flag" for path in paths)


async def test_nothing_is_reported_before_the_folder_is_synced(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, steps: Steps
) -> None:
    (task,) = await gathered(checkpoint, disk, tmp_path / "a")
    task.add_done_callback(lambda _: steps.append(("reported", "a")))
    checkpoint.flush()
    await task
    await asyncio.sleep(0)
    assert [kind for kind, _ in steps] == ["sync", "rename", "folder", "reported"]


async def test_a_full_group_does_not_wait(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 3)
    monkeypatch.setattr(module, "_LONGEST_WAIT", 3600)
    await asyncio.gather(*await gathered(checkpoint, disk, *(tmp_path / name for name in "abc")))


async def test_many_bytes_do_not_wait(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 8)
    monkeypatch.setattr(module, "_LONGEST_WAIT", 3600)
    await asyncio.gather(*await gathered(checkpoint, disk, tmp_path / "a", tmp_path / "b"))


async def test_a_single_file_waits_no_longer_than_the_longest_wait(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.01)
    await asyncio.gather(*await gathered(checkpoint, disk, tmp_path / "a"))


async def test_after_draining_nothing_waits_for_company(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 3600)
    tasks = await gathered(checkpoint, disk, tmp_path / "a")
    checkpoint.drain()
    await asyncio.gather(*tasks, *await gathered(checkpoint, disk, tmp_path / "b"))


async def test_one_that_cannot_be_renamed_fails_alone_and_leaves_nothing(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    tasks = await gathered(checkpoint, disk, *(tmp_path / name for name in "abc"))
    checkpoint.flush()
    await asyncio.wait(tasks)
    assert [type(task.exception()) for task in tasks] == [type(None), StorageError, type(None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


async def test_one_that_cannot_be_synced_fails_alone_and_is_not_renamed(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("b.part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    tasks = await gathered(checkpoint, disk, *(tmp_path / name for name in "abc"))
    checkpoint.flush()
    await asyncio.wait(tasks)
    assert [type(task.exception()) for task in tasks] == [type(None), StorageError, type(None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


async def test_a_folder_that_cannot_be_synced_fails_its_files_alone(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_folder: Callable[[str], None] = module.sync_folder  # type: ignore[attr-defined]

    def failing(path: str) -> None:
        if path.endswith("x"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync_folder(path)

    monkeypatch.setattr(module, "sync_folder", failing)
    (tmp_path / "x").mkdir()
    tasks = await gathered(checkpoint, disk, tmp_path / "x" / "a", tmp_path / "b")
    checkpoint.flush()
    await asyncio.wait(tasks)
    assert [type(task.exception()) for task in tasks] == [StorageError, type(None)]


async def test_an_empty_file_whose_part_another_one_holds_fails_alone(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    with open(tmp_path / "b.part", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (other,) = await gathered(checkpoint, disk, tmp_path / "a")
        empty = asyncio.ensure_future(checkpoint.publish(await written(disk, tmp_path / "b", b""), 0, None))
        await asyncio.sleep(0)
        checkpoint.flush()
        _, pending = await asyncio.wait((other, empty), timeout=2)
        for task in pending:
            task.cancel()
        assert pending == set()
    assert [type(task.exception()) for task in (other, empty)] == [type(None), StorageError]


async def test_one_that_is_cancelled_while_it_waits_is_removed_and_the_rest_goes_on(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    first, second = await gathered(checkpoint, disk, tmp_path / "a", tmp_path / "b")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert [path.name for path in tmp_path.iterdir()] == ["b.part"]
    checkpoint.flush()
    await second
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


async def test_one_that_is_cancelled_during_its_checkpoint_is_published_before_control_returns(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    (task,) = await gathered(checkpoint, disk, tmp_path / "a")
    checkpoint.flush()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert checkpoint._commits == set()


async def test_closing_waits_for_the_checkpoint_under_way(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    tasks = await gathered(checkpoint, disk, tmp_path / "a")
    checkpoint.flush()
    await checkpoint.aclose()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    await asyncio.gather(*tasks)


async def test_times_and_permissions_are_those_of_a_file_published_alone(
    checkpoint: Checkpoint, disk: ThreadBridge, tmp_path: Path
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o640)
    publication: Any = checkpoint.publish(await written(disk, tmp_path / "a"), 4, 1_000_000_000.0)
    task = asyncio.ensure_future(publication)
    await asyncio.sleep(0)
    checkpoint.flush()
    await task
    found = (tmp_path / "a").stat()
    assert (found.st_mtime, stat.S_IMODE(found.st_mode)) == (1_000_000_000.0, 0o640)
