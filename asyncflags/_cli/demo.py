"""``asyncflags demo``: the flags of the world from a built-in origin, in three styles side by side."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from asyncflags._cli.complaints import Refusal, complain
from asyncflags._cli.exit_codes import OTHER, code_of
from asyncflags._cli.sections import CONTEXT_SETTINGS
from asyncflags._cli.values import Whole

if TYPE_CHECKING:
    from asyncflags._cli.styles import Flag
    from asyncflags._models import Result

_MOST_POPULOUS = 20
_ALL_WIDTH = 64
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Lap:
    """How one style did.

    Attributes:
        style: Its name.
        files: How many flags it fetched.
        seconds: How long that took.
        retries: Attempts beyond the first of each.
    """

    style: str
    files: int
    seconds: float
    retries: int


@click.command("demo", context_settings=CONTEXT_SETTINGS)
@click.option(
    "--latency", type=click.FloatRange(min=0, max=60), default=0.05, show_default=True, metavar="S",
    help="Seconds the origin waits before each answer.",
)  # fmt: skip
@click.option(
    "--faulty", is_flag=True, help="Let a quarter of the flags fail at first, so that retries show."
)
@click.option(
    "-d", "--dir", "folder", type=click.Path(), default="flags", show_default=True, metavar="DIR",
    help="Folder for the pictures, created if missing.",
)  # fmt: skip
@click.option("--seed", type=Whole(least=0), default=0, show_default=True, help="Which flags fail.")
def demo(latency: float, faulty: bool, folder: str, seed: int) -> int:
    """Fetch the flags of the world in three styles, side by side.

    The twenty most populous countries' flags come one after another, then with threads and futures,
    then with asyncio; then all flags come with asyncio. The origin runs on this machine.
    """
    from asyncflags.errors import DownloadError

    try:
        with _origin(latency=latency, faulty=faulty, seed=seed) as url:
            laps = run_laps(url, os.path.join(folder, ""))
    except DownloadError as error:
        complain(str(error))
        return code_of(error)
    show(laps)
    click.echo(f"The pictures are in {os.path.abspath(folder)}")
    return 0


@contextlib.contextmanager
def _origin(*, latency: float, faulty: bool, seed: int) -> Iterator[str]:
    """Run the origin of the flags beside this process and give its URL.

    It ends when the pipe to it does, so it is gone whatever becomes of this process.
    """
    command = [sys.executable, "-m", "asyncflags.testing.flags.origin", "--parent-pipe"]
    command += ["--port", "0", "--latency", str(latency), "--seed", str(seed)]
    process = subprocess.Popen(
        command + (["--faulty"] if faulty else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise Refusal("the built-in origin did not start: see its own message above", OTHER)
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def run_laps(url: str, folder: str) -> list[Lap]:
    """Fetch the flags of the origin at *url* in every style.

    Raises:
        DownloadError: A flag could not be had.
    """
    from asyncflags._cli.styles import WIDTH, with_asyncio, with_futures, with_patience

    flags = read_index(url)
    few = flags[:_MOST_POPULOUS]
    styles: list[tuple[str, Callable[..., list[Result]], Sequence[Flag]]] = [
        ("one after another", with_patience, few),
        (f"{WIDTH} threads, futures", with_futures, few),
        (f"asyncio, {WIDTH} wide", _run(with_asyncio, width=WIDTH), few),
        (f"asyncio, {_ALL_WIDTH} wide", _run(with_asyncio, width=_ALL_WIDTH), flags),
    ]
    # Each style asks for URLs of its own, so that a faulty origin fails it as it failed the others.
    return [
        _time(name, style, [replace(flag, url=f"{flag.url}?style={number}") for flag in chosen], folder)
        for number, (name, style, chosen) in enumerate(styles, 1)
    ]


def read_index(url: str) -> list[Flag]:
    """The flags of the origin at *url*, those of the most populous countries first."""
    import asyncflags
    from asyncflags._cli.styles import Flag

    with asyncflags.Downloader() as dl:
        rows = dl.fetch(f"{url}/index.json").json()["flags"]
    return [Flag(row["name"], url + row["path"], f"sha256:{row['sha256']}") for row in rows]


def _run(style: Callable[..., Any], **arguments: Any) -> Callable[..., list[Result]]:
    import asyncio

    @functools.wraps(style)
    def blocking(flags: Sequence[Flag], folder: str) -> list[Result]:
        results: list[Result] = asyncio.run(style(flags, folder, **arguments))
        return results

    return blocking


def _time(name: str, style: Callable[..., list[Result]], flags: Sequence[Flag], folder: str) -> Lap:
    started = time.perf_counter()
    results = style(flags, folder)
    seconds = time.perf_counter() - started
    return Lap(name, len(results), seconds, sum(result.attempts - 1 for result in results))


def table(laps: Sequence[Lap]) -> tuple[list[str], list[list[str]]]:
    """The headings and rows that show *laps*; times faster are per file, against the first."""
    first = laps[0].seconds / laps[0].files
    headings = ["style", "files", "seconds", "times faster", "retries"]
    rows = [
        [
            lap.style,
            str(lap.files),
            f"{lap.seconds:.2f}",
            f"{first / (lap.seconds / lap.files):.1f}",
            str(lap.retries),
        ]
        for lap in laps
    ]
    return headings, rows


def show(laps: Sequence[Lap]) -> None:
    """Print *laps* as a table: drawn on a terminal, else in plain columns."""
    headings, rows = table(laps)
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in [headings, *rows]:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            click.echo("  ".join(cells))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*headings[:1])
    for heading in headings[1:]:
        drawn.add_column(heading, justify="right")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
