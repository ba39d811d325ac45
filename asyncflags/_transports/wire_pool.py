"""Connections that wait for their next request (RFC 9112 section 9.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncflags._transports.wire_protocol import Connection

__all__ = ["Pool"]

_TURNS = 20
"""Turns of the loop that closing connections get; each needs two or three."""


class Pool:
    """Keeps idle connections for a while. It bounds nothing but them: how many are in use is its user's affair.

    Args:
        max_idle: Connections that are kept at most, of all origins together; the one idle for longest goes first.
        idle_seconds: How long one is kept.
    """

    def __init__(self, *, max_idle: int, idle_seconds: float) -> None:
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        # By origin, used last at the end; and all of them, idle for longest at the beginning.
        self._idle: dict[str, list[Connection]] = {}
        self._order: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection) -> None:
        """There is a new connection, in use."""
        self._open.add(connection)

    def take(self, origin: str) -> Connection | None:
        """The connection to *origin* that was used last; ``None``: all are busy, or there is none."""
        waiting = self._idle.get(origin)
        if waiting is None:
            return None
        connection = waiting.pop()
        if not waiting:
            del self._idle[origin]
        del self._order[connection]
        return connection

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        loop = connection.loop
        waiting = self._idle.get(connection.origin)
        if waiting is None:
            self._idle[connection.origin] = [connection]
        else:
            waiting.append(connection)
        self._order[connection] = None
        connection.idle_since = loop.time()
        if len(self._order) > self._max_idle:
            next(iter(self._order)).abort()
        if self._timer is None:
            self._timer = loop.call_later(self._idle_seconds, self._expire, loop)

    def withdraw(self, connection: Connection) -> None:
        """Do not hand *connection* out, if it waits here."""
        if connection not in self._order:
            return
        del self._order[connection]
        waiting = self._idle[connection.origin]
        waiting.remove(connection)
        if not waiting:
            del self._idle[connection.origin]

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self.withdraw(connection)
        self._open.discard(connection)

    async def aclose(self) -> None:
        """Close every connection, also those in use, and wait until the loop has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._open):
            connection.abort()
        for _ in range(_TURNS):
            if not self._open:
                break
            await asyncio.sleep(0)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what was idle for too long, and look again when the next one will have been."""
        self._timer = None
        latest = loop.time() - self._idle_seconds
        while self._order:
            oldest = next(iter(self._order))
            if oldest.idle_since > latest:
                self._timer = loop.call_at(oldest.idle_since + self._idle_seconds, self._expire, loop)
                break
            oldest.abort()
