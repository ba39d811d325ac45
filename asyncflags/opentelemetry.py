"""Metrics for OpenTelemetry: what a downloader does, and how it treats each host, read at every collection.

Only OpenTelemetry's API is used, so that the program chooses its SDK and exporter::

    metrics = asyncflags.opentelemetry.Metrics()
    async with asyncflags.AsyncDownloader(on_event=metrics.on_event) as dl:
        metrics.watch(dl)
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from asyncflags._version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

    from asyncflags._client import AsyncDownloader
    from asyncflags._models import Event, HostStats, Progress, Stats
    from asyncflags._sync import Downloader

__all__ = ["Metrics"]

Source = TypeVar("Source")
Reading = tuple[str, "Progress", "Stats"]

_OUTCOMES = {"finished": "completed", "failed": "failed"}
_DOWNLOADER = "asyncflags.downloader"
_HOST = "asyncflags.host"
_KIND = "asyncflags.event.kind"
_OUTCOME = "asyncflags.outcome"
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


@dataclass(frozen=True, slots=True)
class _Series(Generic[Source]):
    """An instrument: its name, unit (UCUM) and sentence, and its value; ``None``: it has none now."""

    name: str
    unit: str
    text: str
    read: Callable[[Source], float | None]
    is_counter: bool = False


_OF_PROGRESS: tuple[_Series[Progress], ...] = (
    _Series("asyncflags.received", "By", "Bytes of bodies received.", lambda now: now.size, True),
    _Series("asyncflags.attempts", "{attempt}", "Attempts started.", lambda now: now.attempts, True),
    _Series(
        "asyncflags.retries", "{attempt}", "Attempts beyond the first one.", lambda now: now.retries, True
    ),
)
_OF_STATS: tuple[_Series[Stats], ...] = (
    _Series("asyncflags.requests.in_flight", "{request}", "Requests under way.", lambda now: now.in_flight),
    _Series(
        "asyncflags.downloads.queued",
        "{download}",
        "Downloads that wait for their turn and have not begun.",
        lambda now: now.queued,
    ),
    _Series(
        "asyncflags.downloads.sleeping",
        "{download}",
        "Downloads that wait for a host, or for a pause to end.",
        lambda now: now.sleeping,
    ),
    _Series(
        "asyncflags.hosts.known", "{host}", "Hosts that something is known of.", lambda now: now.host_count
    ),
    _Series(
        "asyncflags.hosts.remembered", "{host}", "Those of them without work.", lambda now: now.remembered
    ),
)
_OF_HOST: tuple[_Series[HostStats], ...] = (
    _Series(
        "asyncflags.host.requests.in_flight", "{request}", "Requests under way.", lambda host: host.in_flight
    ),
    _Series(
        "asyncflags.host.downloads.queued",
        "{download}",
        "Downloads that wait for their turn there.",
        lambda host: host.queued,
    ),
    _Series(
        "asyncflags.host.connections.allowed",
        "{request}",
        "Requests that may be under way now.",
        lambda host: host.level,
    ),
    _Series(
        "asyncflags.host.level.settled",
        "1",
        "1: that number was found; 0: it is looked for.",
        lambda host: host.is_settled,
    ),
    _Series(
        "asyncflags.host.pause",
        "s",
        "What is left of the pause; 0: there is none.",
        lambda host: host.resumes_in,
    ),
    _Series(
        "asyncflags.host.back_off.events",
        "{event}",
        "Times in a row that the host refused.",
        lambda host: host.events,
    ),
    _Series(
        "asyncflags.host.pace",
        "{request}/s",
        "Requests begun at most; absent: any number.",
        lambda host: host.requests_per_second,
    ),
    _Series(
        "asyncflags.host.circuit.open",
        "1",
        "1: connections fail, so that it is left alone.",
        lambda host: host.is_open,
    ),
    _Series("asyncflags.host.requests.sent", "{request}", "Requests sent.", lambda host: host.requests, True),
    _Series(
        "asyncflags.host.requests.refused",
        "{request}",
        "Requests answered by 429, by 503 or with a pause to make.",
        lambda host: host.refused,
        True,
    ),
    _Series(
        "asyncflags.host.requests.failed",
        "{request}",
        "Requests that got no answer.",
        lambda host: host.failed,
        True,
    ),
    _Series("asyncflags.host.received", "By", "Bytes of bodies received.", lambda host: host.size, True),
    _Series(
        "asyncflags.host.latency",
        "s",
        "From a request to the head of its answer, averaged; absent: no answer yet.",
        lambda host: host.latency or None,
    ),
)


class Metrics:
    """Counts the events of any number of downloaders, and reads them when a reader collects.

    Every series has the attribute ``asyncflags.downloader``, those of a host also ``asyncflags.host``, which is
    the origin (``https://flags.example``). A counter of a host begins anew when the host was forgotten in
    between. Make one for each provider: the API has no way to take an instrument back.

    Args:
        meter_provider: Where the instruments are made; ``None``: the program's global one.
        max_hosts: Hosts of one downloader that have series of their own, those with most requests in flight
            first; 0: none. A downloader never tells of more than 1,000.

    Raises:
        ImportError: ``opentelemetry-api`` is not installed.
        ValueError: *max_hosts* is negative.
    """

    def __init__(self, meter_provider: MeterProvider | None = None, *, max_hosts: int = 1000) -> None:
        if max_hosts < 0:
            raise ValueError(f"max_hosts must be at least 0, not {max_hosts}")
        api = _metrics_api()
        self._observation: type[Observation] = api.Observation
        self._max_hosts = max_hosts
        self._closed = False
        self._watched: dict[str, AsyncDownloader | Downloader] = {}
        self._readings = _Readings(self._watched)
        meter: Meter = api.get_meter("asyncflags", __version__, meter_provider=meter_provider)
        self._events = meter.create_counter("asyncflags.events", "{event}", "Events, by their kind.")
        self._durations = meter.create_histogram(
            "asyncflags.download.duration",
            "s",
            "How long downloads took that have ended, by their outcome.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._observe(meter)

    def _observe(self, meter: Meter) -> None:
        for of_progress in _OF_PROGRESS:
            self._make(meter, of_progress, self._progresses)
        ended = _Series("asyncflags.downloads.ended", "{download}", "Downloads that have ended, by their outcome.",
                        float, is_counter=True)  # fmt: skip
        self._make(meter, ended, self._ended)
        for of_stats in _OF_STATS:
            self._make(meter, of_stats, self._stats)
        for of_host in _OF_HOST:
            self._make(meter, of_host, self._hosts)

    def _make(
        self,
        meter: Meter,
        series: _Series[Source],
        sources: Callable[[list[Reading]], Iterable[tuple[dict[str, str], Source]]],
    ) -> None:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            for attributes, source in sources(self._readings.newest(series.name)):
                value = series.read(source)
                if value is not None:
                    yield self._observation(float(value), attributes)

        create = meter.create_observable_counter if series.is_counter else meter.create_observable_gauge
        create(series.name, [observe], series.unit, series.text)

    def _progresses(self, readings: list[Reading]) -> Iterator[tuple[dict[str, str], Progress]]:
        for name, progress, _ in readings:
            yield {_DOWNLOADER: name}, progress

    def _ended(self, readings: list[Reading]) -> Iterator[tuple[dict[str, str], float]]:
        for name, progress, _ in readings:
            yield {_DOWNLOADER: name, _OUTCOME: "completed"}, progress.completed
            yield {_DOWNLOADER: name, _OUTCOME: "failed"}, progress.failed

    def _stats(self, readings: list[Reading]) -> Iterator[tuple[dict[str, str], Stats]]:
        for name, _, stats in readings:
            yield {_DOWNLOADER: name}, stats

    def _hosts(self, readings: list[Reading]) -> Iterator[tuple[dict[str, str], HostStats]]:
        for name, _, stats in readings:
            for host in stats.hosts[: self._max_hosts]:
                yield {_DOWNLOADER: name, _HOST: host.origin}, host

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
        if self._closed:
            return
        self._events.add(1, {_DOWNLOADER: name, _KIND: event.kind})
        outcome = _OUTCOMES.get(event.kind)
        if outcome is not None:
            self._durations.record(event.seconds, {_DOWNLOADER: name, _OUTCOME: outcome})

    def watch(self, dl: AsyncDownloader | Downloader, *, name: str = "default") -> None:
        """Read *dl* at every collection, from the thread that collects.

        Args:
            dl: Kept until `forget` or `close`. A closed one tells its last numbers.
            name: Value of the attribute ``asyncflags.downloader``; another downloader of that name is replaced.
        """
        if not self._closed:
            self._watched[name] = dl

    def forget(self, name: str = "default") -> None:
        """Read the downloader of that name no more. What was counted of its events stays with the SDK."""
        self._watched.pop(name, None)

    def close(self) -> None:
        """Observe nothing any more and let go of the downloaders. Again: no effect."""
        self._closed = True
        self._watched.clear()
        self._readings.drop()


class _Readings:
    """The downloaders read once a collection, although every instrument asks on its own.

    The instrument that asks for the second time is the first one of a new collection.
    """

    def __init__(self, watched: dict[str, AsyncDownloader | Downloader]) -> None:
        self._watched = watched
        self._lock = threading.Lock()
        self._newest: list[Reading] = []
        self._seen: set[str] | None = None

    def newest(self, instrument: str) -> list[Reading]:
        with self._lock:
            if self._seen is None or instrument in self._seen:
                # A copy made in one step of the interpreter, because another thread may add one.
                watched = self._watched.copy()
                self._newest = [(name, dl.progress(), dl.stats()) for name, dl in watched.items()]
                self._seen = set()
            self._seen.add(instrument)
            return self._newest

    def drop(self) -> None:
        with self._lock:
            self._newest, self._seen = [], None


def _metrics_api() -> Any:
    """The library, imported when it is needed, because it comes with an extra."""
    try:
        return importlib.import_module("opentelemetry.metrics")
    except ImportError as error:
        raise ImportError(
            "asyncflags.opentelemetry needs opentelemetry-api: pip install 'asyncflags[opentelemetry]'"
        ) from error
