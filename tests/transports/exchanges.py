"""One scripted answer, served by each transport there is."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest

from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import AddressInfo, ExchangeRequest, ResponseStream, Transport
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags._transports.wire import WireTransport
from asyncflags.errors import DownloadError, ProtocolError, ReadError, TruncatedBody
from asyncflags.testing.faulty import FaultyOrigin

Framing: TypeAlias = Literal["length", "chunked", "close"]
End: TypeAlias = Literal["whole", "cut", "reset", "malformed", "stall"]

SPARE = 50
"""Bytes announced and not sent, where a body with a length is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """An answer.

    Attributes:
        chunks: The body, in the pieces in which it is sent.
        framing: How its end is told.
        end: What happens after the pieces.
        headers: Fields beyond those of the framing.
        status: With a reason phrase.
    """

    chunks: Sequence[bytes] = (b"flag",)
    framing: Framing = "length"
    end: End = "whole"
    headers: Sequence[tuple[str, str]] = ()
    status: int = 200

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def length(self) -> int:
        return len(self.body) + (0 if self.end == "whole" else SPARE)

    def fields(self) -> list[tuple[str, str]]:
        framing = {
            "length": [("Content-Length", str(self.length))],
            "chunked": [("Transfer-Encoding", "chunked")],
            "close": [],
        }
        return [*self.headers, *framing[self.framing]]


Network: TypeAlias = "type[AiohttpTransport | WireTransport]"

TRANSPORTS: dict[str, Network] = {
    "aiohttp": AiohttpTransport,
    "wire": WireTransport,
}
"""Those that speak to a network."""


class Kind(ABC):
    """A transport, and a server for it where it needs one."""

    transport: Transport

    @abstractmethod
    def serve(self, script: Script) -> str:
        """Make *script* the answer to the URL that is returned."""

    async def open(self, script: Script) -> ResponseStream:
        return await self.transport.open(ExchangeRequest(self.serve(script), connect_timeout=5.0))

    @abstractmethod
    async def aclose(self) -> None: ...


class Mocked(Kind):
    def __init__(self) -> None:
        self._answers: dict[str, MockResponse] = {}
        self.transport = MockTransport(self._answers)

    def serve(self, script: Script) -> str:
        url = f"http://mock.example/{len(self._answers)}"
        self._answers[url] = MockResponse(status=script.status, headers=script.fields(), body=_steps(script))
        return url

    async def aclose(self) -> None:
        await self.transport.aclose()


class Networked(Kind):
    def __init__(self, origin: FaultyOrigin, transport: Transport) -> None:
        self._origin = origin
        self._served = 0
        self.transport = transport

    def serve(self, script: Script) -> str:
        self._served += 1
        path = f"/contract-{self._served}"
        self._origin.raw(path, *_wire(script), then=_ending(script))
        return self._origin.url + path

    async def aclose(self) -> None:
        await self.transport.aclose()


async def resolve(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    """Every name is this machine."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def _steps(script: Script) -> list[Any]:
    steps: list[Any] = list(script.chunks)
    if script.end == "reset":
        steps.append(ReadError("the connection broke"))
    elif script.end == "malformed":
        steps.append(ProtocolError("the framing of the body is broken"))
    elif script.end == "stall":
        steps.append(asyncio.Event().wait)
    elif script.end == "cut" and script.framing == "chunked":
        steps.append(TruncatedBody("cut", received=len(script.body)))
    return steps


def _wire(script: Script) -> list[bytes]:
    lines = [f"HTTP/1.1 {script.status} Reason", *(f"{name}: {value}" for name, value in script.fields())]
    if script.framing == "close":
        lines.append("Connection: close")
    pieces = ["\r\n".join(lines).encode() + b"\r\n\r\n"]
    chunked = script.framing == "chunked"
    pieces += [b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece for piece in script.chunks]
    if script.end == "malformed":
        pieces.append(b"zz\r\nno chunk\r\n")
    elif chunked and script.end == "whole":
        pieces.append(b"0\r\n\r\n")
    return pieces


def _ending(script: Script) -> Any:
    if script.end == "whole":
        return "close" if script.framing == "close" else "keep"
    return {"cut": "close", "reset": "reset", "malformed": "stall", "stall": "stall"}[script.end]


class Lender:
    """Lends memory as the engine does: a new piece each time, and remembers what it lent."""

    def __init__(self, size: int = 1 << 16) -> None:
        self.lent: list[memoryview] = []
        self._size = size

    def __call__(self) -> memoryview:
        self.lent.append(memoryview(bytearray(self._size)))
        return self.lent[-1]


async def read(stream: ResponseStream, room: Lender | None = None) -> bytes:
    """The whole body."""
    room = room or Lender()
    received = b""
    while data := await stream.receive(room):
        received += bytes(data)
    return received


async def fetch(transport: Transport, url: str, **more: Any) -> bytes:
    """The whole body of one exchange."""
    stream = await transport.open(ExchangeRequest(url, connect_timeout=5.0, **more))
    try:
        return await read(stream)
    finally:
        await stream.aclose()


async def failure(transport: Transport, url: str, **more: Any) -> DownloadError:
    """What one exchange fails with."""
    with pytest.raises(DownloadError) as caught:
        await fetch(transport, url, **more)
    return caught.value


def refusing_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
