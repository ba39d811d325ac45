"""The same bytes through each transport to a network, and what comes of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncflags._transports.base import ExchangeRequest
from asyncflags.errors import DownloadError

from .exchanges import Lender, Network, resolve


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a transport makes of an answer.

    Attributes:
        error: Name of the error's class; ``None``: the answer is whole.
        message: Of the error, for whoever reads a failure.
        head: Status, version and fields, if there is a head.
        body: What came of it.
    """

    error: str | None
    message: str
    head: tuple[int, tuple[int, int], tuple[tuple[str, str], ...]] | None
    body: bytes


class Lanes:
    """A server that answers each connection with the same pieces, and closes it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, network: Network) -> Verdict:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        transport = network(resolve)
        try:
            async with asyncio.timeout(5.0):
                return await _judge(transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        finally:
            await transport.aclose()
            server.close()
            await asyncio.gather(*self._answering)
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answering.add(asyncio.ensure_future(self._answer(reader, writer)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in self._pieces:
                writer.write(piece)
                await writer.drain()
                # The client reads in its own turns, so that it sees the pieces one by one.
                for _ in range(3):
                    await asyncio.sleep(0)
            writer.write_eof()
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _judge(transport: Any, url: str) -> Verdict:
    head, body = None, b""
    try:
        stream = await transport.open(ExchangeRequest(url, {"User-Agent": "t"}))
        head = stream.status, stream.http_version, tuple(stream.headers)
        try:
            room = Lender()
            while data := await stream.receive(room):
                body += bytes(data)
        finally:
            await stream.aclose()
    except DownloadError as error:
        return Verdict(type(error).__name__, error.message, head, body)
    return Verdict(None, "", head, body)
