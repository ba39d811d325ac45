"""Telling those who wait, and refusing those who would wait for themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncflags.bridges._homes import Home
    from asyncflags.bridges._process_calls import ProcessCall


class Outcomes:
    """The way of results and errors to their callers, whose callbacks run on that way.

    Args:
        home: Where the workers are served.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._publishing: set[int] = set()

    def publish(self, call: ProcessCall, result: Any, error: BaseException | None) -> None:
        """Tell the caller; in any thread, without the lock of the pool."""
        identity = threading.get_ident()
        inside = identity in self._publishing
        self._publishing.add(identity)
        try:
            call.finish(result, error)
        finally:
            if not inside:
                self._publishing.discard(identity)

    def fail(self, calls: Iterable[ProcessCall], error: BaseException | None) -> None:
        for call in calls:
            self.publish(call, None, error)

    def refuse_to_wait(self, verb: str) -> None:
        """Raise where a thread that waited would wait for itself.

        Raises:
            RuntimeError: This is the loop that serves the bridge, or a callback of one of its futures.
        """
        running = asyncio._get_running_loop()
        if (running is not None and running is self._home.loop) or threading.get_ident() in self._publishing:
            raise RuntimeError(
                f"{verb} was called on the event loop that serves this ProcessBridge, or in a callback of one of "
                "the bridge's futures, and would wait for itself for ever. Await run(), aclose() or "
                "asyncio.wrap_future(future) there, or wait in another thread."
            )
