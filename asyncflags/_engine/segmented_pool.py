"""Whom a segmented download asks: its sources, what they said of their versions, and how often they failed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncflags._engine.job import Job
    from asyncflags._engine.segmented_pieces import Segment
    from asyncflags._engine.sources import Source
    from asyncflags._policies.validators import Validator

__all__ = ["SourcePool"]


class SourcePool:
    """The sources that may be asked for segments.

    A source speaks for its own version alone, so the bytes of several are only joined where a checksum or a
    digest of the whole proves the result.

    Args:
        job: Its sources are shared, and dropped there for good.
        source, may_mix: As the attributes.

    Attributes:
        source: Whom the attempt asks.
        may_mix: Whether the others may be asked too.
        validators: What each source said of its version.
        suspects: Who serves something else than the source of the record, and how that was seen; they are not
            asked any more, and given up once the checksum has proven that the other one is right.
    """

    def __init__(self, job: Job, source: Source, *, may_mix: bool) -> None:
        self._job = job
        self.source = source
        self._hosts = job.engine.hosts
        self._strikes: Counter[Source] = Counter()
        self.may_mix = may_mix
        self.validators: dict[Source, Validator] = {}
        self.suspects: dict[Source, str] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that may be asked."""
        if not self.may_mix:
            return (self.source,)
        return tuple(source for source in self._job.sources if source not in self.suspects)

    def choose(self, under_way: Iterable[Segment]) -> Source | None:
        """Whom to ask next: who failed least, then who is asked for least; ``None``: all have enough to do."""
        busy = Counter(segment.source for segment in under_way)
        free = [source for source in self.sources if busy[source] < self._hosts.level(source.target.origin)]
        return min(free, key=lambda source: (self._strikes[source], busy[source]), default=None)

    def strike(self, source: Source) -> int:
        """Note that *source* failed; how often it did since it gave something."""
        self._strikes[source] += 1
        return self._strikes[source]

    def praise(self, source: Source) -> None:
        """Note that *source* gave something."""
        if source in self._strikes:
            del self._strikes[source]

    def drop(self, source: Source, reason: str) -> None:
        """Never ask *source* again."""
        if source in tuple(self._job.sources):
            self._job.tell("mirror_dropped", f"{source.name} is given up: {reason}")
            self._job.sources.drop(source)
