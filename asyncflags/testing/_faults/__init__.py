"""The misbehaviours of `asyncflags.testing.faulty`, by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asyncflags.testing._faults import (
    codings,
    digests,
    framing,
    hanging,
    heads,
    liars,
    names,
    ranges,
    redirects,
    statuses,
    validators,
)
from asyncflags.testing._faults.fault import Fault

_FAMILIES = (framing, hanging, heads, statuses, redirects, names, codings, ranges, liars, validators, digests)

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.path: fault for family in _FAMILIES for fault in family.FAULTS}
)
"""Every misbehaviour by its path."""
