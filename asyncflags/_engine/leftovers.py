"""What earlier processes left unfinished, and taking it up."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from asyncflags._policies.ranges import Ranges
from asyncflags._storage.files import FileSink
from asyncflags._storage.records import RECORD_SUFFIX, PartRecord, read_record
from asyncflags.errors import DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags.bridges.grouped import GroupedCalls
    from asyncflags.bridges.threads import ThreadBridge

__all__ = ["Leftovers", "clear_away", "is_anothers", "take_up"]

_MOST_FOLDERS = 1024
_MOST_NAMES = 20_000


class Leftovers:
    """Tells which names have a record of a part file beside them.

    The second look into a folder reads it, so that a list of many files costs one look for all; a folder of very
    many files is looked into name by name. What comes later is this client's own doing, which it notes.

    Args:
        disk: Where the folders are read.
        looks: What the single looks go through.
    """

    def __init__(self, disk: ThreadBridge, looks: GroupedCalls) -> None:
        self._disk = disk
        self._looks = looks
        self._folders: dict[str, frozenset[str] | None] = {}
        self._large: set[str] = set()
        self._own: set[str] = set()

    def note(self, path: str) -> None:
        """A part of *path* may be left from now on."""
        self._own.add(path)

    def forget(self, path: str) -> None:
        """What was left of *path* is taken up."""
        self._own.discard(path)

    async def has(self, path: str) -> bool:
        """Whether an earlier process may have left a part of *path*."""
        if path in self._own:
            return True
        folder, _, name = path.rpartition(os.sep)
        known = self._folders.get(folder)
        if known is not None:
            return name in known
        if folder in self._folders and folder not in self._large:
            known = await self._disk.run(_names_in, folder)
            if known is not None:
                self._folders[folder] = known
                return name in known
            self._large.add(folder)
        elif folder not in self._folders:
            self._make_room()
            self._folders[folder] = None
        return await self._looks.run(os.path.lexists, path + RECORD_SUFFIX)

    def _make_room(self) -> None:
        if len(self._folders) >= _MOST_FOLDERS:
            oldest = next(iter(self._folders))
            del self._folders[oldest]
            self._large.discard(oldest)


def _names_in(folder: str) -> frozenset[str] | None:
    """The names with a record beside them; ``None``: the folder holds too many to be read."""
    found = []
    try:
        with os.scandir(folder or os.sep) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_NAMES:
                    return None
                if entry.name.endswith(RECORD_SUFFIX):
                    found.append(entry.name.removesuffix(RECORD_SUFFIX))
    except OSError:
        # What cannot be read holds nothing that could be taken up; writing there tells the reason.
        return frozenset()
    return frozenset(found)


def is_anothers(path: str, identity: str) -> bool:
    """Whether a part of another URL was left under *path*. Blocks."""
    try:
        record = read_record(path + RECORD_SUFFIX)
    except OSError:
        return False
    return record is not None and record.identity not in ("", identity)


def clear_away(path: str, identity: str) -> None:
    """Remove what a dead process left of the download of a file that stands under its name. Blocks."""
    # What is another process's or another URL's is left alone, and what cannot be removed harms nobody.
    with contextlib.suppress(DownloadError):
        sink = FileSink(path, identity=identity)
        sink.take_up()
        sink.discard()


def take_up(intake: Intake) -> PartRecord | None:
    """Go on with what was left for the sink of *intake*, if it can be continued; else clear it away. Blocks.

    Returns:
        What was known of it; ``None``: there is nothing, and the sink is as new.

    Raises:
        StorageError: It is another process's or another URL's, or cannot be read.
    """
    sink = intake.sink
    assert isinstance(sink, FileSink)
    record = sink.take_up()
    if record is None:
        return None
    intake.expect(record.digests)
    ranges = record.ranges if record.ranges is not None else Ranges()
    position = ranges.prefix
    if record.validator.condition is not None and _has_gaps(ranges, record.total):
        intake.take_up_ranges(ranges)
        return record
    if not position or record.validator.condition is None:
        sink.discard()
        return None
    sink.go_on_from(position)
    intake.take_up(position)
    return record


def _has_gaps(ranges: Ranges, total: int | None) -> bool:
    """Whether there are bytes behind a gap, and the end of the file is known."""
    return total is not None and ranges.size > ranges.prefix and ranges.parts[-1][1] <= total
