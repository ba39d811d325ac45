"""When a host that cannot be connected to is left alone, and when it is tried again.

The pattern is known as a circuit breaker (Nygard, "Release It!", 2007). Only connections count: an answer of any
status is proof that the host is there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from asyncflags._policies.backoff import Backoff

__all__ = ["Circuit", "CircuitRules", "Passage"]

_LONGEST_CAUSE = 500


class Passage(enum.Enum):
    """What a request may do."""

    GO = "go"
    """It may be sent."""

    PROBE = "probe"
    """It may be sent, as the only one; its outcome decides for the others."""

    REFUSED = "refused"
    """It fails now, with `Circuit.refusal`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRules:
    """When a circuit opens, and for how long.

    Attributes:
        failures: Connections in a row that must fail, at least 1.
        pauses: Pause before each probe; it grows with every probe that fails. Half of it is certain, half jitter.
        patience: Seconds from its opening for which requests wait for the host to come back; later ones are refused
            at once, until it is back. 0: every request is refused while it is open; infinity: none ever is.
    """

    failures: int = 5
    pauses: Backoff = field(default_factory=lambda: Backoff(initial=1.0, maximum=60.0))
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"failures of a circuit must be at least 1, not {self.failures}")
        if not self.patience >= 0:
            raise ValueError(f"patience of a circuit must be at least 0 seconds, not {self.patience}")


class Circuit:
    """Whether a host is left alone. All moments are seconds of one steady clock."""

    __slots__ = ("_cause", "_failures", "_opened_at", "_pauses", "_probe_at", "_probing", "_rules")

    def __init__(self, rules: CircuitRules) -> None:
        """Start closed: every request may be sent."""
        self._rules = rules
        self._close()

    def _close(self) -> None:
        self._failures = 0
        self._cause = ""
        # None: it is closed.
        self._opened_at: float | None = None
        self._pauses = 0
        self._probe_at = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the host is left alone, probes excepted."""
        return self._opened_at is not None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember: no connection failed since the last answer."""
        return not self._failures

    @property
    def cause(self) -> str:
        """What the first of the failures was; empty while there is none."""
        return self._cause

    @property
    def probe_at(self) -> float | None:
        """When the next probe may go; ``None``: it is closed."""
        return self._probe_at if self.is_open else None

    def admit(self, now: float) -> Passage | float:
        """Decide on one request. A `Passage.PROBE` must be followed by an outcome, or by `abandoned`.

        Returns:
            What it may do, or the seconds after which to ask again; infinity: when the probe under way is decided.
        """
        if self._opened_at is None:
            return Passage.GO
        if now >= self._probe_at and not self._probing:
            self._probing = True
            return Passage.PROBE
        if now >= self._opened_at + self._rules.patience:
            return Passage.REFUSED
        left = self._opened_at + self._rules.patience - now
        return left if self._probing else min(left, self._probe_at - now)

    def failed(self, now: float, cause: str, *, sent: float, jitter: float) -> bool:
        """A connection could not be made, or was lost before any answer.

        Args:
            now: When that was known.
            cause: Why, as a sentence for a person.
            sent: When the request was begun: one begun before the circuit opened is no probe.
            jitter: Random number, at least 0 and below 1.

        Returns:
            Whether this opened the circuit.
        """
        if not self._failures:
            self._cause = cause[:_LONGEST_CAUSE]
        self._failures += 1
        if self._opened_at is None:
            if self._failures < self._rules.failures:
                return False
            self._opened_at = now
            self._rest(now, jitter)
            return True
        if self._probing and sent >= self._probe_at:
            self._probing = False
            self._rest(now, jitter)
        return False

    def _rest(self, now: float, jitter: float) -> None:
        self._pauses += 1
        self._probe_at = now + self._rules.pauses.ceiling(self._pauses) * (1 + jitter) / 2

    def answered(self) -> bool:
        """The host answered, whatever the status.

        Returns:
            Whether this closed the circuit.
        """
        was_open = self.is_open
        self._close()
        return was_open

    def abandoned(self) -> None:
        """The probe ended without an outcome, as when its download was cancelled: another request may be one."""
        self._probing = False

    def refusal(self, now: float) -> str:
        """Say why a request is refused, and when the host is tried again."""
        again = "now" if self._probing or now >= self._probe_at else f"in {self._probe_at - now:.0f} s"
        return (
            f"not tried: the last {self._failures} connections to this host failed, the first of them with: "
            f"{self._cause}; it is tried again {again}"
        )
