"""What OpenTelemetry is told, read back through the SDK's reader in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asyncflags import AsyncDownloader
from asyncflags._models import Event, HostStats, Progress, Stats
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.opentelemetry import Metrics

from .shell import environment

sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="opentelemetry-sdk is not installed")
export = pytest.importorskip("opentelemetry.sdk.metrics.export")

URL = "https://flags.example/fr.gif"
PROGRESS = Progress(completed=7, failed=2, size=4096, attempts=12, retries=3, seconds=60.0)
BUSY = HostStats(
    origin="https://a.example",
    queued=40,
    in_flight=24,
    level=32,
    is_settled=True,
    events=1,
    requests_per_second=50.0,
    requests=100,
    refused=5,
    failed=1,
    size=4000,
    latency=0.25,
)
DEAD = HostStats(origin="http://b.example:8080", is_open=True, resumes_in=12.5)
STATS = Stats(hosts=(BUSY, DEAD), host_count=9, queued=41, in_flight=25, sleeping=6, remembered=7)


class Fake:
    """A downloader as far as metrics read one."""

    def __init__(self, progress: Progress = PROGRESS, stats: Stats = STATS) -> None:
        self.now = (progress, stats)
        self.reads = 0

    def progress(self) -> Progress:
        return self.now[0]

    def stats(self) -> Stats:
        self.reads += 1
        return self.now[1]


class Collected:
    """One collection: values by name and attributes."""

    def __init__(self, reader: Any) -> None:
        data = reader.get_metrics_data()
        self.metrics: dict[str, Any] = {}
        if data is not None:
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    assert scope.scope.name == "asyncflags"
                    self.metrics |= {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> list[Any]:
        metric = self.metrics.get(f"asyncflags.{name}")
        return [] if metric is None else list(metric.data.data_points)

    def value(self, name: str, **attributes: str) -> float | None:
        wanted = {"asyncflags.downloader": "default"} | {
            f"asyncflags.{key.replace('_', '.')}": value for key, value in attributes.items()
        }
        values = [point.value for point in self.points(name) if dict(point.attributes) == wanted]
        return values[0] if values else None


@pytest.fixture
def reader() -> Any:
    return export.InMemoryMetricReader()


@pytest.fixture
def provider(reader: Any) -> Iterator[Any]:
    made = sdk.MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    yield made
    made.shutdown()


@pytest.fixture
def metrics(provider: Any) -> Iterator[Metrics]:
    with Metrics(provider) as opened:
        yield opened


def watch(metrics: Metrics, fake: Fake, name: str = "default") -> None:
    dl: Any = fake
    metrics.watch(dl, name=name)


def test_a_downloader_is_read_at_each_collection(metrics: Metrics, reader: Any) -> None:
    fake = Fake()
    watch(metrics, fake)
    seen = Collected(reader)
    names = ("received", "attempts", "retries", "requests.in_flight", "downloads.queued", "downloads.sleeping",
             "hosts.known", "hosts.remembered")  # fmt: skip
    assert [seen.value(name) for name in names] == [4096, 12, 3, 25, 41, 6, 9, 7]
    assert [seen.value("downloads.ended", outcome=each) for each in ("completed", "failed")] == [7, 2]
    fake.now = (replace(PROGRESS, size=5000), STATS)
    assert Collected(reader).value("received") == 5000


def test_a_collection_reads_a_downloader_once(metrics: Metrics, reader: Any) -> None:
    fake = Fake()
    watch(metrics, fake)
    for times in (1, 2, 3):
        Collected(reader)
        assert fake.reads == times


def test_each_host_has_series_of_its_own(metrics: Metrics, reader: Any) -> None:
    watch(metrics, Fake())
    expected = {
        "requests.in_flight": 24, "downloads.queued": 40, "connections.allowed": 32, "level.settled": 1,
        "pause": 0, "back_off.events": 1, "pace": 50, "circuit.open": 0, "requests.sent": 100,
        "requests.refused": 5, "requests.failed": 1, "received": 4000, "latency": 0.25,
    }  # fmt: skip
    seen = Collected(reader)
    assert {name: seen.value(f"host.{name}", host="https://a.example") for name in expected} == expected
    dead = {name: seen.value(f"host.{name}", host="http://b.example:8080") for name in expected}
    assert (dead["circuit.open"], dead["pause"]) == (1, 12.5)
    assert (dead["pace"], dead["latency"]) == (None, None)


@pytest.mark.parametrize(("most", "shown"), [(0, set()), (1, {"https://a.example"})])
def test_hosts_can_be_fewer(provider: Any, reader: Any, most: int, shown: set[str]) -> None:
    with Metrics(provider, max_hosts=most) as metrics:
        watch(metrics, Fake())
        hosts = {point.attributes["asyncflags.host"] for point in Collected(reader).points("host.received")}
    assert hosts == shown


def test_fewer_hosts_than_none_are_refused(provider: Any) -> None:
    with pytest.raises(ValueError, match="max_hosts must be at least 0, not -1"):
        Metrics(provider, max_hosts=-1)


def test_events_are_counted_by_their_kind(metrics: Metrics, reader: Any) -> None:
    for _ in range(3):
        metrics.on_event(Event("backing_off", "https://a.example", "429", 2.0))
    metrics.listener("mirror")(Event("backing_off", "https://a.example", "429", 2.0))
    seen = Collected(reader)
    assert seen.value("events", event_kind="backing_off") == 3
    assert [point.value for point in seen.points("events")] == [3, 1]


def test_the_ends_of_downloads_tell_how_long_they_took(metrics: Metrics, reader: Any) -> None:
    metrics.on_event(Event("finished", URL, "", 0.5))
    metrics.on_event(Event("finished", URL, "", 2.0))
    metrics.on_event(Event("failed", URL, "404 Not Found", 40.0))
    points = Collected(reader).points("download.duration")
    found = {point.attributes["asyncflags.outcome"]: (point.count, point.sum) for point in points}
    assert found == {"completed": (2, 2.5), "failed": (1, 40.0)}
    assert 0.3 in points[0].explicit_bounds


def test_counters_only_grow_and_gauges_do_not_add_up(metrics: Metrics, reader: Any) -> None:
    watch(metrics, Fake())
    seen = Collected(reader)
    assert seen.metrics["asyncflags.host.requests.sent"].data.is_monotonic
    assert not hasattr(seen.metrics["asyncflags.host.pause"].data, "is_monotonic")
    assert (seen.metrics["asyncflags.received"].unit, seen.metrics["asyncflags.host.latency"].unit) == (
        "By",
        "s",
    )


def test_a_forgotten_downloader_is_read_no_more(metrics: Metrics, reader: Any) -> None:
    fake = Fake()
    watch(metrics, fake)
    watch(metrics, Fake(), "mirror")
    metrics.forget()
    metrics.forget("somebody else")
    downloaders = [
        point.attributes["asyncflags.downloader"] for point in Collected(reader).points("received")
    ]
    assert (downloaders, fake.reads) == (["mirror"], 0)


def test_nothing_is_observed_once_it_is_closed(metrics: Metrics, reader: Any) -> None:
    fake = Fake()
    metrics.close()
    metrics.close()
    watch(metrics, fake)
    metrics.on_event(Event("paced", "https://a.example", "at most 50 requests a second"))
    assert (Collected(reader).metrics, fake.reads) == ({}, 0)


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'asyncflags\[opentelemetry\]'"):
        Metrics()


def test_the_api_alone_is_enough(tmp_path: Any) -> None:
    """Without an SDK every call is one that does nothing, as a library's must be."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None; from asyncflags.opentelemetry import Metrics; "
        "from asyncflags import Event; Metrics().on_event(Event('finished', '', '', 1.0)); print('ok')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("ok\n", "")


async def test_downloads_are_seen_while_they_run(metrics: Metrics, reader: Any) -> None:
    transport = MockTransport({URL: MockResponse(body=b"flag")})
    async with AsyncDownloader(transport=transport, on_event=metrics.on_event) as dl:
        metrics.watch(dl)
        await dl.fetch(URL)
        seen = Collected(reader)
    assert (seen.value("received"), seen.value("downloads.ended", outcome="completed")) == (4, 1)
    assert seen.value("host.requests.sent", host="https://flags.example") == 1
    assert [point.count for point in seen.points("download.duration")] == [1]
