"""Parts of a file of several sources: joined only where a checksum proves the whole, in this run and the next."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncflags import Request, errors
from asyncflags.testing import ChangingEntity, FaultyOrigin

from .interrupted import eager, left, names, part_of, ranges_asked
from .waiting import until

FIRST = hashlib.shake_128(b"body").digest(1_200_000)
OTHER = FIRST[:650_000] + b"other" + FIRST[650_005:]
"""The same file on a mirror, but for five bytes that lie before what is ever compared."""

CHECKSUM = "sha256:" + hashlib.sha256(FIRST).hexdigest()
NEVER = [0] * 20


def two_sources(
    faulty: FaultyOrigin, first: ChangingEntity, second: ChangingEntity, **options: Any
) -> Request:
    faulty.script("/file", first)
    faulty.script("/mirror", second)
    return Request(faulty.url + "/file", mirrors=(faulty.url + "/mirror",), **options)


async def test_with_a_checksum_the_next_source_goes_on_where_the_last_one_stopped(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    mirror = ChangingEntity([FIRST], validators="none")
    request = two_sources(faulty, ChangingEntity([FIRST], [600_000, *NEVER]), mirror, checksum=CHECKSUM)
    async with eager() as dl:
        await dl.download(request, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST
    assert ranges_asked(mirror.requests) == ["bytes=598976-"]
    assert "if-range" not in mirror.requests[0].headers


async def test_without_a_checksum_each_source_is_taken_whole(faulty: FaultyOrigin, tmp_path: Path) -> None:
    mirror = ChangingEntity([OTHER])
    request = two_sources(faulty, ChangingEntity([FIRST], [600_000, *NEVER]), mirror)
    async with eager() as dl:
        await dl.download(request, tmp_path)
    assert (tmp_path / "file").read_bytes() == OTHER
    assert ranges_asked(mirror.requests) == [None]


async def test_a_mirror_with_other_bytes_is_found_by_the_checksum_and_the_good_one_is_taken_whole(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    request = two_sources(
        faulty, ChangingEntity([FIRST], [600_000]), ChangingEntity([OTHER]), checksum=CHECKSUM
    )
    async with eager() as dl:
        await dl.download(request, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST
    assert names(tmp_path) == ["file"]


async def test_what_two_sources_brought_is_never_taken_for_that_of_one_by_the_next_run(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    request = two_sources(
        faulty,
        ChangingEntity([FIRST], [600_000, *NEVER]),
        ChangingEntity([OTHER], [250_000, *NEVER]),
        checksum=CHECKSUM,
    )
    async with eager(retries=1) as dl:
        with pytest.raises(errors.TruncatedBody):
            await dl.download(request, tmp_path)
    faulty.script("/file", ChangingEntity([FIRST]))
    async with eager() as dl:
        await dl.download(request.url, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST


RUN = """
import sys, asyncflags
with asyncflags.Downloader(durability="rename", retries=1) as dl:
    dl.download(asyncflags.Request(sys.argv[1], mirrors=(sys.argv[2],), checksum=sys.argv[3]), sys.argv[4])
"""


async def test_what_two_sources_brought_before_a_kill_is_never_taken_for_that_of_one(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    stalling = ChangingEntity([OTHER], [450_000, *NEVER], ending="stall")
    request = two_sources(faulty, ChangingEntity([FIRST], [600_000, *NEVER]), stalling)
    root = str(Path(__file__).resolve().parents[2])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, request.url, request.mirrors[0], CHECKSUM, str(tmp_path / "file"),
        env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    part = part_of(tmp_path / "file")
    try:
        await until(lambda: part.exists() and part.stat().st_size > 700_000)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    faulty.script("/file", ChangingEntity([FIRST]))
    async with eager() as dl:
        await dl.download(request.url, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST


@pytest.mark.parametrize("with_checksum", [True, False])
async def test_a_part_of_a_mirror_is_gone_on_with_by_that_mirror(
    with_checksum: bool, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    mirror = ChangingEntity([FIRST])
    request = two_sources(
        faulty,
        ChangingEntity([OTHER], [0, *NEVER]),
        mirror,
        checksum=CHECKSUM if with_checksum else None,
    )
    left(tmp_path / "file", FIRST[:700_000], request.url, total=len(FIRST), source=request.mirrors[0])
    async with eager(retries=1) as dl:
        await dl.download(request, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST
    assert mirror.requests


async def test_sources_that_differ_in_a_secret_alone_are_not_taken_for_one(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    # Both answer under the same path, so the first to be asked here is the second version.
    faulty.script("/file", ChangingEntity([FIRST]))
    url = faulty.url + "/file?token=b"
    left(tmp_path / "file", OTHER[:700_000], url, total=len(FIRST), source=faulty.url + "/file?token=a")
    async with eager() as dl:
        await dl.download(url, tmp_path)
    assert (tmp_path / "file").read_bytes() == FIRST
