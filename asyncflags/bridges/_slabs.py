"""Shared memory without a name: pieces that are written once a call and used again.

A new piece costs as much as pickling, because the kernel clears every page of it, so pieces are kept. They
have no name, so nothing has to be removed when a process is killed: the kernel frees the memory with the
last descriptor and the last map.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence

LARGEST_KEPT = 64 * 1024 * 1024
"""A piece that has grown beyond this many bytes is not kept for the next call."""


def open_slab() -> int:
    """Return the descriptor of a new, empty piece of memory."""
    if sys.platform == "linux":
        return os.memfd_create("asyncflags-slab", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def fill(slab: int, blocks: Iterable[memoryview]) -> None:
    """Write *blocks* into *slab*, one after the other from its beginning.

    Writing lets other threads run, where copying into a map would hold them all up.
    """
    offset = 0
    for block in blocks:
        rest = block
        while rest:
            written = os.pwrite(slab, rest, offset)
            offset += written
            rest = rest[written:]


def views(slab: int, sizes: Sequence[int]) -> tuple[mmap.mmap, list[memoryview]]:
    """Map *slab* and return the map and a read-only view of each block in it."""
    mapped = mmap.mmap(slab, sum(sizes), access=mmap.ACCESS_READ)
    whole = memoryview(mapped)
    found = []
    offset = 0
    for size in sizes:
        found.append(whole[offset : offset + size])
        offset += size
    return mapped, found
