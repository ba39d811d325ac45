"""One attempt: what is asked for, what the answer means, and its body to the sink, counting on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from asyncflags._engine.answers import (
    Body,
    check_announced,
    digests_in,
    require_digest,
    require_digest_of_whole,
    validator_of,
)
from asyncflags._engine.bandwidth import Share
from asyncflags._engine.batches import Batches
from asyncflags._engine.exchange import Exchange
from asyncflags._engine.pace import Pace
from asyncflags._engine.segmented import Segmented
from asyncflags._policies.answers import refusal
from asyncflags._policies.framing import Framing, body_framing, check_content_coding
from asyncflags._policies.links import duplicates
from asyncflags._policies.ranges import check_partial, range_field
from asyncflags._policies.resuming import Asked, Next, keeps_part, next_step, overlap_before
from asyncflags._policies.retry import parse_retry_after
from asyncflags._storage.files import FileSink
from asyncflags._storage.sinks import StreamSink
from asyncflags.errors import RangeError, TruncatedBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncflags._engine.engine import Engine
    from asyncflags._engine.held import Held
    from asyncflags._engine.job import Job
    from asyncflags._engine.sources import Source
    from asyncflags._engine.turns import Flight
    from asyncflags._policies.urls import Origin
    from asyncflags._transports.base import ResponseStream

__all__ = ["Attempt"]


@dataclass(slots=True)
class _Question:
    """What is asked for beyond the URL.

    Attributes:
        asked: How.
        fields: Of the request.
        start: Offset of the first byte asked for.
        tail: The bytes from there on that are at hand already.
    """

    asked: Asked
    fields: Mapping[str, str]
    start: int = 0
    tail: bytes = field(default=b"", repr=False)


class Attempt:
    """One attempt of a job. Used once."""

    def __init__(self, engine: Engine, job: Job, source: Source) -> None:
        self._engine = engine
        self._job = job
        self._options = job.options
        self._source = source
        self._pace = Pace(job.options, engine.time)
        self._exchange = Exchange(job, source, self._pace)
        self._by_match = False
        self._segmented: Segmented | None = None

    @property
    def origin(self) -> Origin:
        """The origin that was asked last."""
        return self._exchange.target.origin

    @property
    def flight(self) -> Flight | None:
        """The last request that went out."""
        return self._exchange.flight

    async def run(self) -> Body:
        """Make the attempt.

        Raises:
            DownloadError: It failed; what can be continued is held by the job, and nothing else is left.

        Cancellation: Returns control once no thread works for this attempt.
        """
        with self._pace.watch():
            while True:
                try:
                    body = await (self._fetch_rest() if self._divides_rest() else self._ask())
                finally:
                    segmented, self._segmented = self._segmented, None
                    if segmented is not None:
                        await segmented.stop()
                if body is not None:
                    return body

    async def _ask(self) -> Body | None:
        """Ask over one connection; ``None``: there is more to ask."""
        question = await self._question()
        try:
            body = await self._exchange.follow(question.fields, partial(self._answered, question))
        except RangeError as error:
            if question.asked is Asked.WHOLE or self._job.is_spoiled:
                raise
            await self._distrust(error.message)
            return None
        return body if self._segmented is None else await self._segmented.finish()

    async def _fetch_rest(self) -> Body | None:
        """Fetch what is missing over several connections; ``None``: the rest goes over one."""
        assert self._job.held is not None
        self._pace.hold()
        self._segmented = Segmented(self._job, self._job.held, self._source, is_proven=False)
        return await self._segmented.finish()

    def _divides_rest(self) -> bool:
        """Whether the rest of what is held comes in segments; it must where there are gaps in it."""
        held = self._job.held
        asked = self._how(held)
        if held is None or asked is Asked.WHOLE:
            return False
        if held.intake.ranges is not None:
            return True
        return asked is Asked.IF_RANGE and self._may_divide(held, held.intake.written)

    def _may_divide(self, held: Held, there: int) -> bool:
        """Whether more than one connection may be worth it for what is missing."""
        engine, total = self._engine, held.total
        return (
            engine.limits.max_segments > 1
            and held.may_divide
            and held.can_be_left
            and self._job.may_continue
            and isinstance(held.intake.sink, FileSink)
            and total is not None
            and total - there >= max(1, engine.segment_rules.least_total)
        )

    async def _question(self) -> _Question:
        """Ask for the rest of what is held, if that can be proven to be of the same version."""
        job, held = self._job, self._job.held
        asked = self._how(held)
        if held is None or asked is Asked.WHOLE:
            return _Question(Asked.WHOLE, job.fields)
        position = held.intake.written
        size = overlap_before(position)
        self._pace.hold()
        tail = await self._engine.writes.run(held.intake.sink.tail, size, key=held.intake)
        start = position - len(tail)
        fields = {**job.fields, "Range": range_field(start)}
        condition = held.validator.condition
        if condition is not None and asked is not Asked.UNPROVEN:
            fields["If-Match" if asked is Asked.IF_MATCH else "If-Range"] = condition
        return _Question(asked, fields, start, tail)

    def _how(self, held: Held | None) -> Asked:
        if held is None or not held.intake.written or not held.can_be_continued or not self._job.may_continue:
            return Asked.WHOLE
        if held.is_mixed or held.source is not self._source:
            # No source knows another one's validators; there, only a checksum proves the whole in the end.
            can_be_proven = self._job.may_mix and held.intake.is_checked and held.total is not None
            return Asked.UNPROVEN if can_be_proven else Asked.WHOLE
        return Asked.IF_MATCH if self._by_match else Asked.IF_RANGE

    async def _answered(self, question: _Question, stream: ResponseStream) -> Body | None:
        """Take an answer; ``None``: there is more to ask."""
        held = self._job.held
        same_etag = held is not None and held.validator.is_same_etag(stream.header("ETag"))
        match next_step(stream.status, asked=question.asked, same_etag=same_etag):
            case Next.ASK_BY_MATCH:
                self._by_match = True
                return None
            case Next.ASK_WHOLE:
                await self._distrust(f"the server answered {stream.status} to a request for its rest")
                return None
            case Next.CONTINUE:
                assert held is not None
                return await self._continue(question, held, stream)
        if stream.status == 304 and self._job.kept is not None:
            raise self._job.kept
        error = refusal(
            stream.status, retry_after=parse_retry_after(stream.header("Retry-After"), now=time.time())
        )
        if error is not None:
            raise error
        return await self._begin(stream)

    async def _distrust(self, reason: str) -> None:
        """Drop what is held, and ask for no part of this file any more."""
        job = self._job
        job.may_continue = False
        job.tell("resume_refused", f"begun anew: {reason}")
        if job.held is not None and job.held.intake.sink.restartable:
            self._pace.hold()
            await job.drop()

    async def _begin(self, stream: ResponseStream) -> Body | None:
        """Take a body from its first byte on."""
        job, options, headers = self._job, self._options, stream.headers
        framing, length = body_framing(
            method="GET", status=stream.status, headers=headers, http_version=stream.http_version
        )
        coding = check_content_coding(headers) if options.compressed else None
        proven = framing is not Framing.CLOSE
        check_announced(job, length if coding is None else None, proven)
        digests = digests_in(job, headers)
        require_digest(job, digests)
        if job.place is None:
            # To look at what is there already, and to hash it, takes our disk and not the server.
            self._pace.hold()
            await job.settle(stream.header("Content-Disposition"), self._exchange.target.url)
            if self._how(job.held) is not Asked.WHOLE:
                # A part was left under the name that is known only now.
                return None
            self._pace.restart()
        held = job.hold(self._source)
        held.heard(stream)
        held.total = length
        held.content_type, held.digests = stream.header("Content-Type"), digests.representation
        held.is_provable = proven and coding is None and not options.compressed
        held.is_mixed = False
        held.intake.begin(length_proven=proven, coding=coding, digests=digests)
        if isinstance(held.intake.sink, FileSink):
            held.intake.sink.describe = partial(job.record, held)
        job.received, job.expected = 0, length
        body = Body.of(stream, held, self._exchange.target.url, options, length_verified=proven)
        self._add_mirrors(stream)
        if stream.status == 200 and _takes_ranges(stream) and self._may_divide(held, 0):
            self._pace.read()
            self._segmented = Segmented(job, held, self._source, is_proven=True)
            await self._segmented.lead(stream, body, self._pace)
        else:
            await self._fill(stream, body, length, is_last=True)
        return body

    def _add_mirrors(self, stream: ResponseStream) -> None:
        """Take up the mirrors that the URL asked for names in its Link fields (RFC 6249).

        Only where a checksum or digest of the whole is known, because nothing else tells that they serve the same
        file (section 6 there); where one is, their digests and totals are compared, too. What a mirror names is
        left alone (section 2), and so is one that would give up encryption.
        """
        job = self._job
        held = job.held
        if held is None or not held.intake.is_checked or self._source.target is not job.target:
            return
        links = [value for name, value in stream.headers if name.lower() == "link"]
        for mirror in duplicates(links, self._exchange.target.url) if links else ():
            if (
                self._options.allow_downgrade
                or job.target.origin[0] == "http"
                or mirror.url.startswith("https:")
            ):
                job.sources.add(mirror.url)

    async def _continue(self, question: _Question, held: Held, stream: ResponseStream) -> Body | None:
        """Take the rest of a body, or more of it."""
        job = self._job
        validator = held.validator if question.asked is not Asked.UNPROVEN else validator_of(stream)
        given = check_partial(
            stream.headers, start=question.start, stop=None, total=held.total, validator=validator
        )
        held.total = total = given.total if held.total is None else held.total
        if total is None:
            raise RangeError("the server does not tell how long the file is, so its end could not be known")
        position = question.start + len(question.tail)
        if given.stop <= position and given.stop < total:
            raise RangeError("the server sends nothing beyond what is there already")
        check_announced(job, total, proven=True)
        digests = digests_in(job, stream.headers)
        require_digest_of_whole(job, held, digests)
        held.digests = held.digests or digests.representation
        held.intake.go_on(question.tail, digests, is_proven=question.asked is not Asked.UNPROVEN)
        if question.asked is Asked.UNPROVEN:
            held.is_mixed = job.was_mixed = True
            held.source = self._source
        job.received, job.expected = question.start, total
        body = Body.of(stream, held, self._exchange.target.url, self._options, length_verified=True)
        is_last = given.stop == total
        await self._fill(stream, body, given.stop - given.start, is_last=is_last)
        return body if is_last else None

    async def _fill(self, stream: ResponseStream, body: Body, length: int | None, *, is_last: bool) -> None:
        """Bring a body into the intake, and with the last of it have it verified, and published if it is time."""
        intake = body.intake
        batches = Batches(self._engine.writes, intake, self._engine.blocks)
        self._pace.read()
        try:
            await self._gather(stream, batches, length)
            self._pace.hold()
            # A body to decode is of any size, and the other end of a stream may be slow or stand still.
            slow = bool(self._options.compressed) or isinstance(intake.sink, StreamSink)
            if not is_last:
                await batches.run(intake.end_part, alone=slow)
            elif self._job.publish_at_once:
                slow = slow or self._options.durability == "fsync"
                await batches.run(intake.complete_and_publish, body.modified_at, alone=slow)
            else:
                await batches.run(intake.complete, alone=slow)
        except BaseException as error:
            # Whatever ended the attempt, no thread may still write.
            self._pace.hold()
            await self._set_down(batches, error)
            raise
        finally:
            batches.close()

    async def _set_down(self, batches: Batches, error: BaseException) -> None:
        """Keep what came, if it can be continued; else leave no trace of it."""
        job, held = self._job, self._job.held
        assert held is not None
        if job.may_continue and held.can_be_continued and keeps_part(error):
            await batches.keep()
            return
        job.held = None
        try:
            await batches.abandon()
        finally:
            # A batch that was on its way has come by now.
            job.is_spoiled = not held.intake.sink.restartable

    async def _gather(self, stream: ResponseStream, batches: Batches, length: int | None) -> None:
        job, tally, pace = self._job, self._engine.tally, self._pace
        share = Share(self._engine.bandwidth, self.origin, job, stream, batches.room)
        room = share.room
        received = 0
        while data := await stream.receive(room):
            size = len(data)
            received += size
            job.received += size
            tally.size += size
            pace.heard(size)
            if length is not None and received > length:
                # Only chunks can hold more than was announced, and then nobody knows what the rest is.
                raise RangeError(f"the server sent more than the {length} bytes that it announced")
            if batches.add(data, size):
                pace.hold()
                await batches.flush()
                pace.resume()
            if share.is_due:
                pace.hold()
                await share.pay(size)
                pace.resume()
        if length is not None and received != length:
            raise TruncatedBody(
                f"the body ended after {received} of {length} bytes", expected=length, received=received
            )


def _takes_ranges(stream: ResponseStream) -> bool:
    """Whether the server says that it does (RFC 9110 section 14.3)."""
    return any(unit.strip().lower() == "bytes" for unit in (stream.header("Accept-Ranges") or "").split(","))
