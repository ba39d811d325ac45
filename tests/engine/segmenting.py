"""What tests of segments stand on: clients that divide small files, and servers that send them slowly."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeAlias

from asyncflags import AsyncDownloader, Event, Limits
from asyncflags._policies.segments import SegmentRules
from asyncflags.testing import FaultyOrigin
from asyncflags.testing._faults.answers import Ending, chunks, end, head
from asyncflags.testing._faults.entities import Reply, asked_range, true_answer, versioned
from asyncflags.testing._resource import Answer, Representation
from asyncflags.testing.faulty import FaultyRequest

RULES = SegmentRules(least_total=1, least_segment=500, window=0.008, margin=1.05)

Treat: TypeAlias = "Callable[[int, Reply], Reply | None]"
"""Changes the true reply to the n-th request for a part, from 0; ``None``: it stands."""


def body_of(size: int, seed: str = "body") -> bytes:
    """Bytes of which no two places look the same."""
    return hashlib.shake_128(seed.encode()).digest(size)


def sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


class Dividing:
    """A client that divides files of any size, waits for nothing, and keeps its events."""

    def __init__(self, segments: int = 4, *, rules: SegmentRules = RULES, **options: Any) -> None:
        self.events: list[Event] = []
        limits = options.pop("limits", None) or Limits(max_segments=segments)
        self.client = AsyncDownloader(
            limits=limits, on_event=self.events.append, **({"durability": "rename"} | options)
        )
        engine = self.client._ready()
        engine.segment_rules = rules
        engine.jitter = lambda: 0.0

    def told(self, kind: str) -> list[str]:
        """The details of the events of one kind."""
        return [event.detail for event in self.events if event.kind == kind]

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.client.__aexit__(*reason)


class SlowFile:
    """A script for `FaultyOrigin`: one file, whole or in parts, in small pieces with pauses between them.

    Args:
        body: The file.
        piece: Bytes that go out at once; with each comes a pause of about a millisecond. 0: all at once.
        treat: Changes the replies to requests for parts.
        resource: What is served, in place of *body* with a strong entity tag.
        cuts: Bytes after which the n-th answer of all is cut; ``None``, and beyond them: none is.
        ending: How it is cut.
        without: Fields of the requests that are overlooked, in lower case.
        is_shared: Whether all connections together get what one of them could have alone.
        waits: Whether the first answer waits in its middle until a part is asked for.

    Attributes:
        requests: Every request, in order.
        sent: Bytes of bodies that went out.
        most: Bodies that were on their way at once.
    """

    def __init__(
        self,
        body: bytes,
        *,
        piece: int = 400,
        treat: Treat | None = None,
        resource: Representation | None = None,
        cuts: list[int | None] | None = None,
        without: tuple[str, ...] = (),
        is_shared: bool = False,
        waits: bool = False,
        ending: Ending = "close",
    ) -> None:
        self.resource = resource or versioned(body, 1, "strong")
        self.requests: list[FaultyRequest] = []
        self.sent = self.most = 0
        self.may_go = asyncio.Event()
        self.may_go.set()
        self._piece = piece
        self._treat = treat
        self._cuts = cuts or []
        self._without = without
        self._ending = ending
        self._line: AbstractAsyncContextManager[Any] = asyncio.Lock() if is_shared else nullcontext()
        self._parts = 0
        self._is_asked = asyncio.Event()
        self._is_divided = self._is_asked if waits else _now()
        self._stop: tuple[int, Callable[[], bool]] = (0, lambda: True)
        self._open: set[asyncio.StreamReader] = set()

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges that were asked for, in order."""
        asked = (
            asked_range(self.resource, request) for request in self.requests if "range" in request.headers
        )
        return [each for each in asked if each is not None]

    def is_divided_by(self, other: SlowFile) -> None:
        """Let the first answer wait until a part is asked for at *other*."""
        self._is_divided = other._is_asked

    def stops_at(self, position: int, *, until: Callable[[], bool]) -> None:
        """Let the first answer wait there for a condition."""
        self._stop = position, until

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        number = len(self.requests)
        self.requests.append(request)
        reply = Reply(true_answer(self.resource, request, without=self._without))
        if number < len(self._cuts):
            reply = replace(reply, stop=self._cuts[number], ending=self._ending)
        if "range" in request.headers:
            self._parts += 1
            self._is_asked.set()
            if self._treat is not None:
                reply = self._treat(self._parts - 1, reply) or reply
        self._open.add(reader)
        # A client that has closed its end is no connection any more, though we may not have noticed by writing.
        self.most = max(self.most, sum(not each.at_eof() and not each.exception() for each in self._open))
        try:
            await self._send(reader, writer, reply)
        finally:
            self._open.discard(reader)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply) -> None:
        decided = reply.answer
        writer.write(head(*_fields(decided), status=f"{decided.status} {HTTPStatus(decided.status).phrase}"))
        body = decided.body[: reply.stop]
        if "Transfer-Encoding" in decided.headers:
            body = chunks(body) + (b"0\r\n\r\n" if reply.stop is None else b"")
        for start in range(0, len(body), self._piece or max(1, len(body))):
            await self.may_go.wait()
            if start >= len(body) // 2 or start + self._piece >= len(body):
                await self._is_divided.wait()
            while decided.status == HTTPStatus.OK and start >= self._stop[0] and not self._stop[1]():
                await asyncio.sleep(0.001)
            piece = body[start : start + (self._piece or len(body))]
            async with self._line:
                if writer.is_closing():
                    return
                writer.write(piece)
                await writer.drain()
                self.sent += len(piece)
                if self._piece:
                    await asyncio.sleep(0.001)
        await writer.drain()
        if reply.stop is not None:
            await end(reader, writer, reply.ending)


def _now() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _fields(decided: Answer) -> Iterator[str]:
    names = {name.lower() for name in decided.headers}
    if not names & {"content-length", "transfer-encoding"}:
        yield f"Content-Length: {len(decided.body)}"
    yield from (f"{name}: {value}" for name, value in decided.headers.items())


def serve(faulty: FaultyOrigin, file: SlowFile, path: str = "/file", *, elsewhere: bool = False) -> str:
    """Serve *file*, also on the origin's other listener; its URL there or here."""
    faulty.script(path, file)
    return (faulty.other_url if elsewhere else faulty.url) + path


def whole(folder: Path, name: str = "file") -> bytes:
    """The file in *folder*, beside which nothing else may stand."""
    assert [path.name for path in folder.iterdir()] == [name]
    return (folder / name).read_bytes()
