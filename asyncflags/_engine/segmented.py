"""One file over several connections: who fetches what, and what proves that the result is one file.

A file that is large enough, and whose server takes ranges and names its version by a strong validator, begins
as one plain answer. While that is read, further connections take over ranges of it, one at a time and only as long
as each of them makes the whole faster. Every part is proven to be of the same version by If-Range,
its Content-Range, total and validator (RFC 9110 sections 13.1.5 and 15.3.7), by the bytes before it where those
are there, and where two parts meet. The first doubt ends it: what follows the first gap is dropped, and the file
goes on over one connection.

Parts of other sources count only where a checksum or digest of the whole is known, which proves them in the end.
Only what the source of the record gave is recorded, since its validator says nothing of others' bytes.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncflags._engine.segmented_crew import Crew
from asyncflags._engine.segmented_failures import Refused
from asyncflags._engine.segmented_pieces import Pieces, Segment
from asyncflags._engine.segmented_pool import SourcePool
from asyncflags._engine.segmented_seams import Seams
from asyncflags._engine.segmented_transfer import SegmentTransfer
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.resuming import keeps_part
from asyncflags._policies.retry import is_retryable
from asyncflags._storage.files import FileSink
from asyncflags.errors import ChecksumMismatch, DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.answers import Body
    from asyncflags._engine.held import Held
    from asyncflags._engine.job import Job
    from asyncflags._engine.options import Options
    from asyncflags._engine.pace import Pace
    from asyncflags._engine.sources import Source
    from asyncflags._transports.base import ResponseStream
    from asyncflags.bridges.grouped import GroupedCall

__all__ = ["Segmented"]

_NOTE_BYTES = 8 << 20
_NOTE_SECONDS = 1.0


class Segmented:
    """Downloads what is missing of a body over several connections. Used once.

    Args:
        job: On whose behalf.
        held: What there is of the body; it can be continued, and its total is known.
        source: Who is asked first; another one than that of *held* only where the whole will be checked.
        is_proven: Whether the answer to the whole was seen in this attempt, with the digests that it must have.

    Attributes:
        pieces: What is there and what is on its way.
        pool: Who is asked.
        recorded: Whose bytes the record of the part file tells of.
        doubted: Bytes in the file that are compared with those that come in their place.
    """

    def __init__(self, job: Job, held: Held, source: Source, *, is_proven: bool) -> None:
        assert held.total is not None
        assert isinstance(held.intake.sink, FileSink)
        self.job, self.held, self.engine = job, held, job.engine
        self.sink = held.intake.sink
        self.is_proven = is_proven
        self.doubted = Ranges()
        self.seams = Seams()
        # What came of sources that are not asked any more is nobody's here, and only the checksum speaks for it.
        self._was_mixed = held.is_mixed
        self.recorded = replace(held.source) if held.is_mixed else held.source
        given = {self.recorded: held.there} if held.there else {}
        self.pieces = Pieces(held.total, self.engine.segment_rules, given)
        is_alone = job.sources.is_last and source is self.recorded
        self.pool = SourcePool(job, source, may_mix=job.may_mix and held.intake.is_checked and not is_alone)
        self.pool.validators[self.recorded] = held.validator
        most = self.engine.limits.max_segments
        # All connections together have to be as fast as one would have to be.
        slowest = job.options.min_speed / most if job.options.min_speed else None
        self.pace_options: Options = replace(job.options, min_speed=slowest)
        self._crew = Crew(self, most)
        self._body: Body | None = None
        self._preparing: GroupedCall[None] | None = None
        self._noting: GroupedCall[None] | None = None
        self._noted, self._noted_at = held.there.size, self.engine.time()
        self._is_over = False

    async def lead(self, stream: ResponseStream, body: Body, pace: Pace) -> None:
        """Read an answer to a request for the whole, and let others take over parts of it.

        Args:
            stream: The answer.
            body: What it says.
            pace: Its clocks, which stand still once the reading has begun: every segment has its own.

        Returns:
            When that answer is needed no more; `finish` has to follow.

        Raises:
            StorageError: There is no room for the file.
        """
        self._body = body
        segment = self.pieces.begin_whole(self.recorded, self.engine.time())
        transfer = SegmentTransfer(self, segment)
        await transfer.prime(stream)
        pace.hand_over(transfer.pace)
        self._prepare()
        self._crew.start(segment, lambda: transfer.read_whole(stream))
        await self.prepared()
        await self._crew.supervise(lambda: segment not in self.pieces.under_way)

    async def finish(self) -> Body | None:
        """Fetch all that is missing, have the whole verified, and published if it is time.

        Returns:
            ``None``: there must be no more segments; what is there without a gap is held, and goes on alone.

        Raises:
            DownloadError: It failed; what can be continued is held by the job.
        """
        if self._preparing is None:
            self._prepare()
            await self.prepared()
        while True:
            await self._crew.supervise(lambda: self.pieces.is_whole)
            failure = self._crew.failure
            if isinstance(failure, Refused):
                await self._fall_back(failure.reason)
                return None
            if failure is not None:
                self._give_up(failure)
            await self._crew.dismiss()
            try:
                return await self._complete()
            except DownloadError as error:
                if isinstance(error, ChecksumMismatch) and self._doubt_others():
                    continue
                if not keeps_part(error):
                    await self._discard()
                raise

    async def stop(self) -> None:
        """End what is under way, and let the job hold what can be continued. Safe to call twice.

        Cancellation: No thread works for it any more when control returns.
        """
        if self._is_over:
            return
        self._is_over = True
        try:
            await self._crew.dismiss()
        finally:
            await self._set_down()

    # What transfers ask and tell.

    async def prepared(self) -> None:
        """Wait until there is room for the file.

        Raises:
            StorageError: There is none.
        """
        await self.settle()
        if self._preparing is not None:
            self._preparing.value()

    async def settle(self) -> None:
        """Wait until it is known whether there is room, whatever cancels the caller."""
        if self._preparing is not None:
            await self._preparing.settled()

    def came(self, size: int) -> None:
        """So many new bytes came."""
        self._crew.came(size)
        self.job.received += size

    def ended(self, segment: Segment) -> None:
        """A segment has ended, and nothing is written for it any more."""
        self.pieces.end(segment)
        self.job.received = self.pieces.size

    def wrote(self) -> None:
        """Bytes were written: note it when it is time."""
        if self._noting is not None:
            if not self._noting.arrived:
                return
            noted, self._noting = self._noting, None
            noted.value()
        there, now = self.pieces.written_by(self.recorded), self.engine.time()
        more = there.size - self._noted
        if more >= _NOTE_BYTES or (more > 0 and now >= self._noted_at + _NOTE_SECONDS):
            self._noted, self._noted_at = there.size, now
            # By itself, because now and then it waits for the disk.
            self._noting = self.engine.writes.submit(
                self.sink.note_ranges, there, key=self.held.intake, alone=True
            )

    def answered(self, body: Body) -> None:
        """A part has come; what it says of the file is the result's, unless the whole was answered."""
        if self._body is None:
            self._body = body

    def compared(self, differing: list[int]) -> None:
        """Other bytes came at these offsets than those that stood there."""
        for source, ranges in self.pieces.doubted.items():
            if any(start <= offset < stop for offset in differing for start, stop in ranges):
                self.pool.suspects[source] = "its bytes are not those that the checksum proves"

    def do_with_fewer(self, reason: str) -> None:
        """The server has not as many connections for us as are under way."""
        most = self._crew.do_with_fewer()
        self.job.tell("segments_limited", f"no more than {most} connections for this file: {reason}")

    def disown(self, source: Source, reason: str) -> None:
        """Do without a source that serves something else, and without all that it gave."""
        self.pool.suspects[source] = reason
        self.pieces.give_back(source)
        self.job.received = self.pieces.size
        self._crew.dismiss_from(source)

    # Everything below is how it goes on.

    def _prepare(self) -> None:
        there = self.held.there

        def prepare() -> None:
            self.held.intake.make_ready()
            self.sink.allocate(self.pieces.total, there)

        self.job.received, self.job.expected = there.size, self.pieces.total
        self._preparing = self.engine.writes.submit(prepare, key=self.held.intake, alone=True)

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, DownloadError) and is_retryable(error) and self.pieces.size:
            # The workers have tried as often as the job may, counted from the last byte that came.
            self.held.intake.written = self.pieces.written_by(self.recorded).size
            self.job._count_progress()
            self.job.retries_left = 0
        raise error

    async def _complete(self) -> Body:
        body, intake, job = self._body, self.held.intake, self.job
        assert body is not None
        self.held.is_mixed = self._was_mixed or bool(self.pieces.givers - {self.recorded})
        job.was_mixed = job.was_mixed or self.held.is_mixed
        await self._note_last()

        def complete() -> None:
            self.sink.cover(self.pieces.total)
            intake.take_up(self.pieces.total)
            intake.complete(())
            if job.publish_at_once:
                self.sink.publish(modified_at=body.modified_at)

        await self.engine.writes.run(complete, key=intake, alone=True)
        self._is_over = True
        for source, reason in self.pool.suspects.items():
            self.pool.drop(source, reason)
        return body

    def _doubt_others(self) -> bool:
        """After a mismatch, replace what other sources gave; whether there is any and that can be done."""
        job, held = self.job, self.held
        if not held.is_mixed or self.pool.source is not self.recorded:
            return False
        job.may_mix = job.was_mixed = held.is_mixed = self.pool.may_mix = False
        self.pieces.keep_only(self.recorded)
        self.doubted = Ranges(part for ranges in self.pieces.doubted.values() for part in ranges)
        job.received = self.pieces.size
        return True

    async def _note_last(self) -> None:
        there = self.pieces.written_by(self.recorded)
        await self.engine.writes.run(self.sink.note_ranges, there, key=self.held.intake, alone=True)

    async def _fall_back(self, reason: str) -> None:
        """Drop what lies behind the first gap, so that one connection can go on from there."""
        await self._crew.dismiss()
        self._is_over = True
        job, held = self.job, self.held
        held.may_divide, held.is_mixed = False, self._was_mixed
        job.tell("segments_refused", f"the file comes over one connection: {reason}")
        prefix = self.pieces.written_by(self.recorded).prefix
        job.received = prefix

        def go_back() -> None:
            if prefix:
                self.sink.go_on_from(prefix)
            else:
                self.sink.reset()
            held.intake.take_up(prefix)

        going = self.engine.writes.submit(go_back, key=held.intake, alone=True)
        await going.settled()
        going.value()

    async def _discard(self) -> None:
        self._is_over = True
        self.job.held = None
        await self.engine.writes.submit(self.held.intake.discard, key=self.held.intake).settled()

    async def _set_down(self) -> None:
        """Hold what can be continued: the record tells of nothing else, whoever gave it."""
        there = self.pieces.written_by(self.recorded)

        def note() -> None:
            # A disk that refuses this keeps the record before, which tells of less.
            with contextlib.suppress(DownloadError):
                if there:
                    self.sink.note_ranges(there)
                else:
                    self.sink.reset()

        self.held.is_mixed = self._was_mixed
        self.held.intake.take_up_ranges(there)
        await self.engine.writes.submit(note, key=self.held.intake, alone=True).settled()
