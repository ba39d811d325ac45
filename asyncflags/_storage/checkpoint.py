"""Durable publication of many files: one checkpoint instead of three waits for the disk a file.

Finished part files gather until there are enough of them, or until one has waited long enough. Then all
are synced by several threads, all are renamed, and each folder is synced once; only then are their
downloads reported as done.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._storage.files import FileSink, sync_folder
from asyncflags._storage.trouble import storage_error
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import StorageError

if TYPE_CHECKING:
    from asyncflags.bridges.grouped import GroupedCalls

__all__ = ["Checkpoint"]

_MOST_FILES = 256
_MOST_BYTES = 64 << 20
_LONGEST_WAIT = 0.5


@dataclass(slots=True, eq=False)
class _Entry:
    sink: FileSink
    modified_at: float | None
    done: asyncio.Future[None]


class Checkpoint:
    """Publishes part files in groups. Belongs to one loop.

    Args:
        writes: What the blocking calls are made through.
        threads: How many of them sync at once.
    """

    def __init__(self, writes: GroupedCalls, threads: int) -> None:
        self._writes = writes
        self._threads = threads
        self._pending: dict[_Entry, None] = {}
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._commits: set[asyncio.Task[None]] = set()
        self._draining = False

    async def publish(self, sink: FileSink, size: int, modified_at: float | None) -> None:
        """Return once the part file of *sink*, of *size* bytes, stands durably under its name.

        Raises:
            StorageError: It does not; the part file stays if it can be taken up, else it is removed.

        Cancellation: A file whose group is under way is published all the same before control returns;
            of any other one stays what another run can take up.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(sink, modified_at, loop.create_future())
        self._pending[entry] = None
        self._size += size
        if len(self._pending) >= _MOST_FILES or self._size >= _MOST_BYTES:
            self.flush()
        elif self._timer is None:
            # Once nothing more can come to share a checkpoint, waiting for it would be idle.
            self._timer = loop.call_later(0 if self._draining else _LONGEST_WAIT, self.flush)
        try:
            await entry.done
        except asyncio.CancelledError:
            if entry in self._pending:
                del self._pending[entry]
                await self._writes.submit(sink.leave, key=sink).settled()
            else:
                await wait_all(self._commits)
            raise

    def drain(self) -> None:
        """Wait for nothing any more: no further transfer is under way."""
        self._draining = True
        self.flush()

    def flush(self) -> None:
        """Begin a checkpoint of what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._pending:
            return
        entries, self._pending, self._size = list(self._pending), {}, 0
        task = asyncio.get_running_loop().create_task(self._commit(entries))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    async def aclose(self) -> None:
        """Wait for the checkpoints under way."""
        if self._timer is not None:
            self._timer.cancel()
        await wait_all(self._commits)

    async def _commit(self, entries: Sequence[_Entry]) -> None:
        try:
            failures = await self._commit_all(entries)
        except BaseException as error:
            # Whatever ended the commit, nobody may wait for it for ever.
            for entry in entries:
                if not entry.done.done():
                    entry.done.set_exception(error)
            raise
        for entry in entries:
            if entry.done.done():
                continue
            if (failure := failures.get(entry.sink)) is not None:
                entry.done.set_exception(failure)
            else:
                entry.done.set_result(None)

    async def _commit_all(self, entries: Sequence[_Entry]) -> dict[FileSink, StorageError]:
        failures: dict[FileSink, StorageError] = {}
        shares = [list(entries[first :: self._threads]) for first in range(self._threads)]
        syncs = [self._writes.submit(_sync_share, share, alone=True) for share in shares if share]
        for sync in syncs:
            await sync.settled()
            failures.update(sync.value())
        rest = [entry for entry in entries if entry.sink not in failures]
        failures.update(await self._writes.run(_rename_all, rest, alone=True))
        return failures


def _sync_share(entries: Sequence[_Entry]) -> dict[FileSink, StorageError]:
    failures = {}
    for entry in entries:
        try:
            entry.sink.prepare(modified_at=entry.modified_at)
            entry.sink.sync()
        except (OSError, StorageError) as error:
            failures[entry.sink] = _given_up(entry.sink, error)
    return failures


def _rename_all(entries: Sequence[_Entry]) -> dict[FileSink, StorageError]:
    failures = {}
    by_folder: dict[str, list[FileSink]] = {}
    for entry in entries:
        try:
            entry.sink.rename()
        except (OSError, StorageError) as error:
            failures[entry.sink] = _given_up(entry.sink, error)
        else:
            by_folder.setdefault(os.path.dirname(entry.sink.path), []).append(entry.sink)
    for folder, sinks in by_folder.items():
        try:
            sync_folder(folder)
        except OSError as error:
            failures.update((sink, storage_error(error, sink.path)) for sink in sinks)
        for sink in sinks:
            sink.forget()
    return failures


def _given_up(sink: FileSink, error: OSError | StorageError) -> StorageError:
    sink.leave()
    return error if isinstance(error, StorageError) else storage_error(error, sink.path)
