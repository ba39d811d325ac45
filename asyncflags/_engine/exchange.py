"""One question to a source: hop by hop to the final answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from asyncflags._policies.redirects import REDIRECT_STATUSES, headers_for_hop, next_hop
from asyncflags._transports.base import ExchangeRequest
from asyncflags.errors import redact_url

if TYPE_CHECKING:
    from asyncflags._engine.job import Job
    from asyncflags._engine.pace import Pace
    from asyncflags._engine.sources import Source
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
    """

    def __init__(self, job: Job, source: Source, pace: Pace) -> None:
        self._job = job
        self._source = source
        self._pace = pace
        self.target = source.target

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
            async with engine.hosts.slot(target.origin):
                self._pace.restart()
                stream = await engine.transport.open(self._request(target, headers))
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
            seen.append(target.url)
            headers = headers_for_hop(headers, same_origin=hop.origin == target.origin)
            engine.tally.tell("redirected", target.url, f"to {redact_url(hop.url)}", attempt=job.attempts)
            target = self.target = hop

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
