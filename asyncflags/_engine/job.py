"""One download: its attempts, its sources, and the pauses in between."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from asyncflags._engine.answers import record_of
from asyncflags._engine.held import Held
from asyncflags._engine.intake import Intake
from asyncflags._engine.settling import Skipped, settle
from asyncflags._engine.sources import Sources
from asyncflags._engine.transfer import Attempt
from asyncflags._policies.checksums import Checksum
from asyncflags._policies.retry import RETRY_AFTER_CAP, is_refusal, is_retryable
from asyncflags._policies.urls import parse_url
from asyncflags._storage.records import identity_of
from asyncflags.errors import ChecksumMismatch, DownloadError, StatusError, TotalTimeout, redact_url

if TYPE_CHECKING:
    from asyncflags._engine.answers import Body
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.known import KnownFile
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination, Place
    from asyncflags._engine.sources import Source
    from asyncflags._engine.turns import Turn
    from asyncflags._models import Request
    from asyncflags._policies.urls import Target
    from asyncflags._storage.claims import NameClaims
    from asyncflags._storage.records import PartRecord

__all__ = ["Job", "Skipped"]


class Job:
    """One download under way. Made and run by one task.

    Args:
        engine: What it runs on.
        request: What is asked for.
        destination: Where it goes.
        options: How.
        run: The names that its run has given away; ``None``: it is no part of a list.
        publish_at_once: Whether the attempt that completes the body publishes it too.
        known: What an earlier run recorded of the file, or ``None``.
        target: The URL, if somebody has read it already.

    Attributes:
        turn: Its right to run, and its way to the slots of hosts; there is one while it runs.

    Raises:
        InvalidUrl: The URL, or a mirror's, cannot be downloaded.
        ValueError: The checksum or size of the request is malformed.
    """

    def __init__(
        self,
        engine: Engine,
        request: Request,
        destination: Destination,
        options: Options,
        *,
        run: NameClaims | None = None,
        publish_at_once: bool = True,
        known: KnownFile | None = None,
        target: Target | None = None,
    ) -> None:
        self.engine = engine
        self.request = request
        self.destination = destination
        self.options = options
        self.publish_at_once = publish_at_once
        self.known = known
        self.run_names = run
        self.target = target if target is not None else parse_url(request.url)
        self.turn: Turn
        headers = engine.credentials.headers(self.target, request, options)
        self.sources = Sources(self.target, headers, request.mirrors)
        self.checksum = Checksum.parse(request.checksum) if request.checksum is not None else None
        self.size = request.size
        self.place: Place | None = None
        self.name = redact_url(self.target.url)
        self.fields: dict[str, str] = {"Want-Repr-Digest": _WANTED} if options.require_digest else {}
        self.kept: Skipped | None = None
        self.held: Held | None = None
        self.may_continue = options.resume and not options.compressed
        self.may_mix = True
        self.was_mixed = False
        # Bytes went where they cannot be taken back, and what should follow them is not known any more.
        self.is_spoiled = False
        self.started = time.monotonic()
        self.attempts = 0
        self.retries_left = options.retries or 0
        self.received = 0
        self.expected: int | None = None
        self._fruitless = 0
        self._most = 0
        if self.size is not None and self.size < 0:
            raise ValueError(f"size must be 0 or more bytes, not {self.size}")

    def identify(self) -> str:
        """What tells the URL from others, beside a part file."""
        return identity_of(self.target.url)

    async def run(self, turn: Turn | None = None) -> Body:
        """Download until the body is whole and verified.

        Args:
            turn: Its turn, which is finished with it; ``None``: it waits for one.

        Raises:
            DownloadError: The last attempt's error, with the number of attempts.
            Skipped: Nothing is to be done.
        """
        total = self.options.effective_timeout.total
        if total is None:
            return await self._run_attempts(turn)
        try:
            async with asyncio.timeout(total) as limit:
                return await self._run_attempts(turn)
        except TimeoutError as error:
            if isinstance(error, DownloadError) or not limit.expired():
                raise
            raise self.labelled(
                TotalTimeout(f"not finished within {total:g} s, after {self.received} bytes")
            ) from error

    async def _run_attempts(self, turn: Turn | None) -> Body:
        engine = self.engine
        if turn is None:
            try:
                turn = await engine.hosts.begin(self.target.origin, self.request.priority)
            except DownloadError as error:
                raise self.labelled(error) from None
        self.turn = turn
        self.started = time.monotonic()
        engine.tally.begin(self)
        try:
            if self.options.name_from == "url":
                await self.settle(None, self.target.url)
            while True:
                self.attempts += 1
                engine.tally.attempts += 1
                attempt = Attempt(engine, self, self.sources.current)
                try:
                    return await attempt.run()
                except DownloadError as error:
                    delay = self._delay_after(error, attempt)
                engine.tally.retries += 1
                if delay:
                    await turn.sleep(delay)
        except BaseException as error:
            if isinstance(error, DownloadError):
                self.labelled(error)
            await self._put_away()
            raise
        finally:
            engine.tally.end(self)
            turn.finish()

    def _delay_after(self, error: DownloadError, attempt: Attempt) -> float:
        """Seconds until the next attempt; raises *error* if there is none."""
        if self.is_spoiled:
            raise error
        self._count_progress()
        engine, turn = self.engine, self.turn
        # A host that is left alone for now is not asked again for the sake of one more download.
        is_sent = error is not turn.refusal
        retries = is_sent and is_retryable(error)
        asks_too_much = isinstance(error, StatusError) and (error.retry_after or 0) > RETRY_AFTER_CAP
        if retries and asks_too_much and self.sources.is_last:
            raise error
        if self._changes_source(error, retries):
            return 0.0
        if not retries or not self.options.retries:
            if not is_sent:
                self.attempts -= 1
                engine.tally.attempts -= 1
            raise error
        if isinstance(error, StatusError) and is_refusal(error.status, error.retry_after):
            return self._delay_after_refusal(error, attempt)
        if self.retries_left < 1:
            raise error
        self.retries_left -= 1
        self._fruitless += 1
        delay = engine.backoff.delay(self._fruitless, jitter=engine.jitter())
        engine.tally.tell("retrying", self.request.url, error.message, seconds=delay, attempt=self.attempts)
        return delay

    def _delay_after_refusal(self, error: StatusError, attempt: Attempt) -> float:
        """The pause is the host's, and its lane keeps it; raises *error* if it is not worth waiting for."""
        engine, flight = self.engine, attempt.flight
        assert flight is not None
        if self.turn.costs_a_retry(flight.host):
            if self.retries_left < 1:
                raise error
            self.retries_left -= 1
        pause = max(0.0, flight.host.resume_at - engine.time())
        engine.tally.tell("retrying", self.request.url, error.message, seconds=pause, attempt=self.attempts)
        return 0.0

    def _count_progress(self) -> None:
        """Bytes that came and stay give the budget of retries back, once each."""
        if self.held is not None and self.held.intake.written > self._most:
            self._most = self.held.intake.written
            self._fruitless = 0
            self.retries_left = self.options.retries or 0
            self.turn.progressed()

    def _changes_source(self, error: DownloadError, retries: bool) -> bool:
        """Whether another source is to be asked at once."""
        sources = self.sources
        if isinstance(error, ChecksumMismatch) and self.was_mixed:
            # Nobody knows whose bytes were the wrong ones, so from now on each source is judged alone.
            self.may_mix = self.was_mixed = False
            return True
        if sources.is_last or not sources.is_at_fault(error):
            return False
        if retries:
            return sources.rotate()
        self.tell("mirror_dropped", f"{sources.current.name} is given up: {error.message}")
        sources.drop()
        return True

    def labelled(self, error: DownloadError) -> DownloadError:
        """*error* with what this job knows about it."""
        error.url = redact_url(self.request.url)
        error.attempts = self.attempts
        error.request = self.request
        return error

    def tell(self, kind: str, detail: str) -> None:
        """An event of this job."""
        self.engine.tally.tell(kind, self.request.url, detail, attempt=self.attempts)

    async def settle(self, disposition: str | None, url: str) -> None:
        """Settle where the file goes; the first answer that tells the name decides for all attempts.

        Raises:
            DownloadError, Skipped: As `settling.settle`.
        """
        place = await settle(self, disposition, url)
        self.place = place
        if place.path is not None:
            self.name = place.path.rpartition("/")[2]

    def expect_listed(self, path: str) -> None:
        """Expect the checksum that is listed for *path*, if there is a list."""
        listed = self.options.checksums
        if listed is None:
            return
        name = os.path.relpath(path, self.destination.folder) if self.destination.folder else path
        known = listed.get(name.replace(os.sep, "/")) or listed.get(os.path.basename(path))
        if known is None:
            self.tell("checksum_unlisted", f"no checksum is listed for {os.path.basename(path)}")
        else:
            self.checksum = Checksum.parse(known)

    def hold(self, source: Source) -> Held:
        """What is held of the body, from now on of *source*; begun if there is nothing yet."""
        if self.held is None:
            assert self.place is not None
            intake = Intake(
                self.place.new_sink(),
                checksum=self.checksum,
                size=self.size,
                max_size=self.options.max_size,
            )
            self.held = Held(intake, source)
        self.held.source = source
        return self.held

    def record(self, held: Held) -> PartRecord | None:
        """What another process has to know to go on with *held*; ``None``: it could not."""
        return record_of(self, held) if self.may_continue and held.can_be_left else None

    async def drop(self) -> None:
        """Leave no trace of what is held."""
        held, self.held = self.held, None
        if held is not None:
            await self.engine.writes.submit(held.intake.discard, key=held.intake).settled()

    async def _put_away(self) -> None:
        """Let go of what is held, so that another process can go on with it, if anybody can."""
        held, self.held = self.held, None
        if held is not None:
            if self.place is not None and self.place.path is not None and held.can_be_left:
                self.engine.leftovers.note(self.place.path)
            await self.engine.writes.submit(held.intake.leave, key=held.intake).settled()

    def release(self) -> None:
        """Give the name back; the job has ended."""
        if self.place is not None and self.place.path is not None:
            self.engine.names.release(self.place.path)


_WANTED = "sha-512=9, sha-256=10"
