"""How fast bytes or requests may go: a token bucket whose rate may change at any moment.

The bucket fills at its rate up to its burst, and what is taken goes out of it. Nobody reserves anything: who is told
to wait has taken nothing and asks again, so that a new rate holds at once for those who wait, too. Who is asked first
among several that wait is the caller's order, and with it the fairness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["BURST_SECONDS", "TokenBucket", "take_from_all"]

BURST_SECONDS = 0.05
"""Seconds at its rate that a bucket holds. A window of two seconds sees one burst more than the rate, and one amount
that was larger than the burst; each is 2.5% of such a window."""

# Who comes back when told may be early by the rounding of a clock; what is granted then is charged all the same.
_ROUNDING = 1e-6


class TokenBucket:
    """Bounds a rate, of bytes or of requests."""

    __slots__ = ("_at", "_burst_seconds", "_level", "_rate")

    def __init__(self, rate: float | None, *, now: float, burst_seconds: float = BURST_SECONDS) -> None:
        """Start with a full bucket.

        Args:
            rate: Units a second, more than 0; ``None``: no limit.
            now: Seconds of any steady clock, here and in every method.
            burst_seconds: Seconds at its rate that it holds, besides one unit.

        Raises:
            ValueError: The rate is 0, negative or not finite.
        """
        self._rate = _checked(rate)
        self._burst_seconds = burst_seconds
        self._level = self.burst
        self._at = now

    @property
    def rate(self) -> float | None:
        """Units a second; ``None``: no limit."""
        return self._rate

    @property
    def burst(self) -> float:
        """Units that a full bucket holds: one, and 50 ms at its rate; infinite without a limit.

        Who takes no more than this at a time stays within 5% of the rate over any two seconds.
        """
        return math.inf if self._rate is None else 1.0 + self._rate * self._burst_seconds

    def set_rate(self, rate: float | None, *, now: float) -> None:
        """Change the rate, at once. What was taken beyond the burst before is still owed, in units.

        Args:
            rate: Units a second, more than 0; ``None``: no limit.
            now: When.

        Raises:
            ValueError: The rate is 0, negative or not finite.
        """
        checked = _checked(rate)
        self._fill(now)
        was_unlimited = self._rate is None
        self._rate = checked
        # Nobody counted while there was no limit, so that the first limit begins with an empty bucket.
        self._level = 0.0 if was_unlimited else min(self._level, self.burst)

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Tell how long it takes until *amount* could be taken; nothing is taken.

        Args:
            now: When.
            amount: Units. More than the burst needs a full bucket, and is owed afterwards.

        Returns:
            Seconds; 0.0: now.
        """
        if self._rate is None:
            return 0.0
        self._fill(now)
        seconds = (min(amount, self.burst) - self._level) / self._rate
        return seconds if seconds > _ROUNDING else 0.0

    def take(self, now: float, amount: float = 1.0) -> float:
        """Take *amount*, if it is there.

        Args:
            now: When.
            amount: Units. More than the burst needs a full bucket, and is owed afterwards.

        Returns:
            0.0: it is taken. Otherwise nothing is, and these are the seconds after which to ask again.
        """
        seconds = self.wait(now, amount)
        if not seconds:
            self._level -= amount
        return seconds

    def give_back(self, amount: float) -> None:
        """Put back what was taken and not used."""
        self._level = min(self._level + amount, self.burst)

    def _fill(self, now: float) -> None:
        # A clock that went backwards fills nothing, and does not fill twice when it comes back.
        if now > self._at:
            if self._rate is not None:
                self._level = min(self.burst, self._level + (now - self._at) * self._rate)
            self._at = now


def take_from_all(buckets: Sequence[TokenBucket], now: float, amount: float = 1.0) -> float:
    """Take *amount* from every bucket or from none, such as a host's and the one of all hosts.

    Args:
        buckets: Any number of different ones.
        now: When.
        amount: Units.

    Returns:
        0.0: it is taken. Otherwise nothing is, and these are the seconds after which to ask again.
    """
    seconds = max((bucket.wait(now, amount) for bucket in buckets), default=0.0)
    if not seconds:
        for bucket in buckets:
            bucket.take(now, amount)
    return seconds


def _checked(rate: float | None) -> float | None:
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"a rate must be more than 0 a second, not {rate}: None means no limit")
    return rate
