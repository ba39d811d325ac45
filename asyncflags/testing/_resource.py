"""What an origin answers to a request for one resource, decided without I/O (RFC 9110 sections 8, 12 to 15; RFC 9530).

The order of the conditions is that of RFC 9110 section 13.2.2. Several ranges at once are answered with the whole,
as section 14.2 allows. The moment of the decision is an argument.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
"""RFC 9110 section 8.8.3."""

RANGE = re.compile(r"bytes=[\t ,]*(?:(\d{1,999})-(\d{0,999})|-(\d{1,999}))[\t ,]*", re.ASCII | re.IGNORECASE)
"""One range of RFC 9110 section 14.1.2; units are case-insensitive and empty list elements are ignored.

Python refuses to read numbers of more than 4,300 digits, hence the bound.
"""

IMF_FIXDATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
"""The form of RFC 9110 section 5.6.7 that senders must use."""

OBSOLETE_DATE = re.compile(
    r"[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}",
    re.ASCII,
)
"""The two older forms, which recipients must still read."""

KEPT_WHEN_NOT_MODIFIED = frozenset({"cache-control", "content-location", "expires", "vary"})
"""What a 304, and a 206 to If-Range, repeat of a resource's own headers (sections 15.4.5 and 15.3.7)."""

HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
"""The algorithms of RFC 9530 section 5 that are fit for hostile bytes, by their keys."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decided answer.

    Attributes:
        status: The HTTP status code.
        headers: The fields to send.
        body: The content a GET gets; a HEAD gets its length alone.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What is served at a path, in one content coding.

    Attributes:
        body: The content.
        etag: The entity tag with its quotes, or ``None``.
        last_modified: In UTC and whole seconds, or ``None``.
        content_type: The media type.
        headers: Further fields of a 200.
        coding: The content coding, or ``None`` for none.
        negotiated: Whether the coding depends on the request.
        digests: Keys of `HASHES` of the digests that its answers carry; see `digested`.
    """

    body: bytes
    etag: str | None
    last_modified: datetime | None
    content_type: str
    headers: Mapping[str, str]
    coding: str | None = None
    negotiated: bool = False
    digests: Sequence[str] = ()

    def compressed(self) -> Representation:
        """Make the gzip variant, which has an entity tag and digests of its own (RFC 9110 section 8.8.3.3)."""
        etag = f'{self.etag[:-1]}-gzip"' if self.etag else None
        variant = replace(self, body=gzip.compress(self.body, mtime=0), etag=etag, coding="gzip")
        return variant.digested(self.digests)

    def digested(self, algorithms: Sequence[str]) -> Representation:
        """Add Repr-Digest, which is of the content codings' output (RFC 9530 section 3).

        It is a field of the representation, so a 206 to If-Range does not repeat it (RFC 9110 section 15.3.7).
        """
        if not algorithms:
            return self
        headers = {**self.headers, "Repr-Digest": digest_field(self.body, algorithms)}
        return replace(self, headers=headers, digests=tuple(algorithms))

    def kept_headers(self) -> dict[str, str]:
        """The fields that every successful answer and a 304 carry."""
        kept = {name: value for name, value in self.headers.items() if name.lower() in KEPT_WHEN_NOT_MODIFIED}
        if self.negotiated:
            kept["Vary"] = f"{kept['Vary']}, Accept-Encoding" if "Vary" in kept else "Accept-Encoding"
        if self.etag:
            kept["ETag"] = self.etag
        elif self.last_modified:
            kept["Last-Modified"] = format_datetime(self.last_modified, usegmt=True)
        return kept

    def all_headers(self) -> dict[str, str]:
        """The fields of a 200."""
        headers = {**self.headers, **self.kept_headers(), "Content-Type": self.content_type}
        if self.last_modified:
            headers["Last-Modified"] = format_datetime(self.last_modified, usegmt=True)
        if self.coding:
            headers["Content-Encoding"] = self.coding
        return headers


def answer(representation: Representation, method: str, headers: Mapping[str, str], now: datetime) -> Answer:
    """Decide the answer to a GET or HEAD.

    Args:
        representation: The one selected for this request.
        method: ``"GET"`` or ``"HEAD"``.
        headers: The request's; looked up by lower-case name.
        now: The origin's clock.
    """
    decided = _decided(representation, method, headers, now)
    if not representation.digests or decided.status not in (200, 206):
        return decided
    # Content-Digest is of what this very answer carries, which for a HEAD is nothing (RFC 9530 section 2).
    content = decided.body if method == "GET" else b""
    return replace(
        decided,
        headers={**decided.headers, "Content-Digest": digest_field(content, representation.digests)},
    )


def digest_field(content: bytes, algorithms: Sequence[str]) -> str:
    """Write a field of RFC 9530: a dictionary of byte sequences (RFC 8941 sections 3.2 and 3.3.5).

    Args:
        content: What is hashed.
        algorithms: Keys of `HASHES`.
    """
    hashed = ((key, HASHES[key](content).digest()) for key in algorithms)
    return ", ".join(f"{key}=:{base64.b64encode(digest).decode()}:" for key, digest in hashed)


def _decided(
    representation: Representation, method: str, headers: Mapping[str, str], now: datetime
) -> Answer:
    if not _precondition_holds(representation, headers):
        return Answer(412)
    if _not_modified(representation, headers):
        return Answer(304, representation.kept_headers())
    ranged = _ranged(representation, headers, now) if method == "GET" else None
    if ranged is not None:
        return ranged
    return Answer(200, {**representation.all_headers(), "Accept-Ranges": "bytes"}, representation.body)


def accepts_gzip(value: str | None) -> bool:
    """Tell whether Accept-Encoding prefers gzip to no coding (RFC 9110 section 12.5.3).

    ``None`` (no such field) and an empty one get no coding.
    """
    weights = dict(_weighted(item) for item in (value or "").lower().split(",") if item.strip())
    anything = weights.get("*")
    wanted = weights.get("gzip", weights.get("x-gzip", anything))
    plain = weights.get("identity", anything)
    return bool(wanted) and (plain is None or wanted is None or wanted >= plain)


def parse_date(value: str | None) -> datetime | None:
    """Read an HTTP-date in any of its three forms (RFC 9110 section 5.6.7); ``None`` when it is none."""
    if value is None or not (IMF_FIXDATE.fullmatch(value) or OBSOLETE_DATE.fullmatch(value)):
        return None
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _weighted(item: str) -> tuple[str, float]:
    coding, _, parameter = item.partition(";")
    name, _, weight = parameter.partition("=")
    try:
        return coding.strip(), float(weight) if name.strip() == "q" else 1.0
    except ValueError:
        return coding.strip(), 0.0


def _precondition_holds(representation: Representation, headers: Mapping[str, str]) -> bool:
    """Evaluate If-Match, or without it If-Unmodified-Since (RFC 9110 sections 13.1.1 and 13.1.4)."""
    condition = headers.get("if-match")
    if condition is not None:
        return condition.strip() == "*" or _matches_strongly(condition, representation.etag)
    date = parse_date(headers.get("if-unmodified-since"))
    if date is None or representation.last_modified is None:
        return True
    return representation.last_modified <= date


def _not_modified(representation: Representation, headers: Mapping[str, str]) -> bool:
    """Evaluate If-None-Match, or without it If-Modified-Since (RFC 9110 sections 13.1.2 and 13.1.3)."""
    condition = headers.get("if-none-match")
    if condition is not None:
        return condition.strip() == "*" or _matches_weakly(condition, representation.etag)
    date = parse_date(headers.get("if-modified-since"))
    return (
        date is not None and representation.last_modified is not None and representation.last_modified <= date
    )


def _matches_strongly(condition: str, etag: str | None) -> bool:
    # An entity tag in the list that is weak never equals one that is strong (RFC 9110 section 8.8.3.2).
    return etag is not None and not etag.startswith("W/") and etag in ENTITY_TAG.findall(condition)


def _matches_weakly(condition: str, etag: str | None) -> bool:
    tags = [tag.removeprefix("W/") for tag in ENTITY_TAG.findall(condition)]
    return etag is not None and etag.removeprefix("W/") in tags


def _ranged(representation: Representation, headers: Mapping[str, str], now: datetime) -> Answer | None:
    """Answer a Range that applies; ``None`` when it is to be ignored (RFC 9110 section 14.2)."""
    match = RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or not _if_range_holds(representation, headers.get("if-range"), now):
        return None
    first, last = _positions(match, len(representation.body))
    if match[2] and int(match[2]) < int(match[1]):
        return None
    if first >= len(representation.body):
        return _unsatisfiable(match, len(representation.body))
    fields = representation.kept_headers() if "if-range" in headers else representation.all_headers()
    fields["Content-Type"] = representation.content_type
    fields["Content-Range"] = f"bytes {first}-{last}/{len(representation.body)}"
    fields["Accept-Ranges"] = "bytes"
    return Answer(206, fields, representation.body[first : last + 1])


def _positions(match: re.Match[str], size: int) -> tuple[int, int]:
    """Resolve a range to its first and last position; the first is *size* when it selects nothing."""
    if match[3] is not None:
        return max(0, size - int(match[3])), size - 1
    return min(int(match[1]), size), min(int(match[2] or size), size - 1)


def _unsatisfiable(match: re.Match[str], size: int) -> Answer | None:
    # A suffix of an empty body is satisfiable, but no Content-Range can name it: the whole is sent.
    if size == 0 and match[3] and int(match[3]):
        return None
    return Answer(416, {"Content-Range": f"bytes */{size}"})


def _if_range_holds(representation: Representation, condition: str | None, now: datetime) -> bool:
    """Evaluate If-Range (RFC 9110 section 13.1.5)."""
    if condition is None:
        return True
    if ENTITY_TAG.fullmatch(condition.strip()):
        return _matches_strongly(condition, representation.etag)
    modified = representation.last_modified
    # A date proves nothing within the second it names (section 8.8.2.2).
    strong = modified is not None and now - modified >= timedelta(seconds=1)
    return strong and parse_date(condition.strip()) == modified
