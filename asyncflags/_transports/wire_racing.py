"""The first of several addresses that answers (RFC 8305, "happy eyeballs").

Callbacks and one timer, no task: whoever waits is cancelled, and in the same moment every socket is closed.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence

from asyncflags._transports.base import AddressInfo

__all__ = ["NoConnection", "connect_first", "in_order"]

_DELAY_SECONDS = 0.25
"""Head start of an address before the next one is tried, too (RFC 8305 section 5)."""

_PATIENCE_SECONDS = 2.0
"""What an address gets where they can only be tried one after another."""

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


class NoConnection(OSError):
    """No address answered."""


def in_order(rows: Iterable[AddressInfo], turn: int) -> list[AddressInfo]:
    """Put addresses into the order in which they are tried.

    The family that the system names first goes first, then they take turns (RFC 8305 section 4). Within a family
    each connection begins with another address, so that one of several does not get everything.

    Args:
        rows: As getaddrinfo gives them.
        turn: Number of the connection.
    """
    families: dict[int, list[AddressInfo]] = {}
    for row in rows:
        families.setdefault(row[0], []).append(row)
    rotated = [
        members[turn % len(members) :] + members[: turn % len(members)] for members in families.values()
    ]
    return [row for rank in itertools.zip_longest(*rotated) for row in rank if row is not None]


async def connect_first(rows: Sequence[AddressInfo]) -> socket.socket:
    """Connect to whichever of *rows* answers first, earlier ones preferred.

    Returns:
        A connected socket that does not block.

    Raises:
        NoConnection: None of them did; with the number of the system's error if it was the same for all.

    Cancellation: Takes effect at once; no socket stays open.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, getattr(asyncio, "ProactorEventLoop", ())):
        # It cannot watch sockets for others.
        return await connect_in_turn(rows)
    return await _Race(loop, rows).run()


async def connect_in_turn(rows: Sequence[AddressInfo]) -> socket.socket:
    """As `connect_first`, one after another."""
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    for number, row in enumerate(rows, 1):
        try:
            opened = _open(row)
        except OSError as error:
            errors.append(error)
            continue
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS if number < len(rows) else None):
                await loop.sock_connect(opened, row[4])
        except OSError as error:
            opened.close()
            errors.append(error)
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise _failure(errors)


class _Race:
    def __init__(self, loop: asyncio.AbstractEventLoop, rows: Sequence[AddressInfo]) -> None:
        self._loop = loop
        self._waiting = deque(rows)
        self._running: set[socket.socket] = set()
        self._winner: socket.socket | None = None
        self._errors: list[OSError] = []
        self._timer: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[None] = loop.create_future()

    async def run(self) -> socket.socket:
        self._start_next()
        try:
            await self._over
        except BaseException:
            if self._winner is not None:
                self._winner.close()
            raise
        finally:
            self._stop()
        if self._winner is None:
            raise _failure(self._errors)
        return self._winner

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for running in self._running:
            self._loop.remove_writer(running)
            running.close()

    def _start_next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._winner is None:
            if self._start(self._waiting.popleft()):
                break
        if self._winner is not None or not (self._running or self._waiting):
            self._finish()
        elif self._waiting:
            self._timer = self._loop.call_later(_DELAY_SECONDS, self._start_next)

    def _start(self, row: AddressInfo) -> bool:
        """Whether an attempt is under way."""
        try:
            opened = _open(row)
        except OSError as error:
            self._errors.append(error)
            return False
        try:
            code = opened.connect_ex(row[4])
        except OSError as error:
            opened.close()
            self._errors.append(error)
            return False
        except BaseException:
            opened.close()
            raise
        if code in _UNDER_WAY:
            self._running.add(opened)
            self._loop.add_writer(opened, self._decided, opened)
            return True
        return self._take(opened, code)

    def _decided(self, opened: socket.socket) -> None:
        self._loop.remove_writer(opened)
        self._running.discard(opened)
        self._take(opened, opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._start_next()

    def _take(self, opened: socket.socket, code: int) -> bool:
        if code or self._winner is not None:
            opened.close()
            self._errors.append(OSError(code, os.strerror(code)))
            return False
        self._winner = opened
        return True

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)


def _open(row: AddressInfo) -> socket.socket:
    family, kind, protocol, _, _ = row
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that vanished is noticed in the end, even if nothing is read.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def _failure(errors: list[OSError]) -> NoConnection:
    codes = {error.errno for error in errors}
    code = codes.pop() if len(codes) == 1 else None
    if code is not None and code > 0:
        return NoConnection(code, os.strerror(code))
    return NoConnection("; ".join(dict.fromkeys(map(_reason, errors))))


def _reason(error: OSError) -> str:
    # The loops write sentences of their own; those of getaddrinfo have numbers below zero.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
