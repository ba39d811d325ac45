"""Exchanges through aiohttp's client; below the top layer the only module that imports it.

What aiohttp does by default and must not reach a download is switched off here: its total timeout of
300 seconds, its rewriting of query strings, its redirects (where ``max_redirects=0`` means no limit),
its cookie jar, its decoding of bodies, its use of the loop's default executor for names and netrc.
Three faults of its protocol class are mended in `_Protocol`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl as ssl_module
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from asyncflags._transports.base import ExchangeRequest, Resolve, ResponseStream, Room, Transport
from asyncflags._transports.names import dns_error
from asyncflags.errors import (
    ConnectError,
    ConnectTimeout,
    DownloadError,
    InvalidUrl,
    ProtocolError,
    ReadError,
    StatusError,
    TlsError,
    TruncatedBody,
)

__all__ = ["AiohttpTransport"]

# Servers send single fields of 18 KB and more (long cookies, content policies); 8190 is aiohttp's default.
_MAX_FIELD_BYTES = 65536
_MAX_FIELDS = 512
_KEEPALIVE_SECONDS = 30.0
_LOOKING_UP = "while its name was looked up"


class _MalformedBody(aiohttp.ClientPayloadError):
    """The framing of a body is broken, as opposed to cut short."""


class _BrokenConnection(aiohttp.ClientPayloadError):
    """The connection broke in the middle of a body."""


class _Protocol(ResponseHandler):
    """aiohttp's protocol with three faults mended.

    * A connection that breaks is never taken for the end of a body that ends by closing.
    * A framing error in the middle of a body wakes the reader, which would otherwise wait for ever.
    * A kept connection that holds bytes nobody asked for is not used again, so that a server's
      surplus cannot become the answer to the next request.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        payload = self._payload
        if exc is not None and payload is not None and not payload.is_eof():
            payload.set_exception(_BrokenConnection(str(exc) or type(exc).__name__), exc)
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(_MalformedBody(_reason(exc)), exc)
        super().set_exception(exc, *cause)

    def is_connected(self) -> bool:
        return super().is_connected() and not self._buffer and not self._tail


class _Resolver(AbstractResolver):
    """Looks names up through the function that the client lends, on the client's own threads."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            rows = await self._resolve(host, port, family)
        except asyncio.CancelledError as error:
            # If it is the connect timeout that cancels, its message tells what it waited for.
            error.add_note(_LOOKING_UP)
            raise
        if not rows:
            raise socket.gaierror(socket.EAI_NONAME, "the resolver knows no address of it")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=row_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for row_family, _, protocol, _, address in rows
        ]

    async def close(self) -> None:
        """Nothing to close: the threads are the client's."""


class _Stream(ResponseStream):
    __slots__ = ("_most", "_received", "_response", "http_version", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._received = 0
        # All that there is.
        self._most = -1
        self.status = response.status
        version = response.version
        self.http_version = (version.major, version.minor) if version else (1, 1)

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return tuple(self._response.headers.items())

    def header(self, name: str) -> str | None:
        return self._response.headers.get(name)

    def narrow(self, most: int) -> None:
        self._most = most

    async def receive(self, room: Room) -> bytes:
        content = self._response.content
        try:
            data = await (content.readany() if self._most < 0 else content.read(self._most))
        except Exception as error:
            # aiohttp raises its error before it hands over what came earlier, which may be worth keeping.
            data = content._read_nowait(-1) if content._buffer else b""
            if not data:
                # aiohttp lets errors of others through; none of them may end a whole list.
                raise self._translated(error) from error
        self._received += len(data)
        return data

    def _translated(self, error: Exception) -> DownloadError:
        if isinstance(error, _MalformedBody):
            return ProtocolError("the server broke the framing of the body: " + _short(error))
        if isinstance(error, aiohttp.ClientPayloadError) and not isinstance(error, _BrokenConnection):
            expected = self._response.content_length
            announced = f"{expected}" if expected is not None else "its last chunk"
            return TruncatedBody(
                f"the body ended after {self._received} bytes, before {announced}",
                expected=expected,
                received=self._received,
            )
        return ReadError(f"the connection broke after {self._received} bytes: {_short(error)}")

    async def aclose(self) -> None:
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


class AiohttpTransport(Transport):
    """The transport that `AsyncDownloader` uses unless it is given another.

    Args:
        resolve: Looks up host names.
        ssl_context: For https; ``None``: certificates are verified against the system's authorities.
        family: `socket.AF_INET`, `socket.AF_INET6`, or 0 for both.
        session: A `aiohttp.ClientSession` of the caller's, whose connections, headers and cookies are
            used. It is not closed. Its connector's protocol class is replaced by the mended one.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        ssl_context: ssl_module.SSLContext | None = None,
        family: int = 0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._resolve = resolve
        self._ssl_context = ssl_context
        self._family = family
        self._owns_session = session is None
        self._session = session
        self._timeouts: dict[float | None, aiohttp.ClientTimeout] = {}
        if session is not None:
            _mend(session)

    def _check_family(self, request: ExchangeRequest) -> None:
        """Refuse an address literal of the family that is not wanted; aiohttp asserts that it never comes."""
        host = URL(request.proxy or request.url, encoded=True).raw_host or ""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if family != self._family and (":" in host or host.replace(".", "").isdigit()):
            raise InvalidUrl(
                f"{host} is no address of the family asked for; leave family (-4, -6) out", url=request.url
            )

    def _start(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            resolver=_Resolver(self._resolve),
            # What `resolve` is lent by remembers names; a second memory would outlive the first one's verdicts.
            use_dns_cache=False,
            family=socket.AddressFamily(self._family),
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ssl=self._ssl_context if self._ssl_context is not None else True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_FIELDS,
        )
        _mend(self._session)
        return self._session

    def _timeout(self, connect: float | None) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(connect)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(
                # Ours never wait for the pool, so `connect` covers the look-up, the connection and TLS.
                total=None,
                connect=connect,
                sock_connect=connect,
                sock_read=None,
            )
            self._timeouts[connect] = timeout
        return timeout

    async def open(self, request: ExchangeRequest) -> ResponseStream:
        session = self._session or self._start()
        if self._family:
            self._check_family(request)
        headers = request.headers
        if request.proxy_headers and request.url.startswith("http:"):
            # aiohttp sends them with CONNECT alone; a plain request goes to the proxy as it is.
            headers = {**headers, **request.proxy_headers}
        try:
            response = await session.request(
                "GET",
                URL(request.url, encoded=True),
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                raise_for_status=False,
                proxy=request.proxy,
                proxy_headers=request.proxy_headers,
                timeout=self._timeout(request.connect_timeout),
            )
        except Exception as error:
            # aiohttp asserts, and lets errors of others through; none of them may end a whole list.
            raise _translated(error, request) from error
        return _Stream(response)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._owns_session:
            await session.close()
            # The loop closes a socket in its next turn; without it a descriptor would outlive us.
            await asyncio.sleep(0)


def _mend(session: aiohttp.ClientSession) -> None:
    connector = session.connector
    if connector is not None:
        # `partial` is invariant, so the type checker does not see that a subclass will do.
        connector._factory = functools.partial(_Protocol, loop=connector._loop)  # type: ignore[assignment]


def _tls_reason(error: BaseException) -> str:
    """What the handshake failed of, without the names of the functions that noticed."""
    inner: BaseException = (
        getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    )
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or _short(inner)


def _reason(error: BaseException) -> str:
    """What a parser complains of, without the dump of bytes that follows its first line."""
    text: str = getattr(error, "message", "") or str(error)
    return text.partition("\n")[0].rstrip(":")[:200]


def _short(error: BaseException) -> str:
    """One line of an error that may hold a dump of bytes over many."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _translated(error: Exception, request: ExchangeRequest) -> DownloadError:
    """The error of ours for an error of aiohttp's before the head was there."""
    host = URL(request.proxy or request.url, encoded=True).host
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return InvalidUrl(f"the URL cannot be requested: {_short(error)}", url=request.url)
        case aiohttp.ClientHttpProxyError():
            return StatusError(
                f"the proxy {host} answered {error.status} {error.message}",
                status=error.status,
                url=request.url,
            )
        case aiohttp.ClientResponseError():
            return ProtocolError(f"the answer is not valid HTTP: {_reason(error)}", url=request.url)
        case aiohttp.ClientSSLError() | ssl_module.SSLError() | ssl_module.CertificateError():
            return TlsError(
                f"no trusted TLS connection to {host}: {_tls_reason(error)}; "
                "give the right authority (ssl_context, --cacert) if the server is yours",
                url=request.url,
            )
        case aiohttp.ClientConnectorDNSError():
            unresolved = dns_error(host, error.os_error)
            unresolved.url = request.url
            return unresolved
        case aiohttp.ServerTimeoutError() | TimeoutError():
            during = f", {_LOOKING_UP}" if _was_looking_up(error) else ""
            return ConnectTimeout(
                f"no connection to {host} within {request.connect_timeout} seconds{during}", url=request.url
            )
        case aiohttp.ClientConnectorError():
            code = error.os_error.errno
            reason = os.strerror(code) if code else _short(error)
            return ConnectError(f"no connection to {host} port {error.port}: {reason}", url=request.url)
        case aiohttp.ServerDisconnectedError():
            return ReadError(
                f"{host} closed the connection before the head of its answer was whole", url=request.url
            )
        case ValueError():
            return InvalidUrl(f"the request cannot be sent: {_short(error)}", url=request.url)
        case aiohttp.ClientError() | OSError():
            return ReadError(f"the connection to {host} broke: {_short(error)}", url=request.url)
        case _:
            return ConnectError(
                f"the exchange with {host} failed: {type(error).__name__}: {_short(error)}", url=request.url
            )


def _was_looking_up(error: BaseException) -> bool:
    """Whether a timeout cancelled the look-up of a name."""
    cause: BaseException | None = error
    while cause is not None:
        if _LOOKING_UP in getattr(cause, "__notes__", ()):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
