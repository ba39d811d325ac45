"""The way into a run with a journal: first what earlier runs left unfinished, then what the list gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncflags._engine.feeding import Entry
from asyncflags._engine.known import KnownFile
from asyncflags._models import Outcome, Request, Result
from asyncflags._policies.naming import folded
from asyncflags._storage.journal_rows import Verdict
from asyncflags.errors import redact_url

if TYPE_CHECKING:
    from asyncflags._engine.feeding import Feed
    from asyncflags._engine.journaling import JournalDesk
    from asyncflags._engine.journaling_record import Recorder
    from asyncflags._engine.progress import Tally
    from asyncflags._storage.claims import NameClaims
    from asyncflags._storage.journal_rows import Admission

__all__ = ["JournalFeed"]

_MOST_AHEAD = 256
_FEW_AHEAD = 128


class JournalFeed:
    """Hands out what is to be downloaded, each once; reports what is done already.

    Runs at most 256 requests ahead of the workers.

    Args:
        feed: The list.
        desk: The journal.
        recorder: Reports the outcomes of what is done.
        claims: The names of the run.
        folder: Of the run, absolute.
        tally: Counts.
        retries_failed: Whether rows that failed in earlier runs go on too.
    """

    def __init__(
        self,
        feed: Feed,
        desk: JournalDesk,
        recorder: Recorder,
        claims: NameClaims,
        *,
        folder: str,
        tally: Tally,
        retries_failed: bool,
    ) -> None:
        self._is_over = self._is_interrupted = False
        self._feed = feed
        self._desk = desk
        self._recorder = recorder
        self._claims = claims
        self._base = Path(folder)
        self._prefix = os.path.join(folder, "")
        self._tally = tally
        self._retries_failed = retries_failed
        self._ready: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._pulled: list[Request] = []
        self._ahead = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def next(self) -> Entry | None:
        """The next download; ``None`` at the end."""
        entry = await self._ready.get()
        if entry is None:
            # The next one who asks is to learn it too.
            self._ready.put_nowait(None)
            return None
        self._pass()
        return entry

    @property
    def ended(self) -> bool:
        """Whether nothing is left to hand out."""
        # The end itself lies in the queue too.
        return self._is_over and self._ready.qsize() <= 1

    def end(self) -> None:
        """Take nothing more from the list."""
        self._feed.end()
        self._arrived.set()

    def interrupt(self) -> None:
        """Take nothing more, from the list and from the journal, and do not wait for what is about to come."""
        self._is_interrupted = True
        self._feed.interrupt()
        self._arrived.set()
        self._room.set()

    async def aclose(self) -> None:
        """Close the list."""
        await self._feed.aclose()

    async def run(self, start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> None:
        """Bring everything in.

        Args:
            start: Runs a function beside this one.

        Raises:
            BaseException: Whatever goes wrong with the journal beyond what it tells itself.
        """
        try:
            await self._take_up(failed=False)
            if self._retries_failed:
                await self._take_up(failed=True)
            start(self._pull)
            while batch := await self._gathered():
                answers = await self._desk.admit(batch)
                self._recorder.admitted()
                for request, answer in zip(batch, answers, strict=True):
                    if self._recorder.is_full:
                        await self._recorder.has_room()
                    self._follow(request, answer)
        finally:
            self._is_over = True
            self._ready.put_nowait(None)

    async def _take_up(self, *, failed: bool) -> None:
        last = 0
        while not self._is_interrupted and (
            rows := await self._desk.take_up(last, _MOST_AHEAD, failed=failed)
        ):
            last = rows[-1].id
            for row in rows:
                self._put(self._entry(row.request(), row.id, row.path))
            await self._has_room()

    async def _pull(self) -> None:
        """Take from the list, and no faster than the downloads go."""
        try:
            while (entry := await self._feed.next()) is not None:
                self._pulled.append(entry.given)
                self._ahead += 1
                self._arrived.set()
                if self._ahead >= _MOST_AHEAD:
                    # In large steps, or each admission would be about a handful of requests.
                    await self._has_room()
        finally:
            self._feed.end()
            self._arrived.set()

    async def _gathered(self) -> Sequence[Request]:
        """What has been pulled, at least one; empty at the end."""
        while not self._pulled and not self._feed.ended:
            self._arrived.clear()
            await self._arrived.wait()
        pulled, self._pulled = self._pulled, []
        return pulled

    async def _has_room(self) -> None:
        while self._ahead > _FEW_AHEAD and not self._is_interrupted:
            self._room.clear()
            await self._room.wait()

    def _put(self, entry: Entry) -> None:
        self._ahead += 1
        self._ready.put_nowait(entry)

    def _pass(self) -> None:
        """One request less is ahead."""
        self._ahead -= 1
        if self._ahead <= _FEW_AHEAD:
            self._room.set()

    def _follow(self, request: Request, answer: Admission) -> None:
        self._pass()
        if answer.verdict is Verdict.GIVEN:
            return
        if answer.verdict is Verdict.KEEP and answer.path is not None and self._claim(answer.path):
            self._tally.completed += 1
            self._recorder.keep(Outcome(request, self._kept(request, answer)))
            return
        entry = self._entry(request, answer.row, answer.path)
        if answer.size is not None and answer.path is not None:
            entry.known = KnownFile(
                self._prefix + answer.path, answer.size, answer.etag, answer.last_modified
            )
        self._put(entry)

    def _entry(self, request: Request, row: int, path: str | None) -> Entry:
        """How *request*, of which the journal has settled the relative *path*, is downloaded."""
        if path is None or request.path is not None or not self._claim(path):
            return Entry(request, request, row)
        return Entry(request, replace(request, path=path), row, True)

    def _claim(self, path: str) -> bool:
        """Whether nobody else of this run has the relative *path*."""
        return self._claims.add(folded(self._whole(path)))

    def _whole(self, path: str) -> str:
        return self._prefix + (path if os.sep == "/" else path.replace("/", os.sep))

    def _kept(self, request: Request, answer: Admission) -> Result:
        url = redact_url(request.url)
        return Result(
            url=url,
            final_url=url,
            path=self._base / (answer.path or ""),
            size=answer.size or 0,
            status=0,
            elapsed=0.0,
            attempts=0,
            checksum=answer.digest,
            skipped=True,
            etag=answer.etag,
            last_modified=answer.last_modified,
        )
