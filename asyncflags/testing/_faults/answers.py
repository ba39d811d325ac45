"""Bytes of answers, and the ways in which a connection ends after them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Literal, TypeAlias

from asyncflags.testing._faults.fault import FaultyRequest, Script

Ending: TypeAlias = Literal["close", "reset", "keep", "stall"]
"""FIN, RST, ready for the next request, or silence until the client leaves."""

CHUNK_SIZE = 300
"""Bytes of the chunks that bodies are cut into; chosen so that the last one is shorter."""


def head(*fields: str | bytes, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    """Write a head: status line, fields, empty line."""
    lines = [f"{version} {status}".encode("latin-1")]
    lines += [field if isinstance(field, bytes) else field.encode("latin-1") for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def sized(body: bytes, *fields: str | bytes, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    """Write a whole answer with its Content-Length."""
    return head(f"Content-Length: {len(body)}", *fields, status=status, version=version) + body


def chunk(data: bytes, extension: str = "") -> bytes:
    """Write one chunk (RFC 9112 section 7.1)."""
    return f"{len(data):x}{extension}\r\n".encode() + data + b"\r\n"


def chunks(body: bytes) -> bytes:
    """Write *body* as chunks, without the last one, which is empty."""
    parts = [body[start : start + CHUNK_SIZE] for start in range(0, len(body), CHUNK_SIZE)]
    return b"".join(chunk(part) for part in parts)


def chunked(body: bytes, *fields: str | bytes) -> bytes:
    """Write a whole chunked answer."""
    return head("Transfer-Encoding: chunked", *fields) + chunks(body) + b"0\r\n\r\n"


def sends(*parts: bytes, then: Ending = "keep") -> Script:
    """Make a script which writes *parts*, each handed to the system by itself, and ends as told."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: FaultyRequest
    ) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        await end(reader, writer, then)

    return script


async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ending: Ending) -> None:
    """End an answer: with FIN, with RST, in silence, or ready for the next request."""
    if ending == "close":
        writer.close()
    elif ending == "reset":
        reset(writer)
    elif ending == "stall":
        await until_gone(reader)


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection with an RST, by closing the socket with a linger time of zero.

    What was written before it and the client's system does not hold yet is lost.
    """
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Wait in silence until the client closes its side."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


def repeats(first: bytes, again: bytes, *, paced: bool = False) -> Script:
    """Make a script which writes *first* once and *again* for ever.

    Args:
        first: Bytes that open the answer.
        again: Bytes repeated until the client leaves.
        paced: Wait `FaultyRequest.interval` seconds between two writes; else as fast as the client reads.
    """

    async def script(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(request.interval if paced else 0)

    return script
