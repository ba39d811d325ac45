"""Many downloads: a list without end, taken lazily, under the limits of its client.

Workers pull requests from the caller's iterable and put outcomes into a bounded queue. A consumer that
stops reading therefore stops the workers, and the workers stop the iterable: nothing piles up, however
long the list is. What comes after a body is whole (its checkpoint, the caller's own function) happens
beside the workers, so that neither the disk nor the processors hold up the network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVarTuple, Unpack

from asyncflags._engine.engine import result_of, skipped_result
from asyncflags._engine.feeding import Feed
from asyncflags._engine.job import Job, Skipped
from asyncflags._engine.postprocess import Afterwards, processed
from asyncflags._models import MAX_REPORTED_FAILURES, Outcome, Report, Request, Result
from asyncflags._storage.checkpoint import Checkpoint
from asyncflags._storage.claims import NameClaims
from asyncflags._storage.files import FileSink
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import ClosedError, DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._engine.transfer import Body
    from asyncflags._types import Urls

__all__ = ["Outcomes", "ReportBuilder"]

Ts = TypeVarTuple("Ts")

_MOST_TAILS = 512
"""Whole bodies that may wait for their checkpoint or for the caller's function, in one run."""


class Outcomes(AsyncIterator[Outcome]):
    """The outcomes of one list, in the order in which they come; an async context manager.

    Downloads start when the context is entered and run ahead of the reader by a bounded number.
    Leaving the context early cancels the rest and waits for its clean-up.

    Safe from one task at a time.
    """

    def __init__(
        self,
        engine: Engine,
        urls: Urls,
        plan: Callable[[], Awaitable[Destination]],
        options: Options,
        afterwards: Afterwards | None,
    ) -> None:
        self._engine = engine
        self._feed = Feed(urls)
        self._plan = plan
        self._options = options
        self._afterwards = afterwards
        self._claims = NameClaims()
        self._checkpoint: Checkpoint | None = None
        self._queue: asyncio.Queue[Outcome | None] = asyncio.Queue(engine.limits.max_downloads)
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = 0
        self._busy = 0
        self._tails = asyncio.Semaphore(_MOST_TAILS)
        self._tailing: dict[Job, Body] = {}
        self._failure: BaseException | None = None
        self._entered = False
        self._ended = False

    async def __aenter__(self) -> Self:
        self._engine.runs.add(self)
        try:
            self._destination = await self._plan()
        except BaseException:
            self._engine.runs.discard(self)
            raise
        if self._failure is not None:
            # The downloader was closed meanwhile.
            raise self._failure
        self._entered = True
        if self._options.durability == "fsync":
            self._checkpoint = Checkpoint(self._engine.writes, self._engine.limits.max_threads)
        self._hire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._engine.runs.discard(self)
        await self._cancel_rest()

    async def stop(self) -> None:
        """End the run because its downloader closes; its reader gets a `ClosedError`."""
        if self._failure is None:
            self._failure = ClosedError("the downloader was closed while this list was under way")
        try:
            await self._cancel_rest()
        finally:
            # Only a reader that waits needs to be woken, and then the queue is empty.
            if self._queue.empty():
                self._queue.put_nowait(None)

    async def _cancel_rest(self) -> None:
        """End what is under way and clean up, in a task of its own that nobody's cancellation reaches."""
        self._ended = True
        cleaning = asyncio.get_running_loop().create_task(self._clean_up())
        await wait_all((cleaning,))
        cleaning.result()

    async def _clean_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await wait_all(self._tasks)
        if self._checkpoint is not None:
            await self._checkpoint.aclose()
        while self._tailing:
            await self._drop(*self._tailing.popitem())
        await self._feed.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        batch = await self.take(1)
        if not batch:
            raise StopAsyncIteration
        return batch[0]

    async def take(self, limit: int) -> list[Outcome]:
        """Return the next outcomes, at least one and at most *limit*; empty at the end of the list.

        Raises:
            RuntimeError: The context was not entered.
            BaseException: Whatever the caller's iterable raised.
        """
        if not self._entered:
            raise RuntimeError(
                "iterate inside its context: async with dl.as_completed(...) as outcomes, "
                "then async for outcome in outcomes"
            )
        batch: list[Outcome] = []
        queue = self._queue
        while not self._ended and len(batch) < limit and (not batch or not queue.empty()):
            outcome = await queue.get()
            if outcome is None:
                self._ended = True
            else:
                batch.append(outcome)
        if self._ended and not batch and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return batch

    # Everything below runs in tasks of its own.

    def _start(self, work: Callable[[Unpack[Ts]], Coroutine[Any, Any, None]], *args: *Ts) -> None:
        self._busy += 1
        task = asyncio.get_running_loop().create_task(self._guarded(work, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[Unpack[Ts]], Coroutine[Any, Any, None]], *args: *Ts) -> None:
        """Run *work*; what it raises beyond a download's own error ends the whole run."""
        try:
            await work(*args)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001
            # The caller's iterable may raise anything; it reaches the caller through the iteration.
            if self._failure is None:
                self._failure = error
            self._feed.end()
        finally:
            self._busy -= 1
            if not self._busy and not self._ended:
                await self._queue.put(None)
            elif self._feed.ended and self._checkpoint is not None and not self._workers:
                self._checkpoint.drain()

    def _hire(self) -> None:
        """Start a worker more, up to the limit; each does so when it finds work."""
        if self._workers < self._engine.limits.max_downloads and not self._feed.ended:
            self._workers += 1
            self._start(self._work)

    async def _work(self) -> None:
        try:
            while (request := await self._feed.next()) is not None:
                self._hire()
                outcome = await self._download(request)
                if outcome is not None:
                    await self._queue.put(outcome)
        finally:
            self._workers -= 1

    async def _download(self, request: Request) -> Outcome | None:
        """Download until the body is whole; ``None``: a tail will report the outcome."""
        try:
            job = Job(
                self._engine,
                request,
                self._destination,
                self._options,
                run=self._claims,
                publish_at_once=self._checkpoint is None,
            )
        except DownloadError as error:
            error.request = request
            return self._failed(request, error)
        except ValueError as error:
            return self._failed(request, _as_download_error(error, request))
        return await self._run(job)

    async def _run(self, job: Job) -> Outcome | None:
        request = job.request
        detached = False
        try:
            body = await job.run()
            if job.publish_at_once and self._afterwards is None:
                return self._succeeded(request, result_of(job, body))
            detached = True
            await self._detach(job, body)
            return None
        except Skipped as skipped:
            return self._succeeded(request, skipped_result(job, skipped))
        except DownloadError as error:
            return self._failed(request, error)
        finally:
            if not detached:
                job.release()

    async def _detach(self, job: Job, body: Body) -> None:
        """Let the rest of *job* happen beside the workers, of which only so much may wait."""
        try:
            await self._tails.acquire()
        except BaseException:
            await self._drop(job, body)
            raise
        # A task that is cancelled before its first step does nothing, so what it owns is noted here.
        self._tailing[job] = body
        self._start(self._finish, job, body)

    async def _drop(self, job: Job, body: Body) -> None:
        try:
            await self._engine.writes.submit(body.intake.discard, key=body.intake).settled()
        finally:
            job.release()

    async def _finish(self, job: Job, body: Body) -> None:
        del self._tailing[job]
        try:
            outcome = await self._publish(job, body)
        finally:
            self._tails.release()
            job.release()
        await self._queue.put(outcome)

    async def _publish(self, job: Job, body: Body) -> Outcome:
        sink = body.intake.sink
        try:
            if self._checkpoint is not None and isinstance(sink, FileSink):
                await self._checkpoint.publish(sink, body.intake.written, body.modified_at)
            result = result_of(job, body)
            if self._afterwards is not None:
                result = await processed(job, result, self._afterwards)
        except DownloadError as error:
            return self._failed(job.request, job.labelled(error))
        return self._succeeded(job.request, result)

    def _succeeded(self, request: Request, result: Result) -> Outcome:
        self._engine.tally.completed += 1
        return Outcome(request, result)

    def _failed(self, request: Request, error: DownloadError) -> Outcome:
        self._engine.tally.failed += 1
        return Outcome(request, None, error)


def _as_download_error(error: ValueError, request: Request) -> DownloadError:
    """A malformed request of a list is that request's failure, and not the list's."""
    failure = DownloadError(str(error), url=request.url, request=request)
    failure.__cause__ = error
    return failure


class ReportBuilder:
    """Adds outcomes up to a `Report`."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._completed = self._skipped = self._failed = self._size = self._attempts = 0
        self._failures: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        result, error = outcome.result, outcome.error
        if result is not None:
            self._attempts += result.attempts
            if result.skipped:
                self._skipped += 1
            else:
                self._completed += 1
                self._size += result.size
        elif error is not None:
            self._attempts += error.attempts
            self._failed += 1
            if len(self._failures) < MAX_REPORTED_FAILURES:
                self._failures.append(outcome)

    def build(self) -> Report:
        """The report of all outcomes so far."""
        return Report(
            completed=self._completed,
            skipped=self._skipped,
            failed=self._failed,
            size=self._size,
            attempts=self._attempts,
            elapsed=time.monotonic() - self._started,
            failures=tuple(self._failures),
        )
