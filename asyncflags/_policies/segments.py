"""How a file is divided between connections, and when one more is worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Progressing", "Ramp", "SegmentRules", "share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRules:
    """When dividing is worth it.

    Attributes:
        least_total: Bytes; a file with fewer comes over one connection.
        least_segment: Bytes; no segment is made smaller.
        window: Seconds over which the goodput of a number of connections is measured.
        margin: Factor by which the goodput must have grown for the last connection to be kept.
    """

    least_total: int = 8 << 20
    least_segment: int = 1 << 20
    window: float = 0.5
    margin: float = 1.10


@dataclass(frozen=True, slots=True)
class Progressing:
    """One segment under way.

    Attributes:
        start: Offset of its first byte.
        position: Offset of the next byte that is missing.
        stop: Offset after its last byte.
        rate: Bytes a second; 0: nothing comes.
    """

    start: int
    position: int
    stop: int
    rate: float

    @property
    def rest(self) -> int:
        """Bytes that are missing."""
        return self.stop - self.position

    @property
    def remaining_time(self) -> float:
        """Seconds until it is whole; infinite when nothing comes."""
        return self.rest / self.rate if self.rate > 0 else math.inf


def share(segments: Sequence[Progressing], rules: SegmentRules) -> tuple[int, int] | None:
    """Choose which segment gives half of its rest to a connection that has nothing to do.

    Args:
        segments: Those under way, in any order.
        rules: The least size of a segment counts here.

    Returns:
        Index of the segment that would take longest, and the offset at which it now ends: from there to its old
        end is the new segment. Of segments where nothing comes, the one that lacks most. ``None``: every rest is
        too small to be halved.
    """
    divisible = [
        index for index, segment in enumerate(segments) if segment.rest // 2 >= max(1, rules.least_segment)
    ]
    if not divisible:
        return None
    slowest = max(divisible, key=lambda index: (segments[index].remaining_time, segments[index].rest))
    segment = segments[slowest]
    return slowest, segment.stop - segment.rest // 2


class Ramp:
    """Finds how many connections a file is worth, by adding one at a time and looking whether it helped.

    The goodput with one connection is measured over a window, then that with two, and so on: while it grows by the
    margin one more is added. The first that does not help is given back, and the number stays for good.
    """

    __slots__ = ("_before", "_most", "_received", "_rules", "_settled", "_since", "wanted")

    def __init__(self, most: int, rules: SegmentRules) -> None:
        """Start with one connection.

        Args:
            most: Connections allowed, at least 1.
            rules: The window and the margin count here.
        """
        self.wanted = 1
        """How many connections are wanted now."""
        self._most = most
        self._rules = rules
        self._settled = False
        # Goodput of the number of connections before this one; None: nothing was measured yet.
        self._before: float | None = None
        # Seconds and bytes at the beginning of the window; None: it begins when all that are wanted are there.
        self._since: float | None = None
        self._received = 0

    def observe(self, now: float, received: int, active: int) -> int:
        """Take note of how far the file has come.

        Args:
            now: Seconds of any steady clock.
            received: Bytes of the file so far, over all connections.
            active: Connections that transfer.

        Returns:
            How many connections are wanted now.
        """
        if self._settled:
            return self.wanted
        # With more or fewer connections than are being judged, or after bytes were dropped, a window says nothing.
        if active != self.wanted or received < self._received:
            self._since = None
            self._received = received
        elif self._since is None:
            self._since, self._received = now, received
        elif now - self._since >= self._rules.window and now > self._since:
            self._judge((received - self._received) / (now - self._since))
            self._since, self._received = None, received
        return self.wanted

    def _judge(self, goodput: float) -> None:
        before, self._before = self._before, goodput
        if before is not None and not (goodput > before and goodput >= before * self._rules.margin):
            self.wanted -= 1
            self._settled = True
        elif self.wanted < self._most:
            self.wanted += 1
        else:
            self._settled = True
