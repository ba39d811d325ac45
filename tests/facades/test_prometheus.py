"""What Prometheus is told: names, values, labels, and who is told of no more."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asyncflags import AsyncDownloader
from asyncflags._models import Event, HostStats, Progress, Stats
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.prometheus import Metrics

prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

URL = "https://flags.example/fr.gif"
PROGRESS = Progress(completed=7, failed=2, size=4096, attempts=12, retries=3, seconds=60.0)
BUSY = HostStats(
    origin="https://a.example",
    queued=40,
    in_flight=24,
    level=32,
    is_settled=True,
    resumes_in=0.0,
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

    def progress(self) -> Progress:
        return self.now[0]

    def stats(self) -> Stats:
        return self.now[1]


@pytest.fixture
def registry() -> Any:
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def metrics(registry: Any) -> Iterator[Metrics]:
    with Metrics(registry) as opened:
        yield opened


def watch(metrics: Metrics, fake: Fake, name: str = "default") -> None:
    dl: Any = fake
    metrics.watch(dl, name=name)


def value(registry: Any, name: str, **labels: str) -> float | None:
    found: float | None = registry.get_sample_value(f"asyncflags_{name}", {"downloader": "default"} | labels)
    return found


def test_a_downloader_is_read_at_each_scrape(metrics: Metrics, registry: Any) -> None:
    fake = Fake()
    watch(metrics, fake)
    names = ("received_bytes_total", "attempts_total", "retries_total", "requests_in_flight",
             "downloads_queued", "downloads_sleeping", "hosts_known", "hosts_remembered")  # fmt: skip
    assert [value(registry, name) for name in names] == [4096, 12, 3, 25, 41, 6, 9, 7]
    assert [value(registry, "downloads_total", outcome=each) for each in ("completed", "failed")] == [7, 2]
    fake.now = (replace(PROGRESS, size=5000), STATS)
    assert value(registry, "received_bytes_total") == 5000


def test_each_host_has_series_of_its_own(metrics: Metrics, registry: Any) -> None:
    watch(metrics, Fake())
    expected = {
        "requests_in_flight": 24, "downloads_queued": 40, "connections_allowed": 32, "level_settled": 1,
        "pause_seconds": 0, "back_off_events": 1, "pace_requests_per_second": 50, "circuit_open": 0,
        "requests_total": 100, "requests_refused_total": 5, "requests_failed_total": 1,
        "received_bytes_total": 4000, "latency_seconds": 0.25,
    }  # fmt: skip
    assert {name: value(registry, f"host_{name}", host="https://a.example") for name in expected} == expected
    dead = {name: value(registry, f"host_{name}", host="http://b.example:8080") for name in expected}
    assert (dead["circuit_open"], dead["pause_seconds"]) == (1, 12.5)


def test_what_is_not_known_has_no_sample(metrics: Metrics, registry: Any) -> None:
    watch(metrics, Fake())
    assert value(registry, "host_pace_requests_per_second", host="http://b.example:8080") is None
    assert value(registry, "host_latency_seconds", host="http://b.example:8080") is None


@pytest.mark.parametrize(("most", "shown"), [(0, []), (1, ["https://a.example"])])
def test_hosts_can_be_fewer(registry: Any, most: int, shown: list[str]) -> None:
    with Metrics(registry, max_hosts=most) as metrics:
        watch(metrics, Fake())
        samples = [sample for family in registry.collect() for sample in family.samples]
    assert sorted({sample.labels["host"] for sample in samples if "host" in sample.labels}) == shown
    assert samples


def test_fewer_hosts_than_none_are_refused(registry: Any) -> None:
    with pytest.raises(ValueError, match="max_hosts must be at least 0, not -1"):
        Metrics(registry, max_hosts=-1)


def test_events_are_counted_by_their_kind(metrics: Metrics, registry: Any) -> None:
    for _ in range(3):
        metrics.on_event(Event("backing_off", "https://a.example", "429", 2.0))
    metrics.on_event(Event("paced", "https://a.example", "at most 50 requests a second"))
    assert [value(registry, "events_total", kind=kind) for kind in ("backing_off", "paced")] == [3, 1]


def test_the_ends_of_downloads_tell_how_long_they_took(metrics: Metrics, registry: Any) -> None:
    metrics.on_event(Event("finished", URL, "", 0.5))
    metrics.on_event(Event("finished", URL, "", 2.0))
    metrics.on_event(Event("failed", URL, "404 Not Found", 40.0))
    sums = [
        value(registry, "download_duration_seconds_sum", outcome=each) for each in ("completed", "failed")
    ]
    assert sums == [2.5, 40.0]
    assert value(registry, "download_duration_seconds_bucket", outcome="completed", le="1.0") == 1


def test_several_downloaders_differ_by_their_label(metrics: Metrics, registry: Any) -> None:
    watch(metrics, Fake(), "mirror")
    watch(metrics, Fake(replace(PROGRESS, size=1)), "thumbs")
    metrics.listener("mirror")(Event("redirected", URL, "to ..."))
    assert value(registry, "received_bytes_total", downloader="mirror") == 4096
    assert value(registry, "received_bytes_total", downloader="thumbs") == 1
    assert value(registry, "events_total", downloader="mirror", kind="redirected") == 1
    assert value(registry, "events_total", downloader="thumbs", kind="redirected") is None


def test_a_forgotten_downloader_leaves_nothing_behind(metrics: Metrics, registry: Any) -> None:
    watch(metrics, Fake())
    metrics.on_event(Event("finished", URL, "", 0.5))
    metrics.on_event(Event("paced", "https://a.example", "at most 50 requests a second"))
    metrics.forget()
    metrics.forget("somebody else")
    assert [sample for family in registry.collect() for sample in family.samples] == []


def test_one_registry_takes_one_until_that_is_closed(registry: Any) -> None:
    with Metrics(registry) as first:
        with pytest.raises(ValueError, match="let one Metrics watch every downloader"):
            Metrics(registry)
        watch(first, Fake())
    first.close()
    assert list(registry.collect()) == []
    Metrics(registry).close()


def test_without_a_registry_it_is_the_usual_one() -> None:
    with Metrics() as metrics:
        watch(metrics, Fake())
        assert value(prometheus_client.REGISTRY, "received_bytes_total") == 4096
    assert value(prometheus_client.REGISTRY, "received_bytes_total") is None


def test_names_and_units_are_those_of_prometheus(metrics: Metrics, registry: Any) -> None:
    watch(metrics, Fake())
    metrics.on_event(Event("finished", URL, "", 0.5))
    text = prometheus_client.generate_latest(registry).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    ours = {name: kind for name, kind in kinds.items() if not name.endswith("_created")}
    assert ours
    for name, kind in ours.items():
        assert re.fullmatch(r"asyncflags_[a-z_]+", name), name
        assert name.endswith("_total") == (kind == "counter"), name
    assert not re.search(r"^# HELP \S+ *$", text, re.MULTILINE)


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"pip install 'asyncflags\[prometheus\]'"):
        Metrics()


async def test_downloads_are_seen_while_they_run_and_from_another_thread(
    metrics: Metrics, registry: Any
) -> None:
    transport = MockTransport({URL: MockResponse(body=b"flag")})
    async with AsyncDownloader(transport=transport, on_event=metrics.on_event) as dl:
        metrics.watch(dl)
        await dl.fetch(URL)
        text = (await dl.to_thread(prometheus_client.generate_latest, registry)).decode()
    assert 'asyncflags_downloads_total{downloader="default",outcome="completed"} 1.0' in text
    assert 'asyncflags_received_bytes_total{downloader="default"} 4.0' in text
    host = '{downloader="default",host="https://flags.example"}'
    assert f"asyncflags_host_requests_total{host} 1.0" in text
    assert value(registry, "download_duration_seconds_count", outcome="completed") == 1
    # A closed downloader tells its last numbers.
    assert value(registry, "received_bytes_total") == 4
