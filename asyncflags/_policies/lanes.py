"""Which host gets the next free slot, and how far a list is read ahead for that.

Every host with work has a *lane*: a queue, a cap on its requests in flight, and a moment until which it rests. A slot
goes to the lane whose first item has the highest priority, and among equals to the one that had its turn least
lately: start-time fair queueing (Goyal, Vin, Cheng, 1996) with items of one size. A lane that cannot use a slot is not
among those that are compared, so that a host which is slow, capped, paused or dead delays no other.

A slot whose host has fallen silent is *lent*: it still counts against its host's cap, and no more against the slots
of all. So a host that stalls for ever costs the others nothing but the time until that is noticed.

A decision takes O(log hosts). A lane exists while it has items, requests in flight or a pause.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Lanes"]

Host = TypeVar("Host", bound=Hashable)
Item = TypeVar("Item")

_STALE = 64


class _Lane(Generic[Item]):
    __slots__ = ("cap", "in_flight", "is_ready", "lent", "queue", "resume_at", "ticket", "turn")

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.in_flight = 0
        self.lent = 0
        # Priority, negated, and the order of arrival come before the item.
        self.queue: list[tuple[float, int, Item]] = []
        self.resume_at = -math.inf
        self.turn = 0
        # Which entry of a heap is this lane's; 0: none, older ones are stale.
        self.ticket = 0
        self.is_ready = False


class Lanes(Generic[Host, Item]):
    """A fair queue over hosts. All moments are seconds of one steady clock.

    Args:
        slots: Requests in flight to all hosts together.
        cap: Requests in flight to one host, where `set_cap` says nothing else.
        read_ahead: Items that may wait for their turn.

    Raises:
        ValueError: One of them is below 1.
    """

    def __init__(self, *, slots: int, cap: int, read_ahead: int) -> None:
        for name, value in (("slots", slots), ("cap", cap), ("read_ahead", read_ahead)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._slots = slots
        self._cap = cap
        self._read_ahead = read_ahead
        self._lanes: dict[Host, _Lane[Item]] = {}
        # Lanes that can use a slot: priority negated, turn, ticket, host. And those that rest: moment, ticket, host.
        self._ready: list[tuple[float, int, int, Host]] = []
        self._resting: list[tuple[float, int, Host]] = []
        self._queued = self._in_flight = self._lent = 0
        self._startable = 0
        self._arrivals = self._tickets = self._turns = 0

    def __len__(self) -> int:
        """Items that wait for their turn."""
        return self._queued

    @property
    def hosts(self) -> int:
        """Hosts that memory is spent on."""
        return len(self._lanes)

    @property
    def in_flight(self) -> int:
        """Requests under way, those in lent slots included."""
        return self._in_flight

    @property
    def free(self) -> int:
        """Slots that nobody has. At most as many are lent as there are, so twice as many may be under way."""
        return self._slots - self._in_flight + min(self._lent, self._slots)

    def queued(self, host: Host) -> int:
        """Items of *host* that wait for their turn."""
        lane = self._lanes.get(host)
        return len(lane.queue) if lane else 0

    @property
    def wants_more(self) -> bool:
        """Whether the feeder is to go on reading.

        It stops where as many items wait as may. It also stops where two hosts for each slot could begin a request
        at once: to see more of them would keep nobody busier.
        """
        return self._queued < self._read_ahead and self._startable < 2 * self._slots

    def add(self, host: Host, item: Item, *, priority: float = 0) -> None:
        """Let *item* wait for its turn; a higher priority is served first, over all hosts."""
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = _Lane(self._cap)
        if not lane.queue:
            # A lane that had no work has saved up nothing.
            lane.turn = max(lane.turn, self._turns)
        self._arrivals += 1
        heapq.heappush(lane.queue, (-priority, self._arrivals, item))
        self._queued += 1
        # The place of a lane that is there already changes only if it has a more urgent item now.
        if not lane.ticket or lane.queue[0][1] == self._arrivals:
            self._place(host, lane)

    def next(self, now: float, admit: Callable[[Host], float] | None = None) -> tuple[Host, Item] | None:
        """Give a slot away.

        Args:
            now: When.
            admit: Asked for the host whose turn it is; seconds other than 0.0 let it rest for so long.

        Returns:
            The host and its item, now in flight; ``None``: no slot is free, or no lane can use one before `wake_at`.
        """
        self._wake(now)
        while self.free > 0 and self._ready:
            *_, ticket, host = heapq.heappop(self._ready)
            lane = self._lanes.get(host)
            if lane is None or lane.ticket != ticket:
                continue
            self._displace(lane)
            if admit is not None and (wait := admit(host)):
                self.pause(host, now + wait)
                continue
            return host, self._start(host, lane)
        return None

    def _start(self, host: Host, lane: _Lane[Item]) -> Item:
        _, _, item = heapq.heappop(lane.queue)
        self._turns = max(self._turns, lane.turn)
        lane.turn += 1
        lane.in_flight += 1
        self._queued -= 1
        self._in_flight += 1
        self._place(host, lane)
        return item

    def done(self, host: Host) -> None:
        """A request of *host* that was not silent is over; first `revived`, if it was."""
        lane = self._lanes[host]
        lane.in_flight -= 1
        self._in_flight -= 1
        # A lane that is in its place already is not moved by a slot more.
        if not lane.ticket:
            self._place(host, lane)

    def stalled(self, host: Host) -> None:
        """A request of *host* has fallen silent: its slot is lent to the others."""
        self._lanes[host].lent += 1
        self._lent += 1

    def revived(self, host: Host) -> None:
        """A request of *host* that had fallen silent goes on, or is about to end."""
        self._lanes[host].lent -= 1
        self._lent -= 1

    def set_cap(self, host: Host, cap: int) -> None:
        """Change how many requests of *host* may be in flight; forgotten with its lane, and 0 stops it."""
        lane = self._lanes.get(host)
        if lane is not None and lane.cap != cap:
            lane.cap = cap
            self._place(host, lane)

    def pause(self, host: Host, until: float) -> None:
        """Let *host* begin nothing before *until*; of several pauses the one that ends last counts."""
        lane = self._lanes.get(host)
        if lane is not None:
            lane.resume_at = max(lane.resume_at, until)
            self._place(host, lane)

    def resume(self, host: Host) -> None:
        """End the pause of *host*, as when a rate was raised."""
        lane = self._lanes.get(host)
        if lane is not None and lane.resume_at > -math.inf:
            lane.resume_at = -math.inf
            self._place(host, lane)

    def drop(self, host: Host) -> list[Item]:
        """Take everything out that waits for *host*, in the order of its turns."""
        lane = self._lanes.get(host)
        if lane is None:
            return []
        items = [item for _, _, item in sorted(lane.queue, key=lambda entry: entry[:2])]
        self._queued -= len(items)
        lane.queue.clear()
        self._place(host, lane)
        return items

    def wake_at(self) -> float:
        """When the first of the lanes that rest goes on; infinity: none rests."""
        while self._resting and not self._is_current(*self._resting[0][1:]):
            heapq.heappop(self._resting)
        return self._resting[0][0] if self._resting else math.inf

    def _is_current(self, ticket: int, host: Host) -> bool:
        lane = self._lanes.get(host)
        return lane is not None and lane.ticket == ticket

    def _wake(self, now: float) -> None:
        while self.wake_at() <= now:
            _, _, host = heapq.heappop(self._resting)
            lane = self._lanes[host]
            lane.resume_at = -math.inf
            self._place(host, lane)

    def _place(self, host: Host, lane: _Lane[Item]) -> None:
        """Put *lane* where it belongs: among those that rest, those that are ready, nowhere, or away."""
        self._displace(lane)
        if lane.resume_at > -math.inf:
            lane.ticket = self._ticket()
            heapq.heappush(self._resting, (lane.resume_at, lane.ticket, host))
            if len(self._resting) > 2 * len(self._lanes) + _STALE:
                self._resting = [entry for entry in self._resting if self._is_current(*entry[-2:])]
                heapq.heapify(self._resting)
        elif lane.queue and lane.in_flight < lane.cap:
            lane.ticket = self._ticket()
            lane.is_ready = True
            self._startable += 1
            heapq.heappush(self._ready, (lane.queue[0][0], lane.turn, lane.ticket, host))
            if len(self._ready) > 2 * len(self._lanes) + _STALE:
                self._ready = [entry for entry in self._ready if self._is_current(*entry[-2:])]
                heapq.heapify(self._ready)
        elif not lane.queue and not lane.in_flight:
            del self._lanes[host]

    def _displace(self, lane: _Lane[Item]) -> None:
        """What heaps hold of *lane* is stale from now on."""
        lane.ticket = 0
        if lane.is_ready:
            lane.is_ready = False
            self._startable -= 1

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets
