"""Which bytes of a file are there, from whom, and which are on their way: the map of one segmented download.

Used on the loop alone. What threads write is seen through `Segment.written`, which lags behind and never
runs ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncflags._policies.ranges import Ranges
from asyncflags._policies.resuming import overlap_before
from asyncflags._policies.segments import Progressing, SegmentRules, share

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags._engine.sources import Source

__all__ = ["Pieces", "Segment", "without"]

SEAM = 1024
"""Bytes that are compared where two segments meet."""


@dataclass(slots=True, eq=False)
class Segment:
    """One range on its way over one connection.

    Attributes:
        source: Who is asked.
        start: Offset of its first byte.
        stop: Offset after its last byte; it shrinks when others take from it.
        began: When it was asked for, in seconds of the loop's clock.
        position: Offset of the next byte that has not come.
        intake: Takes its bytes; ``None``: nobody does yet.
        is_reading: Whether its body is on its way.
        is_whole_answer: Whether it is read from an answer to a request for the whole.
        is_void: Whether its bytes do not count.
        worker: Who reads it.
        held_back: Bytes at its end that are fetched again, so that what follows them is compared.
        head: Its first bytes, to be compared with what others say of them.
    """

    source: Source
    start: int
    stop: int
    began: float
    position: int = -1
    intake: Intake | None = None
    is_reading: bool = False
    is_whole_answer: bool = False
    is_void: bool = False
    worker: asyncio.Task[None] | None = None
    held_back: int = 0
    head: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.position = self.start

    @property
    def written(self) -> int:
        """Offset after the last byte that is in the file and may be relied on."""
        size = self.intake.written if self.intake is not None else 0
        return self.start + max(0, size - self.held_back)


class Pieces:
    """The map.

    Args:
        total: Bytes of the file.
        rules: How small a segment may be.
        given: What is there already, and from whom.
    """

    def __init__(self, total: int, rules: SegmentRules, given: Mapping[Source, Ranges]) -> None:
        self.total = total
        self.under_way: list[Segment] = []
        self.doubted: dict[Source, Ranges] = {}
        self._rules = rules
        self._there: dict[Source, Ranges] = dict(given)

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self._settled().covers(self.total)

    @property
    def size(self) -> int:
        """Bytes that came and count."""
        live = (each for each in self.under_way if not each.is_void)
        return self._settled().size + sum(each.position - each.start for each in live)

    @property
    def givers(self) -> set[Source]:
        """Whose bytes are there."""
        return {source for source, ranges in self._there.items() if ranges}

    def written_by(self, source: Source) -> Ranges:
        """What *source* gave and is in the file."""
        known = self._there.get(source, Ranges())
        live = (each for each in self.under_way if each.source is source and not each.is_void)
        return Ranges((*known, *((each.start, each.written) for each in live)))

    def take(self, source: Source, now: float) -> Segment | None:
        """A range for a connection to *source*: a gap, else half of what the slowest has left.

        Returns:
            ``None``: there is nothing to do for one more connection.
        """
        found = self._gap() or self._shared(now)
        if found is None:
            return None
        segment = Segment(source, *found, began=now)
        self.under_way.append(segment)
        return segment

    def begin_whole(self, source: Source, now: float) -> Segment:
        """An answer to a request for the whole is read as the first segment."""
        segment = Segment(source, 0, self.total, began=now, is_whole_answer=True)
        self.under_way.append(segment)
        return segment

    def end(self, segment: Segment) -> None:
        """A segment has ended, and nothing is written for it any more; what lacks of it is a gap from now on."""
        self.under_way.remove(segment)
        if not segment.is_void and segment.written > segment.start:
            there = self._there.get(segment.source, Ranges())
            self._there[segment.source] = there.add(segment.start, segment.written)

    def cut_out(self, segment: Segment) -> None:
        """The bytes of *segment*, which may have ended, do not count."""
        segment.is_void = True
        there = self._there.get(segment.source, Ranges())
        self._there[segment.source] = without(there, segment.start, segment.written)

    def give_back(self, source: Source) -> None:
        """Nothing that *source* gave counts, nor what it gives now."""
        doubted = self._there.pop(source, Ranges())
        self.doubted[source] = Ranges((*self.doubted.get(source, ()), *doubted))
        for segment in self.under_way:
            if segment.source is source:
                segment.is_void = True

    def keep_only(self, source: Source) -> None:
        """Nothing counts but what *source* gave; nothing may be under way."""
        for other in self.givers - {source}:
            self.give_back(other)

    def run_before(self, offset: int) -> tuple[int, Source | None]:
        """How many bytes right before *offset* are asked for again, to be compared, and who gave them."""
        for source in {*self._there, *(each.source for each in self.under_way)}:
            for start, stop in self.written_by(source):
                if start < offset <= stop:
                    return overlap_before(offset - start), source
        return 0, None

    def run_after(self, offset: int) -> tuple[int, Source | None]:
        """How many bytes from *offset* on are asked for again, to be compared, and who gave them."""
        for source in {*self._there, *(each.source for each in self.under_way)}:
            for start, stop in self.written_by(source):
                if start <= offset < stop:
                    return min(SEAM, stop - offset), source
        return 0, None

    def _settled(self) -> Ranges:
        return Ranges(part for ranges in self._there.values() for part in ranges)

    def _gap(self) -> tuple[int, int] | None:
        taken = ((each.start, each.stop) for each in self.under_way)
        gaps = Ranges((*self._settled(), *taken)).gaps(self.total)
        return gaps[0] if gaps else None

    def _shared(self, now: float) -> tuple[int, int] | None:
        """Take the second half of the rest of the slowest."""
        live = [each for each in self.under_way if not each.is_void]
        shared = share(self._progressing(live, now), self._rules)
        if shared is None:
            return None
        index, middle = shared
        end, live[index].stop = live[index].stop, middle
        return middle, end

    def _progressing(self, segments: list[Segment], now: float) -> list[Progressing]:
        rates = [(each.position - each.start) / max(now - each.began, 1e-6) for each in segments]
        moving = [rate for rate in rates if rate]
        # One that was asked a moment ago is not slow because it has not answered yet.
        usual = sum(moving) / len(moving) if moving else 1.0
        return [
            Progressing(
                each.start,
                each.position,
                each.stop,
                rate if rate or now - each.began > self._rules.window else usual,
            )
            for each, rate in zip(segments, rates, strict=True)
        ]


def without(ranges: Ranges, start: int, stop: int) -> Ranges:
    """*ranges* less the bytes from *start* to before *stop*."""
    kept: list[tuple[int, int]] = []
    for first, last in ranges:
        kept.append((first, max(first, min(last, start))))
        kept.append((min(last, max(first, stop)), last))
    return Ranges(kept)
