"""Download every flag from an asynchronous application, as they come.

python examples/async_app.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import asyncflags


def requests(base: str, rows: list[dict[str, str]]) -> Iterator[asyncflags.Request]:
    """One request a flag, made only when its turn comes."""
    for row in rows:
        yield asyncflags.Request(base + row["path"], checksum=f"sha256:{row['sha256']}")


async def main(base: str, folder: str = "flags") -> int:
    failed = 0
    async with asyncflags.AsyncDownloader(limits=asyncflags.Limits(max_downloads=32)) as dl:
        index = await dl.fetch(f"{base}/index.json")
        async with dl.as_completed(requests(base, index.json()["flags"]), folder) as outcomes:
            async for outcome in outcomes:
                if outcome.error is not None:
                    failed += 1
                    print(outcome.error, file=sys.stderr)
                else:
                    print(outcome.unwrap().path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
