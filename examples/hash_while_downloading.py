"""Hash each flag in a thread as soon as it is there, while the others are still being downloaded.

python examples/hash_while_downloading.py http://127.0.0.1:8000 [FOLDER] > SHA256SUMS
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncflags


def digest(path: Path) -> tuple[str, Path]:
    # hashlib lets other threads run meanwhile, so a thread is enough.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path


async def finished(dl: asyncflags.AsyncDownloader, urls: list[str], folder: str) -> AsyncIterator[Path]:
    async with dl.as_completed(urls, folder) as outcomes:
        async for outcome in outcomes:
            path = outcome.unwrap().path
            assert path is not None
            yield path


async def main(base: str, folder: str = "flags") -> None:
    async with asyncflags.AsyncDownloader() as dl:
        index = await dl.fetch(f"{base}/index.json")
        urls = [base + row["path"] for row in index.json()["flags"]]
        # Eight files at a time are between the download and the print; the next ones wait.
        async with dl.threads.stream(digest, finished(dl, urls, folder), in_flight=8) as digests:
            async for hexdigest, path in digests:
                print(f"{hexdigest}  {path.name}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
