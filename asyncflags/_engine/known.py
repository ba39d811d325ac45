"""A file that an earlier run finished, and what its server said of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KnownFile"]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A finished file as it was recorded.

    Attributes:
        path: Where it stood.
        size: Its bytes.
        etag: The entity tag as sent, or ``None``.
        last_modified: The ``Last-Modified`` field as sent, or ``None``.
    """

    path: str
    size: int
    etag: str | None = None
    last_modified: str | None = None
