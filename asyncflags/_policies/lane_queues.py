"""What waits for one host: queues by priority from which anybody may also step out."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Lane", "LaneQueue"]

Item = TypeVar("Item")

# How many may sleep for each slot of a host.
_SLEEPERS_EACH = 2


class LaneQueue(Generic[Item]):
    """Items by priority, and among equals in the order of their numbers.

    Args:
        flow: Whose items these are.

    Attributes:
        turn: How often it had its turn, for who compares several queues.
        ticket: Which entry of a heap is this queue's; 0: none, older ones are stale.
        is_held: Whether it takes no part for now.
    """

    __slots__ = ("_gone", "_heap", "flow", "is_held", "ticket", "turn")

    def __init__(self, flow: Hashable = None) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        # Numbers of those that stepped out and are still in the heap.
        self._gone: set[int] | None = None
        self.flow = flow
        self.turn = 0
        self.ticket = 0
        self.is_held = False

    def __len__(self) -> int:
        return len(self._heap) - len(self._gone) if self._gone else len(self._heap)

    @property
    def first(self) -> tuple[float, int, Item]:
        """Who is served next: priority negated, number, item. There must be one."""
        return self._heap[0]

    def push(self, priority: float, number: int, item: Item) -> None:
        """Add an item; *number* must be larger than every one before."""
        heapq.heappush(self._heap, (-priority, number, item))

    def pop(self) -> Item:
        """Take the first item out."""
        item = heapq.heappop(self._heap)[2]
        if self._gone:
            self._clear_head()
        return item

    def withdraw(self, number: int) -> None:
        """Take out the item of that number, which must be there."""
        if self._gone is None:
            self._gone = set()
        self._gone.add(number)
        self._clear_head()
        if 2 * len(self._gone) > len(self._heap):
            self._rebuild(lambda entry: entry[1] not in self._gone_numbers)

    @property
    def _gone_numbers(self) -> set[int]:
        return self._gone or set()

    def _clear_head(self) -> None:
        gone = self._gone_numbers
        while self._heap and self._heap[0][1] in gone:
            gone.discard(heapq.heappop(self._heap)[1])

    def _rebuild(self, stays: Callable[[tuple[float, int, Item]], bool]) -> None:
        self._heap = [entry for entry in self._heap if stays(entry)]
        heapq.heapify(self._heap)
        self._gone = None

    def clear(self) -> list[Item]:
        """Take all items out, in the order of their turns."""
        gone = self._gone_numbers
        items = [item for _, number, item in sorted(self._heap, key=_order) if number not in gone]
        self._heap.clear()
        self._gone = None
        return items


def _order(entry: tuple[float, int, object]) -> tuple[float, int]:
    return entry[:2]


class Lane(Generic[Item]):
    """The lane of one host, with room for *cap* requests in flight."""

    __slots__ = ("asleep", "cap", "in_flight", "lent", "placed", "queues", "requests", "resume_at", "ticket")

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.in_flight = self.lent = self.asleep = 0
        # How many of the queues have a place.
        self.placed = 0
        # One queue for each flow, and one for the requests of what has begun.
        self.queues: list[LaneQueue[Item]] = []
        self.requests: LaneQueue[Item] | None = None
        self.resume_at = -math.inf
        # Its place among those that rest or have requests; the queues have places of their own.
        self.ticket = 0

    @property
    def may_begin(self) -> bool:
        """Whether one more download may begin here."""
        return self.in_flight < self.cap and self.asleep < _SLEEPERS_EACH * max(1, self.cap)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to remember of it but its pause."""
        return bool(self.in_flight or self.asleep or self.lent or self.requests) or any(map(len, self.queues))

    def queue_of(self, flow: Hashable) -> LaneQueue[Item] | None:
        """The queue of *flow*, if it has one here."""
        for queue in self.queues:
            if queue.flow is flow:
                return queue
        return None
