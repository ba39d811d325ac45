"""Part files that are filled in any order: the room for them, the ranges that are recorded, and what a kill leaves."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncflags._policies.ranges import Ranges
from asyncflags._policies.validators import Validator
from asyncflags._storage import descriptors, files
from asyncflags._storage.files import FileSink
from asyncflags._storage.liveness import this_process
from asyncflags._storage.ranged_files import RangeSink
from asyncflags._storage.records import PartRecord, identity_of, read_record
from asyncflags.errors import StorageError

ROOT = Path(__file__).resolve().parents[2]
URL = "https://flags.example/fr.gif"
TOTAL = 10_000
BODY = bytes(range(250)) * 40


def known() -> PartRecord:
    identity = identity_of(URL)
    return PartRecord(
        url=URL,
        identity=identity,
        source=identity,
        validator=Validator(etag='"v1"'),
        total=TOTAL,
        owner=this_process(),
    )


def sink_at(path: Path, **options: Any) -> FileSink:
    sink = FileSink(str(path), identity=identity_of(URL), **options)
    sink.describe = known
    return sink


def recorded(path: Path) -> Ranges | None:
    record = read_record(str(path) + ".part.json")
    return record.ranges if record is not None else None


def filled(path: Path, *parts: tuple[int, int]) -> FileSink:
    """A sink into which these ranges were written and noted."""
    sink = sink_at(path)
    sink.allocate(TOTAL, Ranges())
    for start, stop in parts:
        sink.write_at(start, BODY[start:stop])
    sink.note_ranges(Ranges(parts))
    return sink


def test_what_is_written_in_any_order_is_published_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "flag"
    sink = filled(path, (5000, TOTAL), (0, 1), (1, 5000))
    sink.cover(TOTAL)
    assert b"".join(sink.read_back()) == BODY
    sink.publish(modified_at=None)
    assert path.read_bytes() == BODY
    assert [each.name for each in tmp_path.iterdir()] == ["flag"]


def test_many_threads_write_at_once_each_at_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "flag"
    sink = sink_at(path)
    sink.allocate(TOTAL, Ranges())

    def write(start: int) -> None:
        for place in range(start, TOTAL, 800):
            sink.write_at(place, BODY[place : place + 100])
            assert sink.read_at(place, 100) == BODY[place : place + 100]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(0, 800, 100)))
    sink.cover(TOTAL)
    sink.publish(modified_at=None)
    assert path.read_bytes() == BODY


def test_the_room_is_recorded_as_empty_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flag"
    seen: list[Ranges | None] = []
    make_room = descriptors.make_room

    def noticed(*args: Any, **kwargs: Any) -> None:
        seen.append(recorded(path))
        make_room(*args, **kwargs)

    monkeypatch.setattr(files, "make_room", noticed)
    sink = sink_at(path)
    sink.write(BODY[:100])
    sink.allocate(TOTAL, Ranges(((0, 100),)))
    assert seen == [Ranges(((0, 100),))]
    assert (tmp_path / "flag.part").stat().st_size == TOTAL
    sink.discard()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot set room aside")
def test_on_a_disk_of_this_machine_the_room_is_set_aside(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "flag")
    sink.allocate(1 << 20, Ranges())
    assert (tmp_path / "flag.part").stat().st_blocks * 512 >= 1 << 20
    sink.discard()


def test_over_a_network_and_where_it_cannot_be_set_aside_the_file_is_as_long_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    sink = sink_at(tmp_path / "near")
    sink.allocate(TOTAL, Ranges())
    assert (tmp_path / "near.part").stat().st_size == TOTAL
    sink.discard()
    monkeypatch.setattr(os, "posix_fallocate", None)
    monkeypatch.setattr(files, "is_remote", lambda path: True)
    sink = sink_at(tmp_path / "far")
    sink.allocate(TOTAL, Ranges())
    assert (tmp_path / "far.part").stat().st_size == TOTAL
    sink.discard()


def test_what_is_longer_than_the_whole_is_cut(tmp_path: Path) -> None:
    sink = sink_at(tmp_path / "flag")
    sink.write(bytes(TOTAL + 7))
    sink.allocate(TOTAL, Ranges(((0, TOTAL),)))
    assert (tmp_path / "flag.part").stat().st_size == TOTAL
    sink.discard()


SMALL_DISK = """
import sys
from asyncflags._policies.ranges import Ranges
from asyncflags._storage.files import FileSink
from asyncflags.errors import StorageError

sink = FileSink(sys.argv[1] + "/flag")
try:
    sink.allocate(1 << 20, Ranges())
except StorageError as error:
    sink.leave()
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a mount of its own")
def test_a_disk_too_small_for_the_whole_is_told_at_the_start(tmp_path: Path) -> None:
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
    told = "no space left on device; free some space or choose another folder\n"
    assert ran.stdout == f"cannot write {tmp_path / 'flag'}: {told}"


def test_what_is_left_with_gaps_is_taken_up_with_them(tmp_path: Path) -> None:
    path = tmp_path / "flag"
    filled(path, (0, 100), (500, 700)).leave()
    sink = sink_at(path)
    record = sink.take_up()
    assert record is not None
    assert record.ranges == Ranges(((0, 100), (500, 700)))
    assert sink.read_at(500, 200) == BODY[500:700]
    sink.allocate(TOTAL, record.ranges)
    assert sink.read_at(500, 200) == BODY[500:700]
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_without_a_byte_is_removed(tmp_path: Path) -> None:
    filled(tmp_path / "flag").leave()
    assert list(tmp_path.iterdir()) == []


def test_going_on_from_the_first_gap_drops_what_lies_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "flag"
    sink = filled(path, (0, 100), (500, 700))
    sink.go_on_from(100)
    assert (tmp_path / "flag.part").read_bytes() == BODY[:100]
    # From now on the length of the file tells what is there.
    assert recorded(path) is None
    assert sink.tail(10) == BODY[90:100]
    sink.write(BODY[100:])
    sink.publish(modified_at=None)
    assert path.read_bytes() == BODY


def test_before_anything_is_dropped_the_record_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flag"
    sink = filled(path, (0, 100), (500, 700))
    seen: list[Ranges | None] = []
    truncate = FileSink._truncate

    def noticed(self: FileSink, size: int) -> None:
        seen.append(recorded(path))
        truncate(self, size)

    monkeypatch.setattr(FileSink, "_truncate", noticed)
    sink.go_on_from(100)
    assert seen == [Ranges(((0, 100),))]
    sink.discard()


@pytest.mark.parametrize("act", [FileSink.discard, FileSink.reset])
def test_what_is_given_up_is_known_no_more(act: Callable[[FileSink], None], tmp_path: Path) -> None:
    path = tmp_path / "flag"
    sink = filled(path, (0, 100), (500, 700))
    act(sink)
    assert not (tmp_path / "flag.part.json").exists()
    sink.leave()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_noted_of_a_file_that_has_its_name(tmp_path: Path) -> None:
    sink = filled(tmp_path / "flag", (0, TOTAL))
    sink.cover(TOTAL)
    sink.publish(modified_at=None)
    sink.note_ranges(Ranges(((0, TOTAL),)))
    sink.leave()
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]


@pytest.mark.parametrize("durable", [True, False])
def test_every_so_many_bytes_what_is_there_is_synced_and_recorded_as_such(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_DURABLE_EVERY", 1000)
    calls: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    path = tmp_path / "flag"
    sink = sink_at(path, durable=durable)
    sink.allocate(TOTAL, Ranges())
    for stop in (400, 900, 1300, 2000, 2400):
        sink.write_at(stop - 400, BODY[stop - 400 : stop])
        sink.note_ranges(Ranges(((0, stop - 400), (stop - 400, stop))))
    record = read_record(str(path) + ".part.json")
    assert record is not None
    assert record.ranges == Ranges(((0, 2400),))
    assert record.durable == (Ranges(((0, 2400),)) if durable else Ranges())
    # The bytes first, and then the record that tells of them.
    assert [Path(name).suffix for name in calls] == ([".part", ".json"] * 2 if durable else [])
    sink.discard()


def test_what_the_disk_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = filled(tmp_path / "flag", (0, 100))

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(StorageError, match="no space left on device"):
        sink.write_at(100, b"more")
    monkeypatch.undo()
    # What was noted before stays.
    sink.leave()
    assert recorded(tmp_path / "flag") == Ranges(((0, 100),))


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, bytes(data)[:7], offset))
    sink = sink_at(tmp_path / "flag")
    sink.allocate(TOTAL, Ranges())
    sink.write_at(10, BODY[10:1000])
    assert sink.read_at(10, 990) == BODY[10:1000]
    sink.discard()


def test_a_range_sink_writes_on_from_its_start(tmp_path: Path) -> None:
    file = filled(tmp_path / "flag")
    sink = RangeSink(file, 300)
    sink.write(BODY[300:400])
    sink.write(BODY[400:450])
    assert file.read_at(300, 150) == BODY[300:450]
    assert sink.tail(60) == BODY[390:450]
    assert sink.tail(1000) == BODY[300:450]
    sink.discard()
    assert file.read_at(300, 150) == BODY[300:450]
    file.discard()


spans = st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted).map(tuple)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    doubted=st.lists(spans, max_size=4),
    changed=st.sets(st.integers(0, 299), max_size=4),
    step=st.integers(1, 90),
)
def test_a_range_sink_tells_where_other_bytes_stood_that_are_doubted(
    doubted: list[tuple[int, int]], changed: set[int], step: int, tmp_path: Path
) -> None:
    file = sink_at(tmp_path / "flag")
    file.allocate(TOTAL, Ranges())
    stood = bytearray(BODY[:300])
    for place in changed:
        stood[place] ^= 1
    file.write_at(0, stood)
    sink = RangeSink(file, 0, Ranges(doubted))
    for start in range(0, 300, step):
        sink.write(BODY[start : min(300, start + step)])
    ranges = Ranges(doubted)
    hit = {part for part in ranges for place in changed if part[0] <= place < part[1]}
    assert {part for part in ranges for place in sink.differing if part[0] <= place < part[1]} == hit
    assert file.read_at(0, 300) == BODY[:300]
    file.discard()
