"""What became of a download, as its row in the journal has it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._engine.journaling_names import relative_path
from asyncflags._storage.journal_rows import Settled, State
from asyncflags._storage.part_files import PART_SUFFIX
from asyncflags._storage.records import RECORD_SUFFIX, read_record
from asyncflags.errors import StatusError

if TYPE_CHECKING:
    from asyncflags._engine.feeding import Entry
    from asyncflags._engine.job import Job
    from asyncflags._models import Outcome, Result
    from asyncflags.errors import DownloadError

__all__ = ["Ended"]


@dataclass(slots=True, eq=False)
class Ended:
    """A download that has ended and is to be noted.

    Attributes:
        row: Id of its row; 0: it has none.
        outcome: To report once it is noted.
        folder: Of the run, absolute.
        path: Where the file stands or would, absolute; ``None``: that was never settled.
        is_named: Whether the row knows the path already.
        etag, last_modified: What is known of the file if the outcome does not tell.
        started: Seconds since the epoch.
        finished: Seconds since the epoch.
    """

    row: int
    outcome: Outcome
    folder: str
    path: str | None
    is_named: bool
    etag: str | None
    last_modified: str | None
    started: float
    finished: float

    @classmethod
    def of(cls, entry: Entry, outcome: Outcome, job: Job | None, folder: str) -> Ended:
        """What *outcome* says of *entry*; *job* is ``None`` for one that could not even begin."""
        known, now = entry.known, time.time()
        return cls(
            row=entry.row,
            outcome=outcome,
            folder=folder,
            path=job.place.path if job is not None and job.place is not None else None,
            is_named=entry.is_named,
            etag=None if known is None else known.etag,
            last_modified=None if known is None else known.last_modified,
            started=now if job is None else now - (time.monotonic() - job.started),
            finished=now,
        )

    def settled(self) -> Settled:
        """The row. Blocks, for a look at what a failed download left."""
        if self.outcome.error is not None:
            return self._failed(self.outcome.error)
        return self._done(self.outcome.unwrap())

    def _done(self, result: Result) -> Settled:
        # A file that the server says is still the same keeps what was known of it.
        return Settled(
            row=self.row,
            state=State.DONE,
            attempts=result.attempts,
            status=result.status,
            path=self._new_path(None if result.path is None else str(result.path)),
            size=result.size,
            digest=result.checksum,
            etag=result.etag or (self.etag if result.skipped else None),
            last_modified=result.last_modified or (self.last_modified if result.skipped else None),
            ranges=None,
            error=None,
            reason=None,
            started=self.started,
            finished=self.finished,
        )

    def _failed(self, error: DownloadError) -> Settled:
        etag, last_modified, ranges = (None, None, None) if self.path is None else _left(self.path)
        return Settled(
            row=self.row,
            state=State.FAILED,
            attempts=error.attempts,
            status=error.status if isinstance(error, StatusError) else None,
            path=self._new_path(self.path),
            size=None,
            digest=None,
            etag=etag,
            last_modified=last_modified,
            ranges=ranges,
            error=type(error).__name__,
            reason=error.message,
            started=self.started,
            finished=self.finished,
        )

    def _new_path(self, path: str | None) -> str | None:
        return None if self.is_named or path is None else relative_path(self.folder, path)


def _left(path: str) -> tuple[str | None, str | None, str | None]:
    """Validators and ranges of what is left of the file at *path*, the latter as JSON."""
    try:
        record = read_record(path + RECORD_SUFFIX)
        size = os.stat(path + PART_SUFFIX).st_size
    except OSError:
        return None, None, None
    if record is None:
        return None, None, None
    ranges = json.dumps([list(part) for part in record.trusted(size).parts])
    return record.validator.etag, record.validator.last_modified, ranges
