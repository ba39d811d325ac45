"""Answers that stop, crawl or never end."""

from __future__ import annotations

from asyncflags.testing._faults.answers import chunk, head, repeats, sends, sized
from asyncflags.testing._faults.fault import Fault, Verdict, default_body

BLOCK = b"0123456789abcdef" * 1024
"""16 KiB, the unit of the endless bodies."""

CONTINUE = head(status="100 Continue")
PROCESSING = head(status="102 Processing")
EARLY_HINTS = head("Link: </style.css>; rel=preload", status="103 Early Hints")


def _stalls() -> tuple[Fault, ...]:
    announced = head("Content-Length: 1000")
    half = default_body("/stall-in-body")[:500]
    return (
        Fault(
            "/stall-before-headers",
            "Takes the request and says nothing.",
            Verdict.UNBOUNDED,
            sends(then="stall"),
        ),
        Fault(
            "/stall-in-headers",
            "Stops in the middle of the headers.",
            Verdict.UNBOUNDED,
            sends(b"HTTP/1.1 200 OK\r\nContent-Le", then="stall"),
        ),
        Fault(
            "/stall-in-body",
            "Stops after 500 of 1,000 bytes.",
            Verdict.UNBOUNDED,
            sends(announced + half, then="stall"),
        ),
        Fault(
            "/stall-after-length-known-zero-bytes",
            "Announces 1,000 bytes and sends none of them.",
            Verdict.UNBOUNDED,
            sends(announced, then="stall"),
        ),
    )


def _endless() -> tuple[Fault, ...]:
    chunked = head("Transfer-Encoding: chunked")
    return (
        Fault(
            "/drip",
            "One byte at a time, for ever: each read is in time and the whole never comes.",
            Verdict.UNBOUNDED,
            repeats(chunked, chunk(b"x"), paced=True),
        ),
        Fault(
            "/interim-endless",
            "Interim answers for ever, and never a final one.",
            Verdict.UNBOUNDED,
            repeats(b"", CONTINUE + PROCESSING + EARLY_HINTS, paced=True),
        ),
        Fault(
            "/endless-body",
            "Chunks without end, as fast as they are read.",
            Verdict.UNBOUNDED,
            repeats(chunked, chunk(BLOCK)),
        ),
        Fault(
            "/endless-body-close",
            "A body without length and without end, as fast as it is read.",
            Verdict.UNBOUNDED,
            repeats(head("Connection: close"), BLOCK),
        ),
        Fault(
            "/endless-headers",
            "Headers without end.",
            Verdict.UNBOUNDED,
            repeats(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 64),
        ),
    )


FAULTS: tuple[Fault, ...] = (
    *_stalls(),
    *_endless(),
    Fault(
        "/interim",
        "102 and 103 come before the final answer (RFC 9110 section 15.2).",
        Verdict.WHOLE,
        sends(PROCESSING, EARLY_HINTS, sized(default_body("/interim"))),
    ),
)
