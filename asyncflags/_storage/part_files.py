"""Opening part files: whose they are, and when one may be taken over.

A part file belongs to the process that created it. On a file system of this machine its lock tells whether
that process still lives, because every process that could touch the file has the same kernel. Over a network
locks cannot be relied on, so there a record beside the file names the owner, and one whose life cannot be
asked after counts as living while it was heard of.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from asyncflags._storage.liveness import is_alive, this_process
from asyncflags._storage.locality import is_remote
from asyncflags._storage.records import RECORD_SUFFIX, PartRecord, read_record
from asyncflags.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = [
    "PART_SUFFIX",
    "OpenPart",
    "close_part",
    "create_part",
    "refuse_stranger",
    "remove_part",
    "reopen_part",
]

PART_SUFFIX = ".part"

_CREATE = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Without waiting, because something that is no file could stand there, such as a pipe that nobody reads.
_REOPEN = _CREATE & ~(os.O_CREAT | os.O_EXCL) | getattr(os, "O_NONBLOCK", 0)
# A byte beyond any file, so that Windows' mandatory locks do not get in the way of the writing.
_WINDOWS_LOCK_OFFSET = 1 << 62
# A part file on a network gets its record at once; one without is in the moment between, or was left there.
_MOMENT = 600.0


# The part files without a fence that this process has open: no record tells its own downloads apart.
_open: set[tuple[int, int]] = set()


class _Lock(Enum):
    OURS = "ours"
    TAKEN = "taken"
    NONE = "the file system has no locks"


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part file that is this process's now.

    Attributes:
        descriptor: Open for reading and writing.
        is_fenced: Whether its lock keeps every other process away; if not, a record has to.
        record: What the process before knew of it, or ``None``.
    """

    descriptor: int
    is_fenced: bool
    record: PartRecord | None = None


def create_part(path: str, identity: Callable[[], str | None]) -> OpenPart:
    """Create the part file of *path*, or empty one that a dead process left of the same download.

    Args:
        path: The final name.
        identity: Asked, if need be, for that of the URL that is downloaded; ``None``: what a dead process
            left is dropped, whatever it was a part of.

    Raises:
        OSError: As the system says.
        StorageError: The part file is another process's, or another URL's.
    """
    part = path + PART_SUFFIX
    while True:
        try:
            descriptor = os.open(part, _CREATE, 0o666)
        except FileExistsError:
            found = reopen_part(path, identity())
            if found is None:
                continue
            os.ftruncate(found.descriptor, 0)
            return found
        lock = _lock(descriptor)
        if lock is _Lock.TAKEN:
            # Another process has opened it in the moment since, and will find that it is not there yet.
            os.close(descriptor)
            raise _is_being_written(part)
        return _opened(descriptor, lock is _Lock.OURS and not _is_far(path), None)


def reopen_part(path: str, identity: str | None) -> OpenPart | None:
    """Open and lock what a dead process left of *path*.

    Args:
        path: The final name.
        identity: Of the URL that is downloaded, or ``None``, as for `create_part`.

    Returns:
        ``None``: there is no part file.

    Raises:
        OSError: As the system says.
        StorageError: The part file is another process's, or another URL's.
    """
    part = path + PART_SUFFIX
    try:
        descriptor = os.open(part, _REOPEN)
    except FileNotFoundError:
        return None
    try:
        lock = _lock(descriptor)
        if _is_still_there(descriptor, part, lock):
            record = read_record(path + RECORD_SUFFIX)
            is_fenced = lock is _Lock.OURS and not _is_far(path)
            if not is_fenced:
                _refuse_living(descriptor, part, record)
            _refuse_foreign(part, record, identity)
            return _opened(descriptor, is_fenced, record)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def close_part(descriptor: int) -> None:
    """Let go of a part file.

    Raises:
        OSError: What was written may not be there.
    """
    if _open:
        _open.discard(_key(descriptor))
    os.close(descriptor)


def refuse_stranger(descriptor: int, part: str) -> None:
    """Make sure that *part* still names the open part file, and no file that somebody else put there.

    Raises:
        OSError: There is no file of that name.
        StorageError: It is another one.
    """
    if sys.platform != "win32" and not os.path.samestat(os.fstat(descriptor), os.lstat(part)):
        raise StorageError(f"{part} was replaced by another file while it was written", path=part)


def remove_part(descriptor: int, part: str) -> None:
    """Remove and close a part file; what somebody else put in its place is left alone. Never raises."""
    # It may be gone already, or its folder may be; either way there is nothing more to remove.
    with contextlib.suppress(OSError, StorageError):
        refuse_stranger(descriptor, part)
        if sys.platform == "win32":
            # Windows removes no open file.
            close_part(descriptor)
            descriptor = -1
        os.unlink(part)
    if descriptor >= 0:
        close_part(descriptor)


def _opened(descriptor: int, is_fenced: bool, record: PartRecord | None) -> OpenPart:
    if not is_fenced:
        _open.add(_key(descriptor))
    return OpenPart(descriptor, is_fenced, record)


def _key(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


# By folder, because to find it out takes longer than to write a small file.
_far: dict[str, bool] = {}
_MOST_FAR = 4096


def _is_far(path: str) -> bool:
    folder = path.rpartition(os.sep)[0]
    far = _far.get(folder)
    if far is None:
        if len(_far) >= _MOST_FAR:
            _far.clear()
        far = _far[folder] = is_remote(folder)
    return far


def _is_still_there(descriptor: int, part: str, lock: _Lock) -> bool:
    """Whether the opened part file is still the one of that name, and nobody else's."""
    then = os.fstat(descriptor)
    if not stat.S_ISREG(then.st_mode):
        raise StorageError(
            f"{part} stands in the way and is no file; remove it or choose another name", path=part
        )
    if lock is _Lock.TAKEN:
        raise _is_being_written(part)
    try:
        now = os.stat(part, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev):
        return False
    if then.st_nlink > 1:
        # It has a second name: a process died between giving the file its final name and taking this one
        # away. What is written here would be written there.
        os.unlink(part)
        return False
    return True


def _refuse_living(descriptor: int, part: str, record: PartRecord | None) -> None:
    silent_for = time.time() - os.fstat(descriptor).st_mtime
    if record is None:
        is_living = silent_for < _MOMENT
    elif record.owner == this_process():
        is_living = _key(descriptor) in _open
    else:
        is_living = is_alive(record.owner, silent_for=silent_for)
    if is_living:
        raise _is_being_written(part, record)


def _refuse_foreign(part: str, record: PartRecord | None, identity: str | None) -> None:
    if record is not None and identity is not None and record.identity not in ("", identity):
        raise StorageError(
            f"{part} holds a part of another download, of {record.url}; go on with that one, "
            "choose another name, or drop it (resume=False, --no-resume)",
            path=part,
        )


def _is_being_written(part: str, record: PartRecord | None = None) -> StorageError:
    whose = f"process {record.owner.pid} on {record.owner.host}" if record is not None else "another download"
    return StorageError(
        f"{whose} is writing {part}; wait for it, or choose another folder or name", path=part
    )


def _lock(descriptor: int) -> _Lock:
    """Lock an open part file for as long as it is open."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        has_none = error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
        return _Lock.NONE if has_none else _Lock.TAKEN
    return _Lock.OURS
