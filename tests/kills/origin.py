"""An origin in a process of its own: serves made-up files slowly, and writes down what was asked and sent.

``python -m tests.kills.origin SEED LOG`` prints its URL and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from asyncflags.testing._resource import Answer, Representation, answer

PIECE = 16 << 10
BYTES_PER_SECOND = 256 << 10
SIZES = ((300, 1, 8 << 10), (150, 8 << 10, 64 << 10), (60, 100 << 10, 400 << 10), (9, 500 << 10, 2 << 20))
SEGMENTED = 12 << 20
"""Bytes of the one file that is large enough to come over several connections; it comes four times as fast."""


def make_tree(seed: int) -> dict[str, bytes]:
    """Make 520 files of mixed size, by name."""
    random_source = random.Random(seed)
    sizes = [random_source.randint(low, high) for count, low, high in SIZES for _ in range(count)]
    sizes.append(SEGMENTED)
    random_source.shuffle(sizes)
    return {f"{number:03}-{size}.bin": random_source.randbytes(size) for number, size in enumerate(sizes)}


class SlowOrigin:
    """Serves *tree*, each connection at a bounded speed; notes each request, and at its end the bytes sent."""

    def __init__(self, tree: Mapping[str, bytes], log: TextIO) -> None:
        self._log = log
        self._resources = {
            f"/{name}": Representation(
                body=body,
                etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"',
                last_modified=None,
                content_type="application/octet-stream",
                headers={},
            )
            for name, body in tree.items()
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self._respond(head, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client was killed, or has what it wanted.
            pass
        finally:
            writer.close()

    async def _respond(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        path = line.split(" ")[1]
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
        }
        self._note(asked=path.removeprefix("/"), range=fields.get("range"))
        decided = answer(self._resources[path], "GET", fields, datetime.now(UTC))
        sent = 0
        speed = BYTES_PER_SECOND * (4 if len(decided.body) > SEGMENTED // 4 else 1)
        try:
            writer.write(_head(decided))
            for start in range(0, len(decided.body), PIECE):
                piece = decided.body[start : start + PIECE]
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                if len(decided.body) > PIECE:
                    await asyncio.sleep(len(piece) / speed)
        finally:
            self._note(sent=sent)
        return True

    def _note(self, **entry: str | int | None) -> None:
        self._log.write(json.dumps(entry) + "\n")
        self._log.flush()


def _head(decided: Answer) -> bytes:
    fields = {**decided.headers, "Content-Length": str(len(decided.body))}
    lines = [f"HTTP/1.1 {decided.status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def main(seed: int, log: str) -> None:
    """Serve until the standard input closes."""
    with open(log, "a", encoding="utf-8") as file:
        origin = SlowOrigin(make_tree(seed), file)
        server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
