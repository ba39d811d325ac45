"""How long things may take, and when a transfer counts as stalled."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, fields

__all__ = ["Stall", "Timeout", "check_pace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Time limits of one download, in seconds; ``None``: no limit.

    ==============================  ===============================================================
    call                            meaning
    ==============================  ===============================================================
    ``Timeout()``                   10 s to connect, 60 s without a byte, any time in all
    ``Timeout(read=5.0)``           an answer that pauses for 5 s is given up, and retried
    ``Timeout(total=3600.0)``       one hour for the download, its retries and pauses included
    ``Timeout(connect=None)``       connecting takes as long as the system allows
    ==============================  ===============================================================

    Attributes:
        connect: To resolve the name, connect and shake hands.
        read: From one byte received to the next, and from the request to the first.
        total: For the whole download, all attempts and the pauses between them.

    Raises:
        TypeError: A limit is not a number.
        ValueError: A limit is 0, negative or not a number of seconds; no limit is ``None``.
    """

    connect: float | None = 10.0
    read: float | None = 60.0
    total: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None:
                continue
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise TypeError(f"{each.name} must be a number of seconds or None, not {value!r}")
            if not value > 0:
                raise ValueError(f"{each.name} must be more than 0 seconds, not {value}: None means no limit")


class Stall(enum.Enum):
    """Why a transfer is given up."""

    READ = "read"
    """No byte came for too long."""

    SLOW = "slow"
    """Too few bytes came."""


def check_pace(
    *,
    now: float,
    last_byte_at: float,
    window_started_at: float,
    window_bytes: int,
    read: float | None,
    min_speed: float | None,
    window: float,
) -> Stall | float:
    """Decide whether a transfer goes on.

    All moments are seconds on one clock. A window that has passed and held enough bytes is over: the caller
    starts the next one at *now*, which is what the returned moment assumes.

    Args:
        now: The moment of the question.
        last_byte_at: When the last byte came, or the request was sent.
        window_started_at: When the current window started.
        window_bytes: Bytes that came in the current window.
        read: Seconds without a byte that are allowed; ``None``: no limit.
        min_speed: Bytes a second; ``None`` or 0: no lower bound.
        window: Seconds of one window.

    Returns:
        The reason to give up, or the moment, after *now*, at which to ask again; infinity: never.
    """
    if read is not None and now >= last_byte_at + read:
        return Stall.READ
    if min_speed and now >= window_started_at + window:
        if window_bytes < min_speed * window:
            return Stall.SLOW
        window_started_at = now
    return _earliest(last_byte_at, window_started_at, read, min_speed, window)


def _earliest(
    last_byte_at: float, window_started_at: float, read: float | None, min_speed: float | None, window: float
) -> float:
    silence_ends = math.inf if read is None else last_byte_at + read
    window_ends = window_started_at + window if min_speed else math.inf
    return min(silence_ends, window_ends)
