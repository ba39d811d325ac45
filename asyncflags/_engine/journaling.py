"""The journal of one run, behind a thread of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from asyncflags._engine.journaling_names import JournalNames
from asyncflags._storage.journal import Journal
from asyncflags.bridges.threads import ThreadBridge

if TYPE_CHECKING:
    from asyncflags._engine.journaling_rows import Ended
    from asyncflags._engine.options import Options
    from asyncflags._engine.progress import Tally
    from asyncflags._models import Request
    from asyncflags._storage.journal_rows import Admission, JournalRow
    from asyncflags._types import StrPath

__all__ = ["JournalDesk", "JournalUse"]


@dataclass(frozen=True, slots=True)
class JournalUse:
    """How a run uses a journal.

    Attributes:
        path: The file.
        retries_failed: Whether what failed in earlier runs goes on too, and not only when a list gives it.
    """

    path: str
    retries_failed: bool = False

    @classmethod
    def of(cls, path: StrPath | None) -> Self | None:
        """The use of the journal at *path*; ``None``: no journal."""
        return None if path is None else cls(os.fspath(path))


class JournalDesk:
    """Takes calls to the journal of one run, one at a time, and tells what goes wrong there.

    Args:
        use: Which journal.
        options: Of the downloads.
        tally: Is told.
    """

    def __init__(self, use: JournalUse, options: Options, tally: Tally) -> None:
        self._use = use
        self._options = options
        self._tally = tally
        self._bridge = ThreadBridge(1, name="asyncflags-journal")
        self._journal: Journal | None = None
        self._is_closed = False

    async def open(self, folder: str) -> None:
        """Open the journal for downloads into *folder*, which is absolute.

        Raises:
            StorageError: It is another process's, another version's, or cannot be used.
        """
        await self._bridge.run(self._open, folder)
        self._tell(self._opened)

    async def take_up(self, after: int, limit: int, *, failed: bool) -> list[JournalRow]:
        """As `Journal.take_up`."""
        journal = self._opened
        rows = await self._bridge.run(lambda: journal.take_up(after, limit, failed=failed))
        self._tell(journal)
        return rows

    async def admit(self, requests: Sequence[Request]) -> list[Admission]:
        """As `Journal.admit`."""
        journal = self._opened
        answers = await self._bridge.run(journal.admit, requests)
        self._tell(journal)
        return answers

    async def record(self, started: Sequence[int], ended: Sequence[Ended]) -> None:
        """Note and commit what happened."""
        journal = self._opened
        await self._bridge.run(_record, journal, started, ended)
        self._tell(journal)

    async def aclose(self) -> None:
        """Give the journal free and end the thread. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # Behind an opening that is still under way.
            await self._bridge.run(self._close)
        finally:
            await self._bridge.aclose()

    @property
    def _opened(self) -> Journal:
        assert self._journal is not None
        return self._journal

    def _open(self, folder: str) -> None:
        self._journal = Journal(
            os.path.abspath(self._use.path),
            folder=folder,
            names=JournalNames(folder, self._options),
            keeps=self._options.if_exists != "update",
        )

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _tell(self, journal: Journal) -> None:
        while journal.notes:
            kind, sentence = journal.notes.pop(0)
            self._tally.tell(kind, "", sentence)


def _record(journal: Journal, started: Sequence[int], ended: Sequence[Ended]) -> None:
    journal.record(started, [each.settled() for each in ended if each.row], now=time.time())
