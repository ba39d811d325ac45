"""What comes after a body is whole: its checkpoint, the caller's own function, its report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from asyncflags._engine.engine import result_of
from asyncflags._engine.postprocess import Afterwards, processed
from asyncflags._storage.files import FileSink
from asyncflags.errors import DownloadError, TotalTimeout

if TYPE_CHECKING:
    from asyncflags._engine.answers import Body
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.feeding import Entry
    from asyncflags._engine.job import Job
    from asyncflags._models import Result
    from asyncflags._storage.checkpoint import Checkpoint

__all__ = ["Tails"]

_MOST = 512


class Tails:
    """The tails of one run, which happen beside its downloads.

    Args:
        engine: What they run on.
        afterwards: The caller's function, if there is one.
        report: Takes an entry, its job, and its result or error.
        start: Runs a tail in a task of its own.
        changed: Called when there is room again.

    Attributes:
        checkpoint: Publishes many files at once; ``None``: each is published by itself.
    """

    def __init__(
        self,
        engine: Engine,
        afterwards: Afterwards | None,
        report: Callable[[Entry, Job, Result | DownloadError], Awaitable[None]],
        start: Callable[[Callable[[Entry, Job, Body], Coroutine[Any, Any, None]], Entry, Job, Body], None],
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._afterwards = afterwards
        self._report = report
        self._start = start
        self._changed = changed
        self.checkpoint: Checkpoint | None = None
        self._room = asyncio.Semaphore(_MOST)
        self._bodies: dict[Job, Body] = {}
        self._processing: set[asyncio.Task[None]] = set()
        self._expiry: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many whole bodies wait as may."""
        return self._room.locked()

    @property
    def is_needed(self) -> bool:
        """Whether anything comes after a body."""
        return self.checkpoint is not None or self._afterwards is not None

    async def add(self, entry: Entry, job: Job, body: Body) -> None:
        """Take over a job whose body is whole, when there is room.

        Cancellation: The part is left as it is.
        """
        try:
            await self._room.acquire()
        except BaseException:
            await self._drop(job, body)
            raise
        # A task that is cancelled before its first step does nothing, so what it owns is noted here.
        self._bodies[job] = body
        self._start(self._finish, entry, job, body)

    def expire(self, message: str) -> None:
        """Call the caller's function no more; what it is at ends with a `TotalTimeout`."""
        self._expiry = message
        for task in self._processing:
            task.cancel()
        self.drain()

    def drain(self) -> None:
        """Publish at once what waits for others to come."""
        if self.checkpoint is not None:
            self.checkpoint.drain()

    async def drop(self) -> None:
        """Leave everything that no task has begun with."""
        while self._bodies:
            await self._drop(*self._bodies.popitem())

    async def _drop(self, job: Job, body: Body) -> None:
        try:
            await self._engine.writes.submit(body.intake.leave, key=body.intake).settled()
        finally:
            job.release()

    async def _finish(self, entry: Entry, job: Job, body: Body) -> None:
        del self._bodies[job]
        try:
            result = await self._publish(entry, job, body)
        finally:
            self._room.release()
            job.release()
            self._changed()
        await self._report(entry, job, result)

    async def _publish(self, entry: Entry, job: Job, body: Body) -> Result | DownloadError:
        sink = body.intake.sink
        try:
            if self.checkpoint is not None and isinstance(sink, FileSink):
                await self.checkpoint.publish(sink, body.intake.written, body.modified_at)
            result = result_of(job, body)
            if self._afterwards is not None:
                result = await self._process(entry, job, result, self._afterwards)
        except DownloadError as error:
            return job.labelled(error)
        return result

    async def _process(self, entry: Entry, job: Job, result: Result, afterwards: Afterwards) -> Result:
        task = asyncio.current_task()
        assert task is not None
        if self._expiry is None:
            self._processing.add(task)
            try:
                return await processed(job, result, afterwards)
            except asyncio.CancelledError:
                if self._expiry is None or task.uncancel():
                    raise
            finally:
                self._processing.discard(task)
        entry.is_unfinished = True
        raise TotalTimeout(self._expiry or "")
