"""Which host gets the next free slot, and how far a list is read ahead for that.

Every host with work has a *lane*: queues, a cap on its requests in flight, and a moment until which it rests. There are
two kinds of slots. Whoever begins takes one of all (a download slot) and one of its host; it is chosen from the lane
whose first item has the highest priority, and among equals from the one that had its turn least lately: start-time
fair queueing (Goyal, Vin, Cheng, 1996) with items of one size. Several *flows*, such as lists, have a queue each in the
lane of a host, and take turns as hosts do. A lane that cannot use a slot is not among those that are compared, so that
a host which is slow, capped, paused or dead delays no other.

What has begun is finished first: a *request* of it needs a slot of its host alone, and goes before those who have not
begun. Who sleeps meanwhile, because its host rests or is full, has no slot at all and takes one back without waiting;
so only so many may sleep, of one host and of all, before nobody begins any more.

The slot of one whose host has fallen silent is *lent*: it still counts against its host's cap, and no more against the
slots of all. So a host that stalls for ever costs the others nothing but the time until that is noticed.

A decision takes O(log hosts). A lane exists while it has items, requests in flight, sleepers or a pause.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import TypeVar

from asyncflags._policies.lane_places import LanePlaces
from asyncflags._policies.lane_queues import Lane, LaneQueue

__all__ = ["Lanes"]

Host = TypeVar("Host", bound=Hashable)
Item = TypeVar("Item")

# How many may sleep for each slot of all.
_SLEEPERS = 4


class Lanes(LanePlaces[Host, Item]):
    """A fair queue over hosts. All moments are seconds of one steady clock.

    Args:
        slots: Downloads under way, those asleep and those that are lent left out.
        cap: Requests in flight to one host, where `set_cap` says nothing else.
        read_ahead: Items that may wait for their turn.

    Raises:
        ValueError: One of them is below 1.
    """

    def __init__(self, *, slots: int, cap: int, read_ahead: int) -> None:
        for name, value in (("slots", slots), ("cap", cap), ("read_ahead", read_ahead)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        super().__init__()
        self._slots = slots
        self._cap = cap
        self.read_ahead = read_ahead
        self._held: dict[Hashable, list[tuple[Host, LaneQueue[Item]]]] = {}
        self._queued = self._in_flight = self._active = self._lent = self._asleep = 0
        self._arrivals = self._turns = 0

    def __len__(self) -> int:
        """Items that wait for their turn to begin."""
        return self._queued

    @property
    def in_flight(self) -> int:
        """Requests under way, those in lent slots included."""
        return self._in_flight

    @property
    def asleep(self) -> int:
        """Downloads that have begun and sleep."""
        return self._asleep

    @property
    def active(self) -> int:
        """Downloads that have a slot, lent ones included."""
        return self._active

    @property
    def free(self) -> int:
        """Slots that nobody has. At most as many are lent as there are, so twice as many may be under way."""
        return self._slots - self._active + min(self._lent, self._slots)

    def queued(self, host: Host) -> int:
        """Items of *host* that wait for their turn to begin."""
        lane = self._lanes.get(host)
        return sum(map(len, lane.queues)) if lane else 0

    def waiting(self, host: Host) -> int:
        """Requests that wait for a slot of *host*, of downloads that have begun."""
        lane = self._lanes.get(host)
        return len(lane.requests) if lane and lane.requests else 0

    @property
    def wants_more(self) -> bool:
        """Whether the feeder is to go on reading.

        It stops where as many items wait as may. It also stops where two hosts for each slot could begin a request
        at once: to see more of them would keep nobody busier.
        """
        return self._queued < self.read_ahead and self._startable < 2 * self._slots

    @property
    def is_hungry(self) -> bool:
        """Whether a feeder that has stopped is to begin again, which it should do for more than one item."""
        return self._queued <= self.read_ahead * 15 // 16 and 2 * self._startable < 3 * self._slots

    def _lane(self, host: Host) -> Lane[Item]:
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(self._cap)
        return lane

    def add(self, host: Host, item: Item, *, priority: float = 0, flow: Hashable = None) -> int:
        """Let *item* wait for its turn to begin; a higher priority is served first, over all hosts.

        Args:
            host: Whose slot it needs, besides one of all.
            item: What.
            priority: Its own.
            flow: Whom it belongs to; flows take turns with each other.

        Returns:
            Its number, to `withdraw` it.
        """
        lane = self._lane(host)
        queue = lane.queue_of(flow)
        if queue is None:
            queue = LaneQueue(flow)
            lane.queues.append(queue)
        if not len(queue):
            # Who had no work has saved up nothing.
            queue.turn = max(queue.turn, self._turns)
        self._arrivals += 1
        queue.push(priority, self._arrivals, item)
        self._queued += 1
        # The place of a queue that is there already changes only if it has a more urgent item now.
        if not queue.ticket or queue.first[1] == self._arrivals:
            self._put_out(lane, queue)
            self._place(host, lane)
        return self._arrivals

    def withdraw(self, host: Host, number: int, *, flow: Hashable = None) -> None:
        """Take out an item that waits to begin."""
        lane = self._lanes[host]
        queue = lane.queue_of(flow)
        assert queue is not None
        queue.withdraw(number)
        self._queued -= 1
        self._put_out(lane, queue)
        self._place(host, lane)

    def leave(self, flow: Hashable) -> list[Item]:
        """Take out everything of *flow* that waits to begin, and forget it."""
        items: list[Item] = []
        self._held.pop(flow, None)
        for host in self.names():
            lane = self._lanes[host]
            queue = lane.queue_of(flow)
            if queue is not None:
                items += queue.clear()
                self._put_out(lane, queue)
                lane.queues.remove(queue)
                self._place(host, lane)
        self._queued -= len(items)
        return items

    def release(self, flow: Hashable) -> None:
        """The queues of *flow* that `next` was told to hold take part again."""
        for host, queue in self._held.pop(flow, ()):
            queue.is_held = False
            lane = self._lanes.get(host)
            if lane is not None:
                self._place(host, lane)

    def ask(self, host: Host, item: Item, *, priority: float = 0) -> int:
        """Let a request of what has begun wait for a slot of *host* alone, before those who have not begun.

        Returns:
            Its number, to `recant`.
        """
        lane = self._lane(host)
        if lane.requests is None:
            lane.requests = LaneQueue()
        self._arrivals += 1
        lane.requests.push(priority, self._arrivals, item)
        if not lane.ticket:
            self._place(host, lane)
        return self._arrivals

    def recant(self, host: Host, number: int) -> None:
        """Take a request out that waits."""
        lane = self._lanes[host]
        assert lane.requests is not None
        lane.requests.withdraw(number)
        self._place(host, lane)

    def next(
        self,
        now: float,
        admit: Callable[[Host], float] | None = None,
        hold: Callable[[Item], bool] | None = None,
    ) -> tuple[Host, Item] | None:
        """Give a slot away.

        Args:
            now: When.
            admit: Asked for the host whose turn it is; seconds other than 0.0 let it rest for so long.
            hold: Asked for an item that is to begin; ``True`` holds what its flow has there until `release`.

        Returns:
            The host and its item, now in flight; ``None``: no slot is free, or no lane can use one before `wake_at`.
        """
        self._wake(now)
        while True:
            queue: LaneQueue[Item] | None
            if self._urgent:
                ticket, host = self._urgent.popleft()
                lane = self._lanes.get(host)
                if lane is None or lane.ticket != ticket:
                    continue
                queue, lane.ticket = lane.requests, 0
                assert queue is not None
                begins = False
            elif self._ready and self.free > 0 and self._asleep < _SLEEPERS * self._slots:
                *_, ticket, host, queue = heapq.heappop(self._ready)
                if queue.ticket != ticket:
                    continue
                lane = self._lanes[host]
                self._put_out(lane, queue)
                if hold is not None and hold(queue.first[2]):
                    queue.is_held = True
                    self._held.setdefault(queue.flow, []).append((host, queue))
                    continue
                begins = True
            else:
                return None
            if admit is not None and (wait := admit(host)):
                self.pause(host, now + wait)
                continue
            return host, self._start(host, lane, queue, begins)

    def _start(self, host: Host, lane: Lane[Item], queue: LaneQueue[Item], begins: bool) -> Item:
        item = queue.pop()
        lane.in_flight += 1
        self._in_flight += 1
        if begins:
            self._turns = max(self._turns, queue.turn)
            queue.turn += 1
            self._queued -= 1
            self._active += 1
        self._place(host, lane)
        return item

    def vacate(self, host: Host) -> None:
        """A request of *host* is over; its download goes on."""
        lane = self._lanes[host]
        lane.in_flight -= 1
        self._in_flight -= 1
        # A lane that is in its place already is not moved by a slot more.
        if not lane.ticket:
            self._place(host, lane)

    def finish(self) -> None:
        """A download that was neither asleep nor lent is over."""
        self._active -= 1

    def done(self, host: Host) -> None:
        """A request of *host* that was not silent is over, and its download with it; first `revived`, if it was."""
        self._active -= 1
        self.vacate(host)

    def sleep(self, home: Host) -> None:
        """A download that began in the lane of *home* gives its slot up, and takes no request with it."""
        lane = self._lane(home)
        lane.asleep += 1
        self._asleep += 1
        self._active -= 1
        if not lane.may_begin:
            self._place(home, lane)

    def wake(self, home: Host) -> None:
        """A download that slept takes a slot back, free or not."""
        lane = self._lanes[home]
        lane.asleep -= 1
        self._asleep -= 1
        self._active += 1
        self._place(home, lane)

    def stalled(self, home: Host) -> None:
        """The requests of a download of *home* have fallen silent: its slot is lent to the others."""
        self._lane(home).lent += 1
        self._lent += 1

    def revived(self, home: Host) -> None:
        """A download of *home* that had fallen silent goes on, or is about to end."""
        lane = self._lanes[home]
        lane.lent -= 1
        self._lent -= 1
        if not lane.lent:
            self._place(home, lane)

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
        """Take everything out that waits for *host*: its requests, then what has not begun, in the order of turns."""
        lane = self._lanes.get(host)
        if lane is None:
            return []
        items: list[Item] = []
        for queue in lane.queues:
            items += queue.clear()
        self._queued -= len(items)
        if lane.requests is not None:
            items = lane.requests.clear() + items
        self._place(host, lane)
        return items
