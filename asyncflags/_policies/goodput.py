"""What a host gave at each level of concurrency, in windows of time, and how much that varies."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["ANSWER_WORTH", "Windows"]

ANSWER_WORTH = 32 * 1024
"""Bytes that an answer counts for besides its body. Small files are a matter of answers and large ones of bytes; with
the sizes of small files alone their mixture would be the noise."""

# A level is used when this part of it is in flight on the average. A window needs so much for each connection, in
# answers without a body, unless it is as many times as long as it must be.
_USED = 0.75
_WORTH_EACH = 3
_LONGEST = 8
_LONGEST_DURATIONS = 3
_REMEMBERED = 24
# The requests of one level get so many of their durations to make room for those of the next, and at most so many
# seconds.
_SETTLING = 1.5
_LONGEST_SETTLING = 10.0
# Relative deviation of one window from the others: at first, and at least; and the weight of each new one.
_FIRST_NOISE = 0.04
_LEAST_NOISE = 0.005
_WEIGHT = 0.1
# A host is another one when its goodput deviates by this part, and it is slow when its latency does by the factor
# that is given, in so many windows one after another.
_MOVED = 0.3
_STRIKES = 3


class Windows:
    """Measures windows one after another. All moments are seconds of one steady clock."""

    def __init__(self, window: float, inflation: float, *, now: float) -> None:
        """Start with nothing known.

        Args:
            window: Seconds of the shortest window.
            inflation: Factor of the usual latency that is too much.
            now: When.
        """
        self._window = window
        self._inflation = inflation
        self._level = 1
        self._goodputs: dict[int, deque[float]] = {}
        self._latencies: dict[int, float] = {}
        self._variance = _FIRST_NOISE**2
        self._in_flight = 0
        self._changed_at = now
        self._duration = self._slowness = 0.0
        self._begun_at = now
        self._moved = self._slow = 0
        self._restart(now)

    def begin(self, now: float, level: int) -> None:
        """From now on *level* is measured, once the requests of the one before have settled."""
        before = self._latencies.get(self._level)
        if before is not None:
            # Until it has a usual latency of its own: a host at its limit takes longer by as much as it has more to do.
            self._latencies.setdefault(level, before * max(1.0, level / self._level))
        self._level = level
        self._moved = self._slow = 0
        self._begun_at = now
        self._restart(now + min(_SETTLING * self._duration, _LONGEST_SETTLING))

    def _restart(self, at: float) -> None:
        self._opened_at = at
        self._bytes = self._answers = 0
        self._flight_seconds = 0.0
        self._latency_sum = 0.0
        self._durations = 0
        self._duration_sum = 0.0

    def started(self, now: float) -> None:
        """A request is in flight."""
        self._pass_time(now)
        self._in_flight += 1

    def received(self, size: int) -> None:
        """*size* bytes of a body came."""
        self._bytes += size

    def ended(self, now: float, sent: float, latency: float | None) -> None:
        """A request is over that was sent at *sent*; *latency* is ``None`` when it was not answered."""
        self._pass_time(now)
        self._in_flight = max(0, self._in_flight - 1)
        if latency is None:
            return
        if not self._duration:
            # Before the first answer nothing could come, which says nothing about goodput.
            self._duration = now - sent
            self._restart(now)
            return
        self._answers += 1
        self._latency_sum += latency
        if sent >= self._begun_at:
            self._durations += 1
            self._duration_sum += now - sent

    def _pass_time(self, now: float) -> None:
        since = max(self._changed_at, self._opened_at)
        if now > since:
            self._flight_seconds += self._in_flight * (now - since)
        self._changed_at = max(now, self._changed_at)

    def close(self, now: float) -> bool:
        """End the window if it is full, and begin the next.

        Returns:
            Whether a window ended that counts.
        """
        elapsed = now - self._opened_at
        if elapsed < 0 or self._in_flight > self._level:
            # What comes while the level settles belongs to the one before.
            self._restart(max(now, self._opened_at))
            return False
        enough = self._worth >= _WORTH_EACH * self._level * ANSWER_WORTH
        longest = max(_LONGEST * self._window, _LONGEST_DURATIONS * self._duration)
        if elapsed < self._window or not (enough or elapsed >= longest):
            return False
        self._pass_time(now)
        is_used = self._flight_seconds >= _USED * self._level * elapsed
        if is_used:
            self._note(elapsed)
        self._restart(now)
        return is_used

    @property
    def _worth(self) -> int:
        return self._bytes + ANSWER_WORTH * self._answers

    def _measure(self, elapsed: float) -> float:
        """The goodput of the window.

        Requests that were begun together end together, and whether a window has one such group more or less is a
        matter of luck. So the rate of answers is taken from how many were in flight and how long each one took
        (Little's law), where enough of them ended to know that.
        """
        if self._durations < self._level or not self._duration_sum:
            return self._worth / elapsed
        answers_a_second = self._flight_seconds / elapsed * self._durations / self._duration_sum
        return answers_a_second * self._worth / self._answers

    def _note(self, elapsed: float) -> None:
        goodput = self._measure(elapsed)
        kept = self._goodputs.setdefault(self._level, deque(maxlen=_REMEMBERED))
        if kept:
            self._learn_noise(goodput, sum(kept) / len(kept), len(kept))
        kept.append(goodput)
        if self._durations:
            self._duration = self._duration_sum / self._durations
        if self._answers:
            self._note_latency(self._latency_sum / self._answers)

    def _learn_noise(self, goodput: float, mean: float, windows: int) -> None:
        deviation = abs(goodput / mean - 1) if mean else 1.0
        self._moved = self._moved + 1 if deviation > _MOVED else 0
        # The mean of a few windows varies itself, which makes the deviation larger than that of one window.
        squared = min(deviation, _MOVED) ** 2 * windows / (windows + 1)
        self._variance += _WEIGHT * (squared - self._variance)

    def _note_latency(self, latency: float) -> None:
        usual = self._latencies.setdefault(self._level, latency)
        if latency > self._inflation * usual:
            self._slow += 1
            self._slowness = latency / usual if usual else math.inf
            return
        self._slow = 0
        self._latencies[self._level] = usual + _WEIGHT * (latency - usual)

    @property
    def noise(self) -> float:
        """Relative standard deviation of the goodput of one window."""
        return max(_LEAST_NOISE, math.sqrt(self._variance))

    @property
    def has_moved(self) -> bool:
        """Whether the goodput of the level is not any more what it was."""
        return self._moved >= _STRIKES

    @property
    def slowness(self) -> float:
        """The factor by which the latency of the level is above what it was; 0.0: by less than what is too much."""
        return self._slowness if self._slow >= _STRIKES or (self._slow and self.has_moved) else 0.0

    def count(self, level: int) -> int:
        """Windows of *level* that are known."""
        return len(self._goodputs.get(level, ()))

    def goodput(self, level: int) -> float:
        """Bytes a second on the average of the windows of *level*; 0.0: there are none."""
        kept = self._goodputs.get(level)
        return sum(kept) / len(kept) if kept else 0.0

    def forget(self, level: int) -> None:
        """Drop what is known of *level*, to measure it anew."""
        self._goodputs.pop(level, None)
        self._latencies.pop(level, None)

    def forget_all(self) -> None:
        """Drop what is known of every level, because the host is another one now."""
        self._goodputs.clear()
        self._latencies.clear()
        self._variance = _FIRST_NOISE**2
        self._moved = self._slow = 0
