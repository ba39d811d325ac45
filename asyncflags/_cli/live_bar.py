"""The live bar on a terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncflags._cli.complaints import printable
from asyncflags._cli.display import Pace, active_text, estimate, host_texts, progress_text, waiting_text

if TYPE_CHECKING:
    from asyncflags._models import Progress, Stats

__all__ = ["LiveBar", "Picture"]

_REFRESHES_PER_SECOND = 10
_SHOWN_NAMES = 3
# Hosts change their state seldom, and a thousand of them take a while to be told of.
_SECONDS_BETWEEN_STATS = 0.5
_BAR_WIDTH = 20
_SHOW_CURSOR = b"\x1b[?25h"
# A download that has just begun is gone again before its name can be read.
_WORTH_A_LINE_SECONDS = 0.5


class Picture:
    """Draws the newest snapshot each time it is rendered.

    A bar with a line; hosts that pause, are paced or cannot be reached; what is waited for when nothing comes; and
    the longest-running names.

    Args:
        progress: Gives the snapshot; called on the thread that draws.
        total: Gives the number of downloads in all, or ``None`` while it is unknown.
        stats: Tells of the hosts; ``None``: nobody does.
    """

    def __init__(
        self,
        progress: Callable[[], Progress],
        total: Callable[[], int | None],
        stats: Callable[[], Stats] | None = None,
    ) -> None:
        self._progress = progress
        self._total = total
        self._stats = stats
        self._pace = Pace()
        self._newest: Stats | None = None
        self._asked_at = 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        progress, total = self._progress(), self._total()
        self._pace.add(progress)
        so_far = estimate(progress, total, self._pace)
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(
            total=1.0, completed=so_far.fraction or 0.0, width=_BAR_WIDTH, pulse=so_far.fraction is None
        )
        line = Text(progress_text(progress, total, so_far), no_wrap=True, overflow="ellipsis")
        grid.add_row(bar, line)
        yield grid
        yield from self._host_lines(progress)
        yield from _name_lines(progress)

    def _host_lines(self, progress: Progress) -> Iterator[Text]:
        if self._stats is None:
            return
        if self._newest is None or progress.seconds - self._asked_at >= _SECONDS_BETWEEN_STATS:
            self._newest = self._stats()
            self._asked_at = progress.seconds
        for text in host_texts(self._newest):
            yield _line(text, "yellow")
        waiting = waiting_text(self._newest, self._pace)
        if waiting is not None:
            yield _line(waiting, "yellow")


def _name_lines(progress: Progress) -> Iterator[Text]:
    lasting = [each for each in progress.active if each.seconds >= _WORTH_A_LINE_SECONDS]
    for each in lasting[:_SHOWN_NAMES]:
        yield _line(f"{active_text(each)}  {each.name}", "dim")


def _line(text: str, style: str) -> Text:
    # Servers have a say in the names of files, and lists in those of hosts.
    return Text(f"  {printable(text)}", style=style, no_wrap=True, overflow="ellipsis")


class LiveBar:
    """A `Picture` kept up to date on a terminal, ten times a second and on a thread of its own.

    Args:
        picture: What to draw.
        stream: The terminal.
        forced: Draw even if it is no terminal.
    """

    def __init__(self, picture: Picture, stream: IO[str], *, forced: bool) -> None:
        self._console = Console(file=stream, force_terminal=True if forced else None)
        self._stream = stream
        self._live = Live(
            picture,
            console=self._console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._stopped = threading.Event()

    def start(self) -> None:
        """Show the bar."""
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Take the bar away."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._live.stop()

    def emit(self, lines: Sequence[str]) -> None:
        """Write lines above the bar."""
        self._console.print(
            "\n".join(lines), markup=False, highlight=False, emoji=False, soft_wrap=True, style=None
        )

    def give_up(self) -> None:
        """Leave the terminal usable, without a lock or a wait; for the moment before the process ends."""
        os.write(self._stream.fileno(), b"\n" + _SHOW_CURSOR)
