"""The last steps of a publication: the permissions, the name, and the folder that holds it. All of it blocks."""

from __future__ import annotations

import errno
import os
import stat
import sys

__all__ = ["keep_permissions", "rename_without_replacing", "sync_folder"]


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


def keep_permissions(descriptor: int, path: str) -> None:
    """Give the part file the permissions of the regular file it is about to replace."""
    try:
        old = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(old.st_mode):
        # Only who may read, write and run it: other people's bytes inherit no setuid bit.
        os.fchmod(descriptor, old.st_mode & 0o777)


def rename_without_replacing(part: str, path: str) -> None:
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
