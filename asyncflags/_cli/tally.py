"""What became of a run: counts, and the one exit code of them all."""

from __future__ import annotations

import time

from asyncflags._cli.display import count_text, size_text
from asyncflags._cli.exit_codes import code_of, lowest
from asyncflags._models import Outcome

__all__ = ["Tally"]


class Tally:
    """Adds outcomes up; its size does not depend on how many there are."""

    def __init__(self) -> None:
        self.downloaded = 0
        self.skipped = 0
        self.failed = 0
        self.size = 0
        self._codes: set[int] = set()
        self._started = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        result = outcome.result
        if result is None:
            self.failed += 1
            if outcome.error is not None:
                self.note(code_of(outcome.error))
        elif result.skipped:
            self.skipped += 1
        else:
            self.downloaded += 1
            self.size += result.size

    def note(self, code: int) -> None:
        """Remember an exit code that something else than an outcome calls for."""
        self._codes.add(code)

    @property
    def counts_something(self) -> bool:
        return bool(self.downloaded or self.skipped or self.failed)

    @property
    def exit_code(self) -> int:
        return lowest(self._codes)

    def summary(self) -> str:
        """One sentence with the counts, the bytes and the rate."""
        seconds = time.monotonic() - self._started
        return summary_text(self.downloaded, self.failed, self.skipped, self.size, seconds)


def summary_text(downloaded: int, failed: int, skipped: int, size: int, seconds: float) -> str:
    """The sentence that ends a run."""
    rate = size / seconds if seconds > 0 else 0.0
    return (
        f"{count_text(downloaded)} downloaded, {count_text(failed)} failed, {count_text(skipped)} skipped; "
        f"{size_text(size)} in {seconds:.1f} s ({size_text(rate)}/s)"
    )
