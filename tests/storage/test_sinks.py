"""Bodies that go to memory or to an open stream."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from asyncflags._storage.sinks import MemorySink, StreamSink
from asyncflags._storage.trouble import storage_error
from asyncflags.errors import StorageError


def test_memory_holds_the_body_once_it_is_published() -> None:
    sink = MemorySink()
    block = bytearray(b"fl")
    sink.write(memoryview(block))
    # Lent memory is used again, so what was written has to be a copy.
    block[:] = b"xx"
    sink.write(b"ag")
    assert (sink.content, sink.restartable) == (b"", True)
    sink.publish(modified_at=None)
    assert sink.content == b"flag"


def test_discarded_memory_is_empty() -> None:
    sink = MemorySink()
    sink.write(b"flag")
    sink.discard()
    sink.publish(modified_at=None)
    assert sink.content == b""


def test_a_stream_is_written_at_once_flushed_and_left_open() -> None:
    buffer = io.BytesIO()
    stream = io.BufferedWriter(buffer)
    sink = StreamSink(stream, "the stream")
    sink.write(b"flag")
    sink.publish(modified_at=1.0)
    assert buffer.getvalue() == b"flag"
    sink.discard()
    assert not stream.closed


def test_a_stream_cannot_be_started_anew_once_it_was_written() -> None:
    sink = StreamSink(io.BytesIO(), "the stream")
    assert sink.restartable
    sink.write(b"f")
    assert not sink.restartable


class Stingy(io.BytesIO):
    """Takes three bytes at a time, as a pipe may."""

    def write(self, data: object, /) -> int:
        return super().write(bytes(data)[:3])  # type: ignore[call-overload]


def test_a_stream_that_takes_little_at_a_time_gets_all() -> None:
    stream = Stingy()
    StreamSink(stream, "the stream").write(b"0123456789")
    assert stream.getvalue() == b"0123456789"


class Silent(io.BytesIO):
    """Tells nothing of what it took, as many objects do that only look like files; fails when asked too often."""

    calls = 0

    def write(self, data: object, /) -> int:
        self.calls += 1
        if self.calls > 10:
            raise OSError("written again and again")
        super().write(data)  # type: ignore[arg-type]
        return None  # type: ignore[return-value]


def test_a_stream_that_does_not_tell_how_much_it_took_is_not_written_for_ever() -> None:
    stream = Silent()
    StreamSink(stream, "the stream").write(b"flag")
    assert stream.getvalue() == b"flag"


def test_a_full_device_is_told_at_the_write() -> None:
    sink = StreamSink(None, "/dev/full")
    with pytest.raises(StorageError, match="cannot write /dev/full: no space left on device"):
        sink.write(b"flag")
    sink.discard()


def test_a_broken_pipe_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as stream:
        with pytest.raises(StorageError, match="broken pipe"):
            StreamSink(stream, "the stream").write(b"flag")


def test_a_device_is_opened_with_the_first_byte_and_closed_with_the_last() -> None:
    sink = StreamSink(None, "/dev/null")
    sink.publish(modified_at=None)
    sink.write(b"flag")
    sink.publish(modified_at=None)
    sink.discard()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("ENOSPC", "no space left on device; free some space"),
        ("EDQUOT", "disk quota exceeded; free some of the quota"),
        ("EACCES", "permission denied; choose a folder that may be written"),
        ("EROFS", "read-only file system; choose a folder"),
        ("ENOENT", "no such file or directory; create the folder first"),
        ("EEXIST", "file exists; choose another name"),
        ("EMFILE", "too many open files; raise the limit of open files"),
        ("ENAMETOOLONG", "file name too long; choose a shorter name"),
        ("EIO", "input/output error"),
    ],
)
def test_trouble_names_the_path_the_reason_and_the_way_out(number: str, words: str, tmp_path: Path) -> None:
    path = str(tmp_path / "flag")
    error = storage_error(OSError(getattr(errno, number), "x"), path)
    assert str(error).startswith(f"cannot write {path}: {words}")
    assert error.path == path


def test_trouble_without_a_number_says_what_the_error_says() -> None:
    assert str(storage_error(OSError("odd"), "flag")) == "cannot write flag: odd"
