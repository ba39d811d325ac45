"""Parse a large JSON file in a process, while the event loop goes on undisturbed.

python examples/parse_large_json.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import asyncflags


def enlarge(path: Path, size: int) -> Path:
    """Runs in a thread: writing files lets the loop run."""
    rows = json.loads(path.read_bytes())["flags"]
    large = path.with_name("large.json")
    times = size // len(json.dumps(rows)) + 1
    large.write_text(json.dumps({"flags": rows * times}))
    return large


def summarize(path: Path) -> dict[str, int]:
    """Runs in a worker process. Return the little you need: a large object would have to be sent back."""
    rows = json.loads(path.read_bytes())["flags"]
    return {"flags": len(rows), "bytes": sum(row["size"] for row in rows)}


async def watch(longest: list[float]) -> None:
    """Note for how long, in seconds, the loop did nothing else."""
    while True:
        since = time.perf_counter()
        await asyncio.sleep(0.001)
        longest[0] = max(longest[0], time.perf_counter() - since - 0.001)


async def main(base: str, folder: str = "flags") -> None:
    async with asyncflags.AsyncDownloader() as dl:
        index = await dl.download(f"{base}/index.json", f"{folder}/")
        assert index.path is not None
        large = await dl.to_thread(enlarge, index.path, 5_000_000)
        longest = [0.0]
        watching = asyncio.create_task(watch(longest))
        summary = await dl.to_process(summarize, large)
        watching.cancel()
    print(f"{summary['flags']} flags of {summary['bytes']} bytes, from {large.stat().st_size} bytes of JSON")
    print(f"the loop stood still for {longest[0] * 1000:.1f} ms at most", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
