"""When a worker has lived long enough, and when a bridge whose workers die one after the other gives up."""

from __future__ import annotations

import collections
from typing import NamedTuple

MOST_CRASHES = 5
WITHIN_SECONDS = 10.0


class Recycling(NamedTuple):
    """When a worker is replaced by a fresh one; ``None``: never for this reason.

    Attributes:
        max_tasks: Calls.
        max_age: Seconds.
        max_memory: Resident bytes; the worker itself looks after that.
    """

    max_tasks: int | None = None
    max_age: float | None = None
    max_memory: int | None = None

    def due(self, tasks: int, age: float) -> bool:
        """Whether a worker that has made *tasks* calls, and lived for *age* seconds, is to be replaced."""
        if self.max_tasks is not None and tasks >= self.max_tasks:
            return True
        return self.max_age is not None and age >= self.max_age


class CrashLoop:
    """Counts workers that died by themselves, with no call answered in between."""

    def __init__(self) -> None:
        self._times: collections.deque[float] = collections.deque(maxlen=MOST_CRASHES)

    def succeed(self) -> None:
        """A call was answered."""
        self._times.clear()

    def crash(self, now: float) -> bool:
        """A worker died at *now*, in seconds of any clock; return whether that is one too many."""
        self._times.append(now)
        return len(self._times) == MOST_CRASHES and now - self._times[0] <= WITHIN_SECONDS
