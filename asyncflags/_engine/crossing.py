"""Outcomes on their way from the loop to a thread that waits for them."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Self

from asyncflags.errors import ClosedError

if TYPE_CHECKING:
    from asyncflags._engine.scheduler import Outcomes
    from asyncflags._models import Outcome

__all__ = ["SyncOutcomes"]

_CROSSING = 256
"""Outcomes that cross at once, at most."""


class SyncOutcomes(Iterator["Outcome"]):
    """The outcomes of one list, in the order in which they come; a context manager.

    They cross from the loop in batches. Safe from one thread at a time.
    """

    def __init__(
        self,
        call: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any],
        start: Callable[[], Coroutine[Any, Any, Outcomes]],
    ) -> None:
        self._call = call
        self._start = start
        self._outcomes: Outcomes | None = None
        self._batch: collections.deque[Outcome] = collections.deque()

    def __enter__(self) -> Self:
        self._outcomes = self._call(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        outcomes = self._outcomes
        if outcomes is not None:
            # A downloader that was closed meanwhile has ended the list already.
            with contextlib.suppress(ClosedError):
                self._call(lambda: outcomes.__aexit__(None, None, None))

    def __next__(self) -> Outcome:
        if not self._batch:
            outcomes = self._outcomes
            if outcomes is None:
                raise RuntimeError("iterate inside its context: with dl.as_completed(...) as outcomes")
            self._batch.extend(self._call(lambda: outcomes.take(_CROSSING)))
            if not self._batch:
                raise StopIteration
        return self._batch.popleft()
