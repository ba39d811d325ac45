"""A client of the dispatcher alone, on a clock of its own."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from asyncflags import Event, Limits, errors
from asyncflags._engine.host_rules import HostRules
from asyncflags._engine.hosts import Hosts
from asyncflags._engine.progress import Tally
from asyncflags._engine.turns import Flight, Turn
from asyncflags._policies.backing_off import BackingOffRules
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.circuits import CircuitRules
from asyncflags._policies.urls import Origin

A: Origin = ("https", "a.example", 443)
B: Origin = ("https", "b.example", 443)
FEW = Limits(max_downloads=3, max_connections_per_host=2)


class Clock:
    """Stands for the loop where it is asked for time or for an alarm; time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._alarms: list[tuple[float, int, Any]] = []
        self._order = 0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def call_at(self, moment: float, callback: Callable[[], Any]) -> Any:
        alarm = SimpleNamespace(callback=callback)
        alarm.cancel = lambda: setattr(alarm, "callback", lambda: None)
        self._order += 1
        heapq.heappush(self._alarms, (moment, self._order, alarm))
        return alarm

    def call_later(self, seconds: float, callback: Callable[[], Any]) -> Any:
        return self.call_at(self.now + seconds, callback)

    def create_future(self) -> Any:
        return self._loop.create_future()

    def call_soon(self, callback: Callable[[], Any]) -> Any:
        return self._loop.call_soon(callback)

    async def go(self, seconds: float) -> None:
        """Let *seconds* pass, with all that happens meanwhile."""
        end = self.now + seconds
        await turns()
        while self._alarms and self._alarms[0][0] <= end:
            self.now, _, alarm = heapq.heappop(self._alarms)
            alarm.callback()
            await turns()
        self.now = end


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class Silence:
    """Stands for the clocks of a request."""

    def __init__(self, clock: Clock) -> None:
        self.heard = clock.now
        self.received = 0
        self.listener = None

    def silence(self, now: float) -> float:
        return now - self.heard


class Client:
    """Begins downloads and decides what becomes of their requests."""

    def __init__(self, limits: Limits = FEW, cap: int = 2, **rules: Any) -> None:
        self.cap = cap
        self.clock = Clock()
        self.events: list[Event] = []
        self.hosts = Hosts(limits, Tally(self.events.append), jitter=lambda: 0.5)
        self.hosts.loop = cast("Any", self.clock)
        self.hosts.time = self.hosts._shared.time = self.clock.time
        pauses = Backoff(initial=1.0, maximum=8.0)
        chosen: dict[str, Any] = {
            "back_off": BackingOffRules(pauses=pauses),
            "circuit": CircuitRules(failures=3, pauses=pauses, patience=10.0),
        }
        self.hosts.rules = HostRules(**(chosen | rules))
        self.flights: list[Flight] = []
        self.most: Counter[Origin] = Counter()
        self.answer: Callable[[Origin], int | errors.DownloadError] = lambda origin: 200
        self.refused: list[errors.DownloadError] = []
        self.done = 0

    async def download(self, *origins: Origin, priority: float = 0, retries: int = 40) -> None:
        """Ask these origins one after the other."""
        try:
            turn = await self.hosts.begin(origins[0], priority)
        except errors.DownloadError as error:
            self.refused.append(error)
            return
        try:
            for origin in origins:
                await self._ask(turn, origin, retries)
            self.done += 1
        except errors.DownloadError as error:
            self.refused.append(error)
        finally:
            turn.finish()

    async def _ask(self, turn: Turn, origin: Origin, retries: int) -> None:
        for _ in range(retries):
            flight = await turn.request(origin)
            flight.begin(cast("Any", Silence(self.clock)))
            self._note()
            try:
                if await self._exchange(flight):
                    return
            finally:
                flight.land()
        raise errors.StatusError("tried often enough", status=503)

    async def _exchange(self, flight: Flight) -> bool:
        ended = self.clock.create_future()
        self.clock.call_later(0.1, lambda: ended.done() or ended.set_result(None))
        await ended
        answer = self.answer(flight.host.origin)
        if isinstance(answer, errors.DownloadError):
            flight.failed(answer)
            return False
        flight.answered(cast("Any", Head(answer)))
        return answer == 200

    def _note(self) -> None:
        lanes = self.hosts.lanes
        for origin in (A, B):
            host = self.hosts._hosts.get(origin)
            if host is not None:
                self.most[origin] = max(self.most[origin], host.in_flight)
                assert host.in_flight <= self.cap
        assert lanes.asleep <= 4 * self.hosts._limits.max_downloads + self.hosts._limits.max_downloads

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Head:
    def __init__(self, status: int, **fields: str) -> None:
        self.status = status
        self.headers = tuple(fields.items())

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name.replace("-", "_"))


def start(client: Client, count: int, *origins: Origin, **options: Any) -> list[asyncio.Task[None]]:
    return [asyncio.ensure_future(client.download(*origins, **options)) for _ in range(count)]
