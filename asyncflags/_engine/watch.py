"""The one timer of an attempt: it looks now and then, and ends what has stalled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from asyncflags.errors import DownloadError

__all__ = ["Watch"]


class Watch:
    """Raises an error in the block it guards when *look* says so.

    A timeout that moves with every byte would cost a timer for each of them. Here one timer asks *look*,
    which answers with the moment of the next look (of the loop's clock) or with the error to raise.

    The block is ended as `asyncio.timeout` ends it: the task is cancelled, and that cancellation, told
    apart from anybody else's by `asyncio.Task.uncancel`, becomes the error when it leaves the block.

    Args:
        look: Takes the loop's time in seconds.
        first: When to look for the first time; ``inf``: never.
    """

    __slots__ = ("_cancelling", "_error", "_first", "_handle", "_look", "_loop", "_task")

    def __init__(self, look: Callable[[float], float | DownloadError], first: float) -> None:
        self._look = look
        self._first = first
        self._error: DownloadError | None = None
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = task.get_loop()
        self._arm(self._first)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if (
            self._error is not None
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise self._error from error

    def _arm(self, moment: float) -> None:
        # A look that can never come needs no timer.
        self._handle = self._loop.call_at(moment, self._wake) if moment != float("inf") else None

    def _wake(self) -> None:
        verdict = self._look(self._loop.time())
        if isinstance(verdict, float):
            self._arm(verdict)
            return
        self._handle = None
        self._error = verdict
        self._task.cancel()
