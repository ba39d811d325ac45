"""``asyncflags demo``: three styles against the built-in origin."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from asyncflags._cli.demo import Lap, show, table

from .shell import PATIENCE_SECONDS, shell, started

LAPS = [Lap("one after another", 20, 2.0, 0), Lap("asyncio", 200, 1.0, 3)]


def test_times_faster_are_per_file_and_against_the_first() -> None:
    headings, rows = table(LAPS)
    assert headings == ["style", "files", "seconds", "times faster", "retries"]
    assert rows[0] == ["one after another", "20", "2.00", "1.0", "0"]
    assert rows[1] == ["asyncio", "200", "1.00", "20.0", "3"]


def test_the_table_is_plain_text_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(LAPS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "style              files  seconds  times faster  retries"
    assert {len(line) for line in lines} == {len(lines[0])}


async def test_every_style_fetches_the_flags_of_a_faulty_origin(tmp_path: Path) -> None:
    ran = await shell("demo", "--latency", "0", "--faulty", "--dir", "pictures", folder=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    _, *rows, last = ran.lines
    cells = [row.split() for row in rows]
    files, retries = [int(row[-4]) for row in cells], [int(row[-1]) for row in cells]
    pictures = os.listdir(tmp_path / "pictures")
    assert files == [20, 20, 20, len(pictures)]
    assert len(pictures) > 190
    assert all(name.endswith(".png") for name in pictures)
    assert all(count > 0 for count in retries)
    assert last == f"The pictures are in {tmp_path / 'pictures'}"


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_origin_ends_with_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    async with started("demo", "--latency", "0.5", folder=tmp_path) as process:
        while not (children := psutil.Process(process.pid).children()):
            await asyncio.sleep(0.01)
        while not os.path.isdir(tmp_path / "flags"):
            await asyncio.sleep(0.01)
        process.send_signal(number)
        _, err = await process.communicate()
        _, left = await asyncio.to_thread(psutil.wait_procs, children, PATIENCE_SECONDS)
    assert left == []
    assert b"Traceback" not in err
    assert process.returncode == (130 if number == signal.SIGINT else -number)


async def test_a_folder_that_cannot_be_written_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("mine")
    ran = await shell("demo", "--latency", "0", folder=tmp_path)
    assert ran.err.startswith("asyncflags: cannot write ")
    assert (ran.code, ran.out) == (3, b"")
