"""How hosts are treated, and what is common to all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from asyncflags._policies.backing_off import BackingOffRules
from asyncflags._policies.circuits import CircuitRules
from asyncflags._policies.concurrency import AdaptiveRules
from asyncflags._policies.urls import DEFAULT_PORTS

if TYPE_CHECKING:
    from asyncflags._engine.progress import Tally
    from asyncflags._policies.urls import Origin

__all__ = ["HostRules", "Shared", "name_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """How hosts are treated.

    Attributes:
        back_off: How a refusal is answered.
        circuit: When a host that cannot be connected to is left alone.
        adaptive: How the best level is looked for, up to ``Limits.max_downloads``.
        first: Requests to a host that has not answered yet, where the limit is a number; else one.
        silence: Seconds without a byte after which the slot of a download is lent.
        sweep: Seconds between two looks for silence.
        remembered: Hosts without work that are remembered.
        read_ahead: Entries of lists that may wait for their turn.
        patience: Seconds for which a host may refuse everything, before what waits for it fails.
    """

    back_off: BackingOffRules = field(default_factory=BackingOffRules)
    circuit: CircuitRules = field(default_factory=CircuitRules)
    adaptive: AdaptiveRules = field(default_factory=AdaptiveRules)
    # A fixed number is the user's own, so that a host without an answer gets the half of the usual one: enough to
    # waste no time on one that is well, and little to lose for 2 s on one that is not.
    first: int = 4
    silence: float = 2.0
    sweep: float = 0.5
    remembered: int = 4096
    read_ahead: int = 32_768
    patience: float = 300.0


@dataclass(slots=True)
class Shared:
    """What all hosts of one engine share.

    Attributes:
        rules: How they are treated.
        limit: Requests in flight to one host; ``"auto"``: found out.
        time: Seconds of a steady clock.
        jitter: A random number, at least 0 and below 1.
        tally: Whom to tell.
    """

    rules: HostRules
    limit: int | Literal["auto"]
    time: Callable[[], float]
    jitter: Callable[[], float]
    tally: Tally

    @property
    def first(self) -> int:
        """Requests to a host that has not answered yet."""
        return 1 if self.limit == "auto" else min(self.limit, self.rules.first)


def name_of(origin: Origin) -> str:
    """An origin for people, without the port that its scheme has anyway."""
    scheme, host, port = origin
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if DEFAULT_PORTS.get(scheme) == port else f"{scheme}://{shown}:{port}"
