"""One attempt: hop by hop to the final answer, and its body to the sink, counting on the way."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._engine.batches import Batches
from asyncflags._engine.intake import Intake, size_mismatch
from asyncflags._engine.watch import Watch
from asyncflags._policies.answers import refusal
from asyncflags._policies.framing import Framing, body_framing, check_content_coding
from asyncflags._policies.redirects import REDIRECT_STATUSES, headers_for_hop, next_hop
from asyncflags._policies.retry import parse_http_date, parse_retry_after
from asyncflags._policies.timeouts import Stall, check_pace
from asyncflags._storage.sinks import StreamSink
from asyncflags._transports.base import ExchangeRequest
from asyncflags.errors import (
    BodyTooLarge,
    DownloadError,
    ProtocolError,
    ReadTimeout,
    TooSlow,
    TruncatedBody,
    redact_url,
)

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.job import Job
    from asyncflags._policies.urls import Origin, Target
    from asyncflags._transports.base import ResponseStream

__all__ = ["Attempt", "Body"]

_WINDOW = 60.0
# How long systems try to look up a name and to connect, at most, when no limit is set.
_SYSTEM_CONNECT = 300.0


@dataclass(slots=True)
class Body:
    """A whole and verified body with what its answer said of it."""

    intake: Intake
    status: int
    final_url: str
    length_verified: bool
    etag: str | None
    last_modified: str | None
    content_type: str | None
    modified_at: float | None


class Attempt:
    """One attempt of a job. Used once."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine = engine
        self._job = job
        self._options = job.options
        self._timeout = job.options.effective_timeout
        self._target = job.target
        self._reading = False
        # While the attempt waits for a slot or for the disk, the server is not to blame for the silence.
        self._held = False

    @property
    def origin(self) -> Origin:
        """The origin that was asked last."""
        return self._target.origin

    async def run(self) -> Body:
        """Make the attempt.

        Raises:
            DownloadError: It failed; the sink holds no trace of it.

        Cancellation: Returns control once no thread works for this attempt and its traces are removed.
        """
        loop_time = self._engine.time
        self._started = self._heard = self._window_started = loop_time()
        self._window_bytes = 0
        with Watch(self._look, self._started + self._look_every()):
            return await self._follow()

    def _head_deadline(self) -> float:
        """When the head must be there; interim answers do not prolong it."""
        timeout = self._timeout
        if timeout.read is None:
            return math.inf
        connect = timeout.connect if timeout.connect is not None else _SYSTEM_CONNECT
        return self._started + connect + timeout.read

    def _look_every(self) -> float:
        """Seconds within which something may have to be noticed."""
        return min(self._timeout.read or math.inf, _WINDOW if self._options.min_speed else math.inf)

    def _look(self, now: float) -> float | DownloadError:
        if self._held:
            return now + 1.0
        if not self._reading:
            deadline = self._head_deadline()
            if now >= deadline:
                return ReadTimeout(f"no answer within {deadline - self._started:g} s")
            if deadline < math.inf:
                return min(deadline, now + self._look_every())
        return self._look_at_pace(now)

    def _look_at_pace(self, now: float) -> float | DownloadError:
        timeout, options = self._timeout, self._options
        verdict = check_pace(
            now=now,
            last_byte_at=self._heard,
            window_started_at=self._window_started,
            window_bytes=self._window_bytes,
            read=timeout.read,
            min_speed=options.min_speed,
            window=_WINDOW,
        )
        if verdict is Stall.READ:
            return ReadTimeout(f"no byte for {timeout.read:g} s after {self._job.received} bytes")
        if verdict is Stall.SLOW:
            return TooSlow(
                f"less than {options.min_speed:g} bytes a second for {_WINDOW:g} s, "
                f"after {self._job.received} bytes (min_speed)"
            )
        assert isinstance(verdict, float)
        if now >= self._window_started + _WINDOW:
            self._window_started, self._window_bytes = now, 0
        return verdict

    async def _follow(self) -> Body:
        """Follow redirects to the final answer and take its body."""
        engine, job = self._engine, self._job
        headers = job.headers
        seen: list[str] = []
        while True:
            target = self._target
            # Time spent waiting for a slot is nobody's silence.
            self._held = True
            async with engine.hosts.slot(target.origin):
                self._restart_clock()
                stream = await engine.transport.open(self._exchange(target, headers))
                try:
                    if stream.status not in REDIRECT_STATUSES:
                        return await self._take(stream)
                    hop = next_hop(
                        status=stream.status,
                        location=stream.header("Location") or None,
                        current=target,
                        seen=seen,
                        max_redirects=self._options.max_redirects or 0,
                        hops=len(seen),
                        allow_downgrade=self._options.allow_downgrade,
                    )
                finally:
                    await stream.aclose()
            seen.append(target.url)
            headers = headers_for_hop(headers, same_origin=hop.origin == target.origin)
            engine.tally.tell("redirected", target.url, f"to {redact_url(hop.url)}", attempt=job.attempts)
            self._target = hop

    def _exchange(self, target: Target, headers: dict[str, str]) -> ExchangeRequest:
        engine = self._engine
        proxy, proxy_headers = engine.credentials.proxy(target, self._options)
        return ExchangeRequest(
            url=target.url,
            headers=engine.credentials.with_cookies(target, headers, self._options),
            proxy=proxy,
            proxy_headers=proxy_headers,
            connect_timeout=self._timeout.connect,
        )

    def _restart_clock(self) -> None:
        self._started = self._heard = self._window_started = self._engine.time()
        self._window_bytes = 0
        self._reading = self._held = False

    async def _take(self, stream: ResponseStream) -> Body:
        job, options = self._job, self._options
        error = refusal(
            stream.status, retry_after=parse_retry_after(stream.header("Retry-After"), now=time.time())
        )
        if error is not None:
            raise error
        headers = stream.headers
        framing, length = body_framing(
            method="GET", status=stream.status, headers=headers, http_version=stream.http_version
        )
        coding = check_content_coding(headers) if options.compressed else None
        proven = framing is not Framing.CLOSE
        self._check_announced(length if coding is None else None, proven)
        if (place := job.place) is None:
            # To look at what is there already, and to hash it, takes our disk and not the server.
            self._held = True
            place = await job.settle(stream.header("Content-Disposition"), self._target.url)
            self._restart_clock()
        intake = Intake(
            place.new_sink(),
            checksum=job.checksum,
            size=job.size,
            max_size=options.max_size,
            length_proven=proven,
            coding=coding,
        )
        last_modified = stream.header("Last-Modified")
        body = Body(
            intake=intake,
            status=stream.status,
            final_url=self._target.url,
            length_verified=proven,
            etag=stream.header("ETag"),
            last_modified=last_modified,
            content_type=stream.header("Content-Type"),
            modified_at=parse_http_date(last_modified, now=time.time())
            if options.mtime == "server" and last_modified
            else None,
        )
        job.expected = length
        await self._fill(stream, body, length)
        return body

    def _check_announced(self, length: int | None, proven: bool) -> None:
        """Refuse at the head what would be refused at the end."""
        job, options = self._job, self._options
        if not proven:
            if options.require_length:
                raise ProtocolError(
                    "the server does not tell where the body ends, and that is required (require_length)"
                )
            self._engine.tally.tell(
                "length_unverified",
                self._target.url,
                "the body ends when the connection closes, so nothing proves that it is whole",
                attempt=job.attempts,
            )
        if length is None:
            return
        if options.max_size is not None and length > options.max_size:
            raise BodyTooLarge(
                f"the body has {length} bytes, more than the allowed {options.max_size} (max_size)"
            )
        if job.size is not None and length != job.size:
            raise size_mismatch(job.size, length)

    async def _fill(self, stream: ResponseStream, body: Body, length: int | None) -> None:
        """Bring the whole body into the intake and have it verified, and published if it is time."""
        intake = body.intake
        batches = Batches(self._engine.writes, intake, self._engine.blocks)
        self._reading = True
        try:
            await self._gather(stream, batches)
            if length is not None and self._job.received != length:
                raise TruncatedBody(
                    f"the body ended after {self._job.received} of {length} bytes",
                    expected=length,
                    received=self._job.received,
                )
            self._held = True
            # A body to decode is of any size, and the other end of a stream may be slow or stand still.
            slow = bool(self._options.compressed) or isinstance(intake.sink, StreamSink)
            if self._job.publish_at_once:
                slow = slow or self._options.durability == "fsync"
                await batches.run(intake.complete_and_publish, body.modified_at, alone=slow)
            else:
                await batches.run(intake.complete, alone=slow)
        except BaseException:
            # Whatever ended the attempt, no thread may still write and no trace may stay.
            self._held = True
            if not intake.sink.restartable:
                self._job.retries_left = 0
            await batches.abandon()
            raise
        finally:
            batches.close()

    async def _gather(self, stream: ResponseStream, batches: Batches) -> None:
        job, tally, clock = self._job, self._engine.tally, self._engine.time
        room = batches.room
        while data := await stream.receive(room):
            size = len(data)
            job.received += size
            tally.size += size
            self._window_bytes += size
            self._heard = clock()
            if batches.add(data, size):
                self._held, before = True, clock()
                await batches.flush()
                # The network stood still for the disk's sake, so its clocks did too.
                self._heard = clock()
                self._window_started += self._heard - before
                self._held = False
