"""The way out of a run with a journal: an outcome is reported after the commit that notes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncflags._engine.journaling_rows import Ended
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncflags._engine.feeding import Entry
    from asyncflags._engine.job import Job
    from asyncflags._engine.journaling import JournalDesk
    from asyncflags._models import Outcome

__all__ = ["Recorder"]

_MOST_WAITING = 1024
_BETWEEN_COMMITS = 0.05
_HEARTBEAT = 60.0


class Recorder:
    """Gathers what happens to rows, commits it now and then, and reports the outcomes.

    Args:
        desk: The journal.
        report: Takes an outcome; never waits.
        folder: Of the run, absolute.
    """

    def __init__(self, desk: JournalDesk, report: Callable[[Outcome], None], folder: str) -> None:
        self._desk = desk
        self._report = report
        self._folder = folder
        # Outcomes that have not reached the reader.
        self._waiting = 0
        self._room = asyncio.Event()
        self._ended: list[Ended] = []
        # Rows under way that the journal has not noted as such, the newer and the older ones: most end before
        # their turn comes, and then it never does.
        self._begun: dict[int, None] = {}
        self._lasting: dict[int, None] = {}
        self._news = asyncio.Event()
        self._committing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start to commit; the task ends by cancellation or by an error alone."""
        self._task = asyncio.get_running_loop().create_task(self._commit_now_and_then())
        return self._task

    def begin(self, row: int) -> None:
        """A row is under way; the journal learns it if that lasts."""
        self._begun[row] = None

    def admitted(self) -> None:
        """Rows were admitted and wait for a commit."""
        self._news.set()

    @property
    def is_full(self) -> bool:
        """Whether one should wait for `has_room` before there are more outcomes."""
        return self._waiting >= _MOST_WAITING

    async def has_room(self) -> None:
        """Return when the reader has taken enough."""
        while self._waiting >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    def keep(self, outcome: Outcome) -> None:
        """Report the outcome of a row that stays as it is."""
        self._waiting += 1
        self._report(outcome)

    async def end(self, entry: Entry, outcome: Outcome, job: Job | None) -> None:
        """A row is no longer under way; returns when there is room for its outcome."""
        self._begun.pop(entry.row, None)
        self._lasting.pop(entry.row, None)
        if self.is_full:
            await self.has_room()
        self._waiting += 1
        ended = Ended.of(entry, outcome, job, self._folder)
        if entry.is_unfinished or isinstance(outcome.error, ClosedError):
            # The run ends; the row stays for the next one.
            ended.row = 0
        self._ended.append(ended)
        self._news.set()

    def taken(self, count: int) -> None:
        """That many outcomes have reached the reader."""
        self._waiting -= count
        if self._waiting < _MOST_WAITING:
            self._room.set()

    async def flush(self) -> None:
        """Commit and report everything, now."""
        await self._commit()

    async def aclose(self) -> None:
        """Commit what there is; nobody reads the outcomes any more."""
        if self._task is not None:
            self._task.cancel()
            await wait_all((self._task,))
        async with self._committing:
            ended, self._ended = self._ended, []
            if ended:
                await self._desk.record((), ended)

    async def _commit_now_and_then(self) -> None:
        clock = asyncio.get_running_loop().time
        next_commit = clock()
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._news.wait()
            except TimeoutError:
                # Nothing happened, and the journal learns that its owner is still there.
                pass
            if (delay := next_commit - clock()) > 0:
                await asyncio.sleep(delay)
            await self._commit()
            next_commit = clock() + _BETWEEN_COMMITS

    async def _commit(self) -> None:
        async with self._committing:
            self._news.clear()
            ended, self._ended = self._ended, []
            started, self._lasting, self._begun = list(self._lasting), self._begun, {}
            if self._lasting:
                self._news.set()
            try:
                await self._desk.record(started, ended)
            finally:
                for each in ended:
                    self._report(each.outcome)
