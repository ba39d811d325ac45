"""A disk that is full, in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SMALL_DISK = """
import sys
from asyncflags._storage.files import FileSink
from asyncflags.errors import StorageError

sink = FileSink(sys.argv[1] + "/flag")
try:
    for _ in range(64):
        sink.write(bytes(4096))
except StorageError as error:
    sink.discard()
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a mount of its own")
def test_a_full_disk_is_told_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    script = f"{mount} && {sys.executable} -c '{SMALL_DISK}' {tmp_path} && ls {tmp_path}"
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in ran.stderr:
        pytest.skip(ran.stderr)
    path = tmp_path / "flag"
    assert (
        ran.stdout
        == f"cannot write {path}: no space left on device; free some space or choose another folder\n"
    )


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
""" + SMALL_DISK.removeprefix("\n")


def test_a_limit_of_the_file_size_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "file too large" in ran.stdout
    assert list(tmp_path.iterdir()) == []
