"""Many downloads: a list without end, taken lazily, under the limits of its client.

A reader takes entries from the caller's iterable as far ahead as it helps to keep hosts busy, and lets them wait in the
lanes of their hosts, where they are light. An entry that has its turn is downloaded by a worker; what comes after its
body is whole happens beside the workers, so that neither the disk nor the processors hold up the network. A consumer
that stops reading stops what begins, and that stops the reader: nothing piles up, however long the list is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVarTuple, Unpack

from asyncflags._engine.feeding import Entry, Feed
from asyncflags._engine.journaling import JournalDesk, JournalUse
from asyncflags._engine.journaling_feed import JournalFeed
from asyncflags._engine.journaling_record import Recorder
from asyncflags._engine.ownership import close_in_order
from asyncflags._engine.postprocess import Afterwards
from asyncflags._engine.reading import Reading
from asyncflags._engine.tails import Tails
from asyncflags._engine.workers import Workers
from asyncflags._models import Outcome, Result
from asyncflags._storage.checkpoint import Checkpoint
from asyncflags._storage.claims import NameClaims
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import ClosedError, DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.deadlines import Guard
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.job import Job
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._engine.turns import Turn
    from asyncflags._types import Urls

__all__ = ["Outcomes"]

Ts = TypeVarTuple("Ts")


class Outcomes(AsyncIterator[Outcome]):
    """The outcomes of one list, in the order in which they come; an async context manager.

    Downloads start when the context is entered and run ahead of the reader by a bounded number.
    Leaving the context early cancels the rest and waits for its clean-up.

    Safe from one task at a time.

    Attributes:
        expired: Whether the deadline of the run has passed before all was done.
        is_full: Whether nothing more begins, because too many outcomes wait to be read.
    """

    def __init__(
        self,
        engine: Engine,
        urls: Urls,
        plan: Callable[[], Awaitable[Destination]],
        options: Options,
        afterwards: Afterwards | None,
        journal: JournalUse | None = None,
        guards: Sequence[Guard] = (),
    ) -> None:
        self._engine = engine
        self._feed: Feed | JournalFeed = Feed(urls)
        self._plan = plan
        self._options = options
        self._guards = guards
        self._claims = NameClaims()
        self._journal = journal
        self._desk: JournalDesk | None = None
        self._recorder: Recorder | None = None
        # What bounds it is that nothing begins while too many wait to be read.
        self._queue: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._tails = Tails(engine, afterwards, self._report, self._start, self._look_for_room)
        self._reading = Reading(self, engine, self._report, self._start)
        self._workers = Workers(engine, options, self._claims, self._tails, self._report, self._start)
        self._failure: BaseException | None = None
        self._entered = self._ended = self._concluded = False
        self.is_full = False
        self.expired = False

    async def __aenter__(self) -> Self:
        self._engine.runs.add(self)
        try:
            self._workers.destination = await self._plan()
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
            self._tails.checkpoint = Checkpoint(self._engine.writes, self._engine.limits.max_threads)
        self._engine.hosts.enter(self)
        if isinstance(self._feed, JournalFeed):
            self._start(self._feed.run, self._start)
        if self._recorder is not None:
            self._recorder.start().add_done_callback(self._recorder_ended)
        self._start(self._reading.run, self._feed)
        for guard in self._guards:
            guard.start(self)
        return self

    async def _open_journal(self, use: JournalUse) -> None:
        engine, folder, feed = self._engine, self._workers.destination.folder, self._feed
        assert folder is not None
        assert isinstance(feed, Feed)
        self._desk = desk = JournalDesk(use, self._options, engine.tally)
        await desk.open(folder)
        self._recorder = recorder = Recorder(desk, self._queue.put_nowait, folder)
        self._workers.note_begun = recorder.begin
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

    def expire(self, message: str) -> None:
        """End the run because its deadline has passed: nothing begins any more, and what is left has failed.

        What is under way ends as if it were cancelled, so that parts which can be resumed stay. Whole bodies that only
        wait for their checkpoint are published. Nothing happens to a run that has ended.

        Args:
            message: Of the `TotalTimeout` of each.
        """
        if self._ended or self._concluded or self.expired:
            return
        self.expired = True
        self._feed.interrupt()
        self._reading.expire(message, self._workers.drop())
        self._workers.expire(message)
        self._tails.expire(message)
        self._look_for_room()

    @property
    def waits_for(self) -> str:
        """What the run waits for besides hosts; empty: nothing."""
        if self.is_full and not self._workers.is_busy:
            return "its outcomes to be read"
        if not self._feed.ended and not self._reading.waiting and not self._workers.is_busy:
            return "the next URL of the list"
        return ""

    async def _cancel_rest(self) -> None:
        """End what is under way and clean up, in a task of its own that nobody's cancellation reaches."""
        self._ended = True
        cleaning = asyncio.get_running_loop().create_task(self._clean_up())
        await wait_all((cleaning,))
        cleaning.result()

    async def _clean_up(self) -> None:
        self._stop_guards()
        self._engine.hosts.leave(self)
        for task in self._tasks:
            task.cancel()
        await wait_all(self._tasks)
        self._workers.drop()
        closers: list[Callable[[], Awaitable[None]]] = []
        if self._tails.checkpoint is not None:
            closers.append(self._tails.checkpoint.aclose)
        closers.append(self._tails.drop)
        if self._recorder is not None:
            closers.append(self._recorder.aclose)
        if self._desk is not None:
            closers.append(self._desk.aclose)
        await close_in_order([*closers, self._feed.aclose])

    def _stop_guards(self) -> None:
        for guard in self._guards:
            guard.stop()

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
        if self.is_full:
            self._look_for_room()
        if self._ended and not batch and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return batch

    # Room for what begins.

    @property
    def _unread(self) -> int:
        return self._queue.qsize()

    def _look_whether_full(self) -> None:
        recorder = self._recorder
        too_many = recorder.is_full if recorder else self._unread >= self._engine.limits.max_downloads
        self.is_full = self.is_full or too_many or self._tails.is_full

    def _look_for_room(self) -> None:
        """Go on, if there is so much room that it is worth it."""
        recorder = self._recorder
        many = recorder.is_full if recorder else 2 * self._unread > self._engine.limits.max_downloads
        if self.is_full and not many and not self._tails.is_full:
            self.is_full = False
            self._reading.go_on()
            self._engine.hosts.release(self)

    @property
    def wants_more(self) -> bool:
        """Whether the list is to be read on."""
        return self._reading.wants_more

    def go_on(self) -> None:
        """There may be room for more of the list."""
        self._reading.go_on()

    # Everything below runs in tasks of its own, but for what the dispatcher calls.

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
            if not self._busy and not self._reading.waiting and not self._ended:
                await self._conclude()
            elif not (self._workers.count or self._reading.waiting or self._reading.is_under_way):
                self._tails.drain()

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
        self._concluded = True
        self._stop_guards()
        self._queue.put_nowait(None)

    def _recorder_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Nothing more would ever be reported.
            self._fail(error)
            self._queue.put_nowait(None)

    def begin(self, entry: Entry, turn: Turn) -> None:
        """An entry has its turn."""
        self._reading.waiting -= 1
        self._workers.take(entry, turn)

    def refuse(self, entry: Entry, error: Callable[[], DownloadError]) -> None:
        """An entry will not have its turn."""
        self._reading.refuse(entry, error)

    async def _report(self, entry: Entry, job: Job | None, result: Result | DownloadError) -> None:
        tally = self._engine.tally
        if isinstance(result, DownloadError):
            tally.fail(entry.given, result, since=job.started if job is not None else None)
            result.request = entry.given
            outcome = Outcome(entry.given, None, result)
        else:
            tally.complete(entry.given, result)
            outcome = Outcome(entry.given, result)
        if self._recorder is None:
            self._queue.put_nowait(outcome)
        else:
            await self._recorder.end(entry, outcome, job)
        self._look_whether_full()
