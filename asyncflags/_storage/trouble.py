"""What the file system's refusals mean, in words."""

from __future__ import annotations

import errno
import os

from asyncflags.errors import StorageError

__all__ = ["storage_error", "unusable_name"]

_WAY_OUT = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some of the quota or choose another folder",
    errno.EACCES: "choose a folder that may be written",
    errno.EPERM: "choose a folder that may be written",
    errno.EROFS: "choose a folder on a file system that may be written",
    errno.ENOENT: "create the folder first, or end the destination with a slash to have it created",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EISDIR: "a folder has that name: choose another one",
    errno.EEXIST: "choose another name, or another if_exists (--if-exists)",
    errno.ELOOP: "a symbolic link stands there: remove it or choose another name",
    errno.EMFILE: "raise the limit of open files (ulimit -n) or lower max_downloads (--jobs)",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def storage_error(error: OSError, path: str) -> StorageError:
    """The `StorageError` that tells a person what *error* means for *path*."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    way_out = _WAY_OUT.get(error.errno or 0)
    return StorageError(
        f"cannot write {path}: {reason[:1].lower()}{reason[1:]}" + (f"; {way_out}" if way_out else ""),
        path=path,
    )


def unusable_name(path: str) -> StorageError:
    """The `StorageError` for a path that the system cannot even express."""
    return StorageError(
        f"cannot write {path!a}: this system has no such names; choose another one", path=ascii(path)
    )
