"""What becomes of a segmented download when one of its segments fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._engine.segmented_seams import Contradiction
from asyncflags._engine.sources import Sources
from asyncflags._policies.retry import RETRY_AFTER_CAP, is_refusal, is_retryable
from asyncflags.errors import ChecksumMismatch, DownloadError, ProtocolError, RangeError, StatusError

if TYPE_CHECKING:
    from asyncflags._engine.segmented import Segmented
    from asyncflags._engine.segmented_pieces import Segment
    from asyncflags._engine.sources import Source

__all__ = ["Failures", "Patience", "Refused"]

_TOO_MANY = frozenset({429, 503})


class Refused(Exception):
    """The server's parts cannot be relied on: the file comes over one connection or not at all."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Patience:
    """How much longer one worker tries.

    Attributes:
        fruitless: Failures in a row while no byte came, to whomever.
        most: Bytes of the file that there were at most.
    """

    fruitless: int = 0
    most: int = 0


class Failures:
    """Judges the failures of one segmented download.

    Args:
        whole: The download.
    """

    def __init__(self, whole: Segmented) -> None:
        self._whole = whole

    def after(self, error: DownloadError, segment: Segment, patience: Patience) -> float | None:
        """Decide after a segment failed, which is a gap now.

        Args:
            error: Why.
            segment: What failed.
            patience: Of its worker.

        Returns:
            Seconds until the worker goes on; ``None``: its connection is one too many.

        Raises:
            DownloadError: The whole has failed with this error.
            Refused: There must be no more segments.
        """
        if isinstance(error, RangeError | ProtocolError | ChecksumMismatch):
            return self._after_lie(error, segment)
        if not Sources.is_at_fault(error):
            raise error
        if error is self._whole.job.turn.refusal:
            # The host is left alone for now, and to ask again would change nothing.
            self._drop_or_fail(error, segment.source)
            return 0.0
        if isinstance(error, StatusError) and self._is_one_too_many(error, segment):
            self._whole.do_with_fewer(error.message)
            return None
        if is_retryable(error) and not (self._whole.pieces.size or self._whole.pieces.under_way):
            # Where there is nothing that parts could be compared with, the whole is asked for again.
            raise error
        if is_retryable(error):
            return self._after_trouble(error, segment.source, patience)
        self._drop_or_fail(error, segment.source)
        return 0.0

    def _after_lie(self, error: DownloadError, segment: Segment) -> float:
        whole, guilty = self._whole, segment.source
        reference = whole.recorded
        if isinstance(error, Contradiction):
            if error.segment is not None and not error.segment.is_whole_answer:
                whole.pieces.cut_out(error.segment)
            if error.other is not None and (guilty is reference or error.other not in whole.pool.sources):
                guilty = error.other
        if guilty is reference or (guilty is segment.source and len(whole.pool.sources) == 1):
            raise Refused(error.message)
        whole.disown(guilty, error.message)
        return 0.0

    def _is_one_too_many(self, error: StatusError, segment: Segment) -> bool:
        """Whether the server serves this file, only not over so many connections."""
        return (error.status in _TOO_MANY or not is_retryable(error)) and any(
            other.is_reading and other.source is segment.source for other in self._whole.pieces.under_way
        )

    def _after_trouble(self, error: DownloadError, source: Source, patience: Patience) -> float:
        whole = self._whole
        job, engine, retries = whole.job, whole.engine, whole.job.options.retries or 0
        asks_too_much = isinstance(error, StatusError) and (error.retry_after or 0) > RETRY_AFTER_CAP
        if asks_too_much and len(whole.pool.sources) == 1:
            raise error
        if whole.pool.strike(source) > retries and len(whole.pool.sources) > 1:
            self._drop_or_fail(error, source)
            return 0.0
        size = whole.pieces.size
        if size > patience.most:
            patience.most, patience.fruitless = size, 0
        if patience.fruitless >= retries:
            raise error
        patience.fruitless += 1
        delay = engine.backoff.delay(patience.fruitless, jitter=engine.jitter())
        if isinstance(error, StatusError) and is_refusal(error.status, error.retry_after):
            # The pause is the host's, and its lane keeps it.
            delay = 0.0
        engine.tally.tell("retrying", job.request.url, error.message, seconds=delay, attempt=job.attempts)
        engine.tally.retries += 1
        engine.tally.attempts += 1
        job.attempts += 1
        return delay

    def _drop_or_fail(self, error: DownloadError, source: Source) -> None:
        """Go on without *source*, whose bytes stay: the checksum of the whole judges them."""
        if len(self._whole.pool.sources) == 1:
            raise error
        self._whole.pool.drop(source, error.message)
