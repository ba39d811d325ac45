"""Who downloads the entries of a list that have their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from asyncflags._engine.engine import result_of, skipped_result
from asyncflags._engine.job import Job, Skipped
from asyncflags.errors import DownloadError, TotalTimeout

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.feeding import Entry
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._engine.tails import Tails
    from asyncflags._engine.turns import Turn
    from asyncflags._models import Request, Result
    from asyncflags._storage.claims import NameClaims

__all__ = ["Workers"]

Report = Callable[["Entry", "Job | None", "Result | DownloadError"], Awaitable[None]]


class Workers:
    """The workers of one run. Each takes the next entry without another task, if there is one.

    Args:
        engine: What they run on.
        options: How they download.
        claims: The names of the run.
        tails: Takes over what is whole, where there is more to do with it.
        report: Takes an entry, its job if it has one, and its result or error.
        start: Starts a worker in a task of its own.

    Attributes:
        count: How many there are.
        destination: Where the files go.
        note_begun: Called with the row of each entry that begins, or ``None``.
    """

    def __init__(
        self,
        engine: Engine,
        options: Options,
        claims: NameClaims,
        tails: Tails,
        report: Report,
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        self._engine = engine
        self._options = options
        self._claims = claims
        self._tails = tails
        self._report = report
        self._start = start
        self.count = 0
        self.destination: Destination
        self.note_begun: Callable[[int], None] | None = None
        # Those that have their turn and no worker yet; and whether a worker is about to take one.
        self._granted: deque[tuple[Entry, Turn]] = deque()
        self._is_taking = False
        # Tasks in the middle of a download, which a deadline ends.
        self._running: set[asyncio.Task[Any]] = set()
        self._expiry: str | None = None

    @property
    def is_busy(self) -> bool:
        """Whether any of them is downloading."""
        return bool(self._running)

    def take(self, entry: Entry, turn: Turn) -> None:
        """An entry has its turn."""
        self._granted.append((entry, turn))
        if self._is_taking:
            self._is_taking = False
        else:
            self.count += 1
            self._start(self._work)

    def drop(self) -> list[Entry]:
        """Give the turns back that no worker has taken."""
        entries = []
        while self._granted:
            entry, turn = self._granted.popleft()
            turn.finish()
            entries.append(entry)
        return entries

    def expire(self, message: str) -> None:
        """End every download with a `TotalTimeout`; parts that can be resumed stay."""
        self._expiry = message
        for task in self._running:
            task.cancel()

    async def _work(self) -> None:
        try:
            while self._granted:
                entry, turn = self._granted.popleft()
                if self.note_begun is not None:
                    self.note_begun(entry.row)
                await self._download(entry, turn)
                # Whoever has the next turn of this list is taken on at once, without another task.
                self._is_taking = True
                self._engine.hosts.dispatch()
                self._is_taking = False
        finally:
            self.count -= 1

    async def _download(self, entry: Entry, turn: Turn) -> None:
        """Download until the body is whole; report the outcome, unless a tail will."""
        request = entry.asked
        try:
            job = Job(
                self._engine,
                request,
                self.destination,
                self._options,
                # A name that the journal gave is nobody else's, and noted already.
                run=None if entry.is_named else self._claims,
                publish_at_once=self._tails.checkpoint is None,
                known=entry.known,
                target=entry.target,
            )
        except BaseException as error:
            turn.finish()
            if not isinstance(error, ValueError | DownloadError):
                raise
            failure = error if isinstance(error, DownloadError) else _as_download_error(error, request)
            await self._report(entry, None, failure)
        else:
            result = await self._run(entry, job, turn)
            if result is not None:
                await self._report(entry, job, result)

    async def _run(self, entry: Entry, job: Job, turn: Turn) -> Result | DownloadError | None:
        task = asyncio.current_task()
        assert task is not None
        detached = False
        self._running.add(task)
        try:
            body = await job.run(turn)
            if not self._tails.is_needed:
                return result_of(job, body)
            detached = True
            await self._tails.add(entry, job, body)
            return None
        except Skipped as skipped:
            return skipped_result(job, skipped)
        except DownloadError as error:
            return error
        except asyncio.CancelledError:
            # Of two who cancel, the one who is not the deadline has to be heard.
            if self._expiry is None or task.uncancel():
                raise
            entry.is_unfinished = True
            return job.labelled(TotalTimeout(self._expiry))
        finally:
            self._running.discard(task)
            if not detached:
                job.release()


def _as_download_error(error: ValueError, request: Request) -> DownloadError:
    """A malformed request of a list is that request's failure, and not the list's."""
    failure = DownloadError(str(error), url=request.url, request=request)
    failure.__cause__ = error
    return failure
