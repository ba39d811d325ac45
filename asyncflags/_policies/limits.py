"""Caps on concurrency, as a value."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may happen at once. Every field is a whole number, at least 1.

    ======================================  =======================================================
    call                                    meaning
    ======================================  =======================================================
    ``Limits()``                            64 downloads, 8 connections to each host
    ``Limits(max_downloads=1)``             one after another
    ``Limits(max_connections_per_host=2)``  many hosts at once, gently to each
    ``Limits(max_segments=4)``              a large file over up to 4 connections
    ======================================  =======================================================

    Attributes:
        max_downloads: Downloads under way at once.
        max_connections_per_host: Requests in flight to one origin (scheme, host, port).
        max_segments: Connections for one large file, if its server takes ranges and one connection does not fill
            the line; 1: never more than one. They count among those of their host.
        max_threads: Threads for disk writes and hashing.
        max_processes: Processes for `to_process` and ``postprocess``.
    """

    max_downloads: int = 64
    max_connections_per_host: int = 8
    max_segments: int = 1
    max_threads: int = 4
    max_processes: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{each.name} must be a whole number, not {value!r}")
            if value < 1:
                raise ValueError(f"{each.name} must be at least 1, not {value}")
