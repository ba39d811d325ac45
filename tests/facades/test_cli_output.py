"""Lines on their way to standard output and standard error."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Sequence

import pytest

from asyncflags._cli.output import LineWriter, to_stream

HARDLY_EVER = 3600.0


class Taken:
    """Takes lines on a thread, when it is allowed to."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.lines: list[str] = []
        self.calls = 0
        self.allowed = threading.Event()
        self._error = error

    def __call__(self, lines: Sequence[str]) -> None:
        self.calls += 1
        self.allowed.wait()
        if self._error is not None:
            raise self._error
        self.lines += lines


async def test_lines_that_gather_are_written_in_one_call_and_in_order() -> None:
    taken = Taken()
    writer = LineWriter(taken, interval=HARDLY_EVER, on_failure=print)
    for number in range(100):
        writer.write(str(number))
    taken.allowed.set()
    await writer.aclose()
    assert (taken.lines, taken.calls) == ([str(number) for number in range(100)], 1)


async def test_a_lonely_line_is_written_without_waiting_for_the_next() -> None:
    taken = Taken()
    taken.allowed.set()
    writer = LineWriter(taken, interval=0.001, on_failure=print)
    writer.write("a")
    while not taken.lines:
        await asyncio.sleep(0.001)
    await writer.aclose()


async def test_no_line_is_lost_when_the_end_comes_while_lines_wait_for_their_thread() -> None:
    taken = Taken()
    writer = LineWriter(taken, interval=0.001, on_failure=print)
    writer._bridge.submit(taken.allowed.wait)
    writer.write("a")
    while writer._lines:
        await asyncio.sleep(0.001)
    closing = asyncio.create_task(writer.aclose())
    await asyncio.sleep(0.005)
    taken.allowed.set()
    await closing
    assert taken.lines == ["a"]


async def test_a_reader_that_does_not_read_does_not_hold_up_the_impatient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asyncflags._cli.output._PATIENCE", 0.001)
    taken = Taken()
    writer = LineWriter(taken, interval=HARDLY_EVER, on_failure=print)
    writer.write("a")
    await writer.aclose(patient=False)
    assert taken.lines == []
    taken.allowed.set()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
async def test_a_failure_is_told_once_and_later_lines_are_dropped(error: Exception) -> None:
    failures: list[OSError] = []
    taken = Taken(error=error)
    taken.allowed.set()
    writer = LineWriter(taken, interval=HARDLY_EVER, on_failure=failures.append)
    for line in ("a", "b"):
        writer.write(line)
        await writer.flush()
    await writer.aclose()
    assert [type(failure) for failure in failures] == [BrokenPipeError]
    assert taken.calls == 1


def test_a_path_that_is_not_text_is_written_byte_for_byte() -> None:
    binary = io.BytesIO()
    stream = io.TextIOWrapper(binary, encoding="utf-8")
    to_stream(stream)([b"/\xff/\xc3\xa9".decode("utf-8", "surrogateescape")])
    assert binary.getvalue() == b"/\xff/\xc3\xa9\n"


def test_another_encoding_never_fails() -> None:
    binary = io.BytesIO()
    stream = io.TextIOWrapper(binary, encoding="ascii")
    to_stream(stream)(["é"])
    assert binary.getvalue() == b"\\xe9\n"


def test_a_stream_that_is_closed_takes_lines_to_nowhere() -> None:
    to_stream(None)(["a"])
