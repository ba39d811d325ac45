"""New connections of the fast lane: look-up, connecting, TLS."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from asyncflags._transports.base import AddressInfo, Resolve
from asyncflags._transports.names import dns_error
from asyncflags._transports.wire_origins import Origin
from asyncflags._transports.wire_racing import NoConnection, connect_first, in_order
from asyncflags.errors import ConnectError, ConnectTimeout, DnsError, DownloadError, TlsError

__all__ = ["Connector", "default_context"]

_MOST_SESSIONS = 256


def default_context() -> ssl.SSLContext:
    """For https: the system's authorities, certificates and names verified, ALPN ``http/1.1`` (RFC 7301).

    Takes some 20 ms, in which the authorities are loaded.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Resuming(ssl.SSLContext):
    """Stands in for a context and offers a session of an earlier connection; the loops have no parameter for it.

    The context itself, which may be a caller's, is left as it is.
    """

    _context: ssl.SSLContext
    session: ssl.SSLSession

    def __new__(cls, context: ssl.SSLContext, session: ssl.SSLSession) -> Self:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        self._context = context
        self.session = session
        return self

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        """Everything is set when it is made."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self._context.wrap_bio(
            incoming, outgoing, server_side, server_hostname, self.session if session is None else session
        )


class Connector:
    """Makes connections.

    Args:
        resolve: Looks up host names.
        ssl_context: For https; ``None``: one of its own, made when it is needed first.
        make_context: Makes that one, off the loop; ``None``: it is made on the loop.
        family: Of addresses; 0: any.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        ssl_context: ssl.SSLContext | None,
        make_context: Callable[[], Awaitable[ssl.SSLContext]] | None,
        family: int,
    ) -> None:
        self._resolve = resolve
        self._context = ssl_context
        self._make_context = make_context
        self._making = asyncio.Lock()
        self._family = family
        self._turn = 0
        self._resuming: dict[str, _Resuming] = {}

    async def connect(self, origin: Origin, protocol: asyncio.BufferedProtocol, limit: float | None) -> None:
        """Connect *protocol* to *origin*; it is told of its transport once that is fit for use.

        Args:
            origin: Where to.
            protocol: The protocol object.
            limit: Seconds for all of it; ``None``: no limit.

        Raises:
            DnsError: The host name did not resolve.
            ConnectError: No address answered.
            ConnectTimeout: Not in time.
            TlsError: The certificate or the handshake failed.

        Cancellation: Takes effect at once; nothing stays open.
        """
        try:
            async with asyncio.timeout(limit):
                opened = await self._first(origin)
                await self._attach(opened, origin, protocol)
        except DownloadError:
            raise
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection to {origin.host} within {limit} seconds") from error
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TlsError(
                f"no trusted TLS connection to {origin.host}: {_tls_reason(error)}; "
                "give the right authority (ssl_context, --cacert) if the server is yours"
            ) from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else _short(error)
            raise ConnectError(f"no connection to {origin.host} port {origin.port}: {reason}") from error
        except Exception as error:
            # Look-ups are others' code, and none of their errors may end a whole list.
            raise ConnectError(
                f"the exchange with {origin.host} failed: {type(error).__name__}: {_short(error)}"
            ) from error

    def remember(self, origin: Origin, transport: asyncio.Transport | None) -> None:
        """Keep the TLS session of a connection that has answered, for the next one to the same origin.

        By then the session is there: in TLS 1.3 it comes after the handshake (RFC 8446 section 4.6.1).
        """
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        session = tls.session if tls is not None else None
        if session is None or self._context is None:
            return
        known = self._resuming.get(origin.name)
        if known is not None:
            known.session = session
            return
        if len(self._resuming) >= _MOST_SESSIONS:
            del self._resuming[next(iter(self._resuming))]
        self._resuming[origin.name] = _Resuming(self._context, session)

    async def _first(self, origin: Origin) -> socket.socket:
        rows = self._literal(origin) if origin.family else await self._look_up(origin)
        self._turn += 1
        try:
            return await connect_first(in_order(rows, self._turn))
        except NoConnection as error:
            raise ConnectError(
                f"no connection to {origin.host} port {origin.port}: {error.strerror or _short(error)}"
            ) from error

    def _literal(self, origin: Origin) -> Sequence[AddressInfo]:
        address = (
            (origin.host, origin.port)
            if origin.family == socket.AF_INET
            else (origin.host, origin.port, 0, 0)
        )
        return [(origin.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    async def _look_up(self, origin: Origin) -> Sequence[AddressInfo]:
        try:
            rows = await self._resolve(origin.host, origin.port, self._family)
        except (TimeoutError, DownloadError):
            raise
        except OSError as error:
            raise dns_error(origin.host, error) from error
        except UnicodeError as error:
            # What getaddrinfo says of a name whose parts are too long or empty.
            raise _unresolved(origin, _short(error)) from error
        if not rows:
            raise _unresolved(origin, "it has no address")
        return rows

    async def _attach(
        self, opened: socket.socket, origin: Origin, protocol: asyncio.BufferedProtocol
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(lambda: protocol, sock=opened)
        except BaseException:
            opened.close()
            raise
        if not origin.is_secure:
            return
        try:
            context = await self._tls(origin)
        except BaseException:
            transport.abort()
            raise
        # In two steps: asyncio forgets a transport whose connecting with TLS is cancelled in its first turn.
        try:
            secured = await loop.start_tls(
                transport, protocol, context, server_hostname=origin.host.partition("%")[0]
            )
        except BaseException:
            self._resuming.pop(origin.name, None)
            transport.abort()
            raise
        if secured is None or transport.is_closing():
            transport.abort()
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        protocol.connection_made(secured)

    async def _tls(self, origin: Origin) -> ssl.SSLContext:
        if self._context is None:
            # Connections that are made together make it once.
            async with self._making:
                if self._context is None:
                    make = self._make_context
                    self._context = default_context() if make is None else await make()
        return self._resuming.get(origin.name) or self._context


def _unresolved(origin: Origin, reason: str) -> DnsError:
    return DnsError(
        f"the host name {origin.host} does not resolve: {reason}; check its spelling and the network"
    )


def _tls_reason(error: BaseException) -> str:
    """What the handshake failed of, without the names of the functions that noticed."""
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or _short(error)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
