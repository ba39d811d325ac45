"""How threads tell a loop that something has arrived: all that came since its last turn in one wake-up."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any


class Doorbell:
    """Wakes one loop, once for everything that arrives before it has looked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._arrived: collections.deque[Callable[[], None]] = collections.deque()
        self._rung = False

    def ring(self, callback: Callable[[], None]) -> None:
        """Have *callback* called on the loop; from any thread. It must not raise."""
        self._arrived.append(callback)
        # The loop takes the mark away before it looks, so whoever finds it is seen by that look.
        if not self._rung:
            self._rung = True
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._rung = False
        # What arrives from here on rings again, so one turn of the loop is never without an end.
        for _ in range(len(self._arrived)):
            self._arrived.popleft()()


class _OfThread(threading.local):
    doorbell: Doorbell | None = None


_of_thread = _OfThread()


def doorbell() -> Doorbell:
    """The doorbell of the running loop."""
    loop = asyncio.get_running_loop()
    found = _of_thread.doorbell
    if found is None or found.loop is not loop:
        found = _of_thread.doorbell = Doorbell(loop)
    return found


def arrival_of(future: concurrent.futures.Future[Any]) -> asyncio.Future[None]:
    """Return a future of the running loop that is set when *future* is done.

    Unlike ``asyncio.wrap_future`` it passes no cancellation on, so it can be waited for a second time.
    """
    bell = doorbell()
    arrival: asyncio.Future[None] = bell.loop.create_future()
    arrive = functools.partial(_set, arrival)
    future.add_done_callback(lambda _: bell.ring(arrive))
    return arrival


def _set(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)
