"""robots.txt through every door: off unless asked for, and refused where it could not be read."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflags import AsyncDownloader, Downloader, errors
from asyncflags.testing import Origin

from .shell import shell


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.add("/robots.txt", b"User-agent: asyncflags\nDisallow: /private/\n")
        running.add("/open", b"flag")
        running.add("/private/flag", b"secret")
        yield running


def asked(origin: Origin) -> list[str]:
    return [request.target for request in origin.requests]


async def test_without_the_option_nobody_asks_for_it(origin: Origin) -> None:
    async with AsyncDownloader() as dl:
        assert (await dl.fetch(f"{origin.url}/private/flag")).content == b"secret"
    assert asked(origin) == ["/private/flag"]


async def test_what_it_disallows_is_not_asked_for(origin: Origin, tmp_path: Path) -> None:
    pytest.importorskip("protego")
    async with AsyncDownloader(respect_robots=True) as dl:
        report = await dl.download_many([f"{origin.url}/open", f"{origin.url}/private/flag"], tmp_path)
    (failure,) = report.failures
    assert isinstance(failure.error, errors.BlockedUrl)
    assert (report.completed, sorted(asked(origin))) == (1, ["/open", "/robots.txt"])


async def test_the_shell_follows_it_when_it_is_told_to(origin: Origin, tmp_path: Path) -> None:
    pytest.importorskip("protego")
    ran = await shell("get", f"{origin.url}/private/flag", "--robots", folder=tmp_path)
    assert (ran.code, asked(origin)) == (1, ["/robots.txt"])
    assert "robots.txt" in ran.err


@pytest.mark.parametrize("maker", [AsyncDownloader, Downloader])
def test_what_reads_it_has_to_be_installed(
    maker: type[AsyncDownloader | Downloader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "protego", None)
    with pytest.raises(ValueError, match=r"pip install asyncflags\[robots\]"):
        maker(respect_robots=True)
