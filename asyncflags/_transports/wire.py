"""The fast lane: a plain ``GET`` over HTTP/1.1, from asyncio's protocols straight into the engine's memory.

It does what a download needs and nothing else: no proxies, no cookies, no content codings. Answers are read strictly by
RFC 9112, and what two readers could understand differently is refused. A body that is read to its end leaves
the connection for the next request.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Awaitable, Callable

from asyncflags._transports.base import ExchangeRequest, Resolve, ResponseStream, Transport
from asyncflags._transports.wire_connecting import Connector
from asyncflags._transports.wire_heads import HeadReader, HeadWriter
from asyncflags._transports.wire_origins import Origin, read_origin
from asyncflags._transports.wire_pool import Pool
from asyncflags._transports.wire_protocol import Connection, Outcome, Scratch
from asyncflags._transports.wire_streams import WireStream
from asyncflags.errors import ConnectError, DownloadError, redact_url

__all__ = ["WireTransport"]

_MOST_ORIGINS = 1024
_MAX_IDLE = 256
_IDLE_SECONDS = 30.0
# Before it no path can begin: after "http://" or "https://", at least one character of a host.
_AUTHORITY_AT = 8


class WireTransport(Transport):
    """Makes plain exchanges as fast as they can be made.

    Args:
        resolve: Looks up host names.
        ssl_context: For https, left as it is; ``None``: certificates are verified against the system's authorities.
        make_context: Runs `wire_connecting.default_context`, which blocks, off the loop when it is needed first;
            ``None``: it runs on the loop.
        family: `socket.AF_INET`, `socket.AF_INET6`, or 0 for both.
        max_idle: Connections that are kept for a next request, of all hosts together; 0: none.
        idle_seconds: How long one is kept.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        ssl_context: ssl_module.SSLContext | None = None,
        make_context: Callable[[], Awaitable[ssl_module.SSLContext]] | None = None,
        family: int = 0,
        max_idle: int = _MAX_IDLE,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._family = family
        self._connector = Connector(
            resolve, ssl_context=ssl_context, make_context=make_context, family=family
        )
        self._pool = Pool(max_idle=max_idle, idle_seconds=idle_seconds)
        self._reader = HeadReader()
        self._writer = HeadWriter()
        self._scratch = Scratch()
        self._origins: dict[str, Origin] = {}

    async def open(self, request: ExchangeRequest) -> ResponseStream:
        url = request.url
        at = url.find("/", _AUTHORITY_AT)
        try:
            origin = self._origins.get(url[:at]) or self._origin(url[:at])
            head = self._writer.write(url[at:], origin.host_field, request.headers)
            if request.proxy is not None:
                raise ConnectError("this transport knows no proxies: use the one on aiohttp")
            connection = self._pool.take(origin.name)
            if connection is not None:
                outcome = await _exchange(connection, head, url)
                if isinstance(outcome, WireStream):
                    return outcome
                if not connection.is_untouched:
                    raise outcome
                # The server had closed it before it saw the request (RFC 9112 section 9.3.1).
            connection = await self._connect(origin, request.connect_timeout)
            outcome = await _exchange(connection, head, url)
            if not isinstance(outcome, WireStream):
                raise outcome
        except DownloadError as error:
            error.url = redact_url(url)
            raise
        if origin.is_secure:
            self._connector.remember(origin, connection.transport)
        return outcome

    def _origin(self, name: str) -> Origin:
        origin = read_origin(name, self._family)
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins.clear()
        self._origins[name] = origin
        return origin

    async def _connect(self, origin: Origin, limit: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, origin.name, origin.host, self._pool, self._reader, self._scratch)
        try:
            await self._connector.connect(origin, connection, limit)
        except BaseException:
            # uvloop does not tell a protocol of the end of a connection that was given up while it was made.
            self._pool.forget(connection)
            raise
        return connection

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _exchange(connection: Connection, head: bytes, url: str) -> Outcome:
    waiter = connection.ask(head, url)
    try:
        return await waiter
    except BaseException:
        if waiter.done() and not waiter.cancelled():
            # The answer came in the same moment as the cancellation.
            outcome = waiter.result()
            if isinstance(outcome, WireStream):
                await outcome.aclose()
        else:
            connection.give_up(waiter)
        raise
