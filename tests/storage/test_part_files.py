"""Whose a part file is: locks where they hold, records where they do not."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncflags._policies.ranges import Ranges
from asyncflags._policies.validators import Validator
from asyncflags._storage import part_files
from asyncflags._storage.files import FileSink
from asyncflags._storage.liveness import Owner, _started, this_process
from asyncflags._storage.records import PartRecord, RecordFile, identity_of, read_record
from asyncflags.errors import StorageError

URL = "https://flags.example/fr.gif"
MINE = identity_of(URL)
OTHERS = identity_of("https://flags.example/de.gif")
MINUTES = 60.0
ELSEWHERE = Owner("elsewhere", "another boot", "pid:[1]", 7, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flag"


@pytest.fixture(params=["a network", "no locks"])
def far(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which nothing but the record guards a part file."""
    if request.param == "a network":
        monkeypatch.setattr(part_files, "is_remote", lambda path: True)
        return

    def no_lock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_lock)


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def part(path: Path) -> Path:
    return path.with_name("flag.part")


def record_path(path: Path) -> str:
    return str(path) + ".part.json"


def leave(
    path: Path,
    data: bytes = b"0123456789",
    *,
    owner: Owner | None,
    silent_for: float = 0.0,
    identity: str = MINE,
    durable: int = 4,
) -> dict[Path, bytes]:
    """Leave a part of *owner*, which wrote to it so many seconds ago; what stands there then."""
    part(path).write_bytes(data)
    moment = time.time() - silent_for
    os.utime(part(path), (moment, moment))
    if owner is not None:
        record = PartRecord(
            url=URL,
            identity=identity,
            validator=Validator(etag='"v1"'),
            total=100,
            durable=Ranges(((0, durable),)),
            owner=owner,
        )
        RecordFile(record_path(path)).write(record)
    return contents(path)


def contents(path: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in path.parent.iterdir()}


def sink_at(path: Path, identity: str | None = MINE, **options: Any) -> FileSink:
    return FileSink(str(path), identity=identity, durable=False, **options)


def refused(path: Path, match: str, identity: str | None = MINE) -> None:
    """A part that can neither be taken up nor written anew, and of which nothing changes."""
    before = contents(path)
    for takes_up in (True, False):
        sink = sink_at(path, identity)
        with pytest.raises(StorageError, match=match):
            sink.take_up() if takes_up else sink.write(b"ours")
        sink.leave()
        sink.discard()
        assert contents(path) == before


def taken_up(path: Path, identity: str | None = MINE) -> tuple[tuple[int, int], ...] | None:
    """What may be relied on of a part that is taken up; it is ended again."""
    sink = sink_at(path, identity)
    record = sink.take_up()
    try:
        return record.ranges.parts if record is not None and record.ranges is not None else None
    finally:
        sink.discard()
        assert contents(path) == {}


# On this machine the lock tells.


@pytest.mark.parametrize("owner", [ELSEWHERE, None])
def test_on_this_machine_a_part_nobody_has_locked_is_nobody_s(path: Path, owner: Owner | None) -> None:
    leave(path, owner=owner)
    assert taken_up(path) == (((0, 4),) if owner is not None else None)


def test_on_this_machine_bytes_of_this_boot_are_relied_on_as_far_as_they_go(path: Path) -> None:
    leave(path, owner=replace(this_process(), pid=1))
    assert taken_up(path) == ((0, 10),)


def test_a_part_that_is_being_written_is_refused_and_nothing_of_it_changes(path: Path) -> None:
    writer = sink_at(path)
    writer.describe = lambda: PartRecord(
        url=URL, identity=MINE, validator=Validator(etag='"v1"'), owner=this_process()
    )
    writer.write(b"theirs")
    writer.note()
    refused(path, "is writing")
    refused(path, "is writing", identity=None)
    writer.publish(modified_at=None)
    assert contents(path) == {path: b"theirs"}


def test_a_part_of_another_url_is_refused_with_its_url_and_the_way_out(path: Path) -> None:
    leave(path, owner=ELSEWHERE, identity=OTHERS)
    refused(path, f"of {URL}; go on with that one, choose another name, or drop it")


def test_a_part_of_another_url_is_dropped_by_one_who_resumes_nothing(path: Path) -> None:
    leave(path, owner=ELSEWHERE, identity=OTHERS)
    sink = sink_at(path, None)
    sink.write(b"ours")
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"ours"}


def test_a_part_with_a_second_name_is_never_taken_up(path: Path) -> None:
    leave(path, owner=replace(this_process(), pid=1))
    os.link(part(path), path)
    sink = sink_at(path)
    assert sink.take_up() is None
    sink.write(b"new")
    assert path.read_bytes() == b"0123456789"
    sink.discard()
    assert contents(path) == {path: b"0123456789"}


def test_taken_up_it_is_continued_and_what_lies_behind_is_cut_off(path: Path) -> None:
    leave(path, owner=replace(this_process(), pid=1))
    sink = sink_at(path)
    assert sink.take_up() is not None
    sink.go_on_from(6)
    assert sink.tail(3) == b"345"
    sink.write(b"AB")
    assert (b"".join(sink.read_back()), sink.tail(100)) == (b"012345AB", b"012345AB")
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"012345AB"}


def test_taken_up_and_left_it_can_be_taken_up_again(path: Path) -> None:
    leave(path, owner=replace(this_process(), pid=1))
    sink = sink_at(path)
    sink.take_up()
    sink.go_on_from(6)
    sink.write(b"AB")
    sink.leave()
    assert part(path).read_bytes() == b"012345AB"
    assert taken_up(path) == ((0, 8),)


def test_taken_up_and_begun_anew_nothing_of_the_old_bytes_or_their_record_is_left(path: Path) -> None:
    leave(path, owner=replace(this_process(), pid=1))
    sink = sink_at(path)
    sink.take_up()
    sink.go_on_from(10)
    sink.reset()
    assert contents(path) == {part(path): b""}
    sink.write(b"new")
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"new"}


# Where locks do not hold the record tells.


@pytest.mark.usefixtures("far")
def test_far_away_the_record_stands_with_the_first_byte_and_goes_with_the_part(path: Path) -> None:
    sink = sink_at(path)
    sink.write(b"flag")
    found = read_record(record_path(path))
    assert found is not None
    assert (found.owner, found.identity, found.validator.condition) == (this_process(), MINE, None)
    sink.reset()
    assert read_record(record_path(path)) is not None
    sink.write(b"anew")
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"anew"}


@pytest.mark.usefixtures("far")
def test_far_away_a_living_process_is_refused_by_name_and_a_killed_one_is_followed(
    path: Path, neighbour: subprocess.Popen[bytes]
) -> None:
    owner = replace(this_process(), pid=neighbour.pid, started=_started(neighbour.pid))
    leave(path, owner=owner, silent_for=60 * MINUTES)
    refused(path, f"process {neighbour.pid} on {owner.host}")
    refused(path, f"process {neighbour.pid} on {owner.host}", identity=None)
    neighbour.send_signal(signal.SIGKILL)
    neighbour.wait()
    assert taken_up(path) == ((0, 10),)


@pytest.mark.usefixtures("far")
def test_far_away_a_later_process_with_the_same_id_is_not_the_owner(
    path: Path, neighbour: subprocess.Popen[bytes]
) -> None:
    leave(path, owner=replace(this_process(), pid=neighbour.pid, started=1))
    assert taken_up(path) == ((0, 10),)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("namespace", ["pid:[1]", None])
def test_far_away_an_owner_elsewhere_counts_as_living_while_it_was_heard_of(
    namespace: str | None, path: Path
) -> None:
    # Another machine, or a container of this one, whose processes nobody here can look at.
    here = this_process()
    owner = ELSEWHERE if namespace is None else replace(here, namespace=namespace)
    leave(path, owner=owner, silent_for=9.5 * MINUTES)
    refused(path, "is writing")
    leave(path, owner=owner, silent_for=10.5 * MINUTES)
    assert taken_up(path) == (((0, 4),) if namespace is None else ((0, 10),))


@pytest.mark.usefixtures("far")
def test_far_away_an_owner_on_this_host_before_it_was_rebooted_is_dead(path: Path) -> None:
    leave(path, owner=replace(this_process(), boot="the one before"))
    assert taken_up(path) == ((0, 4),)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("garbage", [False, True])
def test_far_away_a_part_without_a_record_is_somebody_s_for_ten_minutes(path: Path, garbage: bool) -> None:
    def leave_bare(silent_for: float) -> None:
        leave(path, owner=None, silent_for=silent_for)
        if garbage:
            Path(record_path(path)).write_text("garbage")

    leave_bare(9.5 * MINUTES)
    refused(path, "is writing")
    leave_bare(10.5 * MINUTES)
    assert taken_up(path) is None


@pytest.mark.usefixtures("far")
def test_far_away_a_part_of_another_url_is_refused_also_when_its_owner_is_dead(path: Path) -> None:
    leave(path, owner=replace(this_process(), boot="before"), identity=OTHERS)
    refused(path, "another download")


@pytest.mark.usefixtures("far")
def test_far_away_this_process_goes_on_with_what_it_left_itself(path: Path) -> None:
    first = sink_at(path)
    first.describe = lambda: PartRecord(
        url=URL, identity=MINE, validator=Validator(etag='"v1"'), owner=this_process()
    )
    first.write(b"0123456789")
    first.leave()
    assert taken_up(path) == ((0, 10),)


@pytest.mark.usefixtures("far")
def test_far_away_two_sinks_of_this_process_do_not_share_a_part(path: Path) -> None:
    first = sink_at(path)
    first.write(b"first")
    refused(path, "is writing")
    first.publish(modified_at=None)
    assert contents(path) == {path: b"first"}


@pytest.mark.usefixtures("far")
def test_far_away_a_killed_download_that_resumed_nothing_stands_in_nobody_s_way(path: Path) -> None:
    part(path).write_bytes(b"of who knows what")
    bare = PartRecord(
        url="", identity="", validator=Validator(), owner=replace(this_process(), boot="before")
    )
    RecordFile(record_path(path)).write(bare)
    sink = sink_at(path)
    sink.take_up()
    sink.reset()
    sink.write(b"ours")
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"ours"}


@pytest.mark.usefixtures("far")
def test_far_away_a_body_begun_anew_is_known_again_once_more_than_a_batch_is_there(path: Path) -> None:
    sink = sink_at(path)
    sink.describe = known
    sink.write(b"old")
    sink.reset()
    sink.write(b"new")
    sink.note()
    assert read_record(record_path(path)) == known()
    sink.discard()
    assert contents(path) == {}


# What is known of a body.


def known(**values: Any) -> PartRecord:
    return PartRecord(
        url=URL, identity=MINE, validator=Validator(etag='"v1"'), owner=this_process(), **values
    )


def test_a_body_of_one_batch_needs_no_record_and_one_of_more_has_it(path: Path) -> None:
    sink = sink_at(path)
    sink.describe = known
    sink.write(b"one")
    assert read_record(record_path(path)) is None
    sink.note()
    assert read_record(record_path(path)) == known()
    sink.publish(modified_at=None)
    assert contents(path) == {path: b"one"}


def test_a_body_of_which_nothing_is_known_is_removed_when_it_is_left(path: Path) -> None:
    sink = sink_at(path)
    sink.write(b"one")
    sink.note()
    sink.leave()
    assert contents(path) == {}


def test_what_is_durable_is_noted_only_after_it_was_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags._storage.files._DURABLE_EVERY", 10)
    steps: list[tuple[str, Any]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        found = read_record(record_path(path))
        assert found is not None
        steps.append((name, found.durable.parts))

    monkeypatch.setattr(os, "fsync", watched)
    sink = FileSink(str(path), identity=MINE)
    sink.describe = known
    for _ in range(5):
        sink.write(b"12345")
        sink.note()
    assert steps == [
        ("flag.part", ()),
        ("flag.part.json", ((0, 10),)),
        ("flag.part", ((0, 10),)),
        ("flag.part.json", ((0, 20),)),
    ]
    sink.discard()
