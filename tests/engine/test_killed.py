"""A process that is killed at any moment, and the one that comes after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader
from asyncflags.testing.faulty import FaultyOrigin

ROOT = Path(__file__).resolve().parents[2]
COUNT = 12
BODY = bytes(range(256)) * 4096
"""A mebibyte, so that some of it is on the disk before the rest has come."""

RUN = """
import sys, asyncflags
with asyncflags.Downloader(durability=sys.argv[2]) as dl:
    with dl.as_completed(sys.stdin.read().split(), sys.argv[1]) as outcomes:
        for outcome in outcomes:
            print(outcome.unwrap().path, flush=True)
"""


def slow(origin: FaultyOrigin, path: str) -> None:
    """Answer *path* in pieces, with a moment between them."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Any) -> None:
        # uvloop says so in its own way when the client was killed.
        with contextlib.suppress(RuntimeError):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            for start in range(0, len(BODY), 1 << 16):
                writer.write(BODY[start : start + (1 << 16)])
                await writer.drain()
                await asyncio.sleep(0.001)

    origin.script(path, script)


@pytest.mark.parametrize("durability", ["fsync", "rename"])
@pytest.mark.parametrize("finished", [0, 1, 5])
async def test_after_a_kill_every_name_is_whole_and_the_next_run_completes_the_tree(
    finished: int, durability: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    urls = []
    for number in range(COUNT):
        slow(faulty, f"/{number}.gif")
        urls.append(f"{faulty.url}/{number}.gif")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        str(tmp_path),
        durability,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(urls).encode())
    process.stdin.close()
    while not list(tmp_path.glob("*.part")):
        await asyncio.sleep(0.001)
    reported = [await process.stdout.readline() for _ in range(finished)]
    process.kill()
    await process.communicate()
    whole = [path for path in tmp_path.iterdir() if path.suffix != ".part"]
    assert {os.fsdecode(line.strip()) for line in reported} <= {str(path) for path in whole}
    assert all(path.read_bytes() == BODY for path in whole)
    async with AsyncDownloader(durability=durability, if_exists="skip") as dl:
        report = await dl.download_many(urls, tmp_path)
    assert (report.completed, report.skipped) == (COUNT - len(whole), len(whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{number}.gif" for number in range(COUNT)
    )
    assert all(path.read_bytes() == BODY for path in tmp_path.iterdir())
