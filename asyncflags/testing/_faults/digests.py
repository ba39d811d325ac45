"""Digests in the head: right, wrong and unreadable ones (RFC 9530, RFC 3230).

What cannot be read is no digest: the body is whole, and nothing has proven it. Only a digest that can be read and
does not match tells that a body is broken.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from asyncflags.testing._faults.answers import head, sends, sized
from asyncflags.testing._faults.entities import (
    Decide,
    Reply,
    cut_if_whole,
    entity,
    entity_body,
    entity_fault,
    first_position,
    replies,
    spliced,
    true_answer,
    with_fields,
)
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Script, Verdict, default_body
from asyncflags.testing._resource import Answer, Representation, accepts_gzip, digest_field

Digest: TypeAlias = "Callable[[bytes], str]"
"""Makes a field's value for some bytes."""

WRONG = b"not these bytes"


def _structured(key: str, content: bytes) -> str:
    return digest_field(content, [key])


def _base64(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _legacy(content: bytes) -> str:
    """Make a value of the older Digest (RFC 3230 section 4.3.2, RFC 5843)."""
    return f"SHA-256={_base64(content)}"


sha_256 = functools.partial(_structured, "sha-256")
sha_512 = functools.partial(_structured, "sha-512")


def _always(value: str) -> Digest:
    return lambda _content: value


def _of_wrong(digest: Digest) -> Digest:
    return lambda _content: digest(WRONG)


def _both(first: Digest, second: Digest) -> Digest:
    return lambda content: f"{first(content)}, {second(content)}"


_MD5 = "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"

WHOLE: Mapping[str, tuple[str, str, Digest]] = {
    "repr": ("A right Repr-Digest.", "Repr-Digest", sha_256),
    "repr-sha-512": ("A right Repr-Digest of the longer kind.", "Repr-Digest", sha_512),
    "content": ("A right Content-Digest.", "Content-Digest", sha_256),
    "legacy": ("A right Digest, the older field.", "Digest", _legacy),
    "two": ("Two right digests in one field.", "Repr-Digest", _both(sha_256, sha_512)),
    "unknown-and-right": (
        "A digest that nobody knows before a right one.",
        "Repr-Digest",
        _both(_always("sha-999=:AAAA:"), sha_256),
    ),
    "parameters": (
        "A right digest with parameters.",
        "Repr-Digest",
        lambda content: f'{sha_256(content)};a;b="c"',
    ),
    "key-twice": (
        "A wrong digest and a right one under the same key, of which the last counts (RFC 8941 section 3.2).",
        "Repr-Digest",
        _both(_of_wrong(sha_256), sha_256),
    ),
}
"""Right ones by name: sentence, field, value."""

UNREADABLE: Mapping[str, tuple[str, str, Digest]] = {
    "unknown-algorithm": (
        "Algorithms that are not to be relied on, alone.",
        "Repr-Digest",
        _always(f"{_MD5}, sha-999=:AAAA:"),
    ),
    "empty": ("An empty field.", "Repr-Digest", _always("")),
    "empty-value": ("A digest of no bytes.", "Repr-Digest", _always("sha-256=::")),
    "bad-base64": ("A digest that is no base64.", "Repr-Digest", _always("sha-256=:%%%not base64%%%:")),
    "wrong-length": (
        "A digest of 16 bytes where the algorithm has 32.",
        "Repr-Digest",
        _always("sha-256=:AAAAAAAAAAAAAAAAAAAAAA==:"),
    ),
    "not-a-dictionary": (
        "A byte sequence without its key.",
        "Repr-Digest",
        lambda content: f":{_base64(content)}:",
    ),
    "unterminated": (
        "A byte sequence without its end.",
        "Repr-Digest",
        lambda content: f"sha-256=:{_base64(content)}",
    ),
    "hexadecimal": (
        "A digest in hexadecimal, in quotes.",
        "Repr-Digest",
        lambda content: f'sha-256="{hashlib.sha256(content).hexdigest()}"',
    ),
    "bare": (
        "A digest without colons, as the older field had it.",
        "Repr-Digest",
        lambda content: f"sha-256={_base64(content)}",
    ),
    "number": ("A number for a digest.", "Repr-Digest", _always("sha-256=42")),
    "upper-case-key": (
        "A key in capitals, which no key may have.",
        "Repr-Digest",
        lambda content: sha_256(content).upper(),
    ),
    "content-bad-base64": ("A Content-Digest that is no base64.", "Content-Digest", _always("sha-256=:%%%:")),
    "legacy-bad-base64": ("A Digest that is no base64.", "Digest", _always("SHA-256=%%%")),
    "legacy-unknown-algorithm": ("A Digest of md5 alone.", "Digest", _always("md5=1B2M2Y8AsgTpgAmY7PhCfg==")),
}
"""Ones that say nothing, by name: sentence, field, value."""

BROKEN: Mapping[str, tuple[str, str, Digest]] = {
    "repr-wrong": ("A wrong Repr-Digest.", "Repr-Digest", _of_wrong(sha_256)),
    "repr-sha-512-wrong": ("A wrong Repr-Digest of the longer kind.", "Repr-Digest", _of_wrong(sha_512)),
    "content-wrong": ("A wrong Content-Digest.", "Content-Digest", _of_wrong(sha_256)),
    "legacy-wrong": ("A wrong Digest, the older field.", "Digest", _of_wrong(_legacy)),
    "two-first-wrong": (
        "Two digests, of which the first is wrong.",
        "Repr-Digest",
        _both(_of_wrong(sha_256), sha_512),
    ),
    "two-last-wrong": (
        "Two digests, of which the last is wrong.",
        "Repr-Digest",
        _both(sha_256, _of_wrong(sha_512)),
    ),
    "unknown-and-wrong": (
        "A digest that nobody knows before a wrong one.",
        "Repr-Digest",
        _both(_always("sha-999=:AAAA:"), _of_wrong(sha_256)),
    ),
    "key-twice-wrong": (
        "A right digest and a wrong one under the same key, of which the last counts (RFC 8941 section 3.2).",
        "Repr-Digest",
        _both(sha_256, _of_wrong(sha_256)),
    ),
}
"""Wrong ones by name: sentence, field, value."""


def _plain() -> Iterator[Fault]:
    families = ((WHOLE, Verdict.WHOLE), (UNREADABLE, Verdict.WHOLE), (BROKEN, Verdict.BROKEN))
    for cases, verdict in families:
        for name, (sentence, field, digest) in cases.items():
            path = f"/digest/{name}"
            body = default_body(path)
            yield Fault(path, sentence, verdict, sends(sized(body, f"{field}: {digest(body)}")))


def _side_by_side() -> Iterator[Fault]:
    """Fields beside each other, and one that belongs to a redirect."""
    beside, redirect = "/digest/repr-right-content-wrong", "/digest/redirect"
    body = default_body(beside)
    told = (f"Repr-Digest: {sha_256(body)}", f"Content-Digest: {sha_256(WRONG)}")
    yield Fault(
        beside,
        "A right Repr-Digest beside a wrong Content-Digest.",
        Verdict.BROKEN,
        sends(sized(body, *told)),
    )
    moved = head(
        "Location: /ok",
        "Content-Length: 0",
        f"Content-Digest: {sha_256(b'')}",
        f"Repr-Digest: {sha_256(b'')}",
        status="302 Found",
    )
    yield Fault(
        redirect,
        "A redirect with the digests of its own body, which is empty.",
        Verdict.WHOLE,
        sends(moved),
        content=lambda: default_body("/ok"),
    )


def _negotiated() -> Script:
    def decide(request: FaultyRequest) -> Reply:
        resource = replace(entity(request.path), negotiated=True).digested(["sha-256"])
        coded = accepts_gzip(request.headers.get("accept-encoding"))
        return Reply(true_answer(resource.compressed() if coded else resource, request))

    return replies(decide)


def _coded() -> Iterator[Fault]:
    coded, decoded, negotiated = "/digest/gzip", "/digest/gzip-decoded", "/digest/gzip-negotiated"

    def zipped(path: str) -> bytes:
        return gzip.compress(default_body(path), mtime=0)

    def fault(path: str, sentence: str, verdict: Verdict, digest_of: bytes) -> Fault:
        told = ("Content-Encoding: gzip", f"Repr-Digest: {sha_256(digest_of)}")
        return Fault(
            path,
            sentence,
            verdict,
            sends(sized(zipped(path), *told)),
            encoded=functools.partial(zipped, path),
        )

    yield fault(coded, "gzip, whatever was asked for, and its digest.", Verdict.WHOLE, zipped(coded))
    yield fault(
        decoded,
        "gzip, whatever was asked for, and the digest of what it decodes to.",
        Verdict.BROKEN,
        default_body(decoded),
    )
    yield Fault(
        negotiated,
        "gzip for those who take it, plain for the others, each with its own digest.",
        Verdict.WHOLE,
        _negotiated(),
        content=functools.partial(entity_body, negotiated),
    )


def _digested(request: FaultyRequest) -> Representation:
    return entity(request.path).digested(["sha-256"])


def _repeating(decided: Answer, request: FaultyRequest) -> Answer:
    """Repeat Repr-Digest on a 206 to If-Range, as many servers do."""
    return with_fields(decided, {"Repr-Digest": _digested(request).headers["Repr-Digest"]})


def _resumed(change: Callable[[Answer, FaultyRequest], Answer]) -> Decide:
    """Cut the whole always; change the answers to ranges."""

    def decide(request: FaultyRequest) -> Reply:
        decided = true_answer(_digested(request), request)
        return Reply(change(decided, request)) if decided.status == 206 else cut_if_whole(decided)

    return decide


def _only_on_parts(value: Digest) -> Decide:
    def decide(request: FaultyRequest) -> Reply:
        decided = true_answer(entity(request.path), request)
        if decided.status != 206:
            return cut_if_whole(decided)
        return Reply(with_fields(decided, {"Repr-Digest": value(entity_body(request.path))}))

    return decide


def _spliced(decided: Answer, _request: FaultyRequest) -> Answer:
    """Send other bytes from the cut on, under a Content-Digest that fits them."""
    content = spliced(decided.body, first_position(decided))
    return replace(with_fields(decided, {"Content-Digest": sha_256(content)}), body=content)


def _in_parts() -> Iterator[Fault]:
    def broken(name: str, sentence: str, decide: Decide) -> Fault:
        return entity_fault(f"/digest/{name}", sentence, decide, verdict=Verdict.BROKEN)

    def resumed(name: str, sentence: str, decide: Decide) -> Fault:
        return entity_fault(f"/digest/{name}", sentence, decide, needs_resume=True)

    def says(field: str, content: Callable[[FaultyRequest], bytes]) -> Decide:
        return _resumed(lambda decided, request: with_fields(decided, {field: sha_256(content(request))}))

    yield resumed(
        "resumed",
        "The whole is always cut; every answer has the digest of its content, the whole has its own too.",
        _resumed(lambda decided, _request: decided),
    )
    yield resumed(
        "resumed-repeating", "The same, and parts repeat the digest of the whole.", _resumed(_repeating)
    )
    yield resumed(
        "resumed-only-on-parts",
        "The whole is always cut; only parts tell its digest.",
        _only_on_parts(sha_256),
    )
    yield broken(
        "resumed-only-on-parts-wrong",
        "The whole is always cut; only parts tell its digest, a wrong one.",
        _only_on_parts(_of_wrong(sha_256)),
    )
    yield broken(
        "resumed-content-wrong",
        "The whole is always cut; parts have a wrong Content-Digest.",
        says("Content-Digest", lambda _request: WRONG),
    )
    yield broken(
        "resumed-content-of-whole",
        "The whole is always cut; the Content-Digest of parts is that of the whole.",
        says("Content-Digest", lambda request: entity_body(request.path)),
    )
    yield broken(
        "resumed-repr-wrong",
        "The whole is always cut; its digest on parts is another one than at first.",
        says("Repr-Digest", lambda _request: WRONG),
    )
    yield broken(
        "resumed-spliced",
        "The whole is always cut; parts go on with other bytes right where it was, under fields that fit.",
        _resumed(_spliced),
    )


FAULTS: tuple[Fault, ...] = (*_plain(), *_side_by_side(), *_coded(), *_in_parts())
