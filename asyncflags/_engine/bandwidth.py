"""How fast bodies come, all together and from each host; both may change at any moment.

What has come is paid for before more is received, so that the network waits and nothing is held back in memory.
Nobody reserves anything, hence a new rate holds at once for those who wait too.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import sys
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

from asyncflags._engine.bandwidth_turns import Turns
from asyncflags._policies.pacing import TokenBucket

if TYPE_CHECKING:
    from asyncflags._policies.urls import Origin
    from asyncflags._transports.base import ResponseStream, Room

__all__ = ["Bandwidth", "Share", "Timers"]

_MOST_PIECE = 1 << 18
_LEAST_PIECE = 1 << 10
# Who could be served by single bytes is served a little later and a few at once, which costs fewer timers.
_LEAST_DELAY = 0.002
_MOST_HOSTS = 4096


class _Timer(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object], /) -> _Timer: ...
    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object: ...


class Bandwidth:
    """Shares of a rate, in bytes a second: one for all bodies together, and one for those of each host.

    Fair between downloads, however many connections each of them has: see `bandwidth_turns`.

    Args:
        rate: Of all together, more than 0; ``None``: no limit.
        host_rate: Of each host (scheme, host and port) that has no rate of its own; ``None``: no limit.

    Attributes:
        is_limited: Whether anything is limited at all; while it is not, nobody need pay.

    Raises:
        TypeError, ValueError: A rate is not a number, 0, negative or not finite.
    """

    def __init__(self, rate: float | None = None, host_rate: float | None = None) -> None:
        self._whole = TokenBucket(_checked("rate_limit", rate), now=0.0)
        self._host_rate = _checked("host_rate_limit", host_rate)
        self._own_rates: dict[Origin, float | None] = {}
        # The buckets of hosts, that which was asked for last at the end.
        self._hosts: collections.OrderedDict[Origin, TokenBucket] = collections.OrderedDict()
        self._turns = Turns()
        # The most who waited at once, in this second and in the one before.
        self._crowd = self._crowd_before = 0
        self._crowd_until = 0.0
        self._timers: Timers | None = None
        self._timer: _Timer | None = None
        self._judge()

    def start(self, timers: Timers) -> None:
        """Belong to an event loop from now on, in which `pay` is called."""
        self._timers = timers

    def set_rate(self, rate: float | None, origin: Origin | None = None) -> None:
        """Change a rate, at once. Safe from any thread.

        Args:
            rate: Bytes a second, more than 0; ``None``: no limit.
            origin: The host that it is for; ``None``: all together.

        Raises:
            TypeError, ValueError: The rate is not a number, 0, negative or not finite.
        """
        _checked("the rate", rate)
        timers = self._timers
        if timers is None or _runs_here(timers):
            self._change(rate, origin)
            return
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            timers.call_soon_threadsafe(lambda: self._change(rate, origin))

    def piece(self, origin: Origin) -> int:
        """How many bytes from *origin* should be received, or paid, at once.

        A third of a burst of the bucket, shared among all: so much may have come that is not paid yet, also when
        the rate falls at that moment.
        """
        host = self._bucket(origin)
        burst = self._whole.burst if host is None else min(self._whole.burst, host.burst)
        if burst == math.inf:
            return sys.maxsize
        share = burst / (3 * max(1, self._crowd, self._crowd_before))
        return int(min(max(share, _LEAST_PIECE), burst, _MOST_PIECE))

    async def pay(self, origin: Origin, size: int, payer: Hashable) -> None:
        """Return when *size* bytes that have come from *origin* fit into the rates.

        Who waits is served in turn with all others, a part at a time.

        Args:
            origin: Where they came from.
            size: How many.
            payer: The download that they are a part of.

        Cancellation: Takes effect at once; what was not paid is forgotten.
        """
        if size <= 0 or (not self._turns.waiting and self._paid_at_once(origin, size)):
            return
        due = self._turns.add(origin, payer, size)
        self._count_crowd()
        self._serve()
        if not due.left:
            return
        due.paid = asyncio.get_running_loop().create_future()
        try:
            await due.paid
        except BaseException:
            if due.left:
                self._turns.remove(due)
                if not self._turns.waiting:
                    self._disarm()
            raise

    def _count_crowd(self) -> None:
        now = self._now()
        if now >= self._crowd_until:
            self._crowd_before, self._crowd, self._crowd_until = self._crowd, 0, now + 1.0
        self._crowd = max(self._crowd, self._turns.waiting)

    def _paid_at_once(self, origin: Origin, size: int) -> bool:
        return size <= self.piece(origin) and not self._take(origin, size, self._now())

    def _take(self, origin: Origin, size: int, now: float) -> float:
        """Take *size* bytes from both buckets; or from none, and say how long it takes until they are there."""
        host = self._bucket(origin)
        seconds = max(self._whole.wait(now, size), host.wait(now, size) if host is not None else 0.0)
        if not seconds:
            self._whole.take(now, size)
            if host is not None:
                host.take(now, size)
        return seconds

    def _serve(self) -> None:
        """Pay for all whose turn it is, and set the timer for the next one."""
        turns, now = self._turns, self._now()
        turns.come_back(now)
        moment = math.inf
        while (due := turns.first()) is not None:
            size = min(due.left, self.piece(due.origin))
            host = self._bucket(due.origin)
            if host is not None and (seconds := host.wait(now, size)):
                turns.step_aside(now + seconds)
            elif seconds := self._take(due.origin, size, now):
                # All others need this bucket too, and whoever went before now would let the first one wait longer.
                moment = now + seconds
                break
            else:
                turns.serve(due, size)
        self._arm(max(min(moment, turns.resumes_at), now + _LEAST_DELAY))

    def _arm(self, moment: float) -> None:
        self._disarm()
        if moment < math.inf:
            assert self._timers is not None
            self._timer = self._timers.call_at(moment, self._wake)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _wake(self) -> None:
        self._timer = None
        self._serve()

    def _change(self, rate: float | None, origin: Origin | None) -> None:
        now = self._now()
        if origin is None:
            self._whole.set_rate(rate, now=now)
        else:
            self._own_rates[origin] = rate
            host = self._hosts.get(origin)
            if host is not None:
                host.set_rate(rate, now=now)
        self._judge()
        if self._turns.waiting:
            # How long they have to wait was told by the rates before.
            self._turns.come_back(math.inf)
            self._serve()

    def _judge(self) -> None:
        rates = (self._whole.rate, self._host_rate, *self._own_rates.values())
        self.is_limited = any(rate is not None for rate in rates)

    def _bucket(self, origin: Origin) -> TokenBucket | None:
        """The bucket of a host; ``None``: it has no limit of its own."""
        host = self._hosts.get(origin)
        if host is not None:
            self._hosts.move_to_end(origin)
            return host
        rate = self._own_rates.get(origin, self._host_rate)
        if rate is None:
            return None
        now = self._now()
        host = self._hosts[origin] = TokenBucket(rate, now=now)
        while len(self._hosts) > _MOST_HOSTS:
            oldest = next(iter(self._hosts.items()))
            if oldest[1].wait(now, oldest[1].burst):
                break
            # A full bucket is as good as a new one.
            del self._hosts[oldest[0]]
        return host

    def _now(self) -> float:
        return self._timers.time() if self._timers is not None else 0.0


class Share:
    """The part that one body has in the rates: it is received in small pieces, and each is paid for.

    Without a limit it changes nothing. The first piece is the smallest, because nobody knows how many others begin at
    the same moment.

    Args:
        bandwidth: The rates.
        origin: Where the body comes from.
        payer: The download that it is a part of.
        stream: The body.
        room: Lends memory for it.
    """

    __slots__ = ("_bandwidth", "_is_narrow", "_most", "_origin", "_payer", "_room", "_stream")

    def __init__(
        self, bandwidth: Bandwidth, origin: Origin, payer: Hashable, stream: ResponseStream, room: Room
    ) -> None:
        self._bandwidth = bandwidth
        self._origin = origin
        self._payer = payer
        self._stream = stream
        self._room = room
        self._most = _LEAST_PIECE
        self._is_narrow = False
        if bandwidth.is_limited:
            self._narrow(_LEAST_PIECE)

    @property
    def is_due(self) -> bool:
        """Whether what has come is to be paid for."""
        return self._is_narrow or self._bandwidth.is_limited

    def room(self) -> memoryview:
        """Lend as much memory as may be received at once."""
        lent = self._room()
        return lent[: self._most] if self._bandwidth.is_limited else lent

    async def pay(self, size: int) -> None:
        """As `Bandwidth.pay`; call it when `is_due`, while the clocks of the server stand still."""
        await self._bandwidth.pay(self._origin, size, self._payer)
        self._narrow(self._bandwidth.piece(self._origin))

    def _narrow(self, most: int) -> None:
        self._most = most
        self._is_narrow = most < sys.maxsize
        self._stream.narrow(most)


def _runs_here(timers: Timers) -> bool:
    """Whether *timers* is the loop that runs in this thread."""
    try:
        return asyncio.get_running_loop() is timers
    except RuntimeError:
        return False


def _checked(name: str, rate: Any) -> float | None:
    if rate is None:
        return None
    if not isinstance(rate, (int, float)) or isinstance(rate, bool):
        raise TypeError(f"{name} must be a number of bytes a second or None, not {rate!r}")
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"{name} must be more than 0 bytes a second, not {rate}: None means no limit")
    return float(rate)
