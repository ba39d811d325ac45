"""One question to a source: hop by hop to the final answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from asyncflags._policies.redirects import REDIRECT_STATUSES, headers_for_hop, next_hop
from asyncflags._transports.base import ExchangeRequest
from asyncflags.errors import BlockedUrl, DownloadError, redact_url

if TYPE_CHECKING:
    from asyncflags._engine.job import Job
    from asyncflags._engine.pace import Pace
    from asyncflags._engine.sources import Source
    from asyncflags._engine.turns import Flight
    from asyncflags._policies.urls import Target
    from asyncflags._transports.base import ResponseStream

__all__ = ["Exchange"]

T = TypeVar("T")


class Exchange:
    """Asks one source of a job, and follows its redirects.

    Args:
        job: On whose behalf.
        source: Where to begin.
        pace: Its clocks stand still while a slot is waited for.

    Attributes:
        target: What was asked last.
        flight: The request of that, if there was one.
    """

    def __init__(self, job: Job, source: Source, pace: Pace) -> None:
        self._job = job
        self._source = source
        self._pace = pace
        self.target = source.target
        self.flight: Flight | None = None

    async def follow(self, fields: Mapping[str, str], take: Callable[[ResponseStream], Awaitable[T]]) -> T:
        """Send the source's request with *fields* on top, and give the final answer to *take*.

        The slot of the answering host is held until *take* returns.

        Raises:
            DownloadError: The redirects lead nowhere, or the transport failed; and what *take* raises.
        """
        job, options, engine = self._job, self._job.options, self._job.engine
        headers: Mapping[str, str] = self._source.headers
        if fields:
            headers = {**headers, **fields}
        target = self.target = self._source.target
        seen: list[str] = []
        while True:
            # Time spent waiting for a slot is nobody's silence.
            self._pace.hold()
            self.flight = flight = await self._cleared(target)
            try:
                self._pace.restart()
                flight.begin(self._pace)
                stream = await self._open(flight, target, headers)
                try:
                    if stream.status not in REDIRECT_STATUSES:
                        return await take(stream)
                    hop = next_hop(
                        status=stream.status,
                        location=stream.header("Location") or None,
                        current=target,
                        seen=seen,
                        max_redirects=options.max_redirects or 0,
                        hops=len(seen),
                        allow_downgrade=options.allow_downgrade,
                    )
                finally:
                    await stream.aclose()
            finally:
                flight.land()
            seen.append(target.url)
            headers = headers_for_hop(headers, same_origin=hop.origin == target.origin)
            engine.tally.tell("redirected", target.url, f"to {redact_url(hop.url)}", attempt=job.attempts)
            target = self.target = hop

    async def _cleared(self, target: Target) -> Flight:
        """Wait for a slot of a host whose rules allow *target*."""
        job, robots = self._job, self._job.engine.robots
        flight = await job.turn.request(target.origin)
        if robots is None:
            return flight
        try:
            is_new = await robots.check(target, job.options)
        except BaseException as error:
            if isinstance(error, DownloadError) and not isinstance(error, BlockedUrl):
                flight.failed(error)
            flight.drop()
            raise
        if is_new:
            # The rate that the rules ask for holds for this request, too.
            flight.drop()
            flight = await job.turn.request(target.origin)
        return flight

    async def _open(self, flight: Flight, target: Target, headers: Mapping[str, str]) -> ResponseStream:
        """Send the request, and tell the host's lane what comes of it."""
        try:
            stream = await self._job.engine.transport.open(self._request(target, headers))
        except DownloadError as error:
            flight.failed(error)
            raise
        flight.answered(stream)
        return stream

    def _request(self, target: Target, headers: Mapping[str, str]) -> ExchangeRequest:
        credentials, options = self._job.engine.credentials, self._job.options
        proxy, proxy_headers = credentials.proxy(target, options)
        return ExchangeRequest(
            url=target.url,
            headers=credentials.with_cookies(target, headers, options),
            proxy=proxy,
            proxy_headers=proxy_headers,
            connect_timeout=options.effective_timeout.connect,
        )
