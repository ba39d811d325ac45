"""Status lines and headers that are too large, too many or not HTTP (RFC 9112 sections 2 to 5)."""

from __future__ import annotations

from asyncflags.testing._faults.answers import head, sends, sized
from asyncflags.testing._faults.fault import Fault, Verdict, default_body

HTTP2_GREETING = (
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # SETTINGS, empty (RFC 9113 section 3.4)
    b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"  # GOAWAY, PROTOCOL_ERROR
)


def _fields(path: str, sentence: str, verdict: Verdict, *fields: str | bytes) -> Fault:
    return Fault(path, sentence, verdict, sends(sized(default_body(path), *fields)))


def _numbered(count: int) -> list[str]:
    return [f"X-Number-{number}: {number}" for number in range(count)]


def _large() -> tuple[Fault, ...]:
    return (
        _fields(
            "/giant-header",
            "One header of 18 KiB, as large as some real servers send.",
            Verdict.WHOLE,
            "X-Giant: " + "g" * 18 * 1024,
        ),
        _fields(
            "/giant-header-100k",
            "One header of 100 KiB.",
            Verdict.TOLERABLE,
            "X-Giant: " + "g" * 100 * 1024,
        ),
        _fields("/many-headers", "200 headers.", Verdict.TOLERABLE, *_numbered(200)),
        _fields("/many-headers-1000", "1,000 headers.", Verdict.TOLERABLE, *_numbered(1000)),
    )


def _malformed() -> tuple[Fault, ...]:
    space = "/header-space-before-colon"
    lines = sized(default_body("/bare-lf")).partition(b"\r\n\r\n")
    return (
        _fields(
            "/folded-header",
            "A header folded over two lines, which RFC 9112 section 5.2 has a client join with a space.",
            Verdict.TOLERABLE,
            "X-Folded: one\r\n two",
        ),
        _fields("/header-no-colon", "A header line without a colon.", Verdict.BROKEN, "No colon here"),
        Fault(
            space,
            "A space between the name of the length field and its colon.",
            Verdict.TOLERABLE,
            sends(head("Content-Length : 1000") + default_body(space), then="close"),
        ),
        _fields(
            "/header-nul",
            "A NUL in a value, to be refused or replaced (RFC 9110 section 5.5).",
            Verdict.TOLERABLE,
            b"X-Nul: a\x00b",
        ),
        Fault(
            "/bare-lf",
            "Lines end with LF alone, which RFC 9112 section 2.2 lets a client take.",
            Verdict.TOLERABLE,
            sends(lines[0].replace(b"\r\n", b"\n") + b"\n\n" + lines[2]),
        ),
    )


def _status_lines() -> tuple[Fault, ...]:
    return (
        Fault(
            "/bad-status-line",
            "Code and reason stand in the wrong order.",
            Verdict.BROKEN,
            sends(sized(default_body("/bad-status-line"), status="OK 200"), then="close"),
        ),
        Fault(
            "/status-999",
            "A status outside 100 to 599, to be treated as a server error (RFC 9110 section 15).",
            Verdict.REFUSAL,
            sends(sized(default_body("/status-999"), status="999 Odd")),
        ),
        Fault(
            "/http2-preface",
            "The server speaks HTTP/2 frames.",
            Verdict.BROKEN,
            sends(HTTP2_GREETING, then="close"),
        ),
        Fault(
            "/http09",
            "A body without status line and headers.",
            Verdict.BROKEN,
            sends(default_body("/http09"), then="close"),
        ),
    )


FAULTS: tuple[Fault, ...] = (*_large(), *_malformed(), *_status_lines())
