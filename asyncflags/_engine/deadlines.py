"""When a whole run has to have ended, and what watches over a run while it goes on."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from asyncflags.errors import DownloadError, TotalTimeout

if TYPE_CHECKING:
    from asyncflags._engine.scheduler import Outcomes
    from asyncflags._models import Request

__all__ = ["Guard", "RunDeadline", "checked_deadline", "message_of", "within"]

T = TypeVar("T")


class Guard(Protocol):
    """Watches over a run of many downloads."""

    def start(self, run: Outcomes) -> None:
        """Take note that the run has begun."""

    def stop(self) -> None:
        """Take note that it has ended, or is about to; called once or more."""


class RunDeadline:
    """Ends a run some time after it began.

    Args:
        seconds: How long it may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def start(self, run: Outcomes) -> None:
        message = message_of(self._seconds)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, run.expire, message)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def within(seconds: float | None, begun: float, request: Request, work: Awaitable[T]) -> T:
    """Await *work*, which is one download of a run, but no longer than the run may take.

    Args:
        seconds: How long the run may take; ``None``: as long as it takes.
        begun: When the run began, of `time.monotonic`.
        request: What is downloaded.
        work: The download.

    Raises:
        TotalTimeout: The run's deadline passed; *work* was cancelled and has ended.
    """
    if seconds is None:
        return await work
    try:
        async with asyncio.timeout(begun + seconds - time.monotonic()) as limit:
            return await work
    except TimeoutError as error:
        if isinstance(error, DownloadError) or not limit.expired():
            raise
        raise TotalTimeout(message_of(seconds), url=request.url, request=request) from error


def checked_deadline(deadline: Any) -> float | None:
    """*deadline*, if it is one.

    Raises:
        TypeError: It is neither a number nor ``None``.
        ValueError: It is 0, negative or not finite.
    """
    if deadline is None:
        return None
    if not isinstance(deadline, (int, float)) or isinstance(deadline, bool):
        raise TypeError(f"deadline must be a number of seconds or None, not {deadline!r}")
    if not 0 < deadline < math.inf:
        raise ValueError(f"deadline must be more than 0 seconds, not {deadline}: None means no limit")
    return float(deadline)


def message_of(seconds: float) -> str:
    """The sentence for a deadline that passed."""
    return f"the run's deadline of {seconds:g} s passed"
