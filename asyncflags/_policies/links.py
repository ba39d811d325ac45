"""Mirrors that a server names in its Link fields (RFC 8288, RFC 6249)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asyncflags._policies.urls import parse_url, resolve_location
from asyncflags.errors import InvalidUrl

__all__ = ["LOWEST_PRIORITY", "MAX_MIRRORS", "Mirror", "duplicates"]

LOWEST_PRIORITY = 999999
"""The priority of a mirror that has none (RFC 6249 section 3.1, RFC 5854 section 4.2.16.1)."""

MAX_MIRRORS = 100
"""How many mirrors of one answer are kept."""

_TOKEN = r"[\w!#$%&'*+.^`|~-]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_BARE = r'[^\s;,"<>]*+'
# RFC 8288 section 3, read as leniently as its appendix B.3: a parameter may be empty, and a value without quotes may
# hold more than a token, as in ``type=text/plain``.
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+(?:(?P<name>{_TOKEN})(?:[ \t]*+=[ \t]*+(?P<value>{_QUOTED}|{_BARE}))?)?",
    re.ASCII | re.DOTALL,
)
_REFERENCE = re.compile(r"[ \t,]*+<([^>]*+)>")
_END = re.compile(r"[ \t]*+(?:,|\Z)")
# To the next comma that stands neither inside of a reference nor inside of quotes, and past all that follow it: with
# one at a time a long run of them would cost time in its square.
_REST = re.compile(r'(?:<[^>]*+>?+|"(?:[^"\\]|\\.)*+\\?+"?+|[^,<"])*+[ \t,]*+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another place of the same file.

    Attributes:
        url: Absolute, ready to send, without user information.
        priority: From 1, the best, to 999999.
    """

    url: str
    priority: int


def duplicates(values: Sequence[str], base: str) -> tuple[Mirror, ...]:
    """Read the mirrors of an answer: links whose relation is ``duplicate`` (RFC 6249 section 3).

    Whoever uses them needs a digest or checksum of the whole file: without one they must be ignored (RFC 6249
    section 6), and so must those that a mirror itself names (section 2).

    Args:
        values: Every Link field of the answer in order.
        base: URL that answered; it is no mirror of itself.

    Returns:
        The mirrors that http or https reaches, the best first, at most 100, none twice. A link that is malformed
        or speaks of another resource (``anchor``) is left out.
    """
    best: dict[str, int] = {}
    origin = _usable(base, base)
    for value in values:
        for reference, parameters in _links(value):
            if "anchor" in parameters or "duplicate" not in parameters.get("rel", "").lower().split():
                continue
            url = _usable(base, reference)
            if url is not None and url != origin:
                best[url] = min(best.get(url, LOWEST_PRIORITY), _priority(parameters.get("pri")))
    mirrors = sorted(map(Mirror, best, best.values()), key=lambda mirror: mirror.priority)
    return tuple(mirrors[:MAX_MIRRORS])


def _links(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    position = 0
    while position < len(value):
        matched = _REFERENCE.match(value, position)
        parameters: dict[str, str] = {}
        end = position
        if matched is not None:
            end = matched.end()
            while parameter := _PARAMETER.match(value, end):
                end = parameter.end()
                if parameter["name"]:
                    # Of a parameter that may not be repeated the first counts (RFC 8288 sections 3.2 and 3.3).
                    parameters.setdefault(parameter["name"].lower(), _unquoted(parameter["value"] or ""))
            if _END.match(value, end):
                yield matched[1], parameters
        rest = _REST.match(value, end)
        assert rest is not None  # It matches the empty text, too, but that only at the end of the value.
        position = rest.end()


def _unquoted(text: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def _priority(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 6):
        return LOWEST_PRIORITY
    return int(text) or LOWEST_PRIORITY


def _usable(base: str, reference: str) -> str | None:
    try:
        return parse_url(resolve_location(base, reference)).url
    except InvalidUrl:
        return None
