"""One segment: its question, its answer, and its bytes to their place in the file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from asyncflags._engine.answers import Body, digests_in, require_digest_of_whole, validator_of
from asyncflags._engine.bandwidth import Share
from asyncflags._engine.batches import Batches
from asyncflags._engine.exchange import Exchange
from asyncflags._engine.intake import Intake
from asyncflags._engine.pace import Pace
from asyncflags._engine.segmented_pieces import SEAM, Segment
from asyncflags._engine.segmented_seams import Contradiction
from asyncflags._policies.answers import refusal
from asyncflags._policies.digests import AnswerDigests
from asyncflags._policies.ranges import check_partial, range_field
from asyncflags._policies.resuming import keeps_part
from asyncflags._policies.retry import parse_retry_after
from asyncflags._storage.ranged_files import RangeSink
from asyncflags.errors import DownloadError, RangeError, TransportError, TruncatedBody

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from asyncflags._engine.segmented import Segmented
    from asyncflags._engine.sources import Source
    from asyncflags._engine.turns import Flight
    from asyncflags._transports.base import ResponseStream

__all__ = ["SegmentTransfer"]

_NOT_THE_SAME = "the bytes that the server repeats are not those that are there already"
_CONDITIONS = ("If-None-Match", "If-Modified-Since")


class SegmentTransfer:
    """Fetches one segment. Used once.

    Args:
        whole: What it is a segment of.
        segment: Ends, in the map, with the transfer.

    Attributes:
        pace: Its clocks.
    """

    def __init__(self, whole: Segmented, segment: Segment) -> None:
        self._whole = whole
        self._segment = segment
        self._engine = whole.engine
        self.pace = self._pace = Pace(whole.pace_options, whole.engine.time)
        self._exchange = Exchange(whole.job, segment.source, self._pace)
        self._asked_stop = self._after_stop = segment.stop
        # What stands before and behind the segment, is asked for again, and has to be the same.
        self._before = self._after = b""
        self._giver_before: Source | None = None
        self._giver_after: Source | None = None
        # Offset of the next byte of the answer that is the segment's, and that after the answer's last one.
        self._cursor = segment.start
        self._end = segment.stop
        self._beyond = b""
        self._is_compared = False
        self._sink = RangeSink(whole.sink, segment.start, whole.doubted)
        segment.intake = self._intake = Intake(self._sink, checksum=None, size=None, max_size=None)
        self._batches = Batches(self._engine.writes, self._intake, self._engine.blocks)
        self._first: bytes | memoryview = b""

    async def run(self) -> None:
        """Ask for the segment and read it.

        Raises:
            DownloadError: It failed; the bytes that came and may be relied on are in the file.

        Cancellation: The same, and no thread works for it any more when control returns.
        """
        await self._watched(self._ask())

    @property
    def flight(self) -> Flight | None:
        """Its last request; ``None``: it has none of its own."""
        return self._exchange.flight

    async def prime(self, stream: ResponseStream) -> None:
        """Take the first bytes of an answer to a request for the whole, which must not wait for the disk.

        Raises:
            DownloadError: They do not come.
        """
        try:
            self._first = await stream.receive(self._batches.room)
        except BaseException:
            self._batches.close()
            raise

    async def read_whole(self, stream: ResponseStream) -> None:
        """Read the segment from an answer to a request for the whole, which somebody else closes.

        Raises, Cancellation: As for `run`.
        """
        await self._watched(self._read(stream))

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            with self._pace.watch():
                await work
        except TransportError:
            # Whatever there was behind its last byte, the segment is there.
            if not self._segment.start < self._segment.stop <= self._segment.written:
                raise
        finally:
            self._whole.ended(self._segment)

    async def _ask(self) -> None:
        await self._exchange.follow(await self._question(), self._answered)

    async def _question(self) -> dict[str, str]:
        whole, segment = self._whole, self._segment
        self._pace.hold()
        size, self._giver_before = whole.pieces.run_before(segment.start)
        if size:
            self._before = await self._engine.writes.run(whole.sink.read_at, segment.start - size, size)
        stop = segment.stop
        size, self._giver_after = whole.pieces.run_after(stop)
        if size:
            self._after = await self._engine.writes.run(whole.sink.read_at, stop, size)
        self._cursor, self._after_stop = segment.start - len(self._before), stop
        # A little more than the segment, because what follows may be there by the time that its end is reached.
        self._asked_stop = min(stop + SEAM, whole.pieces.total)
        fields = {name: value for name, value in whole.job.fields.items() if name not in _CONDITIONS}
        fields["Range"] = range_field(self._cursor, self._asked_stop)
        known = whole.pool.validators.get(segment.source)
        if known is not None and known.condition is not None:
            fields["If-Range"] = known.condition
        return fields

    async def _answered(self, stream: ResponseStream) -> None:
        whole, segment = self._whole, self._segment
        if stream.status != 206:
            raise _no_part(stream)
        known = whole.pool.validators.get(segment.source)
        validator = known if known is not None else validator_of(stream)
        given = check_partial(
            stream.headers,
            start=self._cursor,
            stop=self._asked_stop,
            total=whole.pieces.total,
            validator=validator,
        )
        if given.stop <= segment.start:
            raise RangeError("the server sends nothing beyond what is there already")
        digests = self._digests(stream)
        whole.pool.validators.setdefault(segment.source, validator)
        whole.answered(
            Body.of(stream, whole.held, self._exchange.target.url, whole.job.options, length_verified=True)
        )
        # An answer may end earlier than asked; the rest is a gap again, and may be shared meanwhile.
        self._end = given.stop
        segment.stop = min(segment.stop, given.stop)
        await self._read(stream, digests)

    def _digests(self, stream: ResponseStream) -> AnswerDigests:
        """Those of the answer itself; of the whole, the one at hand must not be contradicted."""
        whole = self._whole
        digests = digests_in(whole.job, stream.headers)
        if not whole.is_proven:
            require_digest_of_whole(whole.job, whole.held, digests)
        if whole.held.intake.contradicts(digests.representation):
            raise RangeError("the server says that the file has another digest than it is expected to have")
        if self._segment.source is whole.recorded:
            whole.held.digests = whole.held.digests or digests.representation
            whole.held.intake.expect(digests.representation)
        return AnswerDigests(content=digests.content)

    async def _read(self, stream: ResponseStream, digests: AnswerDigests | None = None) -> None:
        whole, segment, pace = self._whole, self._segment, self._pace
        intake, batches = self._intake, self._batches
        intake.go_on(self._before, digests if digests is not None else AnswerDigests())
        segment.is_reading = True
        pace.read()
        try:
            await self._gather(stream)
            pace.hold()
            await whole.prepared()
            if self._cursor + len(self._beyond) == self._end:
                await batches.run(intake.end_part, self._beyond, alone=False)
            else:
                # The digest of an answer that was left in its middle is not known.
                await batches.run(intake.take_batch, alone=False)
        except BaseException as error:
            # Whatever ended the transfer, no thread may still write.
            pace.hold()
            segment.is_void = segment.is_void or self._condemns(error)
            if self._cursor >= segment.stop and self._end > segment.stop and not self._is_compared:
                segment.held_back = 1
            try:
                await whole.settle()
            finally:
                await batches.keep()
            raise
        finally:
            segment.is_reading = False
            batches.close()
            whole.compared(self._sink.differing)

    def _condemns(self, error: BaseException) -> bool:
        """Whether the bytes before *error* may not be relied on."""
        # Who answers with the whole says nothing about places, so in a contradiction the others are wrong.
        is_trusted = self._segment.is_whole_answer and isinstance(error, Contradiction)
        return not is_trusted and not keeps_part(error)

    async def _gather(self, stream: ResponseStream) -> None:
        whole, segment, pace = self._whole, self._segment, self._pace
        origin = self._exchange.target.origin
        share = Share(self._engine.bandwidth, origin, whole.job, stream, self._batches.room)
        room = share.room
        while not self._has_enough:
            data, self._first = self._first or await stream.receive(room), b""
            size = len(data)
            if not size:
                break
            pace.heard(size)
            whole.engine.tally.size += size
            if self._cursor + len(self._beyond) + size > self._end:
                raise RangeError(f"the server sent more than the {self._end} bytes up to which it announced")
            self._check_before(data)
            took = max(0, min(size, segment.stop - self._cursor))
            if took < size:
                # A copy, because the memory is lent anew.
                self._beyond += bytes(data[took:])
            if self._add(data[:took], took):
                pace.hold()
                await whole.prepared()
                await self._batches.flush()
                pace.resume()
                whole.wrote()
            if share.is_due:
                pace.hold()
                await share.pay(size)
                pace.resume()
        if self._cursor < segment.stop:
            raise TruncatedBody(
                f"the part ended at byte {self._cursor} of {self._end}",
                expected=self._end,
                received=self._cursor,
            )
        self._check_beyond()

    @property
    def _has_enough(self) -> bool:
        """Whether an answer that goes on is left here; one that does not is read to its proven end."""
        reached = self._cursor + len(self._beyond)
        return reached >= self._segment.stop + SEAM and reached < self._end

    def _add(self, data: bytes | memoryview, size: int) -> bool:
        """Take what belongs to the segment; whether it is time to write."""
        whole, segment = self._whole, self._segment
        fresh = max(0, self._cursor + size - segment.position)
        if fresh and not self._before and len(segment.head) < SEAM and segment.start:
            self._add_to_head(data)
        self._cursor += size
        segment.position += fresh
        whole.came(fresh)
        return bool(size) and self._batches.add(data, size)

    def _add_to_head(self, data: bytes | memoryview) -> None:
        segment = self._segment
        segment.head += data[: SEAM - len(segment.head)]
        self._whole.seams.from_right(segment)

    def _check_before(self, data: bytes | memoryview) -> None:
        """Compare what the server repeats here, to know who gave what it contradicts."""
        passed = self._cursor - (self._segment.start - len(self._before))
        expected = self._before[passed : passed + len(data)]
        if expected != bytes(data[: len(expected)]):
            raise Contradiction(_NOT_THE_SAME, self._giver_before)

    def _check_beyond(self) -> None:
        """Compare what the answer holds behind the segment."""
        segment = self._segment
        self._is_compared = True
        if segment.stop == self._after_stop:
            size = min(len(self._after), len(self._beyond))
            if self._after[:size] != self._beyond[:size]:
                raise Contradiction(_NOT_THE_SAME, self._giver_after)
        if self._beyond and segment.stop > segment.start:
            self._whole.seams.from_left(segment, self._beyond[:SEAM])


def _no_part(stream: ResponseStream) -> DownloadError:
    """The error for an answer that is no part."""
    status, wait = stream.status, parse_retry_after(stream.header("Retry-After"), now=time.time())
    error = refusal(status, retry_after=wait) if status not in (412, 416) else None
    return error or RangeError(f"the server answered {status} to a request for a part")
