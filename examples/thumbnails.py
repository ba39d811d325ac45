"""Download pictures and shrink each in a process of its own kind: one that is killed if it takes too long.

python examples/thumbnails.py http://127.0.0.1:8000 [FOLDER]

Needs Pillow (pip install pillow).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncflags
from asyncflags.errors import BridgeError

LARGEST = (64, 48)
SECONDS = 20.0


def shrink(path: Path) -> Path:
    """Runs in a worker process: only the two paths cross, and no picture."""
    from PIL import Image

    small = path.with_suffix(".thumb.png")
    with Image.open(path) as picture:
        picture.thumbnail(LARGEST)
        picture.save(small)
    return small


async def main(base: str, folder: str = "flags") -> int:
    failed = 0
    async with asyncflags.AsyncDownloader() as dl:
        index = await dl.fetch(f"{base}/index.json")
        urls = [base + row["path"] for row in index.json()["flags"]]
        report = await dl.download_many(urls, folder)
        report.raise_for_errors()
        # A picture made to choke its reader costs one worker and twenty seconds, and nothing else.
        processes = dl.processes.with_options(timeout=SECONDS)
        names = [url.rpartition("/")[2] for url in urls]
        calls = {asyncio.create_task(processes.run(shrink, Path(folder, name))): name for name in names}
        for call, name in calls.items():
            try:
                print(await call)
            except (BridgeError, OSError) as error:
                failed += 1
                print(f"{name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
