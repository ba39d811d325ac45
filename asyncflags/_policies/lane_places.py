"""Where each lane stands: among those that rest, have requests, can begin something, or nowhere."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from asyncflags._policies.lane_queues import Lane, LaneQueue

__all__ = ["LanePlaces"]

Host = TypeVar("Host", bound=Hashable)
Item = TypeVar("Item")

_STALE = 64


class LanePlaces(Generic[Host, Item]):
    """Keeps lanes in order. What is stale stays where it was, is skipped, and cleared now and then."""

    def __init__(self) -> None:
        self._lanes: dict[Host, Lane[Item]] = {}
        # Queues that can use a slot: priority negated, turn, ticket, host, queue. Hosts with requests that can. And
        # hosts that rest: moment, ticket, host.
        self._ready: list[tuple[float, int, int, Host, LaneQueue[Item]]] = []
        self._urgent: deque[tuple[int, Host]] = deque()
        self._resting: list[tuple[float, int, Host]] = []
        # Hosts that can use a slot, and queues of theirs.
        self._startable = self._placed = 0
        self._tickets = 0

    @property
    def hosts(self) -> int:
        """Hosts that memory is spent on."""
        return len(self._lanes)

    def has(self, host: Host) -> bool:
        """Whether memory is spent on it."""
        return host in self._lanes

    def names(self) -> list[Host]:
        """Those hosts; copied in one step, so safe from any thread."""
        return list(self._lanes)

    def wake_at(self) -> float:
        """When the first of the lanes that rest goes on; infinity: none rests."""
        while self._resting and not self._is_current(*self._resting[0][1:]):
            heapq.heappop(self._resting)
        return self._resting[0][0] if self._resting else math.inf

    def _is_current(self, ticket: int, host: Host) -> bool:
        lane = self._lanes.get(host)
        return lane is not None and lane.ticket == ticket

    def _wake(self, now: float) -> None:
        while self._resting and self.wake_at() <= now:
            _, _, host = heapq.heappop(self._resting)
            lane = self._lanes[host]
            lane.resume_at = -math.inf
            self._place(host, lane)

    def _place(self, host: Host, lane: Lane[Item]) -> None:
        """Put *lane* where it belongs: among those that rest, have requests, are ready, nowhere, or away."""
        lane.ticket = 0
        if lane.resume_at > -math.inf:
            self._put_all_out(lane)
            lane.ticket = self._ticket()
            heapq.heappush(self._resting, (lane.resume_at, lane.ticket, host))
            if len(self._resting) > 2 * len(self._lanes) + _STALE:
                self._resting = [entry for entry in self._resting if self._is_current(*entry[-2:])]
                heapq.heapify(self._resting)
        elif lane.requests and lane.in_flight < lane.cap:
            self._put_all_out(lane)
            lane.ticket = self._ticket()
            self._urgent.append((lane.ticket, host))
        elif lane.may_begin:
            self._place_queues(host, lane)
            if not lane.is_needed:
                self._put_all_out(lane)
                del self._lanes[host]
        else:
            self._put_all_out(lane)

    def _place_queues(self, host: Host, lane: Lane[Item]) -> None:
        for queue in lane.queues:
            if not len(queue):
                self._put_out(lane, queue)
            elif not queue.ticket and not queue.is_held:
                queue.ticket = self._ticket()
                self._startable += not lane.placed
                lane.placed += 1
                self._placed += 1
                priority = queue.first[0]
                heapq.heappush(self._ready, (priority, queue.turn, queue.ticket, host, queue))
        if len(self._ready) > 2 * self._placed + _STALE:
            self._ready = [entry for entry in self._ready if entry[4].ticket == entry[2]]
            heapq.heapify(self._ready)

    def _put_all_out(self, lane: Lane[Item]) -> None:
        for queue in lane.queues:
            self._put_out(lane, queue)

    def _put_out(self, lane: Lane[Item], queue: LaneQueue[Item]) -> None:
        """What the heap holds of *queue* is stale from now on."""
        if queue.ticket:
            queue.ticket = 0
            lane.placed -= 1
            self._placed -= 1
            self._startable -= not lane.placed

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets
