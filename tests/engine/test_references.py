"""What a download leaves in memory."""

from __future__ import annotations

import gc
from pathlib import Path

from asyncflags import AsyncDownloader
from asyncflags.testing import Origin


async def test_a_finished_download_leaves_no_circle_of_references(tmp_path: Path) -> None:
    # Millions of them would wait in memory for the collector, and keep it busy.
    async with Origin() as origin, AsyncDownloader(durability="rename") as dl:
        urls = [origin.add(f"/{number}", b"flag") for number in range(20)]
        await dl.download_many(urls[:1], tmp_path)
        gc.collect()
        gc.disable()
        try:
            await dl.download_many(urls[1:], tmp_path)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            kinds = {type(each).__name__ for each in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert kinds & {"Job", "Held", "Intake", "FileSink", "Attempt", "Batches"} == set()
