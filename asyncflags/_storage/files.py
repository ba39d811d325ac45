"""Part files and their publication.

A body is written to ``NAME.part`` beside its final name and becomes ``NAME`` in one rename, so that a
path under its final name is always whole. A part file belongs to the process that holds its lock; one
that nobody holds was left by a process that died and is written anew.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Literal

from asyncflags._storage.sinks import Sink
from asyncflags._storage.trouble import storage_error, unusable_name
from asyncflags._types import Buffer
from asyncflags.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["PART_SUFFIX", "FileSink", "IfTaken", "sync_folder"]

PART_SUFFIX = ".part"

IfTaken = Literal["replace", "refuse"]
"""What publication does when the final name is taken."""

_CREATE = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_WRONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Without waiting, because something that is no file could stand there, such as a pipe that nobody reads.
_REOPEN = _CREATE & ~(os.O_CREAT | os.O_EXCL) | getattr(os, "O_NONBLOCK", 0)
# A byte beyond any file, so that Windows' mandatory locks do not get in the way of the writing.
_WINDOWS_LOCK_OFFSET = 1 << 62


class FileSink(Sink):
    """Writes a body to a part file and publishes it under *path*.

    The part file is created with the first byte, or at publication for an empty body.

    Args:
        path: The final name; its folder must exist unless *make_folders* says otherwise.
        if_taken: Whether publication may replace a file of that name.
        durable: Whether `publish` waits for the disk, and not only for the page cache.
        make_folders: Whether missing folders on the way to *path* are made.
    """

    __slots__ = ("_created", "_descriptor", "_durable", "_if_taken", "_make_folders", "_part", "path")

    def __init__(
        self, path: str, *, if_taken: IfTaken = "replace", durable: bool = True, make_folders: bool = False
    ) -> None:
        self.path = path
        self._part = path + PART_SUFFIX
        self._descriptor = -1
        self._created = False
        self._if_taken = if_taken
        self._durable = durable
        self._make_folders = make_folders

    def write(self, data: Buffer) -> None:
        try:
            if not self._created:
                self._create()
            written = os.write(self._descriptor, data)
            if written != len(data):
                view = memoryview(data)
                while written < len(view):
                    written += os.write(self._descriptor, view[written:])
        except OSError as error:
            raise storage_error(error, self.path) from error

    def publish(self, *, modified_at: float | None) -> None:
        try:
            self.prepare(modified_at=modified_at)
            if self._durable:
                self.sync()
            self.rename()
            if self._durable:
                sync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise storage_error(error, self.path) from error

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
            _keep_permissions(self._descriptor, self.path)

    def sync(self) -> None:
        """Wait until the part file is on the disk.

        Raises:
            OSError: It may not be there.
        """
        if sys.platform == "darwin":
            # Apple's fsync leaves the bytes in the drive's cache (fsync(2) there).
            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(self._descriptor)

    def rename(self) -> None:
        """Give the part file its final name in one step and close it.

        Raises:
            OSError: The part file stands as it did.
        """
        if sys.platform == "win32":
            # Windows does not rename an open file.
            self._close()
        if self._if_taken == "replace":
            os.replace(self._part, self.path)
        else:
            _rename_without_replacing(self._part, self.path)
        self._created = False
        # The lock is held until the new name stands, so that no other process takes this part for its own.
        self._close()

    def discard(self) -> None:
        if not self._created:
            return
        self._created = False
        if sys.platform == "win32":
            self._close()
        try:
            os.unlink(self._part)
        except OSError:
            # It is gone already, or its folder is; either way there is nothing more to remove.
            pass
        self._close()

    def _create(self) -> None:
        try:
            try:
                self._descriptor = _create(self._part)
            except FileNotFoundError:
                if not self._make_folders:
                    raise
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
                self._descriptor = _create(self._part)
        except ValueError as error:
            raise unusable_name(self.path) from error
        self._created = True

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk; Windows cannot and does nothing.

    Raises:
        OSError: They may not be there.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(part: str) -> int:
    """Create the part file, or take over one whose writer is dead, and lock it."""
    while True:
        try:
            descriptor = os.open(part, _CREATE, 0o666)
            fresh = True
        except FileExistsError:
            try:
                descriptor = os.open(part, _REOPEN)
            except FileNotFoundError:
                continue
            fresh = False
        try:
            if _take(descriptor, part, fresh):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, part: str, fresh: bool) -> bool:
    """Whether the opened part file is ours now; ``False``: it was renamed meanwhile, look again."""
    if not fresh and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise StorageError(
            f"{part} stands in the way and is no file; remove it or choose another name", path=part
        )
    if not _lock(descriptor, fresh):
        raise StorageError(
            f"another download is writing {part}; wait for it, or choose another folder or name", path=part
        )
    if fresh:
        return True
    try:
        now = os.stat(part, follow_symlinks=False)
    except FileNotFoundError:
        return False
    then = os.fstat(descriptor)
    if (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev):
        return False
    if then.st_nlink > 1:
        # It has a second name: a process died between giving the file its final name and taking this one
        # away. What is written here would be written there.
        os.unlink(part)
        return False
    os.ftruncate(descriptor, 0)
    return True


def _lock(descriptor: int, fresh: bool) -> bool:
    """Lock an open part file for as long as it is open; whether that worked.

    A file system without locks leaves the exclusive creation as the only guard, so there a part file
    that exists already is not taken over.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return fresh and error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
    return True


def _keep_permissions(descriptor: int, path: str) -> None:
    """Give the part file the permissions of the regular file it is about to replace."""
    try:
        old = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(old.st_mode):
        # Only who may read, write and run it: other people's bytes inherit no setuid bit.
        os.fchmod(descriptor, old.st_mode & 0o777)


def _rename_without_replacing(part: str, path: str) -> None:
    if sys.platform == "win32":
        os.rename(part, path)
        return
    try:
        os.link(part, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: the look before the rename is the best there is.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(part, path)
        return
    os.unlink(part)
