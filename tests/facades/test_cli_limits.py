"""How much, how fast and how long, as it is said at the prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from asyncflags import AsyncDownloader, Event
from asyncflags._cli import downloads
from asyncflags._cli.get import get
from asyncflags._cli.options import Plan, make_plan
from asyncflags._cli.running import Interruption
from asyncflags.testing import FaultyOrigin, Origin

from .shell import ended, shell, started

URL = "http://127.0.0.1:9/file"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.add("/a", b"flag")
        yield running


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyOrigin]:
    async with FaultyOrigin() as running:
        yield running


def planned(*arguments: str) -> Plan:
    context = click.Context(get)
    get.parse_args(context, [*arguments, URL])
    return make_plan(context.params)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"per_host": "auto", "request_rate": None, "rate_limit": None, "deadline": None}),
        (["--per-host", "12"], {"per_host": 12}),
        (["--per-host", "auto"], {"per_host": "auto"}),
        (["--limit-rate", "10M"], {"rate_limit": 10 << 20, "host_rate_limit": None}),
        (["--limit-rate", "500k/s"], {"rate_limit": 500 << 10}),
        (["--limit-rate", "1.5g"], {"rate_limit": 3 << 29}),
        (["--limit-rate", "0"], {"rate_limit": None}),
        (["--limit-rate-per-host", "100"], {"host_rate_limit": 100}),
        (["--rate", "5"], {"request_rate": 5.0}),
        (["--rate", "5/s"], {"request_rate": 5.0}),
        (["--rate", "30/M"], {"request_rate": 0.5}),
        (["--rate", "36/h"], {"request_rate": 0.01}),
        (["--rate", ".5/s"], {"request_rate": 0.5}),
        (["--robots"], {"respect_robots": True}),
        (["--deadline", "1.5"], {"deadline": 1.5}),
        (["--deadline", "0"], {"deadline": None}),
    ],
    ids=str,
)
def test_an_option_comes_to_its_value(arguments: list[str], expected: Mapping[str, Any]) -> None:
    plan = planned(*arguments)
    assert {name: getattr(plan, name) for name in expected} == expected


async def test_the_downloader_has_the_limits_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[AsyncDownloader] = []
    plan = planned("--rate", "2/s", "--limit-rate", "1M", "--limit-rate-per-host", "1k", "--per-host", "auto")
    run = downloads._Run(plan, None, _nobody())
    try:
        made.append(run._downloader())
    finally:
        await run.end()
    (dl,) = made
    assert (dl.limits.max_requests_per_second, dl.limits.max_connections_per_host) == (2.0, "auto")
    bandwidth = dl._opening.bandwidth
    assert (bandwidth._whole.rate, bandwidth._host_rate) == (float(1 << 20), 1024.0)
    await dl.aclose()


def _nobody() -> Interruption:
    task = asyncio.current_task()
    assert task is not None
    return Interruption(task, asyncio.get_running_loop())


async def test_a_limited_download_is_whole(origin: Origin, tmp_path: Path) -> None:
    ran = await shell(
        "get",
        f"{origin.url}/a",
        "--limit-rate",
        "1M",
        "--limit-rate-per-host",
        "1M",
        "--rate",
        "50/s",
        folder=tmp_path,
    )
    assert (ran.code, (tmp_path / "a").read_bytes()) == (0, b"flag")


@pytest.mark.parametrize("where", [["-d", "out"], ["-o", "file"]], ids=str)
async def test_a_run_that_takes_too_long_ends_with_the_code_of_the_network(
    where: list[str], faulty: FaultyOrigin, tmp_path: Path
) -> None:
    url = f"{faulty.url}/stall-in-body"
    ran = await shell("get", url, *where, "--deadline", "0.3", folder=tmp_path)
    assert ran.code == 4
    assert f"the run's deadline of 0.3 s passed [{url}]" in ran.err


async def test_a_list_that_was_not_read_to_its_end_is_no_success(origin: Origin, tmp_path: Path) -> None:
    # Standard input stays open and gives nothing more.
    async with started(
        "get",
        "-i",
        "-",
        "-d",
        "out",
        "--no-journal",
        "--deadline",
        "0.8",
        folder=tmp_path,
        stdin=asyncio.subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(f"{origin.url}/a\n".encode())
        await process.stdin.drain()
        await process.wait()
        ran = await ended(process)
    assert ran.code == 4
    assert (tmp_path / "out" / "a").read_bytes() == b"flag"
    assert "asyncflags: the run's deadline of 0.8 s passed\n" in ran.err


async def test_what_the_deadline_ends_before_it_began_is_told_in_one_sentence(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    lines = [f"{faulty.url}/stall-before-headers?{number}\n" for number in range(50)]
    (tmp_path / "urls.txt").write_text("".join(lines))
    ran = await shell(
        *("get", "-i", "urls.txt", "-d", "out", "--no-journal", "-j", "2", "--per-host", "2"),
        *("--deadline", "0.3", "--json"),
        folder=tmp_path,
    )
    assert ran.code == 4
    told = [line for line in ran.err.splitlines() if "deadline" in line]
    assert len(told) == 3
    assert told[-1] == "asyncflags: the run's deadline of 0.3 s passed; 48 downloads had not begun"
    assert [each["error"]["type"] for each in ran.objects] == ["TotalTimeout"] * 50


async def test_with_a_journal_the_next_run_goes_on_with_what_the_deadline_left(
    faulty: FaultyOrigin, origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "urls.txt").write_text(f"{origin.url}/a\n{faulty.url}/stall-in-body\n")
    arguments = ("get", "-i", "urls.txt", "-d", "out", "--json", "--deadline", "0.7")
    first = await shell(*arguments, folder=tmp_path)
    second = await shell(*arguments, folder=tmp_path)
    assert (first.code, second.code) == (4, 4)
    assert [each["skipped"] for each in second.objects if each["error"] is None] == [True]
    ran = await shell("report", "out.journal", "--format", "csv", folder=tmp_path)
    assert ran.out.count(b"failed") == 0


@pytest.mark.parametrize(("quiet", "told"), [(False, 1), (True, 0)])
async def test_what_is_waited_for_is_told_unless_quiet(
    quiet: bool, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = downloads._Run(planned(*(["-q"] if quiet else [])), None, _nobody())
    heard: list[str] = []
    monkeypatch.setattr(run._screen, "tell", heard.append)
    run._tell_event(Event("waiting", "", "nothing has come for 30 s: 1 request to https://flags.example"))
    assert len(heard) == told
    await run.end()


@pytest.mark.parametrize("kind", ["finished", "failed"])
async def test_what_is_told_as_an_outcome_is_not_told_as_an_event_too(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = downloads._Run(planned("-v"), None, _nobody())
    heard: list[str] = []
    monkeypatch.setattr(run._screen, "tell", heard.append)
    run._tell_event(Event(kind, URL, "", 0.1, 1))
    assert heard == []
    await run.end()
