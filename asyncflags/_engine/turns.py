"""What a download has been given: its turn, and a slot of a host for each request of it."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncflags._engine.host import Host
    from asyncflags._engine.hosts import Hosts
    from asyncflags._engine.pace import Pace
    from asyncflags._policies.urls import Origin
    from asyncflags._transports.base import ResponseStream
    from asyncflags.errors import DownloadError

__all__ = ["Asking", "Beginner", "Flight", "Turn", "Waiter"]

# Refusals in a row that cost a download none of its retries, while the host serves others.
_MOST_FREE = 10


class Beginner(Protocol):
    """A download that has not begun.

    Attributes:
        flow: Whom it belongs to; ``None``: to nobody but itself.
    """

    @property
    def flow(self) -> Flow | None: ...

    @property
    def priority(self) -> float: ...

    def begin(self, turn: Turn) -> None:
        """It has its turn, and must `Turn.finish` it."""

    def refuse(self, error: Callable[[], DownloadError]) -> None:
        """It will never have one."""


class Flow(Hashable, Protocol):
    """Many downloads that belong together.

    Attributes:
        is_full: Whether none of them may begin now.
    """

    @property
    def is_full(self) -> bool: ...


class _State(enum.Enum):
    ACTIVE = enum.auto()
    LENT = enum.auto()
    ASLEEP = enum.auto()


class Turn:
    """The right of one download to run, until it is finished.

    While nothing of it is in flight and it waits, for a host or for a pause to end, it is asleep and has no slot. While
    everything of it that is in flight is silent, its slot is lent.

    Attributes:
        home: The origin in whose lane it began.
        priority: Its own, for its further requests.
        refusal: The error with which a host was refused to it, without a request.
    """

    __slots__ = ("_flying", "_free", "_hosts", "_ready", "_seen", "_silent", "_state", "_waiting", "home",
                 "priority", "refusal")  # fmt: skip

    def __init__(self, hosts: Hosts, home: Origin, priority: float, first: Flight | None) -> None:
        self._hosts = hosts
        self.home = home
        self.priority = priority
        self.refusal: DownloadError | None = None
        # What was given together with the turn, until it is used.
        self._ready = first
        self._flying = self._silent = self._waiting = 0
        self._state = _State.ACTIVE
        # Of its refusals: the host, and whom that had served by then; and how many were free.
        self._seen: tuple[Origin, int] | None = None
        self._free = 0

    async def request(self, origin: Origin) -> Flight:
        """Wait for a slot of *origin*.

        Raises:
            DownloadError: The host is left alone for now.
        """
        flight, self._ready = self._ready, None
        if flight is not None:
            if flight.host.origin == origin:
                return flight
            flight.drop()
        hosts = self._hosts
        asking = Asking(self, hosts.loop.create_future())
        number = hosts.lanes.ask(origin, asking, priority=self.priority)
        asking.is_waiting = True
        hosts.know(origin)
        hosts.dispatch()
        if asking.future.done():
            return asking.future.result()
        with _Waiting(self):
            try:
                return await asking.future
            except asyncio.CancelledError:
                if asking.is_waiting:
                    hosts.lanes.recant(origin, number)
                    hosts.changed()
                elif asking.future.done() and not asking.future.cancelled() and not asking.future.exception():
                    asking.future.result().drop()
                raise

    async def sleep(self, seconds: float) -> None:
        """Wait without a slot."""
        with _Waiting(self):
            await asyncio.sleep(seconds)

    def waits(self, change: int) -> None:
        """One more of its requests waits, or one less."""
        self._waiting += change
        self._update()

    def flies(self, change: int, silent: int) -> None:
        """One more request is in flight, or one less; so many more of those are silent."""
        self._flying += change
        self._silent += silent
        self._update()

    def _update(self) -> None:
        if self._flying:
            state = _State.LENT if self._silent == self._flying else _State.ACTIVE
        else:
            state = _State.ASLEEP if self._waiting else _State.ACTIVE
        if state is not self._state:
            self._change(state)

    def _change(self, state: _State) -> None:
        lanes, home = self._hosts.lanes, self.home
        if self._state is _State.LENT:
            lanes.revived(home)
        elif self._state is _State.ASLEEP:
            lanes.wake(home)
        if state is _State.LENT:
            lanes.stalled(home)
        elif state is _State.ASLEEP:
            lanes.sleep(home)
        self._state = state
        self._hosts.changed()

    def costs_a_retry(self, host: Host) -> bool:
        """Whether a refusal counts against the retries of its download.

        A host that serves others meanwhile merely asks for patience, and its download must not fail for having had bad
        luck a few times; one that serves nobody, or refuses this very URL, is not waited for without end.

        Args:
            host: Who refused, and said that it is about how much is asked.
        """
        seen, self._seen = self._seen, (host.origin, host.served)
        is_free = (
            seen is not None and seen[0] == host.origin and host.served > seen[1] and self._free < _MOST_FREE
        )
        self._free += is_free
        return not is_free

    def progressed(self) -> None:
        """Bytes came that stay: what was refused before is forgotten."""
        self._seen, self._free = None, 0

    def finish(self) -> None:
        """It is over; all of its requests are."""
        flight, self._ready = self._ready, None
        if flight is not None:
            flight.drop()
        self._hosts.lanes.finish()
        self._hosts.changed()


class _Waiting:
    __slots__ = ("_turn",)

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def __enter__(self) -> None:
        self._turn.waits(1)

    def __exit__(self, *_: object) -> None:
        self._turn.waits(-1)


class Waiter:
    """A single download that waits for its turn."""

    __slots__ = ("future", "is_waiting", "priority")

    flow = None
    turn = None

    def __init__(self, future: asyncio.Future[Turn], priority: float) -> None:
        self.future = future
        self.priority = priority
        self.is_waiting = True

    def begin(self, turn: Turn) -> None:
        """It has its turn."""
        self.is_waiting = False
        if self.future.done():
            # Cancelled, and not told yet.
            turn.finish()
        else:
            self.future.set_result(turn)

    def refuse(self, error: Callable[[], DownloadError]) -> None:
        """It will never have one."""
        self.is_waiting = False
        if not self.future.done():
            self.future.set_exception(error())


class Asking:
    """A download under way that waits for a slot of a host."""

    __slots__ = ("future", "is_waiting", "turn")

    flow = None

    def __init__(self, turn: Turn, future: asyncio.Future[Flight]) -> None:
        self.turn = turn
        self.future = future
        self.is_waiting = False

    def grant(self, flight: Flight) -> None:
        """It has one."""
        self.is_waiting = False
        if self.future.done():
            flight.drop()
        else:
            self.future.set_result(flight)

    def refuse(self, error: Callable[[], DownloadError]) -> None:
        """It will get none."""
        self.is_waiting = False
        if not self.future.done():
            self.turn.refusal = error()
            self.future.set_exception(self.turn.refusal)


class Flight:
    """A slot of a host, and the request that is in flight there."""

    __slots__ = (
        "_counted",
        "_hosts",
        "_is_probe",
        "_is_silent",
        "_latency",
        "_pace",
        "_sent",
        "host",
        "turn",
    )

    def __init__(self, hosts: Hosts, host: Host, turn: Turn | None) -> None:
        self._hosts = hosts
        self.host = host
        self.turn = turn
        self._is_probe = host.probes
        self._pace: Pace | None = None
        self._is_silent = False
        self._counted = 0
        self._sent = 0.0
        self._latency: float | None = None
        host.probes = False

    def begin(self, pace: Pace) -> None:
        """The request is sent; *pace* knows how long it has been silent."""
        hosts = self._hosts
        self._sent = now = hosts.time()
        self._pace = pace
        self.host.started(now)
        pace.listener = self._received if self.host.is_adaptive else None
        assert self.turn is not None
        self.turn.flies(1, 0)
        hosts.watch(self)

    def answered(self, stream: ResponseStream) -> None:
        """The head of the answer is there."""
        now = self._hosts.time()
        self._latency = now - self._sent
        # Whatever it says, the host is there.
        was_probe, self._is_probe = self._is_probe, False
        self.host.answered(now, self._sent, stream)
        if self.host.is_adaptive and self._pace is not None:
            self._pace.listener = self._received
        self._hosts.learned(self.host, is_news=was_probe)

    def failed(self, error: DownloadError) -> None:
        """There will be no head."""
        was_probe, self._is_probe = self._is_probe, False
        now = self._hosts.time()
        # What failed before it began did so in the moment.
        self.host.could_not_answer(now, self._sent or now, error, was_probe)
        self._hosts.learned(self.host, is_news=was_probe)

    def _received(self, size: int) -> None:
        if self.host.received(size):
            self._hosts.learned(self.host)

    def look(self, now: float, patience: float) -> None:
        """Note what came, and whether it has been silent for longer than *patience*."""
        assert self._pace is not None
        assert self.turn is not None
        self._count(self._pace)
        is_silent = self._pace.silence(now) >= patience
        if is_silent is not self._is_silent:
            self._is_silent = is_silent
            self.turn.flies(0, 1 if is_silent else -1)

    def silence(self, now: float) -> float:
        """Seconds for which nothing came."""
        return self._pace.silence(now) if self._pace is not None else 0.0

    def _count(self, pace: Pace) -> None:
        self.host.size += pace.received - self._counted
        self._counted = pace.received

    def land(self) -> None:
        """The request is over: give the slot back."""
        hosts, host, pace = self._hosts, self.host, self._pace
        assert pace is not None
        assert self.turn is not None
        pace.listener = None
        self._count(pace)
        if self._is_probe:
            host.abandoned(True)
            hosts.learned(host, is_news=True)
        if host.ended(hosts.time(), self._sent, self._latency):
            hosts.learned(host)
        hosts.unwatch(self)
        self.turn.flies(-1, -1 if self._is_silent else 0)
        hosts.vacate(host)

    def drop(self) -> None:
        """Give the slot back without a request."""
        self.host.unused(self._is_probe)
        self._hosts.learned(self.host, is_news=True)
        self._hosts.vacate(self.host)
