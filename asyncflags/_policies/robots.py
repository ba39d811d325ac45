"""What robots.txt means for a downloader (RFC 9309): who is spoken to, what an answer says, for how long.

The rules themselves are read by the parser that the engine lends; here is what surrounds them.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = [
    "MAX_ROBOTS_BYTES",
    "MAX_ROBOTS_REDIRECTS",
    "RobotsAnswer",
    "RobotsMemory",
    "RobotsRules",
    "answer_of",
    "origin_text",
    "product_token",
    "request_rate",
    "rules_text",
]

T = TypeVar("T")

MAX_ROBOTS_BYTES = 500 * 1024
"""Bytes that are read; what follows them is left alone (RFC 9309 section 2.5)."""

MAX_ROBOTS_REDIRECTS = 5
"""Redirects that are followed; behind more of them there are no rules (RFC 9309 section 2.3.1.2)."""

_LONGEST_DELAY = 24 * 3600.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsRules:
    """How long and how much is remembered.

    Attributes:
        lifetime: Seconds for which rules hold (RFC 9309 section 2.4).
        unreadable: Seconds for which it holds that they cannot be read.
        origins: Origins remembered.
        total_bytes: Bytes of rules remembered, over all origins; in memory they take some twenty times as much.
    """

    lifetime: float = 24 * 3600.0
    unreadable: float = 2.0
    origins: int = 4096
    total_bytes: int = 2 << 20


class RobotsAnswer(enum.Enum):
    """What the status of an answer means (RFC 9309 section 2.3.1)."""

    RULES = "rules"
    """Its body are the rules."""

    NO_RULES = "no rules"
    """There are none, so that everything is allowed."""

    UNREADABLE = "unreadable"
    """There may be some, so that nothing is allowed until they can be read."""


def answer_of(status: int) -> RobotsAnswer:
    """Tell what an answer to a request for robots.txt means.

    Args:
        status: The HTTP status code, of redirects that can be followed that of the last answer.

    Returns:
        As sections 2.3.1.1 to 2.3.1.4 say, but that 429 is no answer to the question and asks for patience.
    """
    if 200 <= status < 300:
        return RobotsAnswer.RULES
    if status == 429 or status >= 500:
        return RobotsAnswer.UNREADABLE
    return RobotsAnswer.NO_RULES


def product_token(user_agent: str) -> str:
    """The name by which rules speak to us: the first product of a User-Agent field (RFC 9309 section 2.2.1).

    Returns:
        Such as ``"asyncflags"`` for ``"asyncflags/1.0 (contact)"``; ``"*"`` for a field without a product.
    """
    words = user_agent.replace("(", " (").split()
    token = words[0].partition("/")[0] if words else ""
    return "*" if token.startswith("(") or not token else token


def rules_text(data: bytes) -> str:
    """Read the bytes of robots.txt, as many as count (RFC 9309 section 2.2).

    A line that the limit cuts in two is left out, because half a path is another path.
    """
    if len(data) > MAX_ROBOTS_BYTES:
        data = data[:MAX_ROBOTS_BYTES]
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def request_rate(delay: float | None, rate: tuple[int, int] | None) -> float | None:
    """Requests a second that the rules allow.

    Args:
        delay: ``crawl-delay``, seconds between two requests; ``None`` or 0: none.
        rate: ``request-rate``, requests and the seconds for them; ``None``: none.

    Returns:
        The lower of both, once a day at least; ``None``: as many as you like.
    """
    rates = []
    if delay is not None and delay > 0:
        rates.append(1 / min(delay, _LONGEST_DELAY))
    if rate is not None and rate[0] > 0 and rate[1] > 0:
        requests, seconds = rate
        # Whole numbers of any size come from the wire, and not all of them fit a float.
        rates.append(1 / _LONGEST_DELAY if seconds > requests * _LONGEST_DELAY else requests / seconds)
    return min(rates, default=None)


def origin_text(origin: tuple[str, str, int]) -> str:
    """An origin as it is written (RFC 6454 section 6.2)."""
    scheme, host, port = origin
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == _DEFAULT_PORTS.get(scheme) else f"{scheme}://{shown}:{port}"


class RobotsMemory(Generic[T]):
    """Remembers one value for each origin, for a time; of too many, the least lately used is forgotten first."""

    def __init__(self, rules: RobotsRules | None = None) -> None:
        self._rules = rules if rules is not None else RobotsRules()
        self._known: OrderedDict[Hashable, tuple[T, int, float]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size(self) -> int:
        """Bytes of all rules that are remembered."""
        return self._size

    def find(self, origin: Hashable, now: float) -> T | None:
        """What is known of *origin*.

        Args:
            origin: Any key.
            now: Seconds of any steady clock, here and in `keep`.
        """
        known = self._known.get(origin)
        if known is None:
            return None
        value, _, expires_at = known
        if now >= expires_at:
            self._forget(origin)
            return None
        self._known.move_to_end(origin)
        return value

    def keep(
        self, origin: Hashable, value: T, now: float, *, size: int = 0, is_readable: bool = True
    ) -> None:
        """Remember *value*.

        Args:
            origin: Whose it is.
            value: Anything.
            now: When.
            size: Bytes of the rules that it stands for.
            is_readable: Whether they could be read; else it is remembered for a short while.
        """
        rules = self._rules
        self._forget(origin)
        self._known[origin] = value, size, now + (rules.lifetime if is_readable else rules.unreadable)
        self._size += size
        while len(self._known) > rules.origins or (self._size > rules.total_bytes and len(self._known) > 1):
            self._forget(next(iter(self._known)))

    def _forget(self, origin: Hashable) -> None:
        known = self._known.pop(origin, None)
        if known is not None:
            self._size -= known[1]
