"""Which event loop serves the sockets of a bridge's workers."""

from __future__ import annotations

import asyncio
import threading

from asyncflags.bridges.portal import Portal


def turns(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether *loop* exists and runs at this moment."""
    return loop is not None and not loop.is_closed() and loop.is_running()


class Home:
    """The loop that first awaited the bridge, for as long as it runs; else one in a thread of our own.

    Args:
        name: The name of that thread.
    """

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._name = name
        self._lock = threading.Lock()
        self._portal: Portal | None = None

    def offer(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Take *loop* if the present one does not run; ``None`` is none."""
        if loop is not None and loop is not self.loop:
            with self._lock:
                if not turns(self.loop):
                    self.loop = loop

    def choose(self) -> asyncio.AbstractEventLoop:
        """Return the loop for a new worker; called by one thread, which may wait."""
        chosen = self.loop
        if chosen is not None and turns(chosen):
            return chosen
        if self._portal is None:
            self._portal = Portal(self._name)
        own = self._portal.call(_running_loop)
        self.offer(own)
        return own

    def close(self) -> None:
        """End our own loop, if there is one; by the thread that chooses."""
        if self._portal is not None:
            self._portal.close()


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
