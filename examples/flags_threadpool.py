"""The flags of the twenty most populous countries, with threads and futures.

python examples/flags_threadpool.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import asyncflags


def main(base: str, folder: str = "flags") -> None:
    started = time.perf_counter()
    limits = asyncflags.Limits(max_connections_per_host=20)
    with asyncflags.Downloader(limits=limits) as dl, ThreadPoolExecutor(20) as pool:
        rows = dl.fetch(f"{base}/index.json").json()["flags"][:20]
        # Twenty threads wait at the same time, all in calls to one shared downloader. Without a pool of
        # your own, dl.submit(...) returns the same kind of future.
        futures = [
            pool.submit(dl.download, base + row["path"], f"{folder}/", checksum=f"sha256:{row['sha256']}")
            for row in rows
        ]
        for future in as_completed(futures):
            print(future.result().path)
    print(f"{len(rows)} flags in {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
