"""Digests that a server sends along: Repr-Digest, Content-Digest and the older Digest (RFC 9530, RFC 3230).

What cannot be read gives no digest and a problem to tell, so that it is never taken for a match. Nothing but
sha-256 and sha-512 counts: every other registered algorithm is broken or made against accidents alone (RFC 9530
sections 5 and 7.2).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "AnswerDigests",
    "Digest",
    "ParsedDigests",
    "digests_of",
    "parse_digest_field",
    "parse_legacy_digest",
]

# The key of both kinds of fields in lower case: the name in hashlib, and the bytes of a digest.
_ALGORITHMS = {"sha-256": ("sha256", 32), "sha-512": ("sha512", 64)}
_SHOWN = 60

# Structured fields (RFC 8941 section 3, with the two types that RFC 9651 adds). What a member holds besides bytes is
# recognised, so that one digest in a form yet unknown does not cost the others of its field.
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_BYTES = r":[A-Za-z0-9+/=]*+:"
# No group here is possessive, because early releases of Python 3.11 lose their place in those that nest.
_BARE_ITEM = (
    rf"(?:{_BYTES}"
    r'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    r'|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"'
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+"
    r"|-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])"
    r"|@-?[0-9]{1,15}(?![0-9.])"
    r"|\?[01])"
)
_PARAMETERS = rf"(?:;\x20*+{_KEY}(?:={_BARE_ITEM})?)*"
_ITEM = rf"{_BARE_ITEM}{_PARAMETERS}"
_INNER_LIST = rf"\(\x20*+(?:{_ITEM}(?:\x20++(?!\)){_ITEM})*\x20*+)?\){_PARAMETERS}"
_MEMBER = re.compile(
    rf"(?P<key>{_KEY})(?:=(?:(?P<bytes>{_BYTES}){_PARAMETERS}|{_INNER_LIST}|{_ITEM})|{_PARAMETERS})"
)
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")

# RFC 3230 section 4.2: an algorithm, which is a token in any case, and its encoded output.
_INSTANCE_DIGEST = re.compile(r"(?P<key>[\w!#$%&'*+.^`|~-]++)=(?P<value>[\x21-\x2b\x2d-\x7e]++)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Digest:
    """A hash that bytes must have.

    Attributes:
        algorithm: Name as in `hashlib`: ``sha256`` or ``sha512``.
        value: The digest itself.
    """

    algorithm: str
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read what `str` made.

        Raises:
            ValueError: It is no digest of a known algorithm.
        """
        algorithm, _, hexdigest = text.partition(":")
        value = bytes.fromhex(hexdigest)
        if (algorithm, len(value)) not in _ALGORITHMS.values():
            raise ValueError(f"{text[:_SHOWN]!r} is no digest of sha-256 or sha-512")
        return cls(algorithm, value)

    def new_hash(self) -> _Hash:
        """Return a fresh hash object of `hashlib` for this algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.hex()}"


@dataclass(frozen=True, slots=True)
class ParsedDigests:
    """What one field gave.

    Attributes:
        digests: All of them must match.
        problems: One clause each for what was not taken.
    """

    digests: tuple[Digest, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerDigests:
    """What the fields of one answer gave.

    Attributes:
        content: Of the body of this answer alone, a part or the whole, as it was sent (Content-Digest).
        representation: Of the whole file in its content coding (Repr-Digest, else Digest).
        problems: One clause each for what was not taken, with the field's name.
    """

    content: tuple[Digest, ...] = ()
    representation: tuple[Digest, ...] = ()
    problems: tuple[str, ...] = ()


_NONE = AnswerDigests()


def digests_of(headers: Sequence[tuple[str, str]]) -> AnswerDigests:
    """Read every digest of an answer (RFC 9530 sections 2 and 3, RFC 3230 section 4.3.2).

    Args:
        headers: Every field of the answer in order, repeated ones included; names in any case.

    Returns:
        The digests; ``Digest`` counts where ``Repr-Digest`` gives none.
    """
    # Hardly any answer has one, and to find that out must cost next to nothing.
    named = [(name, value) for name, value in headers if name[-6:].lower() == "digest"]
    return _in_fields(named) if named else _NONE


def _in_fields(headers: Sequence[tuple[str, str]]) -> AnswerDigests:
    content = _read(headers, "Content-Digest", parse_digest_field)
    representation = _read(headers, "Repr-Digest", parse_digest_field)
    problems = content.problems + representation.problems
    if not representation.digests:
        representation = _read(headers, "Digest", parse_legacy_digest)
        problems += representation.problems
    return AnswerDigests(content.digests, representation.digests, problems)


def _read(
    headers: Sequence[tuple[str, str]], name: str, parse: Callable[[str], ParsedDigests]
) -> ParsedDigests:
    lowered = name.lower()
    values = [value for each, value in headers if each.lower() == lowered]
    if not values:
        return ParsedDigests()
    # Fields of one name are one list (RFC 9110 section 5.3, RFC 8941 section 4.2).
    parsed = parse(", ".join(values))
    return ParsedDigests(parsed.digests, tuple(f"{name}: {problem}" for problem in parsed.problems))


def parse_digest_field(value: str) -> ParsedDigests:
    """Read Repr-Digest or Content-Digest: a dictionary of byte sequences (RFC 9530 section 2, RFC 8941 section 3.2).

    Args:
        value: The field as sent; several of one name joined by commas.

    Returns:
        The digests, parameters ignored; of an algorithm named twice the last counts. A field that is malformed
        anywhere gives none (RFC 8941 section 4.2).
    """
    members: dict[str, str | None] = {}
    text = value.strip(" ")
    position = 0
    while position < len(text):
        member = _MEMBER.match(text, position)
        comma = member and _COMMA.match(text, member.end())
        if member is None or not (member.end() == len(text) or (comma and comma.end() < len(text))):
            return _malformed(text)
        members[member["key"]] = member["bytes"]
        position = comma.end() if comma else len(text)
    decoded: list[tuple[str, bytes | None]] = []
    for key, encoded in members.items():
        digest = None if encoded is None else _decoded(encoded[1:-1])
        if encoded is not None and digest is None:
            return _malformed(text)
        decoded.append((key, digest))
    return _selected(decoded)


def parse_legacy_digest(value: str) -> ParsedDigests:
    """Read Digest: a list of algorithms and base64 (RFC 3230 section 4.3.2, RFC 5843 section 2).

    Args:
        value: The field as sent; several of one name joined by commas.

    Returns:
        The digests, of one algorithm as many as are there. A field that is malformed anywhere gives none.
    """
    found: list[tuple[str, bytes | None]] = []
    for element in value.split(","):
        text = element.strip(" \t")
        if not text:
            # Lists of this grammar may have empty elements (RFC 9110 section 5.6.1.2).
            continue
        matched = _INSTANCE_DIGEST.fullmatch(text)
        if matched is None:
            return _malformed(value)
        found.append((matched["key"].lower(), _decoded(matched["value"])))
    return _selected(found)


def _malformed(text: str) -> ParsedDigests:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return ParsedDigests(problems=(f"the field is malformed: {shown!r}",))


def _decoded(text: str) -> bytes | None:
    """Decode base64; padding may be missing and nothing else (RFC 8941 section 4.2.7)."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _selected(found: Iterable[tuple[str, bytes | None]]) -> ParsedDigests:
    # A dictionary keeps the order and drops what is there twice.
    digests: dict[Digest, None] = {}
    problems: list[str] = []
    for key, digest in found:
        if key not in _ALGORITHMS:
            problems.append(f"the algorithm {key[:_SHOWN]!r} is not taken, only sha-256 and sha-512 are")
            continue
        algorithm, size = _ALGORITHMS[key]
        if digest is None:
            problems.append(f"its {key} is not base64")
        elif len(digest) != size:
            problems.append(f"its {key} has {len(digest)} bytes instead of {size}")
        else:
            digests[Digest(algorithm, digest)] = None
    return ParsedDigests(tuple(digests), tuple(problems))
