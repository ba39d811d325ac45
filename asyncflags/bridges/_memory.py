"""The parent's account of the shared memory between it and one worker."""

from __future__ import annotations

import os
import weakref

from asyncflags.bridges import _slabs
from asyncflags.bridges._worker import CallNote, ResultNote

_SLABS_KEPT = 2


class Memory:
    """The pieces of shared memory between this process and one worker; they are counted here alone."""

    def __init__(self) -> None:
        self._arriving: int | None = None
        self._told = False
        self._size = 0
        self._results: dict[int, int] = {}
        self._released: list[int] = []
        self._free: set[int] = set()
        self._closed = False

    def arriving(self) -> int:
        """The piece that the blocks of a call are written to."""
        if self._arriving is None or self._size > _slabs.LARGEST_KEPT:
            if self._arriving is not None:
                os.close(self._arriving)
            self._arriving, self._told, self._size = _slabs.open_slab(), False, 0
        return self._arriving

    def note(self, sizes: tuple[int, ...]) -> tuple[CallNote | None, int | None]:
        """Return what the worker is told with a call, and the descriptor that it does not have yet."""
        if not sizes and not self._released:
            return None, None
        free, forget = self._sort_released()
        if not sizes and not free and not forget:
            return None, None
        descriptor = None
        if sizes:
            self._size = max(self._size, sum(sizes))
            if not self._told:
                descriptor, self._told = self._arriving, True
        return CallNote(sizes, free, forget), descriptor

    def views(self, note: ResultNote, descriptor: int | None) -> list[memoryview]:
        """Map the blocks of a result; their memory is used again when the last view of it is gone."""
        if descriptor is not None:
            self._results[note.slab] = descriptor
        self._free.discard(note.slab)
        mapped, views = _slabs.views(self._results[note.slab], note.sizes)
        # Appending is all that may happen here: the last view can go in any thread, at any moment.
        weakref.finalize(mapped, self._released.append, note.slab).atexit = False
        return views

    def close(self, further: int | None) -> None:
        """Close every descriptor. Maps stay, as long as somebody reads from them."""
        if self._closed:
            return
        self._closed = True
        for descriptor in (self._arriving, further, *self._results.values()):
            if descriptor is not None:
                os.close(descriptor)

    def _sort_released(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        free, forget = [], []
        while self._released:
            slab = self._released.pop()
            if len(self._free) < _SLABS_KEPT and os.fstat(self._results[slab]).st_size <= _slabs.LARGEST_KEPT:
                self._free.add(slab)
                free.append(slab)
            else:
                os.close(self._results.pop(slab))
                forget.append(slab)
        return tuple(free), tuple(forget)
