"""Whether a path lies on this machine: what is shared with others cannot be guarded by memory and locks."""

from __future__ import annotations

import os
import re
import sys

__all__ = ["is_remote"]

_REMOTE = frozenset(
    {
        "9p", "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "fakeowner", "gfs2",
        "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "nfsd", "ocfs2", "orangefs", "panfs", "prl_fs",
        "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
    }
)  # fmt: skip
"""Types of file systems whose files other machines, or the host of a virtual one, may change at any time."""

_REMOTE_IN_USER_SPACE = frozenset(
    {
        "beegfs", "ceph", "ceph-fuse", "cephfs", "davfs", "davfs2", "gcsfuse", "glusterfs", "goofys", "grpcfuse",
        "juicefs", "mfs", "moosefs", "osxfs", "rclone", "s3fs", "seaweedfs", "sshfs", "vmhgfs-fuse", "weed",
    }
)  # fmt: skip
"""What follows ``fuse.`` in the type of such a one that runs as a program."""

_MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")
_DRIVE_REMOTE = 4


def is_remote(path: str) -> bool:
    """Whether *path*, which need not exist, is on a network file system, as far as can be told. Blocks.

    Returns:
        ``False`` also where the system does not tell.
    """
    if sys.platform == "win32":
        return _is_remote_drive(os.path.abspath(path))
    try:
        device = _device(os.path.abspath(path))
        if (known := _known.get(device)) is None:
            known = _known[device] = is_remote_kind(_kind(os.path.realpath(path)))
    except (OSError, ValueError):
        return False
    return known


_known: dict[int, bool] = {}
"""By device number, which a file system keeps for as long as it is mounted."""


def _device(path: str) -> int:
    """The number of the file system of *path*, or of the nearest folder above it that exists."""
    while True:
        try:
            return os.stat(path).st_dev
        except (FileNotFoundError, NotADirectoryError):
            if path == (above := os.path.dirname(path)):
                raise
            path = above


def _kind(path: str) -> str:
    with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
        return kind_of_mount(file.read(), path)


def is_remote_kind(kind: str) -> bool:
    """Whether *kind* names a type of network file system, as the kernel spells it."""
    return kind in _REMOTE or (
        kind.startswith("fuse.") and kind.removeprefix("fuse.") in _REMOTE_IN_USER_SPACE
    )


def kind_of_mount(mounts: str, path: str) -> str:
    """The type of the file system of *path*, as ``/proc/self/mountinfo`` tells it; ``""``: it does not.

    Args:
        mounts: Its text (proc(5)).
        path: Absolute and without symbolic links.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        # The last one mounted on a point hides those before it.
        if len(point) >= best and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, kind = len(point), after.split(" ")[0]
    return kind


def _is_remote_drive(path: str) -> bool:
    if sys.platform != "win32":
        return False
    if path.startswith("\\\\"):
        return not path.startswith(("\\\\?\\", "\\\\.\\")) or path[4:8].upper() == "UNC\\"
    import ctypes

    drive = os.path.splitdrive(path)[0]
    return bool(ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _DRIVE_REMOTE)
