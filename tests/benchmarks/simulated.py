"""Servers and a client in simulated time: what the policies decide, without a network and without waiting."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from asyncflags._policies.backing_off import BackingOff, BackingOffRules
from asyncflags._policies.concurrency import AdaptiveConcurrency, AdaptiveRules
from asyncflags._policies.lanes import Lanes

Action = Callable[[], None]

SLICES = 8
"""Parts in which a body comes over a line."""


class Simulation:
    """A clock that jumps from one event to the next."""

    def __init__(self, seed: int) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self._events: list[tuple[float, int, Action]] = []
        self._order = 0

    def at(self, moment: float, action: Action) -> None:
        if moment < math.inf:
            self._order += 1
            heapq.heappush(self._events, (max(moment, self.now), self._order, action))

    def after(self, seconds: float, action: Action) -> None:
        self.at(self.now + seconds, action)

    def run(self, until: float = math.inf) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()

    def noise(self, deviation: float) -> float:
        """A factor that is 1 on the average (log-normal)."""
        return self.random.lognormvariate(-(deviation**2) / 2, deviation)


@dataclass(slots=True)
class Answer:
    """What a server does with a request.

    Attributes:
        latency: Seconds until it is answered; infinity: never.
        line: What its body comes over; ``None``: it comes with the answer.
    """

    latency: float
    size: int = 10_000
    status: int = 200
    retry_after: float | None = None
    line: Line | None = None


class Server(Protocol):
    """Something that answers; *in_flight* counts the request itself."""

    def answer(self, simulation: Simulation, in_flight: int) -> Answer: ...


@dataclass(slots=True)
class Knee:
    """Serves up to *knee* requests side by side; more only take longer, by *decline* for each doubling."""

    knee: float
    latency: float = 0.04
    decline: float = 0.1
    deviation: float = 0.4

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        load = max(1.0, in_flight / self.knee)
        latency = self.latency * load * (1 + self.decline * math.log2(load))
        return Answer(latency * simulation.noise(self.deviation), size(simulation))

    def goodput(self, level: int) -> float:
        """Answers a second with *level* requests in flight, without noise."""
        load = max(1.0, level / self.knee)
        return level / (self.latency * load * (1 + self.decline * math.log2(load)))


@dataclass(slots=True)
class Growing:
    """Its latency grows with every request in flight: by its *slope*-th part, or, if *power* is 2, faster."""

    slope: float
    power: float = 1.0
    latency: float = 0.04
    deviation: float = 0.4

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        latency = in_flight / self.goodput(in_flight)
        return Answer(latency * simulation.noise(self.deviation), size(simulation))

    def goodput(self, level: int) -> float:
        return level / (self.latency * (1 + math.pow(level / self.slope, self.power)))


class Line:
    """Divides *bandwidth* bytes a second evenly among transfers, of which none gets more than *each*."""

    def __init__(self, bandwidth: float, each: float) -> None:
        self._bandwidth = bandwidth
        self._each = each
        # Bytes that a transfer would have got that was there from the beginning, and when each transfer has enough.
        self._level = 0.0
        self._at = 0.0
        self._ends: list[tuple[float, int, Action]] = []
        self._order = 0

    def share(self, transfers: int) -> float:
        return min(self._each, self._bandwidth / max(1, transfers))

    def begin(self, simulation: Simulation, size: float, action: Action) -> None:
        """Do *action* when *size* bytes more have come."""
        self._advance(simulation.now)
        self._order += 1
        heapq.heappush(self._ends, (self._level + size, self._order, action))
        self._plan(simulation)

    def _advance(self, now: float) -> None:
        self._level += (now - self._at) * self.share(len(self._ends))
        self._at = now

    def _plan(self, simulation: Simulation) -> None:
        if self._ends:
            self._order += 1
            plan, seconds = self._order, (self._ends[0][0] - self._level) / self.share(len(self._ends))
            simulation.after(max(0.0, seconds), lambda: self._end(simulation, plan))

    def _end(self, simulation: Simulation, plan: int) -> None:
        if plan == self._order:
            self._advance(simulation.now)
            end, _, action = heapq.heappop(self._ends)
            self._level = max(self._level, end)
            self._plan(simulation)
            action()


class Link:
    """A host behind a line of *bandwidth* bytes a second; one connection gets no more than *each*."""

    def __init__(self, bandwidth: float, each: float, size: int = 1_000_000) -> None:
        self.line = Line(bandwidth, each)
        self.size = size
        self.latency = 0.05

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        size = int(self.size * simulation.noise(0.4))
        return Answer(self.latency * simulation.noise(0.3), size, line=self.line)

    def goodput(self, level: int) -> float:
        """Answers a second; what a connection does not use while it waits for an answer goes to the others."""
        alone = self.latency + self.size / self.line.share(1)
        return min(level / alone, self.line.share(10**6) * 10**6 / self.size)


@dataclass(slots=True)
class Limited:
    """Allows *rate* requests a second and *depth* more at once; others get 429 with ``Retry-After: 1``."""

    rate: float = 50.0
    depth: float = 50.0
    latency: float = 0.05
    deviation: float = 0.3
    _level: float = field(default=math.nan, init=False)
    _at: float = field(default=0.0, init=False)

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        level = self.depth if math.isnan(self._level) else self._level
        self._level = min(self.depth, level + (simulation.now - self._at) * self.rate)
        self._at = simulation.now
        latency = self.latency * simulation.noise(self.deviation)
        if self._level < 1:
            return Answer(latency / 2, 0, status=429, retry_after=1.0)
        self._level -= 1
        return Answer(latency, size(simulation))


@dataclass(slots=True)
class Windowed:
    """Allows *rate* requests in every second of the clock, as fixed windows do."""

    rate: int = 50
    latency: float = 0.05
    deviation: float = 0.3
    _second: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        if int(simulation.now) != self._second:
            self._second, self._seen = int(simulation.now), 0
        self._seen += 1
        latency = self.latency * simulation.noise(self.deviation)
        if self._seen > self.rate:
            return Answer(latency / 2, 0, status=429, retry_after=1.0)
        return Answer(latency, size(simulation))


class Stalling:
    """Takes every request and answers none."""

    def answer(self, simulation: Simulation, in_flight: int) -> Answer:
        return Answer(math.inf)


def size(simulation: Simulation) -> int:
    return int(10_000 * simulation.noise(0.8))


@dataclass(slots=True, kw_only=True)
class Settings:
    """Of a client.

    Attributes:
        slots: Requests in flight to all hosts.
        cap: Requests in flight to one host; ``None``: found by the client.
        silence: Seconds without an answer after which a slot is lent.
        read_timeout: Seconds without an answer after which a request fails.
        retries: Attempts after the first one, for requests that fail; refusals are tried again without end.
    """

    slots: int = 64
    cap: int | None = None
    rules: AdaptiveRules = field(default_factory=AdaptiveRules)
    back_off: BackingOffRules = field(default_factory=BackingOffRules)
    silence: float = 2.0
    read_timeout: float = 60.0
    retries: int = 5
    read_ahead: int = 32_768


class Host:
    """What a client knows of one host."""

    def __init__(self, server: Server, settings: Settings, now: float) -> None:
        self.server = server
        self.back_off = BackingOff(settings.back_off)
        self.adaptive = AdaptiveConcurrency(settings.rules, now=now) if settings.cap is None else None
        self.cap = settings.cap or (self.adaptive.level if self.adaptive else 1)
        self.in_flight = 0
        self.has_answered = False
        self.served: list[tuple[float, int]] = []
        self.refused: list[float] = []
        self.changes: list[tuple[float, int]] = [(now, self.cap)]

    def goodput(self, start: float, stop: float) -> float:
        """Answers a second that were no refusals."""
        return sum(start <= moment < stop for moment, _ in self.served) / (stop - start)

    def finished_at(self) -> float:
        return self.served[-1][0]


class Client:
    """Downloads a list from simulated servers, as the policies say."""

    def __init__(
        self, simulation: Simulation, servers: dict[str, Server], urls: Iterable[str], settings: Settings
    ) -> None:
        self.simulation = simulation
        self.settings = settings
        self.hosts = {name: Host(server, settings, simulation.now) for name, server in servers.items()}
        self.lanes: Lanes[str, int] = Lanes(slots=settings.slots, cap=1, read_ahead=settings.read_ahead)
        self.failed: Counter[str] = Counter()
        self._urls: Iterator[str] | None = iter(urls)
        self._wake = math.inf

    def run(self, until: float = math.inf) -> None:
        self.simulation.after(0, self._pump)
        self.simulation.run(self.simulation.now + until)

    def _pump(self) -> None:
        now = self.simulation.now
        while True:
            self._feed()
            given = self.lanes.next(now, self._admit)
            if given is None:
                break
            self._send(*given)
        moment = self.lanes.wake_at()
        if moment < self._wake:
            self._wake = moment
            self.simulation.at(moment, self._woken)

    def _woken(self) -> None:
        self._wake = math.inf
        self._pump()

    def _feed(self) -> None:
        while self._urls is not None and self.lanes.wants_more:
            name = next(self._urls, None)
            if name is None:
                self._urls = None
            else:
                self._queue(name, 0)

    def _queue(self, name: str, attempts: int) -> None:
        self.lanes.add(name, attempts, priority=attempts)
        host = self.hosts[name]
        # One that was never heard of gets a single slot until it answers.
        self.lanes.set_cap(name, host.cap if host.has_answered else 1)

    def _admit(self, name: str) -> float:
        return self.hosts[name].back_off.take(self.simulation.now, jitter=self.simulation.random.random())

    def _send(self, name: str, attempts: int) -> None:
        simulation, settings, host = self.simulation, self.settings, self.hosts[name]
        host.in_flight += 1
        if host.adaptive is not None:
            host.adaptive.started(simulation.now)
        answer = host.server.answer(simulation, host.in_flight)
        latency = min(answer.latency, settings.read_timeout)
        is_silent = latency > settings.silence
        if is_silent:
            simulation.after(settings.silence, lambda: self._lend(name))
        sent = simulation.now
        end = partial(self._end, name, attempts, sent, answer, is_silent)
        simulation.after(latency, partial(self._receive, name, answer, SLICES, end) if answer.line else end)

    def _receive(self, name: str, answer: Answer, slices: int, end: Action) -> None:
        """Let the rest of a body come over its line."""
        assert answer.line is not None
        host, part = self.hosts[name], answer.size // SLICES
        self._welcome(name, host)
        if host.adaptive is not None and slices < SLICES:
            host.adaptive.received(self.simulation.now, part)
            self._obey(name, host)
        then = partial(self._receive, name, answer, slices - 1, end) if slices > 1 else end
        answer.line.begin(self.simulation, part, then)

    def _lend(self, name: str) -> None:
        self.lanes.stalled(name)
        self._pump()

    def _end(self, name: str, attempts: int, sent: float, answer: Answer, is_silent: bool) -> None:
        host, now = self.hosts[name], self.simulation.now
        host.in_flight -= 1
        if is_silent:
            self.lanes.revived(name)
        self._judge(name, host, attempts, sent, answer)
        if answer.latency < math.inf:
            self._welcome(name, host)
        self.lanes.done(name)
        if host.adaptive is not None:
            is_answered = answer.status == 200 and answer.latency < math.inf
            if is_answered:
                host.adaptive.received(now, answer.size // (SLICES if answer.line else 1))
            host.adaptive.ended(now, sent=sent, latency=answer.latency if is_answered else None)
            self._obey(name, host)
        self._pump()

    def _welcome(self, name: str, host: Host) -> None:
        if not host.has_answered:
            host.has_answered = True
            self.lanes.set_cap(name, host.cap)
            self._pump()

    def _judge(self, name: str, host: Host, attempts: int, sent: float, answer: Answer) -> None:
        now, jitter = self.simulation.now, self.simulation.random.random()
        if answer.status == 429:
            host.refused.append(now)
            if host.back_off.refused(now, sent=sent, jitter=jitter, retry_after=answer.retry_after):
                self._step_back(host, sent)
            self._queue(name, attempts + 1)
        elif answer.latency == math.inf:
            self._step_back(host, sent)
            if attempts < self.settings.retries:
                self._queue(name, attempts + 1)
            else:
                self.failed[name] += 1
        else:
            host.back_off.served(now, sent=sent)
            host.served.append((now, answer.size))

    def _step_back(self, host: Host, sent: float) -> None:
        if host.adaptive is not None:
            host.adaptive.refused(self.simulation.now, sent=sent)

    def _obey(self, name: str, host: Host) -> None:
        assert host.adaptive is not None
        if host.adaptive.level != host.cap:
            host.cap = host.adaptive.level
            host.changes.append((self.simulation.now, host.cap))
            self.lanes.set_cap(name, host.cap)
