"""Who may send a request to which host, and when: the lanes, and one dispatcher that runs after every change.

What waits is light: an entry of a list has neither a task nor a future until its lane is given a download slot and a
host slot together. What has begun needs slots of hosts alone, and goes before what has not.

The dispatcher runs when something has changed, and when the first of the lanes that rest goes on; one more timer looks
for silence while anything is in flight. There is no timer for any single download or host.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from asyncflags._engine.host import Host
from asyncflags._engine.host_rules import HostRules, Shared
from asyncflags._engine.seen import stats_of, waiting_for
from asyncflags._engine.turns import Asking, Beginner, Flight, Flow, Turn, Waiter
from asyncflags._policies.lanes import Lanes

if TYPE_CHECKING:
    from asyncflags._engine.progress import Tally
    from asyncflags._models import Stats
    from asyncflags._policies.limits import Limits
    from asyncflags._policies.urls import Origin

__all__ = ["Hosts", "Reader"]

# A loop may round the times of its timers, and must not be asked again and again within one of its ticks.
_TICK = 0.001


class Reader(Flow, Protocol):
    """Reads a list while there is room for what it finds."""

    @property
    def wants_more(self) -> bool:
        """Whether it is to go on."""

    def go_on(self) -> None:
        """Look again whether there is."""


class Hosts:
    """Hands out the slots. One for each client and loop.

    Args:
        limits: How many there are.
        tally: Told what is decided.
        jitter: A random number, at least 0 and below 1.
        rules: How hosts are treated.

    Attributes:
        lanes: What waits.
    """

    def __init__(
        self, limits: Limits, tally: Tally, *, jitter: Callable[[], float], rules: HostRules | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self._limits = limits
        limit = limits.max_connections_per_host
        self._shared = Shared(HostRules(), limit, self.time, jitter, tally)
        self.lanes: Lanes[Origin, Beginner | Asking] = Lanes(
            slots=limits.max_downloads, cap=self._shared.first, read_ahead=1
        )
        self.rules = rules if rules is not None else HostRules()
        self._hosts: dict[Origin, Host] = {}
        # Those without work, the one whose work ended first in front.
        self._idle: dict[Origin, None] = {}
        self._rates: dict[Origin, float] = {}
        self._flights: dict[Flight, None] = {}
        self._refusing: list[Host] = []
        self._readers: dict[Reader, None] = {}
        self._full_readers: dict[Reader, None] = {}
        self._now = 0.0
        self._is_due = self._is_dispatching = self._is_sweeping = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf

    @property
    def rules(self) -> HostRules:
        """How hosts are treated; to be changed before the first download."""
        return self._shared.rules

    @rules.setter
    def rules(self, rules: HostRules) -> None:
        most = self._limits.max_downloads
        self._shared.rules = replace(rules, adaptive=replace(rules.adaptive, least=1, most=most))
        self.lanes.read_ahead = rules.read_ahead

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way and nothing waits."""
        lanes = self.lanes
        return not (len(lanes) or lanes.in_flight or lanes.active or lanes.asleep or self._flights)

    # Downloads that want to begin.

    async def begin(self, origin: Origin, priority: float) -> Turn:
        """Wait for the turn of a single download, whose first request goes to *origin*.

        Raises:
            DownloadError: The host is left alone for now.
        """
        waiter = Waiter(self.loop.create_future(), priority)
        number = self.lanes.add(origin, waiter, priority=priority)
        self.know(origin)
        self.dispatch()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if waiter.is_waiting:
                self.lanes.withdraw(origin, number)
                self.changed()
            elif future.done() and not future.cancelled() and not future.exception():
                future.result().finish()
            raise

    def add(self, origin: Origin, entry: Beginner, *, priority: float) -> None:
        """Let an entry of a list wait for its turn."""
        self.lanes.add(origin, entry, priority=priority, flow=entry.flow)
        host = self._hosts.get(origin)
        if host is not None:
            self._idle.pop(origin, None)
            self.lanes.set_cap(origin, host.level)
        if not self._is_due:
            self.changed()

    def enter(self, reader: Reader) -> None:
        """A list begins."""
        self._readers[reader] = None

    def leave(self, reader: Reader) -> list[Beginner]:
        """A list ends: take out what has not begun of it."""
        self._readers.pop(reader, None)
        self._full_readers.pop(reader, None)
        entries = cast("list[Beginner]", self.lanes.leave(reader))
        self.changed()
        return entries

    def release(self, reader: Reader) -> None:
        """A list that was full is so no more."""
        self.lanes.release(reader)
        self.changed()

    def has_room(self, waiting: int, *, has_stopped: bool) -> bool:
        """Whether a list is to be read on.

        Args:
            waiting: Its entries that wait for their turn.
            has_stopped: Whether it was not, the last time; then there must be room for more than one entry.
        """
        lanes, slots = self.lanes, self._limits.max_downloads
        share = lanes.read_ahead // max(1, len(self._readers))
        if has_stopped:
            return (lanes.is_hungry and waiting <= share * 15 // 16) or 2 * waiting < min(slots, share)
        # However much of others waits, every list has a chance.
        return (lanes.wants_more and waiting < share) or waiting < min(slots, share)

    def wait_for_room(self, reader: Reader) -> None:
        """*reader* has stopped: `Reader.go_on` is called when it should look again."""
        self._full_readers[reader] = None

    # What is known of hosts.

    def know(self, origin: Origin) -> Host:
        """The host, and its lane as wide as it is worth."""
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = Host(origin, self._shared)
            rate = self._rate_of(origin)
            if rate is not None:
                host.set_rate(rate)
        self._idle.pop(origin, None)
        self.lanes.set_cap(origin, host.level)
        return host

    def _rate_of(self, origin: Origin) -> float | None:
        rates = (self._limits.max_requests_per_second, self._rates.get(origin))
        return min((rate for rate in rates if rate is not None), default=None)

    def set_request_rate(self, origin: Origin, rate: float | None) -> None:
        """Begin at most *rate* requests a second to *origin*, besides what the limits say; ``None``: no matter.

        Raises:
            ValueError: The rate is 0, negative or not finite.
        """
        if rate is not None and self._rates.get(origin) == rate:
            return
        self._rates.pop(origin, None)
        if rate is not None:
            self._rates[origin] = rate
            if len(self._rates) > self.rules.remembered:
                del self._rates[next(iter(self._rates))]
        host = self._hosts.get(origin)
        if host is not None:
            host.set_rate(self._rate_of(origin))
            self.lanes.resume(origin)
            self.changed()

    def level(self, origin: Origin) -> int:
        """Requests that may be in flight to *origin* now."""
        host = self._hosts.get(origin)
        return host.level if host is not None else self._shared.first

    def learned(self, host: Host, *, is_news: bool = False) -> None:
        """Something was learned of *host*; with *is_news*, what was told to wait may ask again."""
        self.lanes.set_cap(host.origin, host.level)
        if is_news:
            self.lanes.resume(host.origin)
        self.changed()

    def vacate(self, host: Host) -> None:
        """A slot of *host* is free again."""
        self.lanes.vacate(host.origin)
        if not host.in_flight and not self.lanes.has(host.origin):
            self._retire(host)
        self.changed()

    def _retire(self, host: Host) -> None:
        host.rest()
        self._idle.pop(host.origin, None)
        self._idle[host.origin] = None
        while len(self._idle) > self.rules.remembered:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._hosts[oldest]

    # The dispatcher.

    def changed(self) -> None:
        """Something is other than it was: dispatch soon."""
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._dispatch_if_due)

    def _dispatch_if_due(self) -> None:
        if self._is_due:
            self.dispatch()

    def dispatch(self) -> None:
        """Give away all that can be given."""
        if self._is_dispatching:
            return
        self._is_dispatching = True
        try:
            self._is_due = False
            self._now = self.time()
            while True:
                self._give()
                if not self._refusing:
                    break
                # What was refused may have been in the way of something.
                self._refuse()
        finally:
            self._is_dispatching = False
        self._set_alarm()
        for reader in [each for each in self._full_readers if each.wants_more]:
            del self._full_readers[reader]
            reader.go_on()

    def _give(self) -> None:
        lanes = self.lanes
        while (given := lanes.next(self._now, self._admit, _is_held)) is not None:
            origin, item = given
            flight = Flight(self, self._hosts[origin], item.turn if isinstance(item, Asking) else None)
            if isinstance(item, Asking):
                item.grant(flight)
            else:
                flight.turn = turn = Turn(self, origin, item.priority, flight)
                item.begin(turn)

    def _admit(self, origin: Origin) -> float:
        host = self._hosts.get(origin)
        if host is None:
            host = self.know(origin)
        wait = host.admit(self._now)
        if host.refuses:
            host.refuses = False
            self._refusing.append(host)
        return wait

    def _refuse(self) -> None:
        """Let everything fail that waits for a host which is left alone."""
        refusing, self._refusing = self._refusing, []
        for host in refusing:
            error = host.refusal()
            for item in self.lanes.drop(host.origin):
                item.refuse(error)
            self.lanes.resume(host.origin)
            if not host.in_flight and not self.lanes.has(host.origin):
                self._retire(host)

    def _set_alarm(self) -> None:
        moment = self.lanes.wake_at()
        if moment < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = moment
            self._alarm = self.loop.call_at(max(moment, self._now + _TICK), self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        self.dispatch()

    # What is in flight.

    def watch(self, flight: Flight) -> None:
        """Look at *flight* now and then."""
        self._flights[flight] = None
        if not self._is_sweeping:
            self._is_sweeping = True
            self.loop.call_later(self.rules.sweep, self._sweep)

    def unwatch(self, flight: Flight) -> None:
        """*flight* is over."""
        self._flights.pop(flight, None)

    def _sweep(self) -> None:
        now, patience = self.time(), self.rules.silence
        for flight in list(self._flights):
            flight.look(now, patience)
        self._is_sweeping = bool(self._flights)
        if self._is_sweeping:
            self.loop.call_later(self.rules.sweep, self._sweep)

    # What there is to see.

    def stats(self) -> Stats:
        """What there is to see now. Safe from any thread."""
        return stats_of(self._flying(), self._hosts.copy(), self.lanes, len(self._idle), self.time())

    def waiting_for(self) -> str:
        """One sentence on what the downloads wait for now; empty: for nothing. Safe from any thread."""
        return waiting_for(self._flying(), self._hosts.copy(), self.lanes, self.time())

    def _flying(self) -> Iterable[Flight]:
        return self._flights.copy()


def _is_held(item: Beginner | Asking) -> bool:
    flow = item.flow
    return flow is not None and flow.is_full
