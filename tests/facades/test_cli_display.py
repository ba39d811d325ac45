"""Progress as it is shown, from snapshots made by hand."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from asyncflags._cli.display import (
    Pace,
    active_text,
    duration_text,
    estimate,
    host_texts,
    progress_text,
    size_text,
    waiting_text,
)
from asyncflags._cli.get import get
from asyncflags._cli.live_bar import LiveBar, Picture
from asyncflags._cli.options import make_plan
from asyncflags._cli.running import Interruption
from asyncflags._cli.screen import Screen
from asyncflags._models import ActiveDownload, HostStats, Progress, Stats
from asyncflags.testing import Origin

from .shell import shell, started

MEGABYTE = 1 << 20


def at(
    seconds: float, size: int = 0, completed: int = 0, failed: int = 0, *active: ActiveDownload
) -> Progress:
    return Progress(
        completed=completed, failed=failed, size=size, attempts=0, retries=0, seconds=seconds, active=active
    )


def paced(*snapshots: Progress) -> Pace:
    pace = Pace()
    for snapshot in snapshots:
        pace.add(snapshot)
    return pace


def drawn(
    progress: Progress, total: int | None, stats: Stats | None = None, *, width: int = 80, color: bool = False
) -> str:
    """What the live bar shows, without the control characters that move the cursor."""
    console = Console(file=io.StringIO(), width=width, force_terminal=color, legacy_windows=False)
    console.print(Picture(lambda: progress, lambda: total, None if stats is None else lambda: stats))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_rate_is_that_of_the_last_seconds() -> None:
    pace = paced(*(at(second, 100 * MEGABYTE) for second in range(10)), at(10, 105 * MEGABYTE))
    assert pace.bytes_per_second == MEGABYTE


def test_the_first_snapshot_has_a_rate_already() -> None:
    assert paced(at(2.0, 2 * MEGABYTE)).bytes_per_second == MEGABYTE
    assert paced().bytes_per_second == 0
    assert paced(at(0.0, 5)).bytes_per_second == 0


def test_time_left_of_a_list_comes_from_its_files() -> None:
    now = at(10, MEGABYTE, 45, 5)
    so_far = estimate(now, 100, paced(at(0), now))
    assert (so_far.fraction, so_far.seconds_left) == (0.5, 10.0)


def test_time_left_of_the_last_files_comes_from_their_bytes() -> None:
    active = ActiveDownload("a", MEGABYTE, 4 * MEGABYTE, 1.0)
    now = at(1, MEGABYTE, 0, 0, active)
    so_far = estimate(now, 1, paced(at(0), now))
    assert (so_far.fraction, so_far.seconds_left) == (0.25, 3.0)


def test_nothing_is_promised_that_is_not_known() -> None:
    unknown = at(1, MEGABYTE, 0, 0, ActiveDownload("a", MEGABYTE, None, 1.0))
    assert estimate(unknown, 1, paced(at(0), unknown)).seconds_left is None
    assert estimate(unknown, None, paced(at(0), unknown)).fraction is None


@given(
    st.lists(st.tuples(st.integers(0, 99), st.none() | st.integers(0, 99)), max_size=4),
    st.integers(0, 9), st.none() | st.integers(0, 9), st.floats(0, 1e6),
)  # fmt: skip
def test_whatever_comes_the_fraction_is_one(
    active: list[tuple[int, int | None]], completed: int, total: int | None, seconds: float
) -> None:
    downloads = [ActiveDownload("a", received, expected, 0.0) for received, expected in active]
    now = at(seconds, 1, completed, 0, *downloads)
    so_far = estimate(now, total, paced(now))
    assert so_far.fraction is None or 0 <= so_far.fraction <= 1
    assert progress_text(now, total, so_far)


def test_the_line_has_files_bytes_rate_time_left_and_failures() -> None:
    now = at(10, 10 * MEGABYTE, 1000, 3)
    so_far = estimate(now, 2006, paced(at(0), now))
    assert progress_text(now, 2006, so_far) == ("1,003/2,006 files, 10.0 MiB, 1.0 MiB/s, 0:10 left, 3 failed")
    assert progress_text(at(1, 0, 1), None, estimate(at(1), None, paced())) == "1 file, 0 B, 0 B/s"


def test_sizes_and_durations_read_well() -> None:
    sizes = [0, 999, 1000, 1024, 150 * 1024, MEGABYTE - 1, MEGABYTE, 1 << 60]
    assert [size_text(size) for size in sizes] == [
        "0 B", "999 B", "1.0 KiB", "1.0 KiB", "150 KiB", "1.0 MiB", "1.0 MiB", "1024 PiB",
    ]  # fmt: skip
    assert [duration_text(seconds) for seconds in (0, 59.6, 3723, 86400 * 3)] == [
        "0:00", "1:00", "1:02:03", "3 days",
    ]  # fmt: skip


def test_one_download_shows_its_share_or_its_bytes() -> None:
    assert active_text(ActiveDownload("a", 50, 200, 1.0)) == "25 % of 200 B"
    assert active_text(ActiveDownload("a", 2048, None, 1.0)) == "2.0 KiB"


def test_the_bar_names_the_longest_running_and_fits_the_terminal() -> None:
    active = [ActiveDownload(f"{name}-{'x' * 99}.iso", 50, 100, 9.0) for name in "abcd"]
    lines = drawn(at(10, MEGABYTE, 3, 1, *active), 8, width=60).splitlines()
    assert "4/8 files" in lines[0]
    assert [line[:16] for line in lines[1:]] == [f"  50 % of 100 B  {name}"[:16] for name in "abc"]
    assert all(len(line) <= 60 for line in lines)


def test_a_name_cannot_steer_the_terminal() -> None:
    active = ActiveDownload("evil\x1b[2J\n.iso", 50, 100, 9.0)
    assert "evil?[2J?.iso" in drawn(at(10, 0, 0, 0, active), 1)


def test_hosts_that_pause_are_told_the_longest_pause_first() -> None:
    stats = Stats(
        hosts=(
            HostStats(origin="https://a.example", in_flight=9, level=24, requests_per_second=50.0),
            HostStats(origin="http://c.example:8080", queued=3, is_open=True, resumes_in=2.1),
            HostStats(origin="https://b.example", resumes_in=11.2, requests_per_second=9.0),
        )
    )
    assert host_texts(stats) == (
        "b.example asked for a pause, 12 s left",
        "c.example:8080: connections fail, tried again in 3 s",
        "a.example: 24 at once, 50 requests/s",
    )


def test_a_host_that_is_well_is_no_news() -> None:
    well = HostStats(origin="https://a.example", in_flight=9, level=24, is_settled=True)
    nobody_waits = HostStats(origin="https://b.example", is_open=True, cause="refused")
    done = HostStats(origin="https://c.example", level=8, requests_per_second=5.0)
    assert host_texts(Stats(hosts=(well, nobody_waits, done))) == ()


def test_a_probe_under_way_and_long_pauses_read_well() -> None:
    probed = HostStats(origin="https://a.example", in_flight=1, is_open=True)
    slow = HostStats(origin="https://b.example", queued=1, level=1, requests_per_second=1.0)
    asleep = HostStats(origin="https://c.example", resumes_in=299.5)
    assert host_texts(Stats(hosts=(probed, slow, asleep))) == (
        "c.example asked for a pause, 5:00 left",
        "a.example: connections fail, tried again soon",
        "b.example: 1 at once, 1 request/s",
    )


def test_of_many_hosts_three_are_told_and_the_others_counted() -> None:
    hosts = tuple(HostStats(origin=f"https://{n}.example", resumes_in=float(n)) for n in range(1, 1201))
    *_, last = lines = host_texts(Stats(hosts=hosts))
    assert len(lines) == 3
    assert last == "1198.example asked for a pause, 19:58 left (and 1,197 more hosts)"
    assert host_texts(Stats(hosts=hosts[:4]))[-1].endswith("(and 1 more host)")


@given(
    st.lists(
        st.builds(
            HostStats,
            origin=st.text(max_size=9),
            queued=st.integers(0, 2),
            level=st.integers(0, 64),
            resumes_in=st.floats(0, 1e9),
            requests_per_second=st.none() | st.floats(0.05, 1e4),
            is_open=st.booleans(),
        ),
        max_size=6,
    )
)
def test_whatever_the_hosts_do_it_is_told_in_three_lines(hosts: list[HostStats]) -> None:
    assert len(host_texts(Stats(hosts=tuple(hosts)))) <= 3


def test_what_is_waited_for_is_told_once_nothing_has_come_for_a_while() -> None:
    stats = Stats(waiting_for="1 request to https://a.example (silent for 12 s)")
    pace = paced(at(0), at(5, MEGABYTE, 1), at(14.9, MEGABYTE, 1))
    assert waiting_text(stats, pace) is None
    pace.add(at(17, MEGABYTE, 1))
    assert waiting_text(stats, pace) == ("nothing for 12 s: 1 request to https://a.example (silent for 12 s)")
    assert waiting_text(Stats(), pace) is None
    pace.add(at(18, MEGABYTE + 1, 1))
    assert waiting_text(stats, pace) is None


def test_hosts_stand_between_the_bar_and_the_names() -> None:
    active = ActiveDownload("a.iso", 50, 100, 9.0)
    host = HostStats(origin="https://evil\x1b[2J.example", resumes_in=3.0)
    lines = drawn(at(10, MEGABYTE, 3, 1, active), 8, Stats(hosts=(host,))).splitlines()
    assert "4/8 files" in lines[0]
    assert [line.rstrip() for line in lines[1:]] == [
        "  evil?[2J.example asked for a pause, 3 s left",
        "  50 % of 100 B  a.iso",
    ]


def test_the_bar_asks_for_the_hosts_twice_a_second_and_no_more() -> None:
    asked: list[float] = []
    now = 0.0

    def stats() -> Stats:
        asked.append(now)
        return Stats(waiting_for="1 request to https://a.example")

    picture = Picture(lambda: at(now), lambda: None, stats)
    console = Console(file=io.StringIO(), width=80)
    for tick in range(121):
        now = tick / 10
        console.print(picture)
    assert len(asked) == 25
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count(": 1 request to https://a.example") == 21


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[38;" in drawn(at(1), 8, color=True) or "\x1b[3" in drawn(at(1), 8, color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in drawn(at(1), 8, color=True)


def test_lines_stand_above_the_bar_as_they_are() -> None:
    stream = io.StringIO()
    bar = LiveBar(Picture(lambda: at(1), lambda: 2), stream, forced=True)
    bar.start()
    bar.emit(["[red]/a/long/" + "x" * 200, "12 :smile:"])
    bar.stop()
    bar.stop()
    shown = stream.getvalue()
    assert "[red]/a/long/" + "x" * 200 + "\n" in shown
    assert "12 :smile:\n" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("0/2 files")


async def test_where_there_is_no_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("asyncflags._cli.screen._PLAIN_INTERVAL_SECONDS", 0.001)
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    plan = make_plan(get.make_context("get", ["http://127.0.0.1/"]).params)
    screen, asked = Screen(plan, Interruption(task, loop)), asyncio.Event()

    def progress() -> Progress:
        asked.set()
        return at(1, MEGABYTE, 2)

    screen.begin(progress, lambda: 4)
    await asked.wait()
    await screen.end("that is all")
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "asyncflags: 2/4 files, 1.0 MiB, 1.0 MiB/s, 0:01 left"
    assert last == "asyncflags: that is all"


async def test_the_bar_can_be_forced(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.add("/a", b"a")
        ran = await shell("get", "--progress", "always", f"{origin.url}/a", folder=tmp_path)
    assert "/1 file" in ran.err
    assert ran.lines == [str(tmp_path / "a")]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("options", "has_bar"), [([], True), (["-q"], False), (["--progress", "never"], False)]
)
async def test_the_bar_is_drawn_on_a_terminal_and_paths_still_go_to_standard_output(
    tmp_path: Path, options: list[str], has_bar: bool
) -> None:
    reader, terminal = pty.openpty()
    async with Origin() as origin:
        origin.add("/a", b"a")
        arguments = ["get", f"{origin.url}/a", f"{origin.url}/a", *options]
        variables = {"TERM": "xterm"}
        async with started(*arguments, folder=tmp_path, more=variables, stderr=terminal) as process:
            out, _ = await process.communicate()
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(reader, 65536):
            shown += piece
    except OSError:
        # Linux says so when the last writer of a pseudo-terminal has left.
        pass
    finally:
        os.close(reader)
    assert sorted(out.decode().splitlines()) == [str(tmp_path / "a"), str(tmp_path / "a-2")]
    assert (b"/2 files" in shown, b"2 downloaded" in shown) == (has_bar, "-q" not in options)
    assert (b"\x1b[?25h" in shown) == has_bar
