"""What systems do differently with an open file: reading and writing at an offset, making room, syncing.

Every function blocks, and raises `OSError` as the system says.
"""

from __future__ import annotations

import errno
import os
import sys
import threading

from asyncflags._types import Buffer

if sys.platform == "darwin":
    import fcntl

__all__ = ["make_room", "read_at", "sync_file", "write_at"]

_CANNOT_ALLOCATE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
# Windows has no call that reads or writes at an offset and leaves the place of the descriptor alone.
_turn = threading.Lock()


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Read at most *size* bytes; from several threads at once if need be."""
    if sys.platform != "win32":
        return os.pread(descriptor, size, offset)
    with _turn:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, offset, os.SEEK_SET)
        try:
            return os.read(descriptor, size)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)


def write_at(descriptor: int, offset: int, data: Buffer) -> None:
    """Write all of *data*; from several threads at once if need be."""
    view = memoryview(data)
    while view:
        written = _write_some(descriptor, offset, view)
        view, offset = view[written:], offset + written


def _write_some(descriptor: int, offset: int, data: memoryview) -> int:
    if sys.platform != "win32":
        return os.pwrite(descriptor, data, offset)
    with _turn:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)


def make_room(descriptor: int, total: int, *, reserves: bool) -> None:
    """Make the file *total* bytes long.

    Args:
        descriptor: Open for writing.
        total: Bytes.
        reserves: Whether the disk sets the room aside, as far as the system can do that.
    """
    if os.fstat(descriptor).st_size > total:
        os.ftruncate(descriptor, total)
    allocate = getattr(os, "posix_fallocate", None)
    if reserves and total and allocate is not None:
        try:
            allocate(descriptor, 0, total)
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                raise
        else:
            return
    os.ftruncate(descriptor, total)


def sync_file(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    if sys.platform == "darwin":
        # Apple's fsync leaves the bytes in the drive's cache (fsync(2) there).
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)
