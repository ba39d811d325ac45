"""How many requests to one host are worth having in flight: found by trying, and looked for again later.

The levels are on a geometric grid, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ..., and the best of them has the highest
*score*, which is its goodput made smaller a little for every connection it takes::

    score(level) = goodput(level) / level ** penalty

Where goodput grows with the level and then does not, that is the knee. Where it grows less and less, it is the level
beyond which 1% more connections bring less than *penalty* % more goodput. So the answer is one and the same in every
run, and no connection is held that a host does nothing for.

1. *Ramp.* From a low level the level doubles as long as goodput nearly does, as in TCP's slow start (RFC 5681
   section 3.1).
2. *Climb.* One step of the grid up, and one down, are each compared with the level between them, over as many windows
   as the noise takes to decide, and the better one is kept: hill climbing, as the thread pool of .NET does it
   (Hellerstein, Morrison, Eilebrecht, "Applying Control Theory in the Real World", FeBID 2009).
3. *Hold.* When neither is better the level stays, at first for a while, then longer and longer; then it climbs again.

A window counts only while the level is really used. What a host refuses, an error, or a latency well above that of the
level itself is one step back at once, as in TCP Vegas (Brakmo, Peterson, 1995) and the gradient of Netflix's
concurrency-limits (Gradient2Limit), which both compare a latency with the one to be expected. In a closed loop latency
is the level divided by goodput (Little's law), which is why the score needs no second look at it. AWS advises to
measure, and to add connections while goodput grows ("Performance Design Patterns for Amazon S3").
"""

from __future__ import annotations

import enum
import math

from asyncflags._policies.goodput import Windows
from asyncflags._policies.levels import AdaptiveRules, Change, Reason, levels

__all__ = ["AdaptiveConcurrency", "AdaptiveRules", "Change", "Reason", "levels"]

_RAMP_GROWTH = 1.25
_LONGEST_HOLD = 240
_LEAST_WINDOWS = 2


class _Phase(enum.Enum):
    RAMP = enum.auto()
    MEASURE = enum.auto()
    PROBE = enum.auto()
    HOLD = enum.auto()


class AdaptiveConcurrency:
    """The level of one host. All moments are seconds of one steady clock.

    Every request is told by `started`, `received` and `ended`; what they return is what was decided then.
    """

    def __init__(self, rules: AdaptiveRules, *, now: float) -> None:
        """Start at the first level."""
        self._rules = rules
        self._grid = levels(rules.least, rules.most)
        self._index = self._nearest(rules.start)
        self._windows = Windows(rules.window, rules.inflation, now=now)
        self._phase = _Phase.RAMP
        # Where the climb stands; while a neighbour is probed, _index is the neighbour.
        self._center = self._index
        self._untried = [1, -1]
        # The neighbour under comparison; None: none is.
        self._trying: int | None = None
        self._held = 0
        self._hold = rules.hold
        self._found: int | None = None
        self._stepped_at = -math.inf
        # The lowest index that was refused lately.
        self._ceiling = len(self._grid)
        self._windows.begin(now, self.level)

    @property
    def level(self) -> int:
        """Requests that may be in flight now."""
        return self._grid[self._index]

    @property
    def best(self) -> int:
        """The best level known; it differs from `level` while another one is tried."""
        return self._grid[self._center]

    @property
    def is_settled(self) -> bool:
        """Whether the level was found and is held."""
        return self._phase is _Phase.HOLD

    def _nearest(self, level: float) -> int:
        return min(range(len(self._grid)), key=lambda index: abs(self._grid[index] - level))

    def started(self, now: float) -> None:
        """A request is in flight."""
        self._windows.started(now)

    def received(self, now: float, size: int) -> Change | None:
        """*size* bytes of a body came."""
        self._windows.received(size)
        return self._look(now)

    def ended(self, now: float, *, sent: float, latency: float | None) -> Change | None:
        """A request is over.

        Args:
            now: When.
            sent: When it was sent.
            latency: Seconds from its sending to the head of its answer; ``None``: it was not answered.
        """
        self._windows.ended(now, sent, latency)
        return self._look(now)

    def refused(self, now: float, *, sent: float) -> Change | None:
        """The host answered 429 or 503, or a connection failed: one step back.

        Args:
            now: When.
            sent: When the request was sent; one from before the last step back changes nothing.
        """
        if sent <= self._stepped_at:
            return None
        self._ceiling = max(1, self._index)
        self._stepped_at = now
        # Where a probe upwards came from, else one step down; and there it stays for a while.
        down = self._center if self._center < self._index else max(0, self._index - 1)
        self._windows.forget_all()
        self._start_hold(is_refound=self._found == down)
        return self._go(now, down, Reason.REFUSED, center=down)

    def _slow_down(self, now: float) -> Change:
        """By as much as the latency grew, at least one step and at most half; and look for the best level again."""
        wanted = self.level * max(0.5, 1 / self._windows.slowness)
        down = min(self._index - 1, self._nearest(wanted))
        self._windows.forget_all()
        self._search(down)
        self._untried = [-1, 1]
        return self._go(now, down, Reason.LATENCY, center=down)

    def _go(self, now: float, index: int, reason: Reason, *, center: int) -> Change:
        change = Change(self.level, self._grid[index], reason)
        self._index, self._center = index, center
        self._windows.begin(now, self.level)
        return change

    def _look(self, now: float) -> Change | None:
        """Judge the window under way, if it is full."""
        if not self._windows.close(now):
            return None
        if self._phase is _Phase.RAMP:
            return self._ramp(now)
        if self._windows.slowness and self._index:
            return self._slow_down(now)
        if self._windows.has_moved:
            # What was known is of another host, in a way, and so is what it was compared with.
            self._windows.forget_all()
            self._search(self._index)
        if self._phase is _Phase.MEASURE:
            return self._measure(now)
        if self._phase is _Phase.PROBE:
            return self._probe(now)
        self._keep()
        return None

    def _ramp(self, now: float) -> Change | None:
        before = self._grid[self._center]
        grew = self._windows.goodput(self.level) / max(self._windows.goodput(before), 1e-9)
        if self._index == self._center or grew >= _RAMP_GROWTH ** math.log2(self.level / before):
            top = min(len(self._grid), self._ceiling) - 1
            further = min(self._nearest(self.level * 2), top)
            if further > self._index:
                return self._go(now, further, Reason.RAMP, center=self._index)
            self._center = self._index
        self._phase = _Phase.MEASURE
        self._untried = [-1] if self._index == self._center else [1, -1]
        if self._score(self._index) > self._score(self._center):
            return self._go(now, self._index, Reason.BETTER, center=self._index)
        return self._go(now, self._center, Reason.WORSE, center=self._center)

    def _score(self, index: int) -> float:
        level = self._grid[index]
        return math.log(max(self._windows.goodput(level), 1e-9)) - self._rules.penalty * math.log(level)

    def _measure(self, now: float) -> Change | None:
        """At the center: once it is known well enough, try what was not tried yet."""
        if self._trying is None:
            while self._untried:
                index = self._center + self._untried.pop(0)
                if 0 <= index < min(len(self._grid), self._ceiling):
                    self._trying = index
                    self._windows.forget(self._grid[index])
                    break
            else:
                self._start_hold(is_refound=self._found == self._center)
                return None
        if self._windows.count(self.level) < max(
            _LEAST_WINDOWS, self._windows.count(self._grid[self._trying])
        ):
            return None
        self._phase = _Phase.PROBE
        return self._go(now, self._trying, Reason.PROBE, center=self._center)

    def _start_hold(self, *, is_refound: bool) -> None:
        self._phase = _Phase.HOLD
        self._trying = None
        self._hold = min(self._hold * 2, _LONGEST_HOLD) if is_refound else self._rules.hold
        self._found = None
        self._held = 0

    def _probe(self, now: float) -> Change | None:
        rules, center = self._rules, self._center
        tried, compared = self._windows.count(self.level), self._windows.count(self._grid[center])
        gain = self._score(self._index) - self._score(center) - rules.hysteresis
        error = self._windows.noise * math.sqrt(1 / tried + 1 / max(1, compared))
        if abs(gain) < rules.confidence * error and tried < rules.most_windows:
            if tried < 2 * compared:
                return None
            # The center is the weaker side of the comparison now; to take turns also keeps a slow change of the
            # host out of it.
            self._phase = _Phase.MEASURE
            return self._go(now, center, Reason.PROBE, center=center)
        self._phase, self._trying = _Phase.MEASURE, None
        if gain > 0:
            # Where it came from is known to be worse, so the climb goes on in the same direction alone.
            self._untried = [self._index - center]
            return self._go(now, self._index, Reason.BETTER, center=self._index)
        return self._go(now, center, Reason.WORSE, center=center)

    def _keep(self) -> None:
        self._held += 1
        if self._held >= self._hold:
            self._search(self._center)
            self._found = self._center

    def _search(self, center: int) -> None:
        """Look for the best level again, beginning with the neighbours of *center*."""
        self._phase = _Phase.MEASURE
        self._center = center
        self._ceiling = len(self._grid)
        self._untried = [1, -1]
        self._found = self._trying = None
