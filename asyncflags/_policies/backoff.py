"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter.

    After the *n*-th failure in a row, from 1, the pause in seconds is::

        jitter * min(maximum, initial * factor ** (n - 1))        with a random 0 <= jitter < 1

    so that clients which failed together do not come back together.

    ========================  ===============================================================
    call                      meaning
    ========================  ===============================================================
    ``Backoff()``             at most 0.5 s, 1 s, 2 s, ... 60 s
    ``Backoff(factor=1.0)``   at most 0.5 s each time
    ``Backoff(initial=0.0)``  no pause at all
    ========================  ===============================================================

    Attributes:
        initial: Ceiling of the first pause, in seconds; 0: no pause.
        maximum: Ceiling of every pause, in seconds; 0: no pause.
        factor: What the ceiling grows by each time, at least 1.

    Raises:
        ValueError: A value is negative or not finite, or the factor is below 1.
    """

    initial: float = 0.5
    maximum: float = 60.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        for name, lowest in (("initial", 0.0), ("maximum", 0.0), ("factor", 1.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= lowest):
                raise ValueError(
                    f"{name} of a backoff must be a finite number, at least {lowest:g}, not {value}"
                )

    def ceiling(self, failures: int) -> float:
        """Return the longest pause after so many failures.

        Args:
            failures: Failures in a row, from 1.

        Returns:
            Seconds.

        Raises:
            ValueError: *failures* is below 1.
        """
        if failures < 1:
            raise ValueError(f"failures are counted from 1, not {failures}")
        if self.initial == 0:
            return 0.0
        try:
            return min(self.maximum, self.initial * self.factor ** (failures - 1))
        except OverflowError:
            return self.maximum

    def delay(self, failures: int, *, jitter: float) -> float:
        """Return the pause after so many failures.

        Args:
            failures: Failures in a row, from 1.
            jitter: Random number, at least 0 and below 1.

        Returns:
            Seconds.

        Raises:
            ValueError: *failures* is below 1, or *jitter* is outside its range.
        """
        if not 0 <= jitter < 1:
            raise ValueError(f"jitter must be at least 0 and below 1, not {jitter}")
        return jitter * self.ceiling(failures)
