"""Bodies that end as announced, and bodies that do not (RFC 9112 sections 6 to 8)."""

from __future__ import annotations

import gzip

from asyncflags.testing._faults.answers import chunk, chunked, chunks, head, sends, sized
from asyncflags.testing._faults.fault import Fault, Verdict, default_body

HALF = 500
CHUNKED = head("Transfer-Encoding: chunked")
CLOSE = "Connection: close"


def _with_extensions(body: bytes) -> bytes:
    first = chunk(body[:HALF], ';name=value;quoted="a;b"')
    second = chunk(body[HALF:], ";flag")
    return (
        head("Transfer-Encoding: chunked", "Trailer: X-Trailer")
        + first
        + second
        + (b"0;last\r\nX-Trailer: not a header of this answer\r\n\r\n")
    )


def _whole() -> tuple[Fault, ...]:
    extensions = "/ok-chunked-extensions-and-trailers"
    return (
        Fault("/ok", "A valid answer with a length.", Verdict.WHOLE, sends(sized(default_body("/ok")))),
        Fault(
            "/ok-chunked",
            "A valid chunked answer.",
            Verdict.WHOLE,
            sends(chunked(default_body("/ok-chunked"))),
        ),
        Fault(
            extensions,
            "Valid chunks with extensions, and a trailer section.",
            Verdict.WHOLE,
            sends(_with_extensions(default_body(extensions))),
        ),
        Fault(
            "/ok-close",
            "No length: the body ends when the connection closes.",
            Verdict.UNPROVABLE,
            sends(head(CLOSE) + default_body("/ok-close"), then="close"),
        ),
        Fault(
            "/http10",
            "HTTP/1.0 with a length.",
            Verdict.WHOLE,
            sends(sized(default_body("/http10"), version="HTTP/1.0"), then="close"),
        ),
        Fault(
            "/http10-close",
            "HTTP/1.0 without a length.",
            Verdict.UNPROVABLE,
            sends(head(version="HTTP/1.0") + default_body("/http10-close"), then="close"),
        ),
    )


def _cut() -> tuple[Fault, ...]:
    half = default_body("/cut-length")[:HALF]
    announced = head("Content-Length: 1000")
    return (
        Fault(
            "/cut-length",
            "Announces 1,000 bytes, sends 500 and closes.",
            Verdict.BROKEN,
            sends(announced + half, then="close"),
        ),
        Fault(
            "/cut-length-reset",
            "Announces 1,000 bytes, sends 500 and resets the connection.",
            Verdict.BROKEN,
            sends(announced + half, then="reset"),
        ),
        Fault(
            "/cut-chunked",
            "Closes in the middle of a chunk.",
            Verdict.BROKEN,
            sends(CHUNKED + chunk(half) + b"1f4\r\n" + half[:100], then="close"),
        ),
        Fault(
            "/cut-chunked-between",
            "Closes between two chunks, before the last one.",
            Verdict.BROKEN,
            sends(CHUNKED + chunk(half), then="close"),
        ),
        Fault(
            "/cut-chunked-reset",
            "Resets the connection between two chunks.",
            Verdict.BROKEN,
            sends(CHUNKED + chunk(half), then="reset"),
        ),
        Fault(
            "/cut-close-reset",
            "No length, and the connection is reset instead of closed.",
            Verdict.BROKEN,
            sends(head(CLOSE) + half, then="reset"),
        ),
        Fault(
            "/cut-headers",
            "Closes in the middle of a header.",
            Verdict.BROKEN,
            sends(b"HTTP/1.1 200 OK\r\nContent-Le", then="close"),
        ),
        Fault("/empty-reply", "Closes without a byte.", Verdict.BROKEN, sends(then="close")),
        Fault("/reset-at-once", "Resets without a byte.", Verdict.BROKEN, sends(then="reset")),
    )


def _bad_chunks() -> tuple[Fault, ...]:
    # The connection stays open after the bad bytes: a client that does not look at them waits for ever.
    good = CHUNKED + chunk(b"x" * HALF)
    return (
        Fault(
            "/bad-chunk-size",
            "A chunk size that is no number, after a good chunk.",
            Verdict.BROKEN,
            sends(good, b"zz\r\nrubbish\r\n0\r\n\r\n", then="stall"),
        ),
        Fault(
            "/bad-chunk-size-first",
            "A first chunk size that is no number.",
            Verdict.BROKEN,
            sends(CHUNKED, b"zz\r\nrubbish\r\n0\r\n\r\n", then="stall"),
        ),
        Fault(
            "/chunk-overflow",
            "A chunk size of 2 to the power of 68, less one.",
            Verdict.BROKEN,
            sends(good, b"fffffffffffffffff\r\nrubbish", then="stall"),
        ),
        Fault(
            "/chunk-negative",
            "A chunk size of minus five.",
            Verdict.BROKEN,
            sends(good, b"-5\r\nhello\r\n0\r\n\r\n", then="stall"),
        ),
        Fault(
            "/chunk-missing-crlf",
            "Chunk data that is not followed by a line break.",
            Verdict.BROKEN,
            sends(CHUNKED, b"5\r\nhello5\r\nworld\r\n0\r\n\r\n", then="stall"),
        ),
    )


def _surplus() -> tuple[Fault, ...]:
    short = default_body("/length-wrong-short")
    stranger = sized(b"EVIL!", "X-Injected: yes")
    return (
        Fault(
            "/length-wrong-short",
            "Announces 500 bytes and sends 1,000 on a connection that stays open.",
            Verdict.TOLERABLE,
            sends(head("Content-Length: 500") + short),
            content=lambda: short[:HALF],
        ),
        Fault(
            "/surplus",
            "A second answer which nobody asked for follows the first; the next request must not get it.",
            Verdict.TOLERABLE,
            sends(sized(default_body("/surplus")) + stranger),
        ),
    )


def _bad_lengths() -> tuple[Fault, ...]:
    def broken(path: str, sentence: str, *fields: str) -> Fault:
        return Fault(path, sentence, Verdict.BROKEN, sends(head(*fields) + default_body(path), then="close"))

    equal = "/lengths-equal-twice"
    return (
        broken("/lengths-differ", "Two lengths that differ.", "Content-Length: 1000", "Content-Length: 999"),
        Fault(
            equal,
            "The same length twice, which RFC 9110 section 8.6 allows to repair.",
            Verdict.TOLERABLE,
            sends(sized(default_body(equal), f"Content-Length: {len(default_body(equal))}")),
        ),
        Fault(
            "/length-and-chunked",
            "A length beside chunked framing, the mark of smuggling (RFC 9112 section 6.3, item 3).",
            Verdict.BROKEN,
            sends(chunked(default_body("/length-and-chunked"), "Content-Length: 5"), then="close"),
        ),
        broken("/length-negative", "A length of minus five.", "Content-Length: -5"),
        broken("/length-not-a-number", "A length with letters behind it.", "Content-Length: 1000abc"),
        broken("/length-huge", "A length of 2 to the power of 70.", f"Content-Length: {2**70}"),
        Fault(
            "/length-plus",
            "A length with a sign, which number parsers take and the grammar does not.",
            Verdict.BROKEN,
            sends(head("Content-Length: +5") + b"hello", then="close"),
            content=lambda: b"hello",
        ),
    )


def _transfer_codings() -> tuple[Fault, ...]:
    zipped = gzip.compress(default_body("/te-gzip-chunked"), mtime=0)
    return (
        Fault(
            "/te-gzip-chunked",
            "A gzip transfer coding that the request did not offer to take.",
            Verdict.BROKEN,
            sends(head("Transfer-Encoding: gzip, chunked") + chunks(zipped) + b"0\r\n\r\n"),
        ),
        Fault(
            "/te-unknown",
            "A transfer coding nobody knows.",
            Verdict.BROKEN,
            sends(head("Transfer-Encoding: x-rot13", CLOSE) + default_body("/te-unknown"), then="close"),
        ),
    )


FAULTS: tuple[Fault, ...] = (
    *_whole(),
    *_cut(),
    *_bad_chunks(),
    *_surplus(),
    *_bad_lengths(),
    *_transfer_codings(),
)
