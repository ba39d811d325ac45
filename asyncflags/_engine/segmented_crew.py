"""The workers of a segmented download: how many there are, and what each of them does next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from asyncflags._engine.segmented_failures import Failures, Patience
from asyncflags._engine.segmented_transfer import SegmentTransfer
from asyncflags._policies.segments import Ramp
from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.segmented import Segmented
    from asyncflags._engine.segmented_pieces import Segment
    from asyncflags._engine.sources import Source

__all__ = ["Crew"]

_LOOKS_A_WINDOW = 4


class Crew:
    """Hires workers, one at a time and as long as each makes the whole faster, and dismisses them.

    Args:
        whole: What they work on.
        most: How many there may be.

    Attributes:
        failure: What has ended the work for all; ``None``: nothing.
    """

    def __init__(self, whole: Segmented, most: int) -> None:
        rules = whole.engine.segment_rules
        self.failure: Exception | None = None
        self._whole = whole
        self._most = most
        self._came = 0
        self._ramp = Ramp(most, rules)
        self._look_every = rules.window / _LOOKS_A_WINDOW
        self._failures = Failures(whole)
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        # Of workers that have ended; those who come after them are no more patient.
        self._worn: list[Patience] = []

    def came(self, size: int) -> None:
        """So many new bytes came."""
        self._came += size

    def start(self, segment: Segment, fetch: Callable[[], Awaitable[None]]) -> None:
        """Let one more worker begin with *fetch*, which fetches *segment*."""
        task = asyncio.get_running_loop().create_task(self._guarded(segment, fetch))
        segment.worker = task
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def supervise(self, is_done: Callable[[], bool]) -> None:
        """Hire, look after and dismiss workers until *is_done*, or until one has failed for all."""
        while self.failure is None and not is_done():
            while self._live < self._wanted and (segment := self._take()) is not None:
                self.start(segment, SegmentTransfer(self._whole, segment).run)
            await self._wait()
            self._look()

    async def dismiss(self) -> None:
        """End every worker.

        Cancellation: None of them works any more when control returns.
        """
        for task in self._tasks:
            task.cancel()
        await wait_all(self._tasks)

    def dismiss_from(self, source: Source) -> None:
        """End those who fetch from *source*."""
        for segment in self._whole.pieces.under_way:
            if segment.source is source:
                _cancel(segment)

    def do_with_fewer(self) -> int:
        """The one who asks ends and is not replaced; how many there may be now."""
        self._most = max(1, self._live - 1)
        return self._most

    @property
    def _live(self) -> int:
        """Workers that go on."""
        return sum(not task.done() and not task.cancelling() for task in self._tasks)

    @property
    def _wanted(self) -> int:
        return min(self._most, self._ramp.wanted)

    async def _wait(self) -> None:
        """Wait until something has happened, or it is time to look again."""
        self._news.clear()
        alarm = asyncio.get_running_loop().call_later(self._look_every, self._news.set)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()

    def _look(self) -> None:
        whole = self._whole
        reading = [each for each in whole.pieces.under_way if each.is_reading and not each.is_void]
        self._ramp.observe(whole.engine.time(), self._came, len(reading))
        if self._live > self._wanted and reading:
            _cancel(max(reading, key=lambda segment: segment.began))
        try:
            whole.wrote()
        except DownloadError as error:
            self.failure = self.failure or error

    def _take(self) -> Segment | None:
        pieces = self._whole.pieces
        source = self._whole.pool.choose(pieces.under_way)
        return pieces.take(source, self._whole.engine.time()) if source is not None else None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        pieces = self._whole.pieces
        for segment in list(pieces.under_way):
            # A task that is cancelled before its first step has done nothing for what it was to do.
            if segment.worker is task:
                self._whole.ended(segment)
        self._news.set()

    async def _guarded(self, segment: Segment, fetch: Callable[[], Awaitable[None]]) -> None:
        self._worn.sort(key=lambda patience: patience.fruitless)
        patience = self._worn.pop() if self._worn else Patience(most=self._whole.pieces.size)
        try:
            await self._work(segment, fetch, patience)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is raised where the attempt was made.
            self.failure = self.failure or error
        finally:
            self._worn.append(patience)

    async def _work(self, segment: Segment, fetch: Callable[[], Awaitable[None]], patience: Patience) -> None:
        """Fetch a segment, and then what else is to be fetched."""
        while True:
            delay: float | None = 0.0
            try:
                await fetch()
                self._whole.pool.praise(segment.source)
            except DownloadError as error:
                delay = self._failures.after(error, segment, patience)
            self._news.set()
            if delay is None:
                return
            if delay:
                await self._whole.job.turn.sleep(delay)
            if self._live > self._wanted or (found := self._take()) is None:
                return
            segment, segment.worker = found, asyncio.current_task()
            fetch = SegmentTransfer(self._whole, segment).run


def _cancel(segment: Segment) -> None:
    worker = segment.worker
    if worker is not None and worker is not asyncio.current_task() and not worker.cancelling():
        worker.cancel()
