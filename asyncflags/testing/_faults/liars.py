"""Parts that are not the ones they should be (RFC 9110 sections 14.4, 14.6 and 15.3.7).

Each liar is served twice. Under its name the first answer is cut and every later request for the whole gets it, so a
client that drops what it has and begins anew ends well. Under the name with ``-always`` the whole never comes, and
nothing may be delivered. Where only the fields are wrong, the bytes behind the cut are other ones too, so that a client
which does not look at the fields is found out.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from asyncflags.testing._faults.entities import (
    CUT,
    Reply,
    Validators,
    asked_range,
    entity,
    entity_fault,
    spliced,
    true_answer,
    versioned,
    with_fields,
)
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Verdict
from asyncflags.testing._resource import Answer, Representation

Lie: TypeAlias = "Callable[[Representation, int, int], Answer]"
"""Answers a request for the bytes ``[start, stop)``."""

BOUNDARY = "THIS_STRING_SEPARATES"
JUNK = b"~" * 100


@dataclass(frozen=True, slots=True)
class Liar:
    """One kind of lie.

    Attributes:
        name: Last part of its path.
        sentence: What it does with a request for a range, to be followed by what it does with the others.
        lie: Does it.
        changes: Whether the entity becomes another one after the first request.
        validators: What its answers carry.
    """

    name: str
    sentence: str
    lie: Lie
    changes: bool = False
    validators: Validators = "strong"


def _part(resource: Representation, start: int, stop: int, **fields: str | None) -> Answer:
    """Make a true 206, with some fields replaced; underscores in their names stand for hyphens."""
    total = len(resource.body)
    headers = {
        **resource.kept_headers(),
        "Content-Type": resource.content_type,
        "Content-Range": f"bytes {start}-{stop - 1}/{total}",
    }
    told = {name.replace("_", "-"): value for name, value in fields.items()}
    return with_fields(Answer(206, headers, resource.body[start:stop]), told)


def _spliced(resource: Representation, start: int, stop: int, **fields: str | None) -> Answer:
    """Send other bytes behind the cut, so that the fields alone tell that the part does not belong there."""
    told = _part(resource, start, stop, **fields)
    return Answer(206, told.headers, spliced(told.body, start))


def _says(content_range: str | None) -> Lie:
    """Send other bytes under a Content-Range with *first*, *last* and *total* filled in."""

    def lie(resource: Representation, start: int, stop: int) -> Answer:
        values = {"first": start, "last": stop - 1, "total": len(resource.body)}
        said = None if content_range is None else content_range.format(**values)
        return _spliced(resource, start, stop, Content_Range=said)

    return lie


def _tells(**fields: str | None) -> Lie:
    """Send other bytes under fields of which some are replaced."""
    return lambda resource, start, stop: _spliced(resource, start, stop, **fields)


def _other_bytes(make: Callable[[Representation, int, int], bytes]) -> Lie:
    """Send a head that is right in everything, and other bytes."""

    def lie(resource: Representation, start: int, stop: int) -> Answer:
        true = _part(resource, start, stop)
        return Answer(206, {**true.headers, "Content-Length": str(stop - start)}, make(resource, start, stop))

    return lie


def _starts_later(resource: Representation, start: int, stop: int) -> Answer:
    return _part(resource, min(start + 1, stop - 1), stop)


def _starts_earlier(resource: Representation, start: int, stop: int) -> Answer:
    # Nothing is before the first byte, so there it starts later.
    return _part(resource, start - 1 if start else 1, stop)


def _starts_at_zero(resource: Representation, start: int, stop: int) -> Answer:
    return _part(resource, 0 if start else 1, stop)


def _overlaps(resource: Representation, start: int, stop: int) -> Answer:
    begins = start - 100 if start >= 100 else start + 1
    return _part(resource, begins, min(stop + 100, len(resource.body)))


def _ends_beyond(resource: Representation, start: int, stop: int) -> Answer:
    said = f"bytes {start}-{stop + len(JUNK) - 1}/{len(resource.body)}"
    true = _part(resource, start, stop, Content_Range=said)
    more = (resource.body[stop:] + JUNK)[: len(JUNK)]
    return Answer(206, true.headers, true.body + more)


def _smaller_total(resource: Representation, start: int, stop: int) -> Answer:
    shorter = versioned(resource.body[:-7], 1, "strong")
    return _part(shorter, start, min(stop, len(shorter.body)))


def _multipart(resource: Representation, start: int, stop: int) -> Answer:
    part = _part(resource, start, stop)
    inner = f"Content-Type: {resource.content_type}\r\nContent-Range: {part.headers['Content-Range']}"
    opening = f"--{BOUNDARY}\r\n{inner}\r\n\r\n".encode()
    kind = f"multipart/byteranges; boundary={BOUNDARY}"
    told = with_fields(part, {"Content-Range": None, "Content-Type": kind})
    return Answer(206, told.headers, opening + part.body + f"\r\n--{BOUNDARY}--\r\n".encode())


def _shifted(resource: Representation, start: int, stop: int) -> bytes:
    return (resource.body[start + 1 :] + JUNK)[: stop - start]


def _coded(resource: Representation, start: int, stop: int) -> Answer:
    true = _part(resource, start, stop, Content_Encoding="gzip")
    return Answer(206, true.headers, (gzip.compress(resource.body, mtime=0) * 8)[: stop - start])


def _shorter(resource: Representation, start: int, stop: int) -> Answer:
    true = _part(resource, start, stop)
    return Answer(206, true.headers, true.body[:-10])


def _longer(resource: Representation, start: int, stop: int) -> Answer:
    true = _part(resource, start, stop)
    return Answer(206, true.headers, true.body + JUNK)


def _longer_in_chunks(resource: Representation, start: int, stop: int) -> Answer:
    return with_fields(_longer(resource, start, stop), {"Transfer-Encoding": "chunked"})


LIARS: tuple[Liar, ...] = (
    Liar("wrong-offset", "Answers a range with one that starts a byte later", _starts_later),
    Liar("offset-earlier", "Answers a range with one that starts a byte earlier", _starts_earlier),
    Liar("offset-zero", "Answers a range with a 206 of all from the first byte on", _starts_at_zero),
    Liar(
        "overlapping",
        "Answers a range with one that starts 100 bytes earlier, and ends as many later where there are any",
        _overlaps,
    ),
    Liar(
        "beyond-206",
        "Answers a range with one that ends 100 bytes later, beyond the end if need be",
        _ends_beyond,
    ),
    Liar(
        "wrong-total",
        "Says in its 206 that the whole has ten times as many bytes",
        _says("bytes {first}-{last}/{total}0"),
    ),
    Liar("total-smaller", "Says in its 206 that the whole has seven bytes less", _smaller_total),
    Liar("multipart", "Answers one range with multipart/byteranges", _multipart),
    Liar("no-content-range", "Sends a 206 without Content-Range", _says(None)),
    Liar(
        "content-range-malformed",
        "Sends a Content-Range without a last position",
        _says("bytes {first}-/{total}"),
    ),
    Liar("content-range-unit", "Counts its Content-Range in items", _says("items {first}-{last}/{total}")),
    Liar(
        "content-range-reversed",
        "Ends its Content-Range before it starts",
        _says("bytes {last}-{first}/{total}"),
    ),
    Liar(
        "content-range-twice",
        "Sends a Content-Range of two values",
        _says("bytes {first}-{last}/{total}, bytes 0-{last}/{total}"),
    ),
    Liar(
        "content-range-unsatisfied", "Sends a 206 with the Content-Range of a 416", _says("bytes */{total}")
    ),
    Liar("length-disagrees", "Sends a 206 ten bytes shorter than its Content-Range", _shorter),
    Liar("length-disagrees-longer", "Sends a 206 of 100 bytes more than its Content-Range", _longer),
    Liar(
        "chunked-206-longer",
        "Sends a chunked 206 of 100 bytes more than its Content-Range",
        _longer_in_chunks,
    ),
    Liar("gzip-206", "Sends the part of a gzip stream, and says so", _coded),
    Liar(
        "shifted-206",
        "Says that its 206 starts as asked, and sends what starts a byte later",
        _other_bytes(_shifted),
    ),
    Liar(
        "other-bytes-206",
        "Sends other bytes under the same entity tag",
        _other_bytes(lambda resource, start, stop: resource.body[start:stop][::-1]),
    ),
    Liar(
        "etag-changed-206",
        "Sends a part of the new entity, as it says, whatever If-Range says",
        _part,
        changes=True,
    ),
    Liar("etag-missing-206", "Sends a 206 without its entity tag", _tells(ETag=None)),
    Liar("etag-weak-206", "Sends a 206 whose entity tag has become a weak one", _tells(ETag='W/"v1"')),
    Liar(
        "etag-appears-206",
        "Sends a 206 with an entity tag, though the first answer had a date alone",
        _tells(ETag='"v1"'),
        validators="date",
    ),
    Liar(
        "date-changed-206",
        "Sends a part of the new entity with its date, whatever If-Range says",
        _part,
        changes=True,
        validators="date",
    ),
)


def _decide(request: FaultyRequest, liar: Liar, *, always: bool) -> Reply:
    newest = request.visit if always else min(request.visit, 2)
    resource = entity(request.path, newest if liar.changes else 1, validators=liar.validators)
    asked = asked_range(resource, request)
    if asked is not None:
        return Reply(liar.lie(resource, *asked))
    return Reply(true_answer(resource, request), CUT if always or request.visit == 1 else None)


def _faults() -> Iterator[Fault]:
    for liar in LIARS:
        yield entity_fault(
            f"/range/{liar.name}",
            f"{liar.sentence}; cut at first, the whole comes when it is asked for again.",
            functools.partial(_decide, liar=liar, always=False),
            version=2 if liar.changes else 1,
        )
        yield entity_fault(
            f"/range/{liar.name}-always",
            f"{liar.sentence}; the whole is always cut.",
            functools.partial(_decide, liar=liar, always=True),
            verdict=Verdict.BROKEN,
        )


FAULTS: tuple[Fault, ...] = tuple(_faults())
