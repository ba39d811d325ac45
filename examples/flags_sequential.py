"""The flags of the twenty most populous countries, one after another.

python examples/flags_sequential.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import sys
import time

import asyncflags


def main(base: str, folder: str = "flags") -> None:
    started = time.perf_counter()
    with asyncflags.Downloader() as dl:
        rows = dl.fetch(f"{base}/index.json").json()["flags"][:20]
        for row in rows:
            # Nothing else happens while one flag is on its way: simple, and mostly waiting.
            result = dl.download(base + row["path"], f"{folder}/", checksum=f"sha256:{row['sha256']}")
            print(result.path)
    print(f"{len(rows)} flags in {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
