"""Part files and their publication."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from asyncflags._storage import part_files
from asyncflags._storage.files import FileSink
from asyncflags.errors import StorageError


def finished(path: Path, body: bytes = b"flag", **options: Any) -> None:
    """Do with a sink what the engine does, in one call."""
    sink = FileSink(str(path), **options)
    try:
        sink.write(body)
        sink.publish(modified_at=None)
    finally:
        sink.discard()


@pytest.mark.parametrize("durable", [True, False])
def test_bytes_stand_under_the_part_name_until_they_are_published(tmp_path: Path, durable: bool) -> None:
    sink = FileSink(str(tmp_path / "flag"), durable=durable)
    sink.write(b"fl")
    sink.write(memoryview(b"ag"))
    assert [path.name for path in tmp_path.iterdir()] == ["flag.part"]
    assert (tmp_path / "flag.part").read_bytes() == b"flag"
    sink.publish(modified_at=None)
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]
    assert (tmp_path / "flag").read_bytes() == b"flag"


def test_nothing_is_made_before_the_first_byte(tmp_path: Path) -> None:
    FileSink(str(tmp_path / "flag")).discard()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_body_becomes_an_empty_file(tmp_path: Path) -> None:
    FileSink(str(tmp_path / "flag")).publish(modified_at=None)
    assert (tmp_path / "flag").read_bytes() == b""


def test_a_discarded_body_leaves_nothing_and_the_old_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "flag").write_bytes(b"old")
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"new")
    sink.discard()
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]
    assert (tmp_path / "flag").read_bytes() == b"old"


def test_discarding_after_publication_keeps_the_file(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"flag")
    sink.publish(modified_at=None)
    sink.discard()
    assert (tmp_path / "flag").read_bytes() == b"flag"


def test_discarding_outlives_a_part_file_that_is_gone(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"flag")
    (tmp_path / "flag.part").unlink()
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_modification_is_given(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"flag")
    sink.publish(modified_at=1_000_000_000.5)
    assert (tmp_path / "flag").stat().st_mtime == 1_000_000_000.5


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        finished(tmp_path / "flag")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "flag").stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "flag").touch(mode=0o600)
    (tmp_path / "flag").chmod(0o750)
    finished(tmp_path / "flag")
    assert stat.S_IMODE((tmp_path / "flag").stat().st_mode) == 0o750


def test_a_replaced_file_does_not_hand_its_special_rights_to_foreign_bytes(tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    (tmp_path / "flag").chmod(0o6755)
    finished(tmp_path / "flag")
    assert stat.S_IMODE((tmp_path / "flag").stat().st_mode) == 0o755


def test_a_symbolic_link_at_the_final_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "flag").symlink_to("target")
    finished(tmp_path / "flag")
    assert not (tmp_path / "flag").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"target"


def test_a_symbolic_link_at_the_part_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "flag.part").symlink_to("target")
    with pytest.raises(StorageError, match="symbolic link"):
        finished(tmp_path / "flag")
    assert (tmp_path / "target").read_bytes() == b"target"
    assert (tmp_path / "flag.part").is_symlink()


def test_a_folder_at_the_final_name_is_refused_and_the_part_can_be_discarded(tmp_path: Path) -> None:
    (tmp_path / "flag").mkdir()
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"flag")
    with pytest.raises(StorageError):
        sink.publish(modified_at=None)
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]


def test_a_folder_at_the_part_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flag.part").mkdir()
    with pytest.raises(StorageError):
        finished(tmp_path / "flag")


def test_a_pipe_at_the_part_name_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "flag.part")
    caught: list[BaseException] = []

    def write() -> None:
        try:
            finished(tmp_path / "flag")
        except BaseException as error:  # noqa: BLE001
            caught.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(1.0)
    hung = thread.is_alive()
    if hung:
        # Opening the other end lets the thread go on, to its end.
        os.close(os.open(tmp_path / "flag.part", os.O_RDONLY | os.O_NONBLOCK))
        thread.join()
    assert not hung
    assert [type(error) for error in caught] == [StorageError]


def test_a_part_file_whose_writer_died_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "flag.part").write_bytes(b"a longer rest of an earlier run")
    finished(tmp_path / "flag")
    assert (tmp_path / "flag").read_bytes() == b"flag"
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]


def test_a_part_that_is_a_second_name_of_a_finished_file_is_not_written_through(tmp_path: Path) -> None:
    # So it stands after a death between the link to the final name and the removal of the part name.
    (tmp_path / "flag").write_bytes(b"finished before")
    os.link(tmp_path / "flag", tmp_path / "flag.part")
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"half")
    assert (tmp_path / "flag").read_bytes() == b"finished before"
    sink.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]
    assert (tmp_path / "flag").read_bytes() == b"finished before"


HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_part_file_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    part = tmp_path / "flag.part"
    command = [sys.executable, "-c", HOLDER, str(part)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        part.write_bytes(b"theirs")
        sink = FileSink(str(tmp_path / "flag"))
        with pytest.raises(StorageError, match="another download is writing"):
            sink.write(b"ours")
        sink.discard()
        assert part.read_bytes() == b"theirs"
        holder.stdin.close()
    finished(tmp_path / "flag")
    assert (tmp_path / "flag").read_bytes() == b"flag"


def test_two_sinks_of_one_process_do_not_share_a_part_file(tmp_path: Path) -> None:
    first, second = FileSink(str(tmp_path / "flag")), FileSink(str(tmp_path / "flag"))
    first.write(b"first")
    with pytest.raises(StorageError):
        second.write(b"second")
    second.discard()
    first.publish(modified_at=None)
    assert (tmp_path / "flag").read_bytes() == b"first"


def test_the_part_file_is_locked_until_the_final_name_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    locked: list[str] = []

    def watched(source: str, target: str) -> None:
        replace(source, target)
        with open(target, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(target)

    monkeypatch.setattr(os, "replace", watched)
    finished(tmp_path / "flag")
    assert locked == [str(tmp_path / "flag")]


def test_a_part_renamed_between_opening_and_locking_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "flag.part"
    part.write_bytes(b"of another process, whole")
    lock = part_files._lock
    renamed: list[Path] = []

    def racing(descriptor: int) -> Any:
        if not renamed:
            # What the other process does in just this moment: it publishes.
            renamed.append(part.rename(tmp_path / "published"))
        return lock(descriptor)

    monkeypatch.setattr(part_files, "_lock", racing)
    finished(tmp_path / "flag")
    assert (tmp_path / "published").read_bytes() == b"of another process, whole"
    assert (tmp_path / "flag").read_bytes() == b"flag"


def test_a_taken_name_is_never_replaced_when_that_is_refused(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "flag"), if_taken="refuse")
    sink.write(b"late")
    # Somebody else was faster, after every look that could have been taken before.
    (tmp_path / "flag").write_bytes(b"early")
    with pytest.raises(StorageError, match="if_exists"):
        sink.publish(modified_at=None)
    sink.discard()
    assert (tmp_path / "flag").read_bytes() == b"early"
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP])
def test_without_hard_links_a_taken_name_is_refused_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", no_links)
    finished(tmp_path / "flag", if_taken="refuse")
    with pytest.raises(StorageError):
        finished(tmp_path / "flag", b"second", if_taken="refuse")
    assert (tmp_path / "flag").read_bytes() == b"flag"


def test_missing_folders_are_made_only_when_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="create the folder first"):
        finished(tmp_path / "a" / "b" / "flag")
    assert list(tmp_path.iterdir()) == []
    finished(tmp_path / "a" / "b" / "flag", make_folders=True)
    assert (tmp_path / "a" / "b" / "flag").read_bytes() == b"flag"


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError) as caught:
        finished(tmp_path / "a" / "flag", make_folders=True)
    assert caught.value.path == str(tmp_path / "a" / "flag")


def test_a_name_that_the_system_cannot_write_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        finished(tmp_path / "\ud800")


def test_what_is_durable_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def watched_replace(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_replace)
    finished(tmp_path / "durable")
    finished(tmp_path / "quick", durable=False)
    assert steps == ["file", "rename", "folder", "rename"]


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    finished(tmp_path / "flag", b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "flag").read_bytes() == b"0123456789"


def test_a_failed_sync_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    sink = FileSink(str(tmp_path / "flag"))
    sink.write(b"flag")
    with pytest.raises(StorageError, match="input/output error"):
        sink.publish(modified_at=None)
    sink.discard()
    assert list(tmp_path.iterdir()) == []
