"""What there is to see of the hosts: figures, and a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from asyncflags._engine.host_rules import name_of
from asyncflags._models import HostStats, Stats

if TYPE_CHECKING:
    from asyncflags._engine.host import Host
    from asyncflags._engine.turns import Flight
    from asyncflags._policies.lanes import Lanes
    from asyncflags._policies.urls import Origin

__all__ = ["stats_of", "waiting_for"]

MAX_SEEN_HOSTS = 1000
_NAMED = 3


def stats_of(
    flights: Iterable[Flight],
    hosts: Mapping[Origin, Host],
    lanes: Lanes[Origin, Any],
    remembered: int,
    now: float,
) -> Stats:
    """The figures of this moment, of copies that nobody changes."""
    waiting = lanes.names()
    names = dict.fromkeys([*hosts, *waiting])
    most = nlargest(
        MAX_SEEN_HOSTS, names, key=lambda origin: (_in_flight(hosts, origin), lanes.queued(origin))
    )
    return Stats(
        hosts=tuple(_seen(hosts.get(origin), origin, lanes.queued(origin)) for origin in most),
        host_count=len(names),
        queued=len(lanes),
        in_flight=lanes.in_flight,
        sleeping=lanes.asleep,
        remembered=remembered,
        waiting_for=waiting_for(flights, hosts, lanes, now),
    )


def _in_flight(hosts: Mapping[Origin, Host], origin: Origin) -> int:
    host = hosts.get(origin)
    return host.in_flight if host is not None else 0


def _seen(host: Host | None, origin: Origin, queued: int) -> HostStats:
    return host.stats(queued) if host is not None else HostStats(origin=name_of(origin), queued=queued)


def waiting_for(
    flights: Iterable[Flight], hosts: Mapping[Origin, Host], lanes: Lanes[Origin, Any], now: float
) -> str:
    """Name what is waited for, the largest first; empty: nothing."""
    silences: dict[Origin, list[float]] = defaultdict(list)
    for flight in flights:
        silences[flight.host.origin].append(flight.silence(now))
    parts = [
        (
            len(silent),
            f"{_count(len(silent), 'request')} to {name_of(origin)} (silent for {max(silent):.0f} s)",
        )
        for origin, silent in silences.items()
    ]
    for origin in lanes.names():
        count = lanes.queued(origin) + lanes.waiting(origin)
        if count:
            parts.append((count, _waits(count, origin, hosts.get(origin), now)))
    named = [text for _, text in nlargest(_NAMED, parts, key=lambda part: part[0])]
    if len(parts) > _NAMED:
        named.append(f"and more, for {_count(len(parts) - _NAMED, 'other host')}")
    return ", ".join(named)


def _waits(count: int, origin: Origin, host: Host | None, now: float) -> str:
    verb = "waits" if count == 1 else "wait"
    text = f"{_count(count, 'download')} {verb} for {name_of(origin)}"
    if host is None:
        return text
    if host.is_open:
        return f"{text}, which cannot be connected to"
    left = host.resume_at - now
    return f"{text}, which asked for a pause of {left:.0f} s" if left > 0 else text


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("s" if number != 1 else "")
