"""Entities that change between two requests, and servers that are wrong about it (RFC 9110 sections 8.8 and 13.1).

Where a client has nothing to tell two versions apart by, it must not ask for a range. A range that is asked for all
the same brings bytes of another version here, under fields that fit.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from email.utils import format_datetime

from asyncflags.testing._faults.entities import (
    CONDITIONS,
    CUT,
    LARGE_CUT,
    LARGE_SIZE,
    LONG_AGO,
    Decide,
    Reply,
    Validators,
    cut_if_whole,
    entity,
    entity_fault,
    true_answer,
    with_fields,
)
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Verdict
from asyncflags.testing._resource import Answer, Representation

SHORTER = 500
"""Bytes of a version that has become shorter than what the client holds of the one before."""

LAST_CHANGE = 4
"""The visit whose answer is whole when the entity changes with every one."""

DATE = format_datetime(LONG_AGO, usegmt=True)


def _version_two_later(size: int, cut: int, later_size: int) -> Decide:
    """Cut version 1; from the second visit on, serve version 2 truly."""

    def decide(request: FaultyRequest) -> Reply:
        if request.visit == 1:
            return Reply(true_answer(entity(request.path, size=size), request), cut)
        return Reply(true_answer(entity(request.path, 2, size=later_size), request))

    return decide


def _changes_always(request: FaultyRequest) -> Reply:
    decided = true_answer(entity(request.path, request.visit), request)
    return Reply(decided, None if request.visit == LAST_CHANGE else CUT)


def _changed() -> tuple[Fault, ...]:
    def changed(path: str, sentence: str, decide: Decide, size: int) -> Fault:
        return entity_fault(path, sentence, decide, version=2, size=size)

    return (
        changed(
            "/range/etag-changed",
            "Cut, and another entity under another entity tag from then on.",
            _version_two_later(5000, CUT, 5000),
            5000,
        ),
        changed(
            "/range/etag-changed-shorter",
            "Cut after 3,000 bytes; from then on another entity of 500 bytes.",
            _version_two_later(5000, CUT, SHORTER),
            SHORTER,
        ),
        changed(
            "/range/etag-changed-large",
            "Cut after 700,000 bytes; from then on another entity of 300 KiB.",
            _version_two_later(LARGE_SIZE, LARGE_CUT, 300 * 1024),
            300 * 1024,
        ),
        entity_fault(
            "/range/changed-between-all",
            "Each request finds another entity, and only the fourth is not cut.",
            _changes_always,
            version=LAST_CHANGE,
        ),
    )


def _trap(validators: Validators, fields: Mapping[str, str]) -> Decide:
    """Cut version 1, then serve version 2, under the same fields; a range is served whatever its conditions say."""

    def decide(request: FaultyRequest) -> Reply:
        resource = entity(request.path, min(request.visit, 2), validators=validators)
        decided = with_fields(true_answer(resource, request, without=CONDITIONS), fields)
        return Reply(decided, CUT if request.visit == 1 else None)

    return decide


def _not_to_be_resumed() -> tuple[Fault, ...]:
    old = {"Last-Modified": DATE}

    def trap(path: str, sentence: str, validators: Validators, fields: Mapping[str, str]) -> Fault:
        decide = _trap(validators, fields)
        return entity_fault(path, f"{sentence}; cut, and another entity from then on.", decide, version=2)

    return (
        trap("/range/no-validator", "Neither entity tag nor date", "none", {}),
        trap("/range/etag-weak", "A weak entity tag, which stays the same", "weak", {}),
        trap(
            "/range/etag-weak-with-date",
            "A weak entity tag beside an old date, which both stay the same",
            "weak",
            old,
        ),
        trap(
            "/range/etag-malformed",
            "An entity tag without quotes beside an old date",
            "none",
            {"ETag": "v", **old},
        ),
        trap(
            "/range/date-only-weak",
            "A Last-Modified of the second of the answer (section 8.8.2.2)",
            "none",
            {**old, "Date": DATE},
        ),
    )


def _rotating(request: FaultyRequest) -> Answer:
    resource = replace(entity(request.path), etag=f'"answer-{request.visit}"')
    return true_answer(resource, request)


def _rotates(request: FaultyRequest) -> Reply:
    return Reply(_rotating(request), CUT if request.visit == 1 else None)


def _rotates_always_cut(request: FaultyRequest) -> Reply:
    return cut_if_whole(_rotating(request))


def _dated(request: FaultyRequest) -> Representation:
    return entity(request.path, validators="date")


def _date_only(request: FaultyRequest) -> Reply:
    return cut_if_whole(true_answer(_dated(request), request))


def _date_left_out(request: FaultyRequest) -> Reply:
    """Leave Last-Modified out of the 206 to If-Range, as section 15.3.7 allows."""
    reply = _date_only(request)
    if reply.answer.status != 206:
        return reply
    return Reply(with_fields(reply.answer, {"Last-Modified": None}))


def _date_never_matches(request: FaultyRequest) -> Reply:
    overlooked = ("range",) if "if-range" in request.headers else ()
    decided = true_answer(_dated(request), request, without=overlooked)
    return Reply(decided, CUT if request.visit == 1 else None)


def _validated() -> tuple[Fault, ...]:
    return (
        entity_fault(
            "/range/rotating-etag",
            "Cut at first; the same bytes under another entity tag each time.",
            _rotates,
        ),
        entity_fault(
            "/range/rotating-etag-never-whole",
            "The same bytes under another entity tag each time, and the whole is always cut.",
            _rotates_always_cut,
            verdict=Verdict.BROKEN,
        ),
        entity_fault(
            "/range/date-only-strong",
            "No entity tag and an old date, which If-Range takes; the whole is always cut.",
            _date_only,
            needs_resume=True,
        ),
        entity_fault(
            "/range/date-left-out-206",
            "The same, and its 206 does not repeat the date.",
            _date_left_out,
            needs_resume=True,
        ),
        entity_fault(
            "/range/if-range-date-ignored",
            "Cut at first; a date in If-Range never matches, so a whole 200 comes.",
            _date_never_matches,
        ),
    )


def _tag_never_matches(request: FaultyRequest) -> Reply:
    """Answer If-Range with the whole, whatever it says; Range and If-Match are understood."""
    overlooked = ("range",) if "if-range" in request.headers else ()
    return cut_if_whole(true_answer(entity(request.path), request, without=overlooked))


def _changes_before_if_match(request: FaultyRequest) -> Reply:
    if request.visit < 3:
        return _tag_never_matches(request)
    return Reply(true_answer(entity(request.path, 2), request))


def _refuses_if_match(request: FaultyRequest) -> Reply:
    if "if-match" in request.headers:
        return Reply(Answer(412))
    if "if-range" in request.headers:
        return _tag_never_matches(request)
    return Reply(true_answer(entity(request.path), request), CUT if request.visit == 1 else None)


def _unsatisfied(content_range: str | None, *, always: bool) -> Decide:
    """Cut version 1; then answer each range with 416, and serve version 2, which is shorter."""

    def decide(request: FaultyRequest) -> Reply:
        if "range" in request.headers:
            return Reply(with_fields(Answer(416), {"Content-Range": content_range}))
        if request.visit == 1:
            return Reply(true_answer(entity(request.path), request), CUT)
        later = true_answer(entity(request.path, 2, size=SHORTER), request)
        return Reply(later, SHORTER // 2 if always else None)

    return decide


def _refused() -> tuple[Fault, ...]:
    shorter = functools.partial(entity_fault, version=2, size=SHORTER)
    return (
        entity_fault(
            "/range/if-range-ignored",
            "An entity tag in If-Range never matches, in If-Match it does; the whole is always cut.",
            _tag_never_matches,
            needs_resume=True,
        ),
        entity_fault(
            "/range/412-to-if-match",
            "An entity tag in If-Range never matches, and at the third request the entity is another one.",
            _changes_before_if_match,
            version=2,
        ),
        entity_fault(
            "/range/if-match-refused",
            "Neither If-Range nor If-Match ever matches; cut at first, the whole comes when nothing is asked.",
            _refuses_if_match,
        ),
        shorter(
            "/range/416-with-total",
            "Cut after 3,000 bytes; from then on 500 bytes, and 416 to every range.",
            _unsatisfied(f"bytes */{SHORTER}", always=False),
        ),
        shorter(
            "/range/416-without-total",
            "Cut after 3,000 bytes; from then on 500 bytes, and a 416 without Content-Range to every range.",
            _unsatisfied(None, always=False),
        ),
        shorter(
            "/range/416-always",
            "416 to every range, and the whole is always cut.",
            _unsatisfied(f"bytes */{SHORTER}", always=True),
            verdict=Verdict.BROKEN,
        ),
    )


FAULTS: tuple[Fault, ...] = (*_changed(), *_not_to_be_resumed(), *_validated(), *_refused())
