"""Items on their way from a portal's loop to a thread, in batches."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import queue
from collections.abc import AsyncIterable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Crossing(Generic[T]):
    """The way of one asynchronous iterable into one thread.

    What comes within one turn of the loop crosses together. The loop has a credit for each item that may
    be on its way, and waits when all are used up.
    """

    def __init__(self, source: Callable[[], AsyncIterable[T]], ahead: int) -> None:
        self._source = source
        self._ahead = ahead
        self._credits = ahead
        self._room = asyncio.Event()
        self._gathered: collections.deque[T] = collections.deque()
        self._batches: queue.SimpleQueue[collections.deque[T] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def feed(self) -> None:
        """Advance the iterable on the loop to its end; `take` gives ``None`` then."""
        self._loop = asyncio.get_running_loop()
        source = self._source()
        try:
            async for item in source:
                self._gather(item)
                while not self._credits:
                    self._room.clear()
                    await self._room.wait()
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def end(self, _: concurrent.futures.Future[None]) -> None:
        """Mark the end behind all that was fed; nothing is gathered any more."""
        if self._gathered:
            self._batches.put(self._gathered)
        self._batches.put(None)

    def take(self, longest: float | None) -> collections.deque[T] | None:
        """Wait in the thread for the next batch, at least one item; ``None`` at the end.

        Args:
            longest: Seconds after which the wait is interrupted for a moment; ``None``: not at all.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                batch = self._batches.get(timeout=longest)
                if batch is not None and self._loop is not None:
                    # A loop that was closed meanwhile has nobody left who feeds.
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(self._refund, len(batch))
                return batch

    def _gather(self, item: T) -> None:
        self._credits -= 1
        if not self._gathered and self._loop is not None:
            self._loop.call_soon(self._send)
        self._gathered.append(item)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, collections.deque()
        if gathered:
            self._batches.put(gathered)

    def _refund(self, count: int) -> None:
        self._credits += count
        self._room.set()
