"""Records of part files: what is read back, what is refused, and which bytes may be relied on."""

from __future__ import annotations

import json
import os
import stat
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncflags._policies.ranges import Ranges
from asyncflags._policies.validators import Validator
from asyncflags._storage.liveness import Owner, this_process
from asyncflags._storage.records import PartRecord, RecordFile, identity_of, read_record

URL = "https://flags.example/fr.gif"
OWNER = Owner("host", "boot", "pid:[1]", 4_194_304, 9_999_999_999)
RECORD = PartRecord(
    url=URL, identity=identity_of(URL), validator=Validator(etag='"v1"'), total=100, owner=OWNER
)

edges = st.lists(st.integers(0, 2**62), max_size=6)
ranges = edges.map(lambda found: Ranges(zip(sorted(found)[::2], sorted(found)[1::2], strict=False)))
validators = st.one_of(
    st.text("abc!#~", max_size=9).map(lambda text: Validator(etag=f'"{text}"')),
    st.text("abc!#~", max_size=9).map(lambda text: Validator(etag=f'W/"{text}"')),
    st.just(Validator()),
    st.booleans().map(
        lambda strong: Validator(last_modified="Sun, 06 Nov 1994 08:49:37 GMT", is_strong_date=strong)
    ),
)
texts = st.text('ab "\\\u00e9\u2028\U0001f600\ud800', max_size=9)
owners = st.builds(
    Owner,
    host=texts,
    boot=texts,
    namespace=texts,
    pid=st.integers(1, 2**31),
    started=st.none() | st.integers(0, 2**62),
)
records = st.builds(
    PartRecord,
    url=texts,
    identity=texts,
    validator=validators,
    total=st.none() | st.integers(0, 2**62),
    ranges=st.none() | ranges,
    durable=ranges,
    owner=owners,
    content_type=st.none() | texts,
)
on_disk = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "flag.part.json")


@on_disk
@given(record=records)
def test_what_is_written_is_read_back(record: PartRecord, path: str) -> None:
    file = RecordFile(path)
    file.write(record)
    assert read_record(path) == record
    file.remove()


@on_disk
@given(written=st.lists(records, min_size=2, max_size=5))
def test_the_last_one_written_is_read_whatever_stood_there(written: list[PartRecord], path: str) -> None:
    file = RecordFile(path)
    for record in written:
        file.write(record)
        assert read_record(path) == record
    file.remove()


@on_disk
@given(old=records, new=records)
def test_a_record_of_another_process_is_replaced_whole(old: PartRecord, new: PartRecord, path: str) -> None:
    RecordFile(path).write(old)
    ours = RecordFile(path)
    ours.exists = True
    ours.write(new)
    assert read_record(path) == new
    os.unlink(path)


def test_a_shorter_record_leaves_nothing_of_the_longer_one_before(path: str) -> None:
    many = Ranges((number * 10, number * 10 + 5) for number in range(100))
    RecordFile(path).write(replace(RECORD, ranges=many))
    ours = RecordFile(path)
    ours.exists = True
    ours.write(RECORD)
    assert read_record(path) == RECORD


@on_disk
@given(at=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_one_changed_byte_never_makes_another_record(at: int, mask: int, path: str) -> None:
    RecordFile(path).write(RECORD)
    data = bytearray(Path(path).read_bytes())
    data[at % len(data)] ^= mask
    Path(path).write_bytes(data)
    assert read_record(path) in (None, RECORD)


def test_a_record_that_ends_too_early_is_none(path: str) -> None:
    RecordFile(path).write(RECORD)
    data = Path(path).read_bytes()
    for size in range(len(data)):
        Path(path).write_bytes(data[:size])
        assert read_record(path) is None


def test_a_write_that_stops_half_way_never_makes_another_record(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(RECORD, validator=Validator(etag='"v2"'), total=999)
    write = os.write
    for size in range(0, 600, 7):
        file = RecordFile(path)
        file.write(RECORD)

        def killed(descriptor: int, data: Any, size: int = size) -> int:
            write(descriptor, bytes(data)[:size])
            raise OSError("killed")

        monkeypatch.setattr(os, "write", killed)
        with pytest.raises(OSError, match="killed"):
            file.write(other)
        monkeypatch.undo()
        assert read_record(path) in (None, RECORD, other)
        file.remove()


def test_a_short_write_is_continued(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:10]))
    RecordFile(path).write(RECORD)
    assert read_record(path) == RECORD


def test_only_its_owner_may_read_it(path: str) -> None:
    before = os.umask(0)
    try:
        RecordFile(path).write(RECORD)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_durable_one_waits_for_the_disk(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    file = RecordFile(path)
    file.write(RECORD)
    assert synced == []
    file.write(RECORD, durable=True)
    assert synced == [path]


def test_removing_is_safe_at_any_time(path: str) -> None:
    file = RecordFile(path)
    file.remove()
    file.write(RECORD)
    os.unlink(path)
    file.remove()
    file.remove()
    assert not os.path.lexists(path)


def test_what_is_not_noted_as_there_is_not_removed(path: str) -> None:
    RecordFile(path).write(RECORD)
    RecordFile(path).remove()
    assert read_record(path) == RECORD


# What is no record.


def sealed(value: Any) -> str:
    return json.dumps({**value, "check": zlib.crc32(json.dumps(value, sort_keys=True).encode())})


WRONG: dict[str, dict[str, Any]] = {
    "another format": {"asyncflags": 2},
    "no format": {"asyncflags": None},
    "a total of text": {"total": "100"},
    "a negative total": {"total": -1},
    "a total of truth": {"total": True},
    "an url of nothing": {"url": None},
    "an identity of a number": {"identity": 1},
    "a tag that is a list": {"etag": ["v1"]},
    "a tag without quotes": {"etag": "v1"},
    "a tag with a line break": {"etag": '"v1"\r\nX-Evil: 1'},
    "a date with a line break": {"etag": None, "last_modified": "x\r\nX-Evil: 1", "is_strong_date": True},
    "reversed ranges": {"ranges": [[5, 1]]},
    "ranges of text": {"ranges": "all"},
    "half a range": {"durable": [[0]]},
    "no durable": {"durable": None},
    "no owner": {"owner": None},
    "an owner without a process": {"owner": {"host": "", "boot": "", "namespace": "", "pid": 0}},
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_sealed_record_with_a_wrong_value_is_none_or_says_nothing(kind: str, path: str) -> None:
    Path(path).write_text(sealed(RECORD.to_json() | WRONG[kind]))
    found = read_record(path)
    # What must not go into a request field may as well be read as no validator at all.
    assert found is None or ("etag" in WRONG[kind] and found.validator.condition is None)


@pytest.mark.parametrize("name", RECORD.to_json())
def test_a_record_without_one_of_its_values_is_none(name: str, path: str) -> None:
    value = RECORD.to_json()
    del value[name]
    Path(path).write_text(sealed(value))
    assert read_record(path) is None


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 500, b"{", b"[]", b"null", b"7", b'{"check": 1}', b"\xff\xfe", b"[" * 200_000]
)
def test_garbage_is_none(data: bytes, path: str) -> None:
    Path(path).write_bytes(data)
    assert read_record(path) is None


def test_what_is_no_file_is_none_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert [read_record(str(tmp_path / name)) for name in ("pipe", "folder", "missing")] == [None] * 3


# Which bytes may be relied on.


def of_this_boot(**known: Any) -> PartRecord:
    return replace(RECORD, owner=this_process(), **known)


def of_another_boot(**known: Any) -> PartRecord:
    return replace(RECORD, owner=replace(this_process(), boot="another"), **known)


SPLIT = Ranges(((0, 10), (20, 30)))


@pytest.mark.parametrize(
    ("record", "size", "trusted"),
    [
        (of_this_boot(total=None), 50, ((0, 50),)),
        (of_this_boot(), 50, ((0, 50),)),
        (of_this_boot(), 0, ()),
        # Beyond its end a file has no bytes, whatever stands there.
        (of_this_boot(), 150, ((0, 100),)),
        (of_this_boot(ranges=SPLIT), 25, ((0, 10), (20, 25))),
        (of_this_boot(ranges=SPLIT), 20, ((0, 10),)),
        (of_this_boot(ranges=SPLIT), 500, SPLIT.parts),
        (of_this_boot(ranges=Ranges(), durable=SPLIT), 500, ()),
        (of_another_boot(), 50, ()),
        (of_another_boot(durable=SPLIT), 25, ((0, 10), (20, 25))),
        (of_another_boot(ranges=SPLIT, durable=Ranges(((0, 5),))), 500, ((0, 5),)),
        (replace(RECORD, owner=replace(this_process(), boot="")), 50, ()),
    ],
)
def test_what_was_written_outlives_the_process_and_what_was_synced_the_machine(
    record: PartRecord, size: int, trusted: tuple[tuple[int, int], ...]
) -> None:
    assert record.trusted(size).parts == trusted


@given(first=st.text(max_size=30), second=st.text(max_size=30))
def test_an_identity_tells_urls_apart_and_not_what_they_are(first: str, second: str) -> None:
    assert (identity_of(first) == identity_of(second)) is (first == second)
    assert len(identity_of(first)) == 32


def test_an_identity_can_be_made_of_any_text() -> None:
    assert identity_of("https://flags.example/\ud800")
