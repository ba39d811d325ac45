"""Downloads that come in parts: cuts, and servers that take ranges, take them oddly or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asyncflags.testing._faults.answers import Ending
from asyncflags.testing._faults.entities import (
    CUT,
    ENTITY_SIZE,
    LARGE_CUT,
    LARGE_SIZE,
    Decide,
    Reply,
    asked_range,
    cut_at,
    cut_if_whole,
    entity,
    entity_body,
    entity_fault,
    true_answer,
    with_fields,
)
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Verdict
from asyncflags.testing._resource import Answer

BATCH = 256 * 1024
"""Bytes that clients like to hold back before they write."""

RUNNING = (1, 65_536, BATCH, BATCH + 1, LARGE_CUT, 1_048_576, LARGE_SIZE - 1)
"""Where the answers of ``/range/cut-many-large`` end, one after the other."""

STEP = 100_000
"""Bytes of each answer of ``/range/cut-each``."""

CHUNKED = {"Transfer-Encoding": "chunked"}


def _honest(request: FaultyRequest) -> Answer:
    return true_answer(entity(request.path), request)


def _cut(size: int = ENTITY_SIZE, stop: int = CUT, ending: Ending = "close") -> Decide:
    """Send true answers, of which the whole is always cut."""

    def decide(request: FaultyRequest) -> Reply:
        decided = true_answer(entity(request.path, size=size), request)
        return replace(cut_if_whole(decided, stop), ending=ending)

    return decide


def _running(size: int, positions: Sequence[int], endings: Sequence[Ending] = ("close",)) -> Decide:
    """Send true answers, the n-th of which ends at the n-th position of the entity; those after them are whole."""

    def decide(request: FaultyRequest) -> Reply:
        decided = true_answer(entity(request.path, size=size), request)
        position = positions[request.visit - 1] if request.visit <= len(positions) else size
        return cut_at(decided, position, endings[(request.visit - 1) % len(endings)])

    return decide


def _chunked_whole(request: FaultyRequest) -> Reply:
    decided = _honest(request)
    return cut_if_whole(with_fields(decided, CHUNKED) if decided.status == 200 else decided)


def _chunked_part(request: FaultyRequest) -> Reply:
    decided = _honest(request)
    return cut_if_whole(with_fields(decided, CHUNKED) if decided.status == 206 else decided)


def _chunked_part_ends_early(request: FaultyRequest) -> Reply:
    reply = _chunked_part(request)
    if reply.answer.status != 206 or request.visit > 2:
        return reply
    return Reply(replace(reply.answer, body=reply.answer.body[:-500]))


def _total_unknown(request: FaultyRequest) -> Reply:
    decided = _honest(request)
    if decided.status != 206:
        return cut_if_whole(decided)
    said, _, _ = decided.headers["Content-Range"].partition("/")
    return Reply(with_fields(decided, {"Content-Range": f"{said}/*"}))


def _ends_earlier(request: FaultyRequest) -> Reply:
    """Send a part as far as 700 bytes further with each visit, which section 14.2 of RFC 9110 allows."""
    decided = _honest(request)
    asked = asked_range(entity(request.path), request)
    if decided.status != 206 or asked is None:
        return cut_if_whole(decided)
    start, stop = asked
    stop = min(stop, max(start + 1, CUT + 700 * (request.visit - 1)))
    said = {"Content-Range": f"bytes {start}-{stop - 1}/{ENTITY_SIZE}"}
    return Reply(replace(with_fields(decided, said), body=decided.body[: stop - start]))


def _unavailable_between(request: FaultyRequest) -> Reply:
    return Reply(Answer(503, {}, b"later\n")) if request.visit == 2 else cut_if_whole(_honest(request))


def _stalls_first(request: FaultyRequest) -> Reply:
    return replace(cut_if_whole(_honest(request)), ending="stall")


def _each_answer_cut(request: FaultyRequest) -> Reply:
    decided = true_answer(entity(request.path, size=LARGE_SIZE), request)
    return Reply(decided, STEP if len(decided.body) > STEP else None)


def _redirected(request: FaultyRequest) -> Reply:
    return Reply(Answer(302, {"Location": f"/range/resume?token={request.visit}"}))


def _honest_cuts() -> tuple[Fault, ...]:
    def resumed(path: str, sentence: str, decide: Decide, size: int = ENTITY_SIZE) -> Fault:
        return entity_fault(path, sentence, decide, size=size, needs_resume=True)

    tenths = range(ENTITY_SIZE // 10, ENTITY_SIZE, ENTITY_SIZE // 10)
    return (
        resumed(
            "/range/resume", "The whole is always cut after 3,000 of 5,000 bytes; ranges are right.", _cut()
        ),
        resumed(
            "/range/resume-reset",
            "The whole always ends with a reset; ranges are right.",
            _cut(ending="reset"),
        ),
        resumed(
            "/range/resume-batch",
            "The whole, of 300 KiB, is always cut one byte after 256 KiB; ranges are right.",
            _cut(300 * 1024, BATCH + 1),
            300 * 1024,
        ),
        resumed(
            "/range/resume-large",
            "The whole, of 1,500,000 bytes, is always cut after 700,000; ranges are right.",
            _cut(LARGE_SIZE, LARGE_CUT),
            LARGE_SIZE,
        ),
        resumed(
            "/range/byte-by-byte",
            "20 bytes, of which each answer brings one more than the last.",
            _running(20, range(1, 20)),
            20,
        ),
        resumed(
            "/range/cut-many",
            "Each answer ends a tenth of the whole further, by a close or by a reset.",
            _running(ENTITY_SIZE, tenths, ("close", "reset")),
        ),
        resumed(
            "/range/cut-many-large",
            "1,500,000 bytes, cut seven times, once right before and once right behind 256 KiB.",
            _running(LARGE_SIZE, RUNNING),
            LARGE_SIZE,
        ),
        resumed(
            "/range/cut-each",
            "1,500,000 bytes, of which no answer, and so no segment, brings more than 100,000.",
            _each_answer_cut,
            LARGE_SIZE,
        ),
        resumed("/range/unavailable-between", "Cut, then 503, then right ranges.", _unavailable_between),
        resumed(
            "/range/stall",
            "The whole always stops after 3,000 bytes, in silence; ranges are right.",
            _stalls_first,
        ),
    )


def _valid_parts() -> tuple[Fault, ...]:
    def resumed(path: str, sentence: str, decide: Decide) -> Fault:
        return entity_fault(path, sentence, decide, needs_resume=True)

    target = "/range/resume"
    return (
        resumed(
            "/range/total-star",
            "The whole is always cut; parts say that its length is unknown.",
            _total_unknown,
        ),
        resumed(
            "/range/short-206",
            "The whole is always cut; parts end earlier than asked, validly.",
            _ends_earlier,
        ),
        resumed("/range/chunked", "The whole is chunked and always cut; ranges are right.", _chunked_whole),
        resumed("/range/chunked-206", "The whole is always cut; parts come chunked.", _chunked_part),
        resumed(
            "/range/chunked-206-short",
            "The first part is a whole chunked body that ends 500 bytes before its Content-Range does.",
            _chunked_part_ends_early,
        ),
        replace(
            resumed("/range/redirected", "Leads to `/range/resume`, each time by another URL.", _redirected),
            content=lambda: entity_body(target),
        ),
    )


def _no_ranges(request: FaultyRequest) -> Reply:
    decided = true_answer(entity(request.path), request, without=("range",))
    return Reply(decided, CUT if request.visit == 1 else None)


def _no_ranges_told(request: FaultyRequest) -> Reply:
    reply = _no_ranges(request)
    return replace(reply, answer=with_fields(reply.answer, {"Accept-Ranges": "none"}))


def _no_ranges_always_cut(request: FaultyRequest) -> Reply:
    return Reply(true_answer(entity(request.path), request, without=("range",)), CUT)


def _never_further(request: FaultyRequest) -> Reply:
    return cut_at(_honest(request), CUT)


def _last_half_unasked(request: FaultyRequest) -> Reply:
    half = {"range": f"bytes={ENTITY_SIZE // 2}-"}
    return Reply(true_answer(entity(request.path), replace(request, headers=half)))


def _all_as_part(request: FaultyRequest) -> Reply:
    return Reply(true_answer(entity(request.path), replace(request, headers={"range": "bytes=0-"})))


def _without_ranges() -> tuple[Fault, ...]:
    broken = Verdict.BROKEN
    return (
        entity_fault("/range/ignored", "Cut at first; every later request gets a whole 200.", _no_ranges),
        entity_fault("/range/accept-ranges-none", "The same, with Accept-Ranges: none.", _no_ranges_told),
        entity_fault(
            "/range/never-whole",
            "Every request gets a 200 that is cut after the same 3,000 bytes.",
            _no_ranges_always_cut,
            verdict=broken,
        ),
        entity_fault(
            "/range/never-further",
            "Ranges are taken, and every answer is cut at the same byte.",
            _never_further,
            verdict=broken,
        ),
        entity_fault(
            "/range/206-to-plain-get",
            "Every request gets a 206 of the last half.",
            _last_half_unasked,
            verdict=broken,
        ),
        entity_fault(
            "/range/206-whole-to-plain-get",
            "Every request gets a 206 of all bytes.",
            _all_as_part,
            verdict=Verdict.TOLERABLE,
        ),
    )


def _length_too_large(request: FaultyRequest) -> Reply:
    """Announce 100 bytes that do not exist, in the length and in the total."""
    padded = replace(entity(request.path), body=entity_body(request.path) + bytes(100))
    return cut_at(true_answer(padded, request), ENTITY_SIZE)


def _length_too_small(request: FaultyRequest) -> Reply:
    """Announce 100 bytes less than are sent, in the length and in the total."""
    body = entity_body(request.path, size=ENTITY_SIZE - 100)
    decided = true_answer(replace(entity(request.path), body=body), request)
    said = {"Content-Length": str(len(decided.body))}
    surplus = replace(with_fields(decided, said), body=decided.body + b"EVIL!" * 20)
    return Reply(surplus, CUT if request.visit == 1 else None)


def _surplus_behind_part(request: FaultyRequest) -> Reply:
    decided = _honest(request)
    if decided.status != 206:
        return cut_if_whole(decided)
    said = {"Content-Length": str(len(decided.body))}
    return Reply(replace(with_fields(decided, said), body=decided.body + b"EVIL!" * 20))


def _lengths() -> tuple[Fault, ...]:
    return (
        entity_fault(
            "/range/length-too-large",
            "Length and total have 100 bytes more than there are; every answer closes where these end.",
            _length_too_large,
            verdict=Verdict.BROKEN,
        ),
        entity_fault(
            "/range/length-too-small",
            "Cut at first; every answer has 100 bytes more than its length.",
            _length_too_small,
            verdict=Verdict.TOLERABLE,
            size=ENTITY_SIZE - 100,
        ),
        entity_fault(
            "/range/surplus-206",
            "The whole is always cut; parts are right, with 100 bytes more behind them.",
            _surplus_behind_part,
            verdict=Verdict.TOLERABLE,
            needs_resume=True,
        ),
    )


FAULTS: tuple[Fault, ...] = (*_honest_cuts(), *_valid_parts(), *_without_ranges(), *_lengths())
