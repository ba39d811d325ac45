"""Whether the process that left a record is still there.

A lock of the operating system is not to be trusted on network file systems, so what guards a file there is a
record of its owner: machine, boot, process id namespace, process id and the moment the process started.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["SILENCE_SECONDS", "Owner", "is_alive", "this_process"]

SILENCE_SECONDS = 600.0
"""An owner that cannot be looked at counts as alive until nothing was heard of it for so long."""

_NAMELESS = frozenset({"", "localhost", "localhost.localdomain"})
_LOOK_SECONDS = 10.0
_STATE, _THREADS, _STARTED = 0, 17, 19
"""Fields 3, 20 and 22 of ``/proc/PID/stat``, counted from the one after the command's name (proc(5))."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds something.

    Attributes:
        host: Name of its machine, for people and for telling a reboot.
        boot: What is new with each boot of that machine; ``""``: unknown.
        namespace: In which process ids count; ``""``: there is only one.
        pid: Process id.
        started: When the process started, in a unit of its system; ``None``: unknown. Tells a process from
            a later one with the same id.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int | None

    def to_json(self) -> dict[str, Any]:
        """The owner as an object for a record."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read what `to_json` made.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(value, dict):
            raise ValueError("the record of an owner is no object")
        texts = [value.get(name) for name in ("host", "boot", "namespace")]
        pid, started = value.get("pid"), value.get("started")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("the record of an owner names no machine")
        if type(pid) is not int or pid < 1 or (started is not None and type(started) is not int):
            raise ValueError("the record of an owner names no process")
        host, boot, namespace = map(str, texts)
        return cls(host, boot, namespace, pid, started)


@functools.cache
def this_process() -> Owner:
    """The owner that this process is. Blocks the first time."""
    pid = os.getpid()
    return Owner(platform.node(), _boot(), _namespace(), pid, _started(pid))


if hasattr(os, "register_at_fork"):
    # A forked child is another process.
    os.register_at_fork(after_in_child=this_process.cache_clear)


def is_alive(owner: Owner, *, silent_for: float) -> bool:
    """Whether *owner* may still be at work. Blocks.

    Args:
        owner: Whom a record names.
        silent_for: Seconds since it was heard of last; counts only where nothing better is known.

    Returns:
        On this machine and in this process id namespace: whether the process is there and is the same one.
        On a machine of this name that was rebooted since: ``False``. Anywhere else nobody can tell, so
        ``True`` until it was silent for 600 seconds.
    """
    here = this_process()
    same_host = owner.host == here.host and owner.host.lower() not in _NAMELESS
    if owner.boot and here.boot:
        if owner.boot == here.boot and owner.namespace == here.namespace:
            return _is_running(owner)
        if owner.boot != here.boot and same_host:
            return False
    elif same_host and owner.boot == here.boot and owner.namespace == here.namespace:
        return _is_running(owner)
    return silent_for < SILENCE_SECONDS


def _is_running(owner: Owner) -> bool:
    here = this_process()
    if owner.pid == here.pid:
        return None in (owner.started, here.started) or owner.started == here.started
    if sys.platform == "linux" and (fields := _stat_fields(owner.pid)) is not None:
        # A zombie has only its parent's look to wait for, unless a thread of it is still in the kernel.
        if fields[_STATE] in (b"Z", b"X") and int(fields[_THREADS]) <= 1:
            return False
        return owner.started in (None, int(fields[_STARTED]))
    if not _exists(owner.pid):
        return False
    started = _started(owner.pid)
    return None in (owner.started, started) or owner.started == started


def _stat_fields(pid: int) -> list[bytes] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name stands in parentheses and may hold spaces and parentheses itself.
            return file.read().rpartition(b") ")[2].split()
    except OSError:
        return None


@functools.cache
def _boot() -> str:
    if sys.platform == "linux":
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""
    return _output("sysctl", "-n", "kern.bootsessionuuid") if sys.platform == "darwin" else ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    if sys.platform == "linux":
        fields = _stat_fields(pid)
        return None if fields is None else int(fields[_STARTED])
    if sys.platform == "win32":
        return _windows_started(pid)
    return _told_start(pid)


def _told_start(pid: int) -> int | None:
    """What ``ps`` tells of the start of a process, as a number that only has to be compared."""
    told = _output("ps", "-o", "lstart=", "-p", str(pid))
    return zlib.crc32(told.encode()) if told else None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the commands above and no others
            command, capture_output=True, text=True, timeout=_LOOK_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY = 0x1000
    _STILL_ACTIVE = 259
    _ACCESS_DENIED = 5

    def _exists(pid: int) -> bool:
        # os.kill would end the process here.
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return ctypes.get_last_error() == _ACCESS_DENIED
        code = wintypes.DWORD()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == _STILL_ACTIVE

    def _windows_started(pid: int) -> int | None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return None
        times = [wintypes.FILETIME() for _ in range(4)]
        found = kernel.GetProcessTimes(handle, *map(ctypes.byref, times))
        kernel.CloseHandle(handle)
        return (times[0].dwHighDateTime << 32) | times[0].dwLowDateTime if found else None

else:

    def _exists(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _windows_started(pid: int) -> int | None:
        return None
