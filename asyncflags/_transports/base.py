"""The seam between what a download does and what the network is.

A transport makes exactly one exchange: it sends a ``GET`` and hands back the final answer's head and a
body that is pulled. It follows no redirect, retries nothing, decodes nothing and judges no status:
those are decisions of the engine, the same for every transport.

The body is pulled with `ResponseStream.receive`, which is offered *room*: a function that lends memory
of the engine's. A transport that reads from a socket itself asks for room and lets the kernel write
there; one that already owns the bytes hands them over and never asks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["AddressInfo", "ExchangeRequest", "Resolve", "ResponseStream", "Room", "Transport"]

AddressInfo: TypeAlias = "tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]"
"""One row of `socket.getaddrinfo`."""

Resolve: TypeAlias = "Callable[[str, int, int], Awaitable[Sequence[AddressInfo]]]"
"""Looks up a host name: ``await resolve(host, port, family)``. Raises `OSError` as getaddrinfo does."""

Room: TypeAlias = "Callable[[], memoryview]"
"""Lends writable memory, never empty, which the transport may fill from its start."""


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """One ``GET`` as it goes over the wire.

    Attributes:
        url: Absolute, ready to send to the byte: no fragment, no user information.
        headers: Every field of the request but ``Host`` and ``Connection``, which belong to the transport.
        proxy: URL of an HTTP proxy without credentials, or ``None``: direct.
        proxy_headers: Fields meant for the proxy alone.
        connect_timeout: Seconds for a new connection: look-up, connecting, TLS handshake; ``None``: no limit.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = None
    proxy_headers: Mapping[str, str] | None = field(default=None, repr=False)
    connect_timeout: float | None = None


class ResponseStream(ABC):
    """The final answer of an exchange: its head, and its body to pull.

    Attributes:
        status: The HTTP status code, never an interim 1xx.
        http_version: ``(1, 1)`` or ``(1, 0)``.
    """

    __slots__ = ()

    status: int
    http_version: tuple[int, int]

    @property
    @abstractmethod
    def headers(self) -> Sequence[tuple[str, str]]:
        """All header fields in the order in which they came, repeated ones included."""

    @abstractmethod
    def header(self, name: str) -> str | None:
        """The first value of a header field, whatever the letters' case; ``None`` when it is absent."""

    def narrow(self, most: int) -> None:  # noqa: B027 - a transport that fills the room it is lent has nothing to do
        """Let `receive` hand over at most *most* bytes at once from now on, if the transport can.

        Called while the rate is limited, when what is received at once has to be little. A transport that reads
        into the room that it is lent need do nothing, since that is small then, too.
        """

    @abstractmethod
    async def receive(self, room: Room) -> bytes | memoryview:
        """Return the next bytes of the body as sent, as soon as there are any; empty at its proven end.

        The bytes may lie in memory that *room* lent, and stay valid until the engine lends it again.

        Raises:
            TruncatedBody: The connection ended before the framing did.
            ReadError: The connection broke.
            ProtocolError: The chunked framing is malformed (RFC 9112 section 7.1).

        Cancellation: Takes effect at once; afterwards only `aclose` may be called.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Safe to call twice."""


class Transport(ABC):
    """Makes exchanges. One per client, used by many tasks of one loop at once."""

    @abstractmethod
    async def open(self, request: ExchangeRequest) -> ResponseStream:
        """Send *request* and return once the head of the final answer is there.

        Raises:
            DnsError: The host name did not resolve.
            ConnectError: No connection.
            ConnectTimeout: Not within ``connect_timeout`` seconds.
            TlsError: The certificate or the handshake failed.
            ReadError: The connection broke before the head was whole.
            ProtocolError: The head is not valid HTTP.

        Cancellation: Takes effect at once; the connection is closed.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
