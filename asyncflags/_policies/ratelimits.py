"""What a server tells of its limits before it refuses: RateLimit fields, in every form that is in use.

The current form is that of draft-ietf-httpapi-ratelimit-headers since its revision 08: two lists of structured
fields (RFC 9651), ``RateLimit: "name";r=10;t=5`` and ``RateLimit-Policy: "name";q=100;w=60``. Older revisions
had a dictionary, and before that three fields that are still deployed widely, with ``X-`` in front or without.

All of it is a hint (section 8.3 of the draft) from somebody who may mean harm (section 8.5): what is malformed is
ignored as a whole field (section 7), and what is large is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncflags._policies.retry import parse_http_date

__all__ = ["RateLimit", "parse_rate_limits"]

_LONGEST_FIELD = 4096
_MOST_MEMBERS = 16
_LONGEST_SECONDS = 2.0**31
# A reset at least this large is no number of seconds but a moment: 1e9 seconds after the epoch was in 2001.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12
_REQUESTS = {"requests", "request"}

_CURRENT = ("ratelimit", "ratelimit-policy")
_TRIPLES = (
    ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
)
_NAMES = frozenset(_CURRENT).union(*_TRIPLES)

# Structured fields (RFC 9651 section 3). Parameters that mean nothing here are recognised and skipped.
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_STRING = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+"'
_TOKEN = r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+"
_INTEGER = r"-?[0-9]{1,15}(?![0-9.])"
_BARE_ITEM = (
    rf"(?:{_STRING}|{_TOKEN}|{_INTEGER}|:[A-Za-z0-9+/=]*+:|\?[01]|-?[0-9]{{1,12}}\.[0-9]{{1,3}}(?![0-9.])"
    rf'|@{_INTEGER}|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{{2}})*+")'
)
_PARAMETER = re.compile(rf";\x20*+(?P<key>{_KEY})(?:=(?P<value>{_BARE_ITEM}))?+")
_PARAMETERS = rf"(?P<parameters>(?:;\x20*+{_KEY}(?:={_BARE_ITEM})?+)*+)"
_ITEM = re.compile(rf"(?P<item>{_STRING}|{_TOKEN}|{_INTEGER}){_PARAMETERS}")
_DICTIONARY_MEMBER = re.compile(rf"(?P<item>{_KEY})=(?P<value>{_INTEGER}){_PARAMETERS}")
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")
_NATURAL = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")

_Members = list[tuple[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit on requests, as its server described it; ``None``: it did not say.

    Attributes:
        remaining: Requests that are left now.
        reset: Seconds within which no more than those may be sent.
        quota: Requests allowed in one window.
        window: Seconds of a window, more than 0.
    """

    remaining: int | None = None
    reset: float | None = None
    quota: int | None = None
    window: float | None = None

    @property
    def rate(self) -> float | None:
        """Requests a second on the average of a window; ``None``: unknown."""
        return None if self.quota is None or self.window is None else self.quota / self.window

    @property
    def effective_window(self) -> float:
        """Seconds for which ``remaining`` holds: the reset, else the window, else 0."""
        return self.reset if self.reset is not None else self.window or 0.0


def parse_rate_limits(headers: Sequence[tuple[str, str]], *, now: float) -> tuple[RateLimit, ...]:
    """Read what an answer says of the limits on requests.

    Args:
        headers: Every field of the answer in order, repeated ones included; names in any case.
        now: Seconds since the epoch; some servers give their reset as such a moment.

    Returns:
        One value for each limit, at most 16, from the newest form that is there and well formed. Limits on anything
        but requests, such as bytes, are left out. ``()``: nothing is said.
    """
    fields: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered in _NAMES:
            # Fields of one name are one list (RFC 9651 section 4.2).
            fields[lowered] = f"{fields[lowered]}, {value}" if lowered in fields else value
    if not fields:
        return ()
    fields = {name: value for name, value in fields.items() if len(value) <= _LONGEST_FIELD}
    policies = _members(fields.get("ratelimit-policy", ""), _ITEM)
    limits = _current(fields, policies)
    if all(limit.remaining is None for limit in limits):
        # Policies of the new form beside counters of an older one.
        limits = [*_older(fields, policies, now), *limits]
    return tuple(limits[:_MOST_MEMBERS])


def _members(text: str, form: re.Pattern[str]) -> _Members:
    """The members of a list or dictionary with their parameters; none if it is malformed anywhere."""
    members: _Members = []
    text = text.strip(" \t")
    position = 0
    while position < len(text):
        member = form.match(text, position)
        comma = member and _COMMA.match(text, member.end())
        if member is None or not (member.end() == len(text) or (comma and comma.end() < len(text))):
            return []
        # Of a parameter that is there twice the last one counts (RFC 9651 section 3.1.2).
        parameters = {each["key"]: each["value"] or "" for each in _PARAMETER.finditer(member["parameters"])}
        if form is _DICTIONARY_MEMBER:
            parameters["="] = member["value"]
        members.append((member["item"], parameters))
        position = comma.end() if comma else len(text)
    return members if len(members) <= _MOST_MEMBERS else []


def _current(fields: dict[str, str], policies: _Members) -> list[RateLimit]:
    """Revisions from 08 on: limits and policies that belong together by their names."""
    known = {name: parameters for name, parameters in policies if not name[0].isdigit()}
    limits: list[RateLimit] = []
    for name, parameters in _members(fields.get("ratelimit", ""), _ITEM):
        policy = known.pop(name, {})
        remaining = _integer(parameters.get("r"))
        if remaining is not None and _counts_requests(policy):
            limit = RateLimit(remaining=remaining, reset=_seconds(parameters.get("t")))
            limits.append(_with_policy(limit, policy))
    for policy in known.values():
        limit = _with_policy(RateLimit(), policy)
        if _counts_requests(policy) and limit.quota is not None:
            limits.append(limit)
    return limits


def _counts_requests(policy: dict[str, str]) -> bool:
    return policy.get("qu", '"requests"').strip('"') in _REQUESTS


def _with_policy(limit: RateLimit, policy: dict[str, str]) -> RateLimit:
    return replace(limit, quota=_integer(policy.get("q")), window=_seconds(policy.get("w")) or None)


def _older(fields: dict[str, str], policies: _Members, now: float) -> list[RateLimit]:
    """Revisions up to 07, and what was there before them."""
    limit = _dictionary(fields.get("ratelimit", ""), now) or _triple(fields, now)
    windows = {
        quota: _seconds(parameters.get("w")) or None
        for item, parameters in policies
        if (quota := _integer(item)) is not None
    }
    limits = [RateLimit(quota=quota, window=window) for quota, window in windows.items()]
    if limit is None:
        return limits
    if limit.quota in windows:
        limit = replace(limit, window=windows[limit.quota])
    return [limit, *(each for each in limits if each.quota != limit.quota)]


def _dictionary(text: str, now: float) -> RateLimit | None:
    """Revision 07: ``limit=100, remaining=50, reset=5``."""
    members = {name: parameters["="] for name, parameters in _members(text, _DICTIONARY_MEMBER)}
    return _limit(members.get("limit"), members.get("remaining"), members.get("reset"), now)


def _triple(fields: dict[str, str], now: float) -> RateLimit | None:
    for quota, remaining, reset in _TRIPLES:
        limit = _limit(fields.get(quota), fields.get(remaining), fields.get(reset), now)
        if limit is not None:
            return limit
    return None


def _limit(quota: str | None, remaining: str | None, reset: str | None, now: float) -> RateLimit | None:
    # A limit may be followed by its policies: "100, 100;w=60" (revisions up to 03).
    leading = None if quota is None else quota.partition(",")[0].partition(";")[0]
    limit = RateLimit(_whole(remaining), _reset(reset, now), _whole(leading))
    return None if limit.remaining is None and limit.quota is None else limit


def _integer(text: str | None) -> int | None:
    """An Integer from 0 (RFC 9651 section 3.3.1)."""
    return None if text is None or _NATURAL.fullmatch(text) is None else int(text)


def _whole(text: str | None) -> int | None:
    """A number from 0; decimals, which some servers send in the older fields, are cut off."""
    matched = None if text is None else _NUMBER.fullmatch(text.strip(" \t"))
    return None if matched is None else int(matched[0].partition(".")[0])


def _seconds(text: str | None) -> float | None:
    matched = None if text is None else _NATURAL.fullmatch(text)
    return None if matched is None else min(float(matched[0]), _LONGEST_SECONDS)


def _reset(text: str | None, now: float) -> float | None:
    """Seconds until the reset, which is given as such, as a moment since the epoch, or as a date."""
    if text is None:
        return None
    matched = _NUMBER.fullmatch(text.strip(" \t"))
    if matched is None:
        moment = parse_http_date(text, now=now)
        return None if moment is None else min(max(0.0, moment - now), _LONGEST_SECONDS)
    value = float(matched[0])
    if value >= _EPOCH_MILLISECONDS:
        value /= 1000
    return min(max(0.0, value - now), _LONGEST_SECONDS) if value >= _EPOCH_SECONDS else value
