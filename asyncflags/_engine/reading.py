"""From a list to the lanes of its hosts: how far it is read, and what becomes of entries that cannot begin."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, cast

from asyncflags._policies.urls import parse_url
from asyncflags.errors import DownloadError, InvalidUrl, TotalTimeout, redact_url

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.feeding import Entry, Feed
    from asyncflags._engine.journaling_feed import JournalFeed
    from asyncflags._engine.scheduler import Outcomes

__all__ = ["Reading"]

# The loop gets a turn after so many seconds of reading, and after so many failures in a row.
_SLICE = 0.001
_BATCH = 128


class Reading:
    """Reads the list of one run.

    Args:
        run: The run.
        engine: What it runs on.
        report: Reports the error of an entry that never began.
        start: Starts a function in a task of its own.

    Attributes:
        waiting: Entries that wait for their turn.
        is_under_way: Whether more of them may come.
    """

    def __init__(
        self,
        run: Outcomes,
        engine: Engine,
        report: Callable[[Entry, None, DownloadError], Awaitable[None]],
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        self._run = run
        self._hosts = engine.hosts
        self._report = report
        self._start = start
        self._expiry: str | None = None
        self.waiting = 0
        self.is_under_way = True
        self._has_stopped = False
        self._room = asyncio.Event()
        self._refused: deque[tuple[Entry, Callable[[], DownloadError]]] = deque()

    async def run(self, feed: Feed | JournalFeed) -> None:
        """Read to the end.

        Raises:
            BaseException: Whatever the caller's iterable raises.
        """
        try:
            until = time.monotonic() + _SLICE
            while True:
                if not self.wants_more:
                    await self._wait_for_room()
                entry = await feed.next()
                if entry is None:
                    return
                await self._add(entry)
                if time.monotonic() >= until:
                    await asyncio.sleep(0)
                    until = time.monotonic() + _SLICE
        finally:
            self.is_under_way = False

    @property
    def wants_more(self) -> bool:
        """Whether there is room for another entry."""
        run = self._run
        if run.expired:
            # The end of the list is near, and nothing of it is kept.
            return True
        waiting = self.waiting + len(self._refused)
        return not run.is_full and self._hosts.has_room(waiting, has_stopped=self._has_stopped)

    def go_on(self) -> None:
        """Look again whether there is."""
        self._room.set()

    async def _wait_for_room(self) -> None:
        self._has_stopped = True
        while not self.wants_more:
            self._room.clear()
            self._hosts.wait_for_room(self._run)
            await self._room.wait()
        self._has_stopped = False

    async def _add(self, entry: Entry) -> None:
        try:
            entry.target = target = parse_url(entry.asked.url)
        except InvalidUrl as error:
            error.url = redact_url(entry.asked.url)
            await self._report(entry, None, error)
            return
        entry.run = self._run
        self.waiting += 1
        if self._expiry is not None:
            self._fail(entry)
            return
        self._hosts.add(target.origin, entry, priority=entry.asked.priority)

    def expire(self, message: str, granted: Iterable[Entry]) -> None:
        """Let all fail that have not begun, *granted* among them, with a `TotalTimeout`."""
        self._expiry = message
        for entry in granted:
            self.waiting += 1
            self._fail(entry)
        for waiting in self._hosts.leave(self._run):
            self._fail(cast("Entry", waiting))

    def _fail(self, entry: Entry) -> None:
        message = self._expiry or ""
        entry.is_unfinished = True
        self.refuse(entry, lambda: TotalTimeout(message))

    def refuse(self, entry: Entry, error: Callable[[], DownloadError]) -> None:
        """Let one fail that has not begun."""
        self.waiting -= 1
        self._refused.append((entry, error))
        if len(self._refused) == 1:
            self._start(self._report_refused)

    async def _report_refused(self) -> None:
        """Report those, no faster than outcomes are read."""
        count = 0
        while self._refused:
            while self._run.is_full:
                self._room.clear()
                await self._room.wait()
            entry, make = self._refused[0]
            error = make()
            error.url = redact_url(entry.asked.url)
            await self._report(entry, None, error)
            self._refused.popleft()
            count += 1
            if not count % _BATCH:
                await asyncio.sleep(0)
