"""Download every flag from a plain script, and report what became of them.

python examples/script.py http://127.0.0.1:8000 [FOLDER]
"""

from __future__ import annotations

import sys

import asyncflags


def main(base: str, folder: str = "flags") -> None:
    # What is there already and has the right checksum is not asked for again.
    with asyncflags.Downloader(if_exists="skip") as dl:
        rows = dl.fetch(f"{base}/index.json").json()["flags"]
        requests = (
            asyncflags.Request(base + row["path"], checksum=f"sha256:{row['sha256']}", size=row["size"])
            for row in rows
        )
        report = dl.download_many(requests, folder)
    print(f"{report.completed} downloaded, {report.skipped} kept, {report.size} bytes")
    report.raise_for_errors()


if __name__ == "__main__":
    main(*sys.argv[1:])
