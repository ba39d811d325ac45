"""Many downloads: a list without end, taken lazily, under the limits of its client.

Workers pull requests from the caller's iterable and put outcomes into a bounded queue. A consumer that
stops reading therefore stops the workers, and the workers stop the iterable: nothing piles up, however
long the list is. What comes after a body is whole (its checkpoint, the caller's own function) happens
beside the workers, so that neither the disk nor the processors hold up the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVarTuple, Unpack

from asyncflags._engine.engine import result_of, skipped_result
from asyncflags._engine.feeding import Entry, Feed
from asyncflags._engine.job import Job, Skipped
from asyncflags._engine.journaling import JournalDesk, JournalUse
from asyncflags._engine.journaling_feed import JournalFeed
from asyncflags._engine.journaling_record import Recorder
from asyncflags._engine.ownership import close_in_order
from asyncflags._engine.postprocess import Afterwards, processed
from asyncflags._models import Outcome, Request, Result
from asyncflags._storage.checkpoint import Checkpoint
from asyncflags._storage.claims import NameClaims
from asyncflags._storage.files import FileSink
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import ClosedError, DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.answers import Body
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._types import Urls

__all__ = ["Outcomes"]

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
        journal: JournalUse | None = None,
    ) -> None:
        self._engine = engine
        self._feed: Feed | JournalFeed = Feed(urls)
        self._plan = plan
        self._options = options
        self._afterwards = afterwards
        self._claims = NameClaims()
        self._checkpoint: Checkpoint | None = None
        self._journal = journal
        self._desk: JournalDesk | None = None
        self._recorder: Recorder | None = None
        # With a journal it is the recorder that keeps the outcomes from piling up.
        self._queue: asyncio.Queue[Outcome | None] = asyncio.Queue(
            engine.limits.max_downloads if journal is None else 0
        )
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
            if self._journal is not None:
                await self._open_journal(self._journal)
            if self._failure is not None:
                # The downloader was closed meanwhile.
                raise self._failure
        except BaseException:
            self._engine.runs.discard(self)
            if self._desk is not None:
                await self._desk.aclose()
            raise
        self._entered = True
        if self._options.durability == "fsync":
            self._checkpoint = Checkpoint(self._engine.writes, self._engine.limits.max_threads)
        if isinstance(self._feed, JournalFeed):
            self._start(self._feed.run, self._start)
        if self._recorder is not None:
            self._recorder.start().add_done_callback(self._recorder_ended)
        self._hire()
        return self

    async def _open_journal(self, use: JournalUse) -> None:
        engine, folder, feed = self._engine, self._destination.folder, self._feed
        assert folder is not None
        assert isinstance(feed, Feed)
        self._desk = desk = JournalDesk(use, self._options, engine.tally)
        await desk.open(folder)
        self._recorder = recorder = Recorder(desk, self._queue.put_nowait, folder)
        self._feed = JournalFeed(
            feed, desk, recorder, self._claims, folder=folder, tally=engine.tally,
            retries_failed=use.retries_failed,
        )  # fmt: skip

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
        closers: list[Callable[[], Awaitable[None]]] = []
        if self._checkpoint is not None:
            closers.append(self._checkpoint.aclose)
        closers.append(self._drop_tails)
        if self._recorder is not None:
            closers.append(self._recorder.aclose)
        if self._desk is not None:
            closers.append(self._desk.aclose)
        await close_in_order([*closers, self._feed.aclose])

    async def _drop_tails(self) -> None:
        while self._tailing:
            await self._drop(*self._tailing.popitem())

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
        if self._recorder is not None:
            self._recorder.taken(len(batch))
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
            self._fail(error)
        finally:
            self._busy -= 1
            if not self._busy and not self._ended:
                await self._conclude()
            elif self._feed.ended and self._checkpoint is not None and not self._workers:
                self._checkpoint.drain()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._feed.end()

    async def _conclude(self) -> None:
        """Nothing is under way any more: report what is left to report, and the end."""
        if self._recorder is not None:
            try:
                await self._recorder.flush()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001
                # Whatever it is, it may not leave the reader waiting.
                self._fail(error)
        await self._queue.put(None)

    def _recorder_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Nothing more would ever be reported.
            self._fail(error)
            self._queue.put_nowait(None)

    def _hire(self) -> None:
        """Start a worker more, up to the limit; each does so when it finds work."""
        if self._workers < self._engine.limits.max_downloads and not self._feed.ended:
            self._workers += 1
            self._start(self._work)

    async def _work(self) -> None:
        try:
            while (entry := await self._feed.next()) is not None:
                self._hire()
                await self._download(entry)
        finally:
            self._workers -= 1

    async def _download(self, entry: Entry) -> None:
        """Download until the body is whole; report the outcome, unless a tail will."""
        request = entry.asked
        try:
            job = Job(
                self._engine,
                request,
                self._destination,
                self._options,
                # A name that the journal gave is nobody else's, and noted already.
                run=None if entry.is_named else self._claims,
                publish_at_once=self._checkpoint is None,
                known=entry.known,
            )
        except DownloadError as error:
            await self._report(entry, None, self._failed(entry, error))
        except ValueError as error:
            await self._report(entry, None, self._failed(entry, _as_download_error(error, request)))
        else:
            outcome = await self._run(entry, job)
            if outcome is not None:
                await self._report(entry, job, outcome)

    async def _run(self, entry: Entry, job: Job) -> Outcome | None:
        detached = False
        try:
            body = await job.run()
            if job.publish_at_once and self._afterwards is None:
                return self._succeeded(entry, result_of(job, body))
            detached = True
            await self._detach(entry, job, body)
            return None
        except Skipped as skipped:
            return self._succeeded(entry, skipped_result(job, skipped))
        except DownloadError as error:
            return self._failed(entry, error)
        finally:
            if not detached:
                job.release()

    async def _report(self, entry: Entry, job: Job | None, outcome: Outcome) -> None:
        if self._recorder is None:
            await self._queue.put(outcome)
        else:
            await self._recorder.end(entry, outcome, job)

    async def _detach(self, entry: Entry, job: Job, body: Body) -> None:
        """Let the rest of *job* happen beside the workers, of which only so much may wait."""
        try:
            await self._tails.acquire()
        except BaseException:
            await self._drop(job, body)
            raise
        # A task that is cancelled before its first step does nothing, so what it owns is noted here.
        self._tailing[job] = body
        self._start(self._finish, entry, job, body)

    async def _drop(self, job: Job, body: Body) -> None:
        try:
            await self._engine.writes.submit(body.intake.leave, key=body.intake).settled()
        finally:
            job.release()

    async def _finish(self, entry: Entry, job: Job, body: Body) -> None:
        del self._tailing[job]
        try:
            outcome = await self._publish(entry, job, body)
        finally:
            self._tails.release()
            job.release()
        await self._report(entry, job, outcome)

    async def _publish(self, entry: Entry, job: Job, body: Body) -> Outcome:
        sink = body.intake.sink
        try:
            if self._checkpoint is not None and isinstance(sink, FileSink):
                await self._checkpoint.publish(sink, body.intake.written, body.modified_at)
            result = result_of(job, body)
            if self._afterwards is not None:
                result = await processed(job, result, self._afterwards)
        except DownloadError as error:
            return self._failed(entry, job.labelled(error))
        return self._succeeded(entry, result)

    def _succeeded(self, entry: Entry, result: Result) -> Outcome:
        self._engine.tally.completed += 1
        return Outcome(entry.given, result)

    def _failed(self, entry: Entry, error: DownloadError) -> Outcome:
        self._engine.tally.failed += 1
        error.request = entry.given
        return Outcome(entry.given, None, error)


def _as_download_error(error: ValueError, request: Request) -> DownloadError:
    """A malformed request of a list is that request's failure, and not the list's."""
    failure = DownloadError(str(error), url=request.url, request=request)
    failure.__cause__ = error
    return failure
