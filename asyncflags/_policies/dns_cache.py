"""What a resolver said about names, remembered: for how long, of how many names, and what serves meanwhile.

The system's resolver does not tell how long its answers hold, so one lifetime holds for all. An answer that has
outlived it is still given out while it is asked for again, for a bounded time (as in RFC 8767), so that those who
come in the moment of expiry do not all wait. A failure is remembered briefly (as in RFC 2308): one that says that
there is no such name for longer than one in which the resolver itself could not tell.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Addresses", "DnsCache", "DnsRules", "Refusal"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRules:
    """How long and how much is remembered.

    Attributes:
        fresh: Seconds for which addresses hold.
        stale: Further seconds for which they are given out while they are asked for again.
        missing: Seconds for which it holds that there is no such name.
        failed: Seconds for which it holds that the resolver could not tell, and between two tries to refresh.
        names: Names remembered; of more, those that were not asked for the longest are forgotten.
        addresses: Addresses of one name that are kept; an answer may hold thousands.
    """

    fresh: float = 60.0
    stale: float = 60.0
    missing: float = 5.0
    failed: float = 1.0
    names: int = 10_000
    addresses: int = 32


class Addresses(Generic[T]):
    """The addresses of one name, whose order changes from one caller to the next.

    Args:
        found: In the order of preference.
        family: The family of an address. Which family comes first stays, and within each the addresses take
            turns, so that one of several does not get every connection.
    """

    __slots__ = ("_groups", "_turn", "expires_at", "refresh_at")

    def __init__(self, found: Iterable[T], family: Callable[[T], Hashable]) -> None:
        groups: dict[Hashable, list[T]] = {}
        for each in found:
            groups.setdefault(family(each), []).append(each)
        self._groups = tuple(tuple(group) for group in groups.values())
        self._turn = 0
        self.refresh_at = self.expires_at = 0.0

    def turned(self) -> list[T]:
        """All addresses, in the order for the next caller."""
        turn, self._turn = self._turn, self._turn + 1
        found: list[T] = []
        for group in self._groups:
            first = turn % len(group)
            found += group[first:]
            found += group[:first]
        return found


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure that is remembered.

    Attributes:
        reason: What the resolver said, as it was given to `DnsCache.refuse`.
        expires_at: Until when it holds.
    """

    reason: object
    expires_at: float


class DnsCache(Generic[T]):
    """Remembers what became of look-ups, the least lately asked ones forgotten first.

    Args:
        family: As for `Addresses`.
        rules: How long and how much.
    """

    def __init__(self, family: Callable[[T], Hashable], rules: DnsRules | None = None) -> None:
        self._family = family
        self._rules = rules if rules is not None else DnsRules()
        self._known: OrderedDict[Hashable, Addresses[T] | Refusal] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, name: Hashable, now: float) -> Addresses[T] | Refusal | None:
        """What is known of *name*; ``None``: it has to be looked up.

        Args:
            name: Any key.
            now: Seconds of any steady clock, here and in every method.
        """
        known = self._known.get(name)
        if known is None:
            return None
        if now >= known.expires_at:
            del self._known[name]
            return None
        self._known.move_to_end(name)
        return known

    def wants_refresh(self, name: Hashable, now: float) -> bool:
        """Whether *name* should be looked up again, while what is known of it serves."""
        known = self._known.get(name)
        return isinstance(known, Addresses) and now >= known.refresh_at

    def learn(self, name: Hashable, found: Iterable[T], now: float) -> Addresses[T]:
        """The resolver found addresses, at least one."""
        rules = self._rules
        addresses = Addresses(list(found)[: rules.addresses], self._family)
        addresses.refresh_at = now + rules.fresh
        addresses.expires_at = addresses.refresh_at + rules.stale
        self._keep(name, addresses)
        return addresses

    def refuse(self, name: Hashable, reason: object, now: float, *, is_temporary: bool) -> None:
        """The resolver failed.

        Args:
            name: What was looked up.
            reason: Given out to those who ask meanwhile.
            now: When.
            is_temporary: Whether it could not tell, as opposed to knowing that there is no such name. What is
                known already then goes on to serve, and is asked for again a little later.
        """
        rules = self._rules
        known = self._known.get(name)
        if is_temporary and isinstance(known, Addresses) and now < known.expires_at:
            known.refresh_at = now + rules.failed
            return
        self._keep(name, Refusal(reason, now + (rules.failed if is_temporary else rules.missing)))

    def _keep(self, name: Hashable, known: Addresses[T] | Refusal) -> None:
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > self._rules.names:
            self._known.popitem(last=False)
