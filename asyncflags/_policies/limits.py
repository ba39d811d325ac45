"""Caps on concurrency, as a value."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may happen at once.

    ======================================  =======================================================
    call                                    meaning
    ======================================  =======================================================
    ``Limits()``                            64 downloads, 8 connections to each host
    ``Limits(max_downloads=1)``             one after another
    ``Limits(max_connections_per_host=2)``  many hosts at once, gently to each
    ``...max_connections_per_host="auto"``  as many to each host as make its files come faster
    ``Limits(max_segments=4)``              a large file over up to 4 connections
    ======================================  =======================================================

    Numbers of things are whole and at least 1.

    Attributes:
        max_downloads: Downloads under way at once.
        max_connections_per_host: Requests in flight to one origin (scheme, host, port). ``"auto"``: found out for
            each, from a few upwards and never more than *max_downloads*.
        max_segments: Connections for one large file, if its server takes ranges and one connection does not fill
            the line; 1: never more than one. They count among those of their host.
        max_threads: Threads for disk writes and hashing.
        max_processes: Processes for `to_process` and ``postprocess``.
        max_requests_per_second: Requests begun to one origin in a second, evenly spread; may be below 1, as 0.1 for
            one in ten seconds. ``None``: no limit but what the host is seen to want.
        max_memory: Bytes that all bodies under way may hold in memory, together.
    """

    max_downloads: int = 64
    max_connections_per_host: int | Literal["auto"] = 8
    max_segments: int = 1
    max_threads: int = 4
    max_processes: int = os.cpu_count() or 1
    max_requests_per_second: float | None = None
    max_memory: int = 256 << 20

    def __post_init__(self) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if name == "max_connections_per_host" and value == "auto":
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        _check_rate(self.max_requests_per_second)


_WHOLE = (
    "max_downloads",
    "max_connections_per_host",
    "max_segments",
    "max_threads",
    "max_processes",
    "max_memory",
)


def _check_rate(rate: float | None) -> None:
    if rate is None:
        return
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        raise TypeError(f"max_requests_per_second must be a number, not {rate!r}")
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"max_requests_per_second must be more than 0, not {rate}: None means no limit")
