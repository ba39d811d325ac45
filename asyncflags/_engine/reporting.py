"""What became of a whole list, added up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from asyncflags._models import MAX_REPORTED_FAILURES, Outcome, Report

if TYPE_CHECKING:
    from asyncflags._engine.scheduler import Outcomes

__all__ = ["ReportBuilder", "report_of"]

_BATCH = 256


class ReportBuilder:
    """Adds outcomes up to a `Report`."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._completed = self._skipped = self._failed = self._size = self._attempts = 0
        self._failures: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        result, error = outcome.result, outcome.error
        if result is not None:
            self._attempts += result.attempts
            if result.skipped:
                self._skipped += 1
            else:
                self._completed += 1
                self._size += result.size
        elif error is not None:
            self._attempts += error.attempts
            self._failed += 1
            if len(self._failures) < MAX_REPORTED_FAILURES:
                self._failures.append(outcome)

    def build(self, *, expired: bool = False) -> Report:
        """The report of all outcomes so far, and on whether the run's deadline has passed."""
        return Report(
            completed=self._completed,
            skipped=self._skipped,
            failed=self._failed,
            size=self._size,
            attempts=self._attempts,
            elapsed=time.monotonic() - self._started,
            failures=tuple(self._failures),
            expired=expired,
        )


async def report_of(outcomes: Outcomes) -> Report:
    """Run *outcomes* to the end and add them up."""
    report = ReportBuilder()
    async with outcomes:
        while batch := await outcomes.take(_BATCH):
            for outcome in batch:
                report.add(outcome)
    return report.build(expired=outcomes.expired)
