"""Standard output and standard error of a run: results, messages and progress, each in its place."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from asyncflags._cli.complaints import sentence
from asyncflags._cli.display import Pace, estimate, progress_text
from asyncflags._cli.exit_codes import BROKEN_PIPE, STORAGE
from asyncflags._cli.output import LineWriter, silence, to_stream

if TYPE_CHECKING:
    from asyncflags._cli.live_bar import LiveBar
    from asyncflags._cli.options import Plan
    from asyncflags._cli.running import Interruption
    from asyncflags._models import Progress, Stats

__all__ = ["Screen"]

_PLAIN_INTERVAL_SECONDS = 10.0
_TERMINAL_FLUSH_SECONDS = 0.05
_FLUSH_SECONDS = 0.2


class Screen:
    """Shows what a run does; made and used on its loop.

    Args:
        plan: What the user wants to see.
        interruption: Ends the run when standard output cannot be written any more.
    """

    def __init__(self, plan: Plan, interruption: Interruption) -> None:
        self._interruption = interruption
        self._bar: LiveBar | None = None
        self._plain: asyncio.Task[None] | None = None
        self._style = _progress_style(plan)
        self._to_stdout, self._to_stderr = to_stream(sys.stdout), to_stream(sys.stderr)
        # Above a live bar on the same terminal only the bar's own console can write.
        self._shares_terminal = _is_terminal(sys.stdout)
        self._results = LineWriter(
            self._emit_results,
            interval=_TERMINAL_FLUSH_SECONDS if self._shares_terminal else _FLUSH_SECONDS,
            on_failure=self._stdout_failed,
        )
        # Nobody is left to be told when standard error cannot be written.
        self._messages = LineWriter(
            self._emit_messages, interval=_TERMINAL_FLUSH_SECONDS, on_failure=lambda error: None
        )
        self._complaint: str | None = None
        self._ending = False
        interruption.on_request = lambda: self.tell("stopping; interrupt again to end at once")

    def begin(
        self,
        progress: Callable[[], Progress],
        total: Callable[[], int | None],
        stats: Callable[[], Stats] | None = None,
    ) -> None:
        """Start to show progress, if it is to be shown.

        Args:
            progress: Gives a snapshot; called from any thread.
            total: Gives the number of downloads in all, ``None`` while it is unknown; called from any thread.
            stats: Tells of the hosts, for the live bar; called from any thread. ``None``: nobody does.
        """
        if self._style == "live" and sys.stderr is not None:
            from asyncflags._cli.live_bar import LiveBar, Picture

            picture = Picture(progress, total, stats)
            self._bar = LiveBar(picture, sys.stderr, forced=not _is_terminal(sys.stderr))
            self._interruption.on_exit = self._bar.give_up
            self._bar.start()
        elif self._style == "plain":
            self._plain = asyncio.create_task(self._tell_now_and_then(progress, total))

    @property
    def shows_progress(self) -> bool:
        """Whether progress is shown, in one way or the other."""
        return self._style != "none"

    def result(self, line: str) -> None:
        """Put a line on standard output."""
        self._results.write(line)

    async def room(self) -> None:
        """Wait while more lines have gathered than are worth keeping, because their reader is slow."""
        for writer in (self._results, self._messages):
            if writer.full:
                await writer.flush()

    def tell(self, text: str) -> None:
        """Put a sentence on standard error."""
        self._messages.write(sentence(text))

    async def end(self, summary: str | None) -> None:
        """Take the progress away and write what is left, *summary* last; ``None``: there is none."""
        self._ending = True
        if self._plain is not None:
            self._plain.cancel()
            await asyncio.wait([self._plain])
        patient = self._interruption.code is None
        try:
            await self._results.aclose(patient=patient)
        finally:
            if self._bar is not None:
                await self._messages.flush()
                self._bar.stop()
                self._bar = None
            for text in (self._complaint, summary):
                if text is not None:
                    self.tell(text)
            await self._messages.aclose(patient=patient)

    def _emit_results(self, lines: Sequence[str]) -> None:
        if self._bar is not None and self._shares_terminal:
            self._bar.emit(lines)
        else:
            self._to_stdout(lines)

    def _emit_messages(self, lines: Sequence[str]) -> None:
        if self._bar is not None:
            self._bar.emit(lines)
        else:
            self._to_stderr(lines)

    def _stdout_failed(self, error: OSError) -> None:
        silence(sys.stdout)
        code = BROKEN_PIPE
        if not isinstance(error, BrokenPipeError):
            code = STORAGE
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            self._complaint = f"cannot write to standard output: {reason}"
        # At the end there is nothing left to cancel but the summary.
        self._interruption.stop(code, at_once=not self._ending)

    async def _tell_now_and_then(
        self, progress: Callable[[], Progress], total: Callable[[], int | None]
    ) -> None:
        pace = Pace()
        while True:
            await asyncio.sleep(_PLAIN_INTERVAL_SECONDS)
            snapshot, known = progress(), total()
            pace.add(snapshot)
            self.tell(progress_text(snapshot, known, estimate(snapshot, known, pace)))


def _progress_style(plan: Plan) -> str:
    """``"live"``, ``"plain"`` or ``"none"``."""
    if plan.quiet or plan.progress == "never":
        return "none"
    if plan.progress == "always":
        return "live"
    if plan.file == "-" and _is_terminal(sys.stdout):
        # The body itself goes to this terminal, and a bar would cut through it.
        return "none"
    able = _is_terminal(sys.stderr) and os.environ.get("TERM", "") not in ("dumb", "unknown")
    return "live" if able else "plain"


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
