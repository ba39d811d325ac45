"""How a host that refuses is left in peace, once for all its requests, and how fast it is asked afterwards.

*One event.* However many requests are in flight when a host answers 429 or 503, it has said one thing. What was sent
before the first refusal came belongs to that event: it may prolong the pause, and never makes the exponent grow.

*The pause* is what Retry-After asks for, and at least an exponential backoff, so that ``Retry-After: 0`` backs off
too. It ends with a request of its own; the others that were refused follow at random distances, so that they do not
come back together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

*The pace.* After a 429 requests are paced below the rate R at which the host refused. What it answered in the second
before is the first guess at R, from which the pace grows by a quarter a second. From the second event on R lies between
two rates that are known: what the host let through from one refusal to the next, the pause included, is no more than it
allows, and the pace at which it refused is more. R is the geometric mean of both. The pace then follows the curve of
CUBIC (RFC 9438 section 4.2) with its time K and ease b::

    pace(t) = R * (1 + (1 - b) * ((t - K) / K) ** 3)

which begins at b * R, comes back to R after K seconds, lingers there, and only then probes beyond.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncflags._policies.backoff import Backoff
from asyncflags._policies.pacing import TokenBucket
from asyncflags._policies.ratelimits import RateLimit
from asyncflags._policies.retry import RETRY_AFTER_CAP

__all__ = ["BackingOff", "BackingOffRules"]

_LOWEST_PACE = 0.05
_LOWEST_GUESS = 1.0
_GUESS_GROWTH = 1.25
# Of the pace of requests, which is even: what a timer that rings late may make up for.
_LATENESS = 0.01
# Beyond this multiple of the rate that was refused the pace says nothing any more.
_FORGOTTEN = 16.0
# A measure taken over a short time is a matter of luck, so that one event takes at most this part of the pace.
_LARGEST_CUT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingOffRules:
    """How a refusal is answered.

    Attributes:
        pauses: The least pause of each event in a row; half of it is certain, half jitter.
        cap: Seconds of the longest pause, whatever the host asks for.
        spread: Over which part of the pause the refused requests come back after it.
        ease: The pace after a refusal, as a part of the rate at which the host refused; between 0 and 1.
        recovery: Seconds until the pace has come back to that rate.
        horizon: Seconds over which the rate before the first refusal is measured.
    """

    pauses: Backoff = field(default_factory=Backoff)
    cap: float = RETRY_AFTER_CAP
    spread: float = 0.2
    ease: float = 0.92
    recovery: float = 20.0
    horizon: float = 1.0


class BackingOff:
    """What is known of the refusals of one host. All moments are seconds of one steady clock."""

    __slots__ = (
        "_allowed_until",
        "_answered",
        "_bucket",
        "_calm_since",
        "_event_at",
        "_events",
        "_gap",
        "_is_guess",
        "_last_pause",
        "_left",
        "_not_before",
        "_paced_since",
        "_recent",
        "_recent_at",
        "_refused",
        "_refused_rate",
        "_resume_at",
        "_rules",
    )

    def __init__(self, rules: BackingOffRules) -> None:
        """Start with a host that never refused."""
        self._rules = rules
        self._events = 0
        self._event_at = -math.inf
        self._refused = 0
        self._resume_at = -math.inf
        self._last_pause = 0.0
        self._calm_since = -math.inf
        # Answers that were no refusals: since the last event, and over the horizon, where older ones count less.
        self._answered = 0
        self._recent = 0.0
        self._recent_at = -math.inf
        # What the server said is left, until when; the gap between those who come back, and when the next one may.
        self._left = math.inf
        self._allowed_until = -math.inf
        self._gap = 0.0
        self._not_before = -math.inf
        # The rate at which the host refused; 0: it is not known to count requests.
        self._refused_rate = 0.0
        self._is_guess = False
        self._paced_since = -math.inf
        self._bucket: TokenBucket | None = None

    @property
    def events(self) -> int:
        """Events in a row, which is the exponent of the pause; it falls again with success."""
        return self._events

    @property
    def resume_at(self) -> float:
        """When the pause of the last event ends, or has ended; minus infinity: there was none."""
        return self._resume_at

    def is_idle(self, now: float) -> bool:
        """Whether nothing of it has any effect now, so that it can be forgotten."""
        return (
            not self._events
            and now >= max(self._resume_at, self._not_before, self._allowed_until)
            and self.pace(now) is None
        )

    def pace(self, now: float) -> float | None:
        """Requests a second that are sent at most; ``None``: no such limit was learned."""
        if not self._refused_rate:
            return None
        rules = self._rules
        elapsed = max(0.0, now - self._paced_since)
        if self._is_guess:
            # Long before that exponent the guess is forgotten.
            factor = rules.ease * _GUESS_GROWTH ** min(elapsed, 100.0)
        else:
            factor = 1 + (1 - rules.ease) * ((elapsed - rules.recovery) / rules.recovery) ** 3
        return max(_LOWEST_PACE, self._refused_rate * factor) if factor < _FORGOTTEN else None

    def refused(
        self,
        now: float,
        *,
        sent: float,
        jitter: float,
        retry_after: float | None = None,
        is_rate: bool = True,
    ) -> bool:
        """The host answered that it wants fewer requests: 429, or 503.

        Args:
            now: When the answer came.
            sent: When its request was sent.
            jitter: Random number, at least 0 and below 1.
            retry_after: Seconds that it asks to wait; ``None``: it does not say.
            is_rate: Whether it is about the rate of requests (429), and the pace is to be learned.

        Returns:
            Whether this began an event; ``False``: it belongs to the one before.
        """
        rules = self._rules
        if sent <= self._event_at:
            self._refused += 1
            self._pause(now, min(rules.cap, retry_after or 0.0))
            return False
        if is_rate:
            self._learn(now)
        self._events += 1
        self._event_at = now
        self._refused = 1
        self._answered = 0
        least = rules.pauses.ceiling(self._events) * (1 + jitter) / 2
        self._last_pause = 0.0
        self._pause(now, min(rules.cap, max(retry_after or 0.0, least)))
        return True

    def _pause(self, now: float, seconds: float) -> None:
        if now + seconds > self._resume_at:
            self._resume_at = self._calm_since = now + seconds
            self._last_pause = self._resume_at - self._event_at
        # All that were refused come back over the spread, one after another.
        self._gap = self._last_pause * self._rules.spread / self._refused
        self._paced_since = max(self._paced_since, self._resume_at)

    def _learn(self, now: float) -> None:
        pace = self.pace(now)
        if pace is None:
            self._is_guess = True
            self._refused_rate = max(self._recent_rate(now), _LOWEST_GUESS)
        else:
            self._is_guess = False
            let_through = self._answered / max(now - self._event_at, 1e-3)
            least = pace * _LARGEST_CUT
            self._refused_rate = max(math.sqrt(pace * min(pace, let_through)), least, _LOWEST_PACE)
        self._paced_since = now
        if self._bucket is None:
            self._bucket = TokenBucket(self._refused_rate, now=now, burst_seconds=_LATENESS)

    def _recent_rate(self, now: float) -> float:
        """Answers a second; too low where they have come for less than the horizon, which is the careful side."""
        horizon = self._rules.horizon
        return self._recent * math.exp(-max(0.0, now - self._recent_at) / horizon) / horizon

    def served(self, now: float, *, sent: float) -> None:
        """The host answered, and refused nothing.

        Args:
            now: When the answer came.
            sent: When its request was sent.
        """
        self._answered += 1
        self._recent = self._recent_rate(now) * self._rules.horizon + 1
        self._recent_at = now
        if sent <= self._event_at:
            if self._is_guess:
                # It was let through together with those that were refused, and its answer took longer.
                self._refused_rate += 1 / self._rules.horizon
        elif self._events and now >= self._calm_since + self._last_pause:
            # As long in peace as there was punishment: one step back.
            self._events -= 1
            self._calm_since = now

    def heed(self, now: float, limits: Sequence[RateLimit], *, in_flight: int) -> None:
        """Take note of what an answer says about the limits of its host; it is no event.

        Args:
            now: When the answer came.
            limits: Those on requests; one without a number that is left says nothing here.
            in_flight: Requests that are under way now, and may count against what is left.
        """
        known = [limit for limit in limits if limit.remaining is not None and limit.effective_window]
        if not known:
            return
        tightest = min(known, key=lambda limit: (limit.remaining, -limit.effective_window))
        assert tightest.remaining is not None
        self._left = float(tightest.remaining - in_flight)
        self._allowed_until = now + min(self._rules.cap, tightest.effective_window)

    def take(self, now: float, *, jitter: float) -> float:
        """Ask for one request.

        Args:
            now: When.
            jitter: Random number, at least 0 and below 1.

        Returns:
            0.0: it may be sent, and is counted. Otherwise the seconds after which to ask again.
        """
        blocked_until = max(self._resume_at, self._not_before)
        if self._left < 1 and now < self._allowed_until:
            blocked_until = max(blocked_until, self._allowed_until)
        if now < blocked_until:
            return blocked_until - now
        if wait := self._wait_for_pace(now):
            return wait
        self._left -= 1
        if now >= self._allowed_until:
            self._left = math.inf
        if now < self._resume_at + self._last_pause * self._rules.spread:
            self._not_before = now + 2 * jitter * self._gap
        return 0.0

    def _wait_for_pace(self, now: float) -> float:
        if self._bucket is None:
            return 0.0
        pace = self.pace(now)
        if pace is None:
            self._bucket, self._refused_rate = None, 0.0
            return 0.0
        if pace != self._bucket.rate:
            self._bucket.set_rate(pace, now=now)
        return self._bucket.take(now)
