"""Whether the process that left a record is still there, and whether its file is near."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from asyncflags._storage.liveness import SILENCE_SECONDS, Owner, is_alive, this_process
from asyncflags._storage.locality import is_remote, is_remote_kind, kind_of_mount

LONG_AGO = SILENCE_SECONDS + 1

MOUNTS = r"""
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:5 / /home rw shared:2 - nfs4 server:/home rw
23 22 0:6 / /home/me/my\040disk rw - fuse.sshfs me@far:/ rw
24 21 0:7 / /mnt rw - ext4 /dev/vdb rw
25 24 0:8 / /mnt rw - cifs //server/share rw
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its end."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def owner_of(process: subprocess.Popen[bytes]) -> Owner:
    told = subprocess.run(["cat", f"/proc/{process.pid}/stat"], capture_output=True, check=True)
    started = int(told.stdout.rpartition(b") ")[2].split()[19])
    return dataclasses.replace(this_process(), pid=process.pid, started=started)


def test_this_process_is_alive_however_long_it_was_silent() -> None:
    assert is_alive(this_process(), silent_for=LONG_AGO)


def test_another_process_is_alive_until_it_ends(other: subprocess.Popen[bytes]) -> None:
    owner = owner_of(other)
    assert is_alive(owner, silent_for=LONG_AGO)
    other.kill()
    other.wait()
    assert not is_alive(owner, silent_for=0)


def test_a_process_that_was_killed_is_dead_before_its_parent_has_looked(
    other: subprocess.Popen[bytes],
) -> None:
    owner = owner_of(other)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(owner, silent_for=0)


def test_a_later_process_with_the_same_id_is_another_one(other: subprocess.Popen[bytes]) -> None:
    owner = owner_of(other)
    assert owner.started is not None
    assert not is_alive(dataclasses.replace(owner, started=owner.started - 1), silent_for=0)


def test_a_process_whose_start_is_unknown_is_told_by_its_id_alone(other: subprocess.Popen[bytes]) -> None:
    assert is_alive(dataclasses.replace(owner_of(other), started=None), silent_for=LONG_AGO)


def test_a_machine_that_was_rebooted_has_no_process_of_before() -> None:
    assert not is_alive(dataclasses.replace(this_process(), boot="another"), silent_for=0)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"host": "far", "boot": "another"},
        {"namespace": "pid:[1]"},
        {"host": "localhost", "boot": "another"},
        {"host": "far", "boot": ""},
    ],
)
def test_what_cannot_be_seen_counts_as_alive_until_it_was_silent_for_long(elsewhere: dict[str, Any]) -> None:
    owner = dataclasses.replace(this_process(), **elsewhere)
    assert is_alive(owner, silent_for=SILENCE_SECONDS - 1)
    assert not is_alive(owner, silent_for=SILENCE_SECONDS)


def test_a_record_is_read_as_it_was_written() -> None:
    assert Owner.from_json(this_process().to_json()) == this_process()


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 0},
        {"pid": True},
        {"pid": "7"},
        {"host": None},
        {"boot": 7},
        {"started": "now"},
        {"started": 1.5},
    ],
)
def test_a_broken_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="record of an owner"):
        Owner.from_json(this_process().to_json() | change)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="no object"):
        Owner.from_json([1])


def test_a_forked_child_is_another_process() -> None:
    program = (
        "import os, asyncflags._storage.liveness as liveness\n"
        "parent = liveness.this_process()\n"
        "child = os.fork()\n"
        "if not child: os._exit(liveness.this_process().pid == parent.pid)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homework", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/file", "nfs4"),
        ("/home/me/my disk/file", "fuse.sshfs"),
        ("/mnt/file", "cifs"),
    ],
)
def test_the_deepest_and_newest_mount_tells_the_file_system(path: str, kind: str) -> None:
    assert kind_of_mount(MOUNTS, path) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "lustre", "fuse.sshfs", "fuse.glusterfs"])
def test_network_file_systems_are_remote(kind: str) -> None:
    assert is_remote_kind(kind)


@pytest.mark.parametrize(
    "kind", ["", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.ntfs-3g", "sshfs.fuse"]
)
def test_other_file_systems_are_local(kind: str) -> None:
    assert not is_remote_kind(kind)


def test_a_path_that_does_not_exist_is_as_near_as_its_folder() -> None:
    assert not is_remote("/proc/1/no/such/path")
