"""Whose bytes are paid next: each download in its turn, and no host in the way of another.

Every download that waits has one ticket. The lowest one is served, a part of what it waits for, and gets the next
ticket for the rest of it; so a newcomer comes after all who wait, and who has much to pay holds nobody up. The
downloads of a host that may not go on stand aside with their tickets until it may. A decision costs the logarithm of
the number of hosts with somebody waiting.
"""

from __future__ import annotations

import asyncio
import collections
import heapq
import itertools
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncflags._policies.urls import Origin

__all__ = ["Due", "Turns"]


class Due:
    """Bytes that have come and are to be paid.

    Attributes:
        origin: Where from.
        payer: The download that they are a part of.
        left: How many are not paid yet.
        paid: Resolved when none is left; ``None``: nobody waits for it.
    """

    __slots__ = ("left", "origin", "paid", "payer")

    def __init__(self, origin: Origin, payer: Hashable, size: int) -> None:
        self.origin = origin
        self.payer = payer
        self.left = size
        self.paid: asyncio.Future[None] | None = None


class _Flow:
    """What one download has to pay to one host; several connections of it stand in line here."""

    __slots__ = ("dues", "ticket")

    def __init__(self, ticket: int) -> None:
        self.dues: collections.deque[Due] = collections.deque()
        self.ticket = ticket


_Line = collections.OrderedDict[Hashable, _Flow]
"""The downloads of one host in the order of their tickets."""


class Turns:
    """The order in which what is due is paid."""

    def __init__(self) -> None:
        self._lines: dict[Origin, _Line] = {}
        self._tickets = itertools.count()
        # Each line is in one of the two, as long as it is not empty: by its first ticket, or by when it may go on.
        # A first ticket may have left the line meanwhile, which is found out when its turn comes.
        self._open: list[tuple[int, Origin]] = []
        self._aside: list[tuple[float, Origin]] = []
        self.waiting = 0

    @property
    def resumes_at(self) -> float:
        """When the first of those who stand aside may go on; infinity: nobody stands aside."""
        return self._aside[0][0] if self._aside else math.inf

    def add(self, origin: Origin, payer: Hashable, size: int) -> Due:
        """Put *size* bytes at the end of the order, or behind others that *payer* waits for."""
        due = Due(origin, payer, size)
        line = self._lines.get(origin)
        if line is None:
            line = self._lines[origin] = collections.OrderedDict()
            flow = line[payer] = _Flow(next(self._tickets))
            heapq.heappush(self._open, (flow.ticket, origin))
        elif (found := line.get(payer)) is not None:
            flow = found
        else:
            flow = line[payer] = _Flow(next(self._tickets))
        flow.dues.append(due)
        self.waiting += 1
        return due

    def remove(self, due: Due) -> None:
        """Nobody waits for *due* any more."""
        line = self._lines[due.origin]
        flow = line[due.payer]
        flow.dues.remove(due)
        self.waiting -= 1
        if not flow.dues:
            del line[due.payer]
        if not self.waiting:
            self._clear()

    def first(self) -> Due | None:
        """Whose turn it is; ``None``: nobody's, or all stand aside."""
        while self._open:
            ticket, origin = self._open[0]
            line = self._lines[origin]
            flow = next(iter(line.values()), None)
            if flow is None:
                heapq.heappop(self._open)
                del self._lines[origin]
            elif flow.ticket != ticket:
                heapq.heapreplace(self._open, (flow.ticket, origin))
            else:
                return flow.dues[0]
        return None

    def serve(self, due: Due, size: int) -> None:
        """*size* bytes of the `first` are paid, and it is the next one's turn."""
        line = self._lines[due.origin]
        flow = line[due.payer]
        due.left -= size
        if not due.left:
            flow.dues.popleft()
            self.waiting -= 1
            if due.paid is not None and not due.paid.done():
                due.paid.set_result(None)
        if flow.dues:
            flow.ticket = next(self._tickets)
            line.move_to_end(due.payer)
        else:
            del line[due.payer]
            if not self.waiting:
                self._clear()

    def step_aside(self, moment: float) -> None:
        """Let the host of the `first` wait until *moment*, and others go before."""
        _, origin = heapq.heappop(self._open)
        heapq.heappush(self._aside, (moment, origin))

    def come_back(self, now: float) -> None:
        """Those who stand aside until *now* or earlier are in turn again, with the tickets that they had."""
        while self._aside and self._aside[0][0] <= now:
            _, origin = heapq.heappop(self._aside)
            line = self._lines[origin]
            if line:
                heapq.heappush(self._open, (next(iter(line.values())).ticket, origin))
            else:
                del self._lines[origin]

    def _clear(self) -> None:
        """Nobody waits: forget the lines that somebody left."""
        self._lines.clear()
        self._open.clear()
        self._aside.clear()
