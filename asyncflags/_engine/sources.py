"""Where the bytes of one download can come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncflags._policies.redirects import headers_for_hop
from asyncflags._policies.urls import parse_url
from asyncflags._storage.records import identity_of
from asyncflags.errors import (
    ClosedError,
    DownloadError,
    StorageError,
    TotalTimeout,
    UnsafePath,
    redact_url,
)

if TYPE_CHECKING:
    from asyncflags._policies.urls import Target

__all__ = ["Source", "Sources"]


@dataclass(slots=True, eq=False)
class Source:
    """One URL that serves the file.

    Attributes:
        target: What is asked.
        headers: Every field of the request that does not depend on what there is already.
    """

    target: Target
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """The URL for people, credentials redacted."""
        return redact_url(self.target.url)

    @property
    def identity(self) -> str:
        """What tells the URL from others, beside a part file."""
        return identity_of(self.target.url)


class Sources:
    """The sources of one download, the one in turn first.

    Args:
        target: The URL asked for.
        headers: Of its requests.
        mirrors: URLs that serve the same file; they get no credentials and no fields that tell about you.

    Raises:
        InvalidUrl: A mirror is no URL that can be downloaded.
    """

    __slots__ = ("_all", "_asked")

    def __init__(self, target: Target, headers: Mapping[str, str], mirrors: Sequence[str]) -> None:
        first = Source(target, headers)
        self._all = [first]
        self._asked = 1
        for url in mirrors:
            self.add(url)

    @property
    def current(self) -> Source:
        """The one in turn."""
        return self._all[0]

    @property
    def is_last(self) -> bool:
        """Whether there is no other."""
        return len(self._all) == 1

    def __iter__(self) -> Iterator[Source]:
        return iter(self._all)

    def add(self, url: str) -> None:
        """One more, if it is new."""
        first, target = self._all[0], parse_url(url)
        if all(each.target.url != target.url for each in self._all):
            same_origin = target.origin == first.target.origin
            self._all.append(Source(target, headers_for_hop(first.headers, same_origin=same_origin)))

    def identified(self, identity: str) -> Source | None:
        """The one of that `Source.identity`, if it is one of these."""
        return next((each for each in self._all if each.identity == identity), None)

    def rotate(self) -> bool:
        """Let the next one have its turn; whether it had none since the last pause."""
        self._all.append(self._all.pop(0))
        self._asked += 1
        if self._asked <= len(self._all):
            return True
        self._asked = 1
        return False

    def drop(self, source: Source | None = None) -> None:
        """Never ask *source* again; by default the one in turn."""
        self._all.remove(source or self._all[0])

    @staticmethod
    def is_at_fault(error: DownloadError) -> bool:
        """Whether another source could do better."""
        return not isinstance(error, StorageError | UnsafePath | ClosedError | TotalTimeout)
