"""Tells what a run waits for when nothing comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncflags._engine.progress import Tally
    from asyncflags._engine.scheduler import Outcomes

__all__ = ["Watchdog"]

_PATIENCE = 30.0
_LOOKS = 6


class Watchdog:
    """Tells of it when neither a byte nor an outcome has come for half a minute, and again while that lasts.

    It looks at the counters now and then, so that it costs a download nothing. They are those of the whole client: a
    run that stands still beside another one that goes on is ended by the clocks of its own downloads, and not told of.

    Args:
        tally: Counts, and is told ``"waiting"``.
        waiting_for: Names what is waited for on the way to the hosts; ``""``: nothing is.
    """

    def __init__(self, tally: Tally, waiting_for: Callable[[], str]) -> None:
        self._tally = tally
        self._waiting_for = waiting_for
        self._timer: asyncio.TimerHandle | None = None

    def start(self, run: Outcomes) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._counted = self._count()
        self._last_came = self._last_told = self._loop.time()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_later(_PATIENCE / _LOOKS, self._look)

    def _look(self) -> None:
        now, counted = self._loop.time(), self._count()
        if counted != self._counted:
            self._counted = counted
            self._last_came = self._last_told = now
        elif now - self._last_told >= _PATIENCE:
            self._last_told = now
            self._tell(now - self._last_came)
        self._arm()

    def _tell(self, seconds: float) -> None:
        own = self._run.waits_for or "the disk, or the function that is called on each file"
        reason = "" if self._run.waits_for else self._waiting_for()
        text = f"nothing has come for {seconds:.0f} s: {reason or f'waiting for {own}'}"
        self._tally.tell("waiting", "", text, seconds=seconds)

    def _count(self) -> tuple[int, int, int]:
        return self._tally.size, self._tally.completed, self._tally.failed
