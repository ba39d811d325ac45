"""Send a server one small request after another, over a few connections at once, until ended.

``python -m tests.benchmarks.peers_load PORT CONNECTIONS``. It reads no more of an answer than its end, so that it
takes as little as possible of a processor that the server needs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
END_OF_ANSWER = b"]}"


class Caller(asyncio.Protocol):
    """A connection that always has one request under way."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        self._lost = lost
        self._link: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of the standard library.
        self._link = cast("asyncio.WriteTransport", transport)
        self._link.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        if data.endswith(END_OF_ANSWER) and self._link is not None:
            self._link.write(REQUEST)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)


async def call(port: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    lost = loop.create_future()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(lost), "127.0.0.1", port)
    await lost


if __name__ == "__main__":
    uvloop.run(call(*map(int, sys.argv[1:])))
