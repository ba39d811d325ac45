"""The numbers of requests in flight that are tried, the rules of trying, and what a decision is.

`asyncflags._policies.concurrency` tells how the best of them is found.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["AdaptiveRules", "Change", "Reason", "levels"]


class Reason(enum.Enum):
    """Why a level changed."""

    RAMP = "ramp"
    """Goodput grew nearly as the level did."""

    PROBE = "probe"
    """A neighbour of the level is tried."""

    BETTER = "better"
    """What was tried is better, or what was ramped to was not."""

    WORSE = "worse"
    """What was tried is not better."""

    REFUSED = "refused"
    """The host refused, or connections failed."""

    LATENCY = "latency"
    """The host takes much longer than it did at the same level."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision.

    Attributes:
        before: The level until now.
        after: The level from now on; equal for a probe that was kept.
        reason: Why.
    """

    before: int
    after: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveRules:
    """How a level is looked for.

    Attributes:
        least: The lowest level, at least 1.
        most: The highest one.
        start: The first one.
        window: Seconds of the shortest window over which goodput is measured.
        penalty: Exponent of the level in the score: what 1% more connections must bring, in %.
        hysteresis: By which part a score must be higher for a level to be left for it.
        confidence: Standard errors by which two scores must differ for an early decision.
        most_windows: Windows after which a probe is decided, sure or not.
        hold: Windows for which a level that was found stays; doubled each time it is found again.
        inflation: Factor of the latency of the level itself that is too much.
    """

    least: int = 1
    most: int = 64
    start: int = 4
    window: float = 0.5
    penalty: float = 0.1
    hysteresis: float = 0.005
    confidence: float = 2.0
    most_windows: int = 24
    hold: int = 16
    inflation: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"levels must be 1 <= least <= most, not {self.least} and {self.most}")


def levels(least: int, most: int) -> tuple[int, ...]:
    """The grid from *least* to *most*, both included: 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on."""
    grid = {least, most}
    power = 1
    while power <= most:
        grid |= {power, power * 3 // 2}
        power *= 2
    return tuple(sorted(level for level in grid if least <= level <= most))
