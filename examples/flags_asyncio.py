"""The flags of the twenty most populous countries, with asyncio.

python examples/flags_asyncio.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
import time

import asyncflags


async def main(base: str, folder: str = "flags") -> None:
    started = time.perf_counter()
    limits = asyncflags.Limits(max_connections_per_host=20)
    async with asyncflags.AsyncDownloader(limits=limits) as dl:
        rows = (await dl.fetch(f"{base}/index.json")).json()["flags"][:20]
        requests = [
            asyncflags.Request(base + row["path"], checksum=f"sha256:{row['sha256']}") for row in rows
        ]
        # One thread waits for all of them; a download that waits costs next to nothing.
        async with dl.as_completed(requests, folder) as outcomes:
            async for outcome in outcomes:
                print(outcome.unwrap().path)
    print(f"{len(rows)} flags in {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
