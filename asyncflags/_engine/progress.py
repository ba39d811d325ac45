"""What goes on: counters that cost nothing to keep, snapshots and events of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from asyncflags._models import ActiveDownload, Event, Progress
from asyncflags.errors import redact_url

if TYPE_CHECKING:
    from asyncflags._engine.job import Job
    from asyncflags._models import Request, Result
    from asyncflags.errors import DownloadError

__all__ = ["Tally"]

_SHOWN_ACTIVE = 64


class Tally:
    """Counts for one client. Written by its loop alone; a snapshot may be taken from any thread.

    Args:
        on_event: Called on the loop with each `Event`, so it must return soon; ``None``: events are dropped.
    """

    def __init__(self, on_event: Callable[[Event], None] | None) -> None:
        self._on_event = on_event
        self._opened = time.monotonic()
        self._active: dict[Job, None] = {}
        self.completed = 0
        self.failed = 0
        self.size = 0
        self.attempts = 0
        self.retries = 0

    def begin(self, job: Job) -> None:
        """A download is under way."""
        self._active[job] = None

    def end(self, job: Job) -> None:
        """A download is no longer under way, whatever became of it."""
        self._active.pop(job, None)

    def complete(self, request: Request, result: Result) -> None:
        """A download has finished."""
        self.completed += 1
        if self._on_event is not None:
            self.tell("finished", request.url, "", seconds=result.elapsed, attempt=result.attempts)

    def fail(self, request: Request, error: DownloadError, *, since: float | None = None) -> None:
        """A download has failed that began at *since* of `time.monotonic`; ``None``: it never did."""
        self.failed += 1
        if self._on_event is not None:
            elapsed = time.monotonic() - since if since is not None else 0.0
            self.tell("failed", request.url, error.message, seconds=elapsed, attempt=error.attempts)

    def snapshot(self) -> Progress:
        """The counters of this moment."""
        now = time.monotonic()
        # A copy made in one step of the interpreter, because another thread may be asking.
        active = list(islice(self._active.copy(), _SHOWN_ACTIVE))
        return Progress(
            completed=self.completed,
            failed=self.failed,
            size=self.size,
            attempts=self.attempts,
            retries=self.retries,
            seconds=now - self._opened,
            active=tuple(
                ActiveDownload(job.name, job.received, job.expected, now - job.started) for job in active
            ),
        )

    def tell(self, kind: str, url: str, detail: str, *, seconds: float = 0.0, attempt: int = 0) -> None:
        """Hand an event to whoever listens; a listener that fails costs no download."""
        if self._on_event is None:
            return
        try:
            self._on_event(Event(kind, redact_url(url), detail, seconds, attempt))
        except Exception as error:  # noqa: BLE001
            # The listener is the caller's and may raise anything; the loop's handler tells of it.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "on_event of an AsyncDownloader failed", "exception": error}
            )
