"""Part files and their publication.

A body is written to ``NAME.part`` beside its final name and becomes ``NAME`` in one rename, so that a
path under its final name is always whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from asyncflags._policies.ranges import Ranges
from asyncflags._storage.descriptors import make_room, read_at, sync_file, write_at
from asyncflags._storage.liveness import this_process
from asyncflags._storage.locality import is_remote
from asyncflags._storage.part_files import (
    PART_SUFFIX,
    close_part,
    create_part,
    refuse_stranger,
    remove_part,
    reopen_part,
)
from asyncflags._storage.publication import keep_permissions, rename_without_replacing, sync_folder
from asyncflags._storage.records import RECORD_SUFFIX, PartRecord, RecordFile, bare_record
from asyncflags._storage.sinks import Sink
from asyncflags._storage.trouble import storage_error, unusable_name
from asyncflags._types import Buffer

__all__ = ["FileSink", "IfTaken", "sync_folder"]

IfTaken = Literal["replace", "refuse"]
"""What publication does when the final name is taken."""

_READ_BACK = 1 << 20
_DURABLE_EVERY = 64 << 20
"""Bytes of a body after which it is synced on its way, so that a power cut costs no more than that."""


class FileSink(Sink):
    """Writes a body to a part file and publishes it under *path*.

    The part file is created with the first byte, or at publication for an empty body. What is known of
    its bytes is recorded beside it as soon as more than one batch of them is to come.

    Args:
        path: The final name; its folder must exist unless *make_folders* says otherwise.
        identity: Of the URL, as `records.identity_of` makes it, or what makes it when it is needed;
            ``None``: what other processes left under the name of the part file is dropped, whatever it was
            a part of.
        if_taken: Whether publication may replace a file of that name.
        durable: Whether `publish` waits for the disk, and not only for the page cache.
        make_folders: Whether missing folders on the way to *path* are made.

    Attributes:
        describe: Called off the loop for what is known of the bytes; it answers ``None`` if they cannot be
            taken up later.
    """

    def __init__(
        self,
        path: str,
        *,
        identity: Callable[[], str] | str | None = None,
        if_taken: IfTaken = "replace",
        durable: bool = True,
        make_folders: bool = False,
    ) -> None:
        self.path = path
        self.describe: Callable[[], PartRecord | None] = _know_nothing
        self._record: PartRecord | None = None
        self._part = path + PART_SUFFIX
        self._recorded = RecordFile(path + RECORD_SUFFIX)
        self._asked_for = identity
        self._descriptor = -1
        self._created = False
        self._is_fenced = True
        self._is_lost = False
        self._noted = False
        self._position = 0
        self._synced = 0
        self._if_taken = if_taken
        self._durable = durable
        self._make_folders = make_folders

    def write(self, data: Buffer) -> None:
        try:
            if not self._created:
                self._create()
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError as error:
            self._cut_back()
            raise storage_error(error, self.path) from error
        self._position += written

    def note(self) -> None:
        if not self._created or (record := self._known()) is None:
            return
        with self._told():
            if not self._noted:
                self._recorded.write(record)
                self._noted = True
            if self._durable and self._position - self._synced >= _DURABLE_EVERY:
                self.sync()
                self._synced = self._position
                self._record = replace(record, durable=Ranges(((0, self._position),)))
                self._recorded.write(self._record, durable=True)

    def take_up(self) -> PartRecord | None:
        """Go on with what a dead process left of the same download.

        Returns:
            What was known of it, its ``ranges`` what may be relied on; ``None``: nothing, and nothing stands
            any more. `go_on_from` or `reset` has to follow.

        Raises:
            StorageError: The part file is another process's or another URL's, or cannot be read.
        """
        with self._told():
            found = reopen_part(self.path, self._identity)
            # Now that the part file is nobody else's, its record goes where it goes.
            self._recorded.exists = os.path.lexists(self.path + RECORD_SUFFIX)
            if found is None:
                self._recorded.remove()
                return None
            self._descriptor, self._created, self._is_fenced = found.descriptor, True, found.is_fenced
            if found.record is None or found.record.identity != self._identity:
                self.discard()
                return None
            trusted = found.record.trusted(os.fstat(found.descriptor).st_size)
            # From now on its bytes are this process's, which relies on them.
            self._record = replace(found.record, owner=this_process(), ranges=trusted)
            self._recorded.write(self._record)
        return self._record

    def go_on_from(self, position: int) -> None:
        """Drop what lies behind *position*, in bytes, and write on from there.

        Raises:
            StorageError: It cannot be dropped.
        """
        with self._told():
            if self._record is not None:
                self._forget_beyond(self._record, position)
            self._truncate(position)
            if self._record is not None:
                self._record = replace(self._record, ranges=None)
                self._recorded.write(self._record)

    def allocate(self, total: int, done: Ranges) -> None:
        """Make the part file as long as the whole, to be filled by `write_at` in any order.

        Args:
            total: Bytes of the whole.
            done: Those that are there already.

        Raises:
            StorageError: There is no room, or the file cannot be made.
        """
        with self._told():
            if not self._created:
                self._create()
            # The record comes first, because without its ranges the room would be taken for bytes.
            self._note_ranges(done)
            # Over a network, room is often set aside by writing it.
            make_room(self._descriptor, total, reserves=not is_remote(os.path.dirname(self.path)))

    def write_at(self, offset: int, data: Buffer) -> None:
        """Write into an allocated part file; several threads may do so at once, each at its own place.

        Raises:
            StorageError: The bytes cannot be kept.
        """
        with self._told():
            write_at(self._descriptor, offset, data)

    def note_ranges(self, done: Ranges) -> None:
        """Record which bytes of an allocated part file were written, so that they can be taken up.

        Raises:
            StorageError: It cannot be recorded.
        """
        with self._told():
            self._note_ranges(done)

    def cover(self, total: int) -> None:
        """Every byte of an allocated part file is there; it is read and published from now on."""
        self._position = total

    def tail(self, size: int) -> bytes:
        start = max(0, self._position - size)
        return self.read_at(start, self._position - start)

    def read_at(self, offset: int, size: int) -> bytes:
        """What stands at *offset*, at most *size* bytes.

        Raises:
            StorageError: It cannot be read.
        """
        with self._told():
            return read_at(self._descriptor, offset, size)

    def read_back(self) -> Iterator[bytes]:
        position = 0
        with self._told():
            while position < self._position:
                data = read_at(self._descriptor, position, min(_READ_BACK, self._position - position))
                if not data:
                    raise OSError(errno.EIO, "the part file is shorter than what was written to it")
                position += len(data)
                yield data

    def reset(self) -> None:
        self._synced = 0
        with self._told():
            if self._created:
                self._truncate(0)
            self._forget_record()

    def disown(self) -> None:
        self.describe = _know_nothing
        with self._told():
            self._forget_record()

    def publish(self, *, modified_at: float | None) -> None:
        with self._told():
            self.prepare(modified_at=modified_at)
            if self._durable:
                self.sync()
            self.rename()
            if self._durable:
                sync_folder(os.path.dirname(self.path))
        self.forget()

    def prepare(self, *, modified_at: float | None) -> None:
        """Give the part file everything but its name: an empty body, the time, the permissions.

        Raises:
            OSError: As the system says.
        """
        if not self._created:
            self._create()
        if modified_at is not None:
            os.utime(self._part, (modified_at, modified_at))
        if self._if_taken == "replace" and sys.platform != "win32":
            keep_permissions(self._descriptor, self.path)

    def sync(self) -> None:
        """Wait until the part file is on the disk.

        Raises:
            OSError: It may not be there.
        """
        try:
            sync_file(self._descriptor)
        except OSError:
            # The system may have dropped the pages, and would then say that the next sync worked (fsync(2)).
            self._is_lost = True
            raise

    def rename(self) -> None:
        """Give the part file its final name in one step and close it.

        Raises:
            OSError: The part file stands as it did.
            StorageError: Another file stands in its place.
        """
        if self._noted or not self._is_fenced:
            # A body that was written in one go was there for too short a time to ask.
            refuse_stranger(self._descriptor, self._part)
        if sys.platform == "win32":
            # Windows does not rename an open file.
            self._close()
        if self._if_taken == "replace":
            os.replace(self._part, self.path)
        else:
            rename_without_replacing(self._part, self.path)
        self._created = False
        # The lock is held until the new name stands, so that no other process takes this part for its own.
        self._close()

    def forget(self) -> None:
        """Remove the record of a file that stands under its name. Never raises."""
        self._recorded.remove()

    def leave(self) -> None:
        record = self._known()
        if record is None or self._is_lost or not self._created or not (self._position or record.ranges):
            self.discard()
            return
        try:
            self._recorded.write(record)
        except OSError:
            self.discard()
            return
        self._created = False
        self._close()

    def discard(self) -> None:
        self._recorded.remove()
        self._position = 0
        if not self._created:
            return
        self._created = False
        remove_part(self._descriptor, self._part)
        self._descriptor = -1
        self._close()

    def _create(self) -> None:
        try:
            try:
                part = create_part(self.path, lambda: self._identity)
            except FileNotFoundError:
                if not self._make_folders:
                    raise
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
                part = create_part(self.path, lambda: self._identity)
        except ValueError as error:
            raise unusable_name(self.path) from error
        self._descriptor, self._created, self._is_fenced = part.descriptor, True, part.is_fenced
        self._recorded.exists = self._recorded.exists or part.record is not None
        if not part.is_fenced:
            self._recorded.write(self._known() or bare_record(self._identity))

    def _forget_record(self) -> None:
        self._record = None
        self._noted = False
        if self._created and not self._is_fenced:
            self._recorded.write(bare_record(self._identity))
        else:
            self._recorded.remove()

    @property
    def _identity(self) -> str | None:
        asked_for = self._asked_for
        return asked_for() if callable(asked_for) else asked_for

    def _known(self) -> PartRecord | None:
        if self._record is None:
            self._record = self.describe()
        return self._record

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the system refuses is told in words."""
        try:
            yield
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _note_ranges(self, done: Ranges) -> None:
        if not self._created or (record := self._known()) is None:
            return
        is_due = self._durable and done.size - self._synced >= _DURABLE_EVERY
        if is_due:
            self.sync()
            self._synced = done.size
            record = replace(record, durable=done)
        self._record = replace(record, ranges=done)
        self._recorded.write(self._record, durable=is_due)

    def _forget_beyond(self, record: PartRecord, position: int) -> None:
        """Record that nothing behind *position* counts, before it goes and others come to stand there."""
        self._synced = min(position, record.durable.prefix)
        durable, kept = Ranges(((0, self._synced),)), Ranges(((0, position),))
        if (record.ranges, record.durable) != (kept, durable):
            self._record = replace(record, ranges=kept, durable=durable)
            # What is synced must not be relied on any more, not even after a power cut.
            self._recorded.write(self._record, durable=record.durable != durable)

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)
        self._position = size

    def _cut_back(self) -> None:
        """Undo a write that failed half-way, so that the file is as long as what is known of it."""
        if self._created:
            # A disk that refuses this too leaves bytes behind that are never relied on.
            with contextlib.suppress(OSError):
                self._truncate(self._position)

    def _close(self) -> None:
        # It leads back to the download, and the two would keep each other in memory.
        self.describe = _know_nothing
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            close_part(descriptor)


def _know_nothing() -> PartRecord | None:
    return None
