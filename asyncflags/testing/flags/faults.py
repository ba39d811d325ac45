"""Which requests for a flag go wrong, as a pure function of a seed and a path."""

from __future__ import annotations

import enum
import hashlib

_AFFECTED = 64
"""Out of 256 paths so many misbehave at all: a quarter."""

_REPEATED = 48
"""Out of 256 misbehaving paths so many do it on the second request too."""


class Fault(enum.Enum):
    """One way in which an answer goes wrong."""

    UNAVAILABLE = "an answer 503 without Retry-After"
    RESET = "a connection reset in the middle of the body"
    TRUNCATED = "a connection closed in order before the body is complete"


def planned_faults(seed: int, path: str) -> tuple[Fault, ...]:
    """Say what the first requests for a path meet; every later one succeeds.

    Args:
        seed: Chooses another set of misbehaving paths.
        path: The path of the URL, such as ``/flags/fr.png``.

    Returns:
        No fault for about three paths in four, else one or two, in the order in which they happen.
    """
    # A digest, because hash() of text differs from one process to the next.
    affected, first, second, repeated = hashlib.sha256(f"seed {seed} {path}".encode()).digest()[:4]
    if affected >= _AFFECTED:
        return ()
    kinds = tuple(Fault)
    faults = (kinds[first % len(kinds)], kinds[second % len(kinds)])
    return faults if repeated < _REPEATED else faults[:1]
