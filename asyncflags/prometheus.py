"""Metrics for Prometheus: what a downloader does, and how it treats each host, read at every scrape.

::

    metrics = asyncflags.prometheus.Metrics()
    async with asyncflags.AsyncDownloader(on_event=metrics.on_event) as dl:
        metrics.watch(dl)
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

    from asyncflags._client import AsyncDownloader
    from asyncflags._models import Event, HostStats, Progress, Stats
    from asyncflags._sync import Downloader

__all__ = ["Metrics"]

Source = TypeVar("Source")

_OUTCOMES = {"finished": "completed", "failed": "failed"}
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


@dataclass(frozen=True, slots=True)
class _Series(Generic[Source]):
    """A metric: its name, its sentence, and where its value comes from; ``None``: it has none now."""

    name: str
    text: str
    read: Callable[[Source], float | None]


_OF_PROGRESS: tuple[_Series[Progress], ...] = (
    _Series("asyncflags_received_bytes_total", "Bytes of bodies received.", lambda now: now.size),
    _Series("asyncflags_attempts_total", "Attempts started.", lambda now: now.attempts),
    _Series("asyncflags_retries_total", "Attempts beyond the first one.", lambda now: now.retries),
)
_ENDED = ("asyncflags_downloads_total", "Downloads that have ended, by their outcome.")
_OF_STATS: tuple[_Series[Stats], ...] = (
    _Series("asyncflags_requests_in_flight", "Requests under way.", lambda now: now.in_flight),
    _Series(
        "asyncflags_downloads_queued",
        "Downloads that wait for their turn and have not begun.",
        lambda now: now.queued,
    ),
    _Series(
        "asyncflags_downloads_sleeping",
        "Downloads that wait for a host, or for a pause to end.",
        lambda now: now.sleeping,
    ),
    _Series("asyncflags_hosts_known", "Hosts that something is known of.", lambda now: now.host_count),
    _Series("asyncflags_hosts_remembered", "Those of them without work.", lambda now: now.remembered),
)
_OF_HOST: tuple[_Series[HostStats], ...] = (
    _Series("asyncflags_host_requests_in_flight", "Requests under way.", lambda host: host.in_flight),
    _Series(
        "asyncflags_host_downloads_queued",
        "Downloads that wait for their turn there.",
        lambda host: host.queued,
    ),
    _Series(
        "asyncflags_host_connections_allowed", "Requests that may be under way now.", lambda host: host.level
    ),
    _Series(
        "asyncflags_host_level_settled",
        "1: that number was found; 0: it is looked for.",
        lambda host: host.is_settled,
    ),
    _Series(
        "asyncflags_host_pause_seconds",
        "What is left of the pause; 0: there is none.",
        lambda host: host.resumes_in,
    ),
    _Series(
        "asyncflags_host_back_off_events", "Times in a row that the host refused.", lambda host: host.events
    ),
    _Series(
        "asyncflags_host_pace_requests_per_second",
        "Requests begun at most; absent: any number.",
        lambda host: host.requests_per_second,
    ),
    _Series(
        "asyncflags_host_circuit_open",
        "1: connections fail, so that it is left alone.",
        lambda host: host.is_open,
    ),
    _Series("asyncflags_host_requests_total", "Requests sent.", lambda host: host.requests),
    _Series(
        "asyncflags_host_requests_refused_total",
        "Requests answered by 429, by 503 or with a pause to make.",
        lambda host: host.refused,
    ),
    _Series(
        "asyncflags_host_requests_failed_total", "Requests that got no answer.", lambda host: host.failed
    ),
    _Series("asyncflags_host_received_bytes_total", "Bytes of bodies received.", lambda host: host.size),
    _Series(
        "asyncflags_host_latency_seconds",
        "From a request to the head of its answer, averaged; absent: no answer yet.",
        lambda host: host.latency or None,
    ),
)


class Metrics:
    """Counts the events of any number of downloaders, and reads them when Prometheus asks.

    Every series has the label ``downloader``, those of a host also ``host``, which is the origin
    (``https://flags.example``). A counter of a host begins anew when the host was forgotten in between.

    Args:
        registry: Where it is registered; ``None``: ``prometheus_client.REGISTRY``.
        max_hosts: Hosts of one downloader that have series of their own, those with most requests in flight
            first; 0: none. A downloader never tells of more than 1,000.

    Raises:
        ImportError: ``prometheus-client`` is not installed.
        ValueError: *registry* has one already, or *max_hosts* is negative.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, max_hosts: int = 1000) -> None:
        if max_hosts < 0:
            raise ValueError(f"max_hosts must be at least 0, not {max_hosts}")
        client = _prometheus_client()
        self._core = client.core
        self._max_hosts = max_hosts
        self._watched: dict[str, AsyncDownloader | Downloader] = {}
        self._kinds: defaultdict[str, set[str]] = defaultdict(set)
        self._events = client.Counter(
            "asyncflags_events_total", "Events, by their kind.", ["downloader", "kind"], registry=None
        )
        self._durations = client.Histogram(
            "asyncflags_download_duration_seconds",
            "How long downloads took that have ended, by their outcome.",
            ["downloader", "outcome"],
            registry=None,
            buckets=_BUCKETS,
        )
        self._registry: CollectorRegistry | None = None
        self._register(client.REGISTRY if registry is None else registry)

    def _register(self, registry: CollectorRegistry) -> None:
        try:
            registry.register(cast("Collector", self))
        except ValueError as error:
            raise ValueError(
                "this registry has these metrics already: let one Metrics watch every downloader, "
                "or close the other one first"
            ) from error
        self._registry = registry

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_event(self, event: Event) -> None:
        """Count an event of the downloader named ``"default"``; hand it to a downloader as ``on_event=``."""
        self._count("default", event)

    def listener(self, name: str) -> Callable[[Event], None]:
        """What to hand as ``on_event=`` to the downloader that is watched under *name*."""
        return partial(self._count, name)

    def _count(self, name: str, event: Event) -> None:
        self._kinds[name].add(event.kind)
        self._events.labels(name, event.kind).inc()
        outcome = _OUTCOMES.get(event.kind)
        if outcome is not None:
            self._durations.labels(name, outcome).observe(event.seconds)

    def watch(self, dl: AsyncDownloader | Downloader, *, name: str = "default") -> None:
        """Read *dl* at every scrape, from the thread that scrapes.

        Args:
            dl: Kept until `forget` or `close`. A closed one tells its last numbers.
            name: Value of the label ``downloader``; another downloader of that name is replaced.
        """
        self._watched[name] = dl

    def forget(self, name: str = "default") -> None:
        """Drop the downloader of that name, with everything that was counted for it."""
        self._watched.pop(name, None)
        for kind in self._kinds.pop(name, ()):
            self._events.remove(name, kind)
            if kind in _OUTCOMES:
                self._durations.remove(name, _OUTCOMES[kind])

    def close(self) -> None:
        """Take everything out of the registry and let go of the downloaders. Again: no effect."""
        self._watched.clear()
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.unregister(cast("Collector", self))

    def describe(self) -> Iterator[Metric]:
        """The metrics without their samples; called by the registry."""
        yield from self._events.describe()
        yield from self._durations.describe()
        yield from self._read([])

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment; called by the registry."""
        yield from self._events.collect()
        yield from self._durations.collect()
        # A copy made in one step of the interpreter, because another thread may be scraping.
        watched = self._watched.copy()
        yield from self._read([(name, dl.progress(), dl.stats()) for name, dl in watched.items()])

    def _read(self, read: list[tuple[str, Progress, Stats]]) -> Iterator[Metric]:
        for each in _OF_PROGRESS:
            yield self._family(each, ["downloader"], [([name], progress) for name, progress, _ in read])
        yield self._ended(read)
        for of_stats in _OF_STATS:
            yield self._family(of_stats, ["downloader"], [([name], stats) for name, _, stats in read])
        hosts = [
            ([name, host.origin], host) for name, _, stats in read for host in stats.hosts[: self._max_hosts]
        ]
        for of_host in _OF_HOST:
            yield self._family(of_host, ["downloader", "host"], hosts)

    def _family(
        self, series: _Series[Source], labels: list[str], sources: list[tuple[list[str], Source]]
    ) -> Metric:
        family = self._empty(series.name, series.text, labels)
        for values, source in sources:
            value = series.read(source)
            if value is not None:
                family.add_metric(values, float(value))
        return cast("Metric", family)

    def _ended(self, read: list[tuple[str, Progress, Stats]]) -> Metric:
        family = self._empty(*_ENDED, ["downloader", "outcome"])
        for name, progress, _ in read:
            family.add_metric([name, "completed"], progress.completed)
            family.add_metric([name, "failed"], progress.failed)
        return cast("Metric", family)

    def _empty(self, name: str, text: str, labels: list[str]) -> Any:
        is_counter = name.endswith("_total")
        kind = self._core.CounterMetricFamily if is_counter else self._core.GaugeMetricFamily
        return kind(name, text, labels=labels)


def _prometheus_client() -> Any:
    """The library, imported when it is needed, because it comes with an extra."""
    try:
        importlib.import_module("prometheus_client.core")
        return importlib.import_module("prometheus_client")
    except ImportError as error:
        raise ImportError(
            "asyncflags.prometheus needs prometheus-client: pip install 'asyncflags[prometheus]'"
        ) from error
