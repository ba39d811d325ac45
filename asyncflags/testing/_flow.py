"""How the true origin lets the body of an answer out: all at once, slowly, up to a cut, or up to a gate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import web

from asyncflags.testing._resource import Answer

PIECES_PER_SECOND = 100
"""Pieces that a slow body is sent in."""

BLOCK = 256 * 1024
"""Bytes of the largest piece."""


@dataclass(slots=True)
class Cut:
    """An end before the end.

    Attributes:
        after: Bytes of an answer's body that go out.
        left: How many more answers are cut; ``None``: all.
    """

    after: int
    left: int | None

    def falls_into(self, size: int) -> bool:
        """Tell whether the next answer of *size* bytes is cut; one that is counts."""
        if self.left == 0 or size <= self.after:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(slots=True)
class Gate:
    """A place in a body where it waits.

    Attributes:
        after: Bytes of an answer's body that go out before.
        opened: Set when it may go on.
    """

    after: int
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Flow:
    """What is set for the answers of one path.

    Attributes:
        rate: Bytes a second for each answer by itself; ``None``: as fast as it goes.
        cut: Where answers end too early, or ``None``.
        gate: Where they wait, or ``None``.
    """

    rate: float | None = None
    cut: Cut | None = None
    gate: Gate | None = None


async def let_out(request: web.BaseRequest, answer: Answer, flow: Flow) -> web.StreamResponse:
    """Send an answer piece by piece.

    Args:
        request: What is answered.
        answer: Its fields and its body.
        flow: How the body goes out.
    """
    size = len(answer.body)
    is_cut = flow.cut is not None and flow.cut.falls_into(size)
    stop = flow.cut.after if flow.cut is not None and is_cut else size
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = size
    # A client that was quicker to leave needs nothing more.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await _write(response, answer.body[:stop], flow)
    if is_cut and request.transport is not None:
        # What was written goes out before the end, so that exactly the bytes before the cut arrive.
        request.transport.close()
    return response


async def _write(response: web.StreamResponse, body: bytes, flow: Flow) -> None:
    clock = asyncio.get_running_loop().time
    started, sent = clock(), 0
    for stop in _stops(len(body), flow.rate, flow.gate):
        await response.write(body[sent:stop])
        sent = stop
        if flow.gate is not None and sent == flow.gate.after and not flow.gate.opened.is_set():
            await flow.gate.opened.wait()
            # To wait at a gate earns nothing that could be sent at once behind it.
            started = clock() - (sent / flow.rate if flow.rate is not None else 0)
        if flow.rate is not None:
            await asyncio.sleep(started + sent / flow.rate - clock())


def _stops(size: int, rate: float | None, gate: Gate | None) -> Iterator[int]:
    """Where the pieces end; the gate is at the end of one."""
    piece = BLOCK if rate is None else max(1, min(BLOCK, int(rate / PIECES_PER_SECOND)))
    edges = [gate.after, size] if gate is not None and gate.after < size else [size]
    start = 0
    for edge in edges:
        yield from range(start + piece, edge, piece)
        yield edge
        start = edge
