"""A client that hides nothing: what it reads is what was sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Protocol


class Listening(Protocol):
    """Anything with a base URL."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class Reply:
    """One answer taken apart; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A bare connection: what it reads is what was sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, target: str, *fields: str, method: str = "GET") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *fields, "", ""]
        self.writer.write("\r\n".join(lines).encode())

    async def everything(self) -> bytes:
        return await self.reader.read(-1)

    async def answer(self) -> tuple[bytes, bytes]:
        """Read one answer with a Content-Length and leave the connection open."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        size = int(lengths[0].split(b":")[1]) if lengths else 0
        return head, await self.reader.readexactly(size)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def everything(origin: Listening, target: str) -> bytes:
    """Ask on a connection of its own, which ends after the answer, and read all there is."""
    async with connected(origin.url) as client:
        client.ask(target, "Connection: close")
        return await client.everything()


async def answer(origin: Listening, target: str) -> tuple[bytes, bytes]:
    async with connected(origin.url) as client:
        client.ask(target)
        return await client.answer()


async def exchange(origin: Listening, target: str, *fields: str, method: str = "GET") -> Reply:
    """Ask on a connection of its own and read until its end."""
    async with connected(origin.url) as client:
        client.ask(target, "Connection: close", *fields, method=method)
        head, _, body = (await client.everything()).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Reply(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body)


def unchunk(data: bytes) -> Iterator[bytes]:
    """Take valid chunks apart, as RFC 9112 section 7.1.3 does."""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return
        yield data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


async def is_silent(origin: Listening, client: Client) -> bool:
    """Tell whether all was read and no end has come, after the loop had a whole exchange's time to bring it."""
    await everything(origin, "/ok")
    return not client.reader.at_eof()
