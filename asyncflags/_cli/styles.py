"""The flags three times: one after another, with futures in threads, and with asyncio.

Every style calls the same engine; only the way of waiting differs. Each takes flags and a folder, and
returns the results in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import asyncflags

__all__ = ["WIDTH", "Flag", "with_asyncio", "with_futures", "with_patience"]

WIDTH = 20
"""How many downloads the futures and the first asyncio style have under way at once."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag to fetch.

    Attributes:
        name: Of the country.
        url: Of the picture.
        checksum: ``"sha256:<hex>"`` of the picture.
    """

    name: str
    url: str
    checksum: str


def with_patience(flags: Sequence[Flag], folder: str) -> list[asyncflags.Result]:
    """One after another: simple, and most of the time is spent waiting for the network."""
    with asyncflags.Downloader() as dl:
        return [dl.download(flag.url, folder, checksum=flag.checksum) for flag in flags]


def with_futures(flags: Sequence[Flag], folder: str) -> list[asyncflags.Result]:
    """Threads that wait at the same time: each blocks in a call of its own, on one shared downloader."""
    limits = asyncflags.Limits(max_connections_per_host=WIDTH)
    # The downloader closes first, so that no thread is left waiting when an error or Ctrl-C ends this.
    with ThreadPoolExecutor(WIDTH) as pool, asyncflags.Downloader(limits=limits) as dl:
        futures = [pool.submit(dl.download, flag.url, folder, checksum=flag.checksum) for flag in flags]
        return [future.result() for future in as_completed(futures)]


async def with_asyncio(flags: Sequence[Flag], folder: str, width: int = WIDTH) -> list[asyncflags.Result]:
    """One thread that waits for all of them: as wide as one likes, at no cost for a download that waits."""
    limits = asyncflags.Limits(max_downloads=width, max_connections_per_host=width)
    requests = [asyncflags.Request(flag.url, checksum=flag.checksum) for flag in flags]
    async with asyncflags.AsyncDownloader(limits=limits) as dl, dl.as_completed(requests, folder) as outcomes:
        return [outcome.unwrap() async for outcome in outcomes]
