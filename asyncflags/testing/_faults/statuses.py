"""Statuses other than 200, and answers that get better when they are asked for again (RFC 9110 section 15)."""

from __future__ import annotations

import asyncio

from asyncflags.testing._faults.answers import end, head, sends, sized
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Script, Verdict, default_body


def _refusal(path: str, status: str, *fields: str) -> Fault:
    script = sends(sized(f"{status}\n".encode(), *fields, status=status))
    return Fault(path, f"Answers {status}.", Verdict.REFUSAL, script)


def _by_visit(first: Script, later: Script) -> Script:
    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        await (first if request.visit == 1 else later)(reader, writer, request)

    return script


async def _close_on_second(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
) -> None:
    if request.turn > 1:
        await end(reader, writer, "close")
    else:
        await sends(sized(default_body(request.path)))(reader, writer, request)


def _recovers(path: str, sentence: str, first: Script) -> Fault:
    return Fault(path, sentence, Verdict.RECOVERS, _by_visit(first, sends(sized(default_body(path)))))


def _recovering() -> tuple[Fault, ...]:
    unavailable = sized(b"later\n", status="503 Service Unavailable")
    cut = head("Content-Length: 1000") + default_body("/cut-then-ok")[:500]
    return (
        _recovers("/503-then-ok", "503 at first, whole from the second time on.", sends(unavailable)),
        _recovers("/cut-then-ok", "Cut at first, whole from the second time on.", sends(cut, then="close")),
        _recovers("/reset-then-ok", "Reset at first, whole from the second time on.", sends(then="reset")),
        Fault(
            "/close-between",
            "A valid answer that promises to keep the connection, which is closed at once.",
            Verdict.WHOLE,
            sends(sized(default_body("/close-between"), "Connection: keep-alive"), then="close"),
        ),
        Fault(
            "/close-on-second",
            "Closes without an answer when it is not the first request of its connection.",
            Verdict.RECOVERS,
            _close_on_second,
        ),
    )


def _without_content() -> tuple[Fault, ...]:
    part = default_body("/206-unasked")[:500]
    return (
        Fault(
            "/204",
            "No content.",
            Verdict.TOLERABLE,
            sends(head(status="204 No Content")),
            content=bytes,
        ),
        Fault(
            "/205",
            "Reset content, and none is sent.",
            Verdict.TOLERABLE,
            sends(sized(b"", status="205 Reset Content")),
            content=bytes,
        ),
        Fault(
            "/304",
            "Not modified, though nothing was asked about.",
            Verdict.REFUSAL,
            sends(head('ETag: "v1"', status="304 Not Modified")),
        ),
        Fault(
            "/206-unasked",
            "The first half of the file, whatever was asked for.",
            Verdict.BROKEN,
            sends(sized(part, "Content-Range: bytes 0-499/1000", status="206 Partial Content")),
        ),
    )


FAULTS: tuple[Fault, ...] = (
    *_without_content(),
    _refusal("/416-unasked", "416 Range Not Satisfiable", "Content-Range: bytes */1000"),
    _refusal("/401", "401 Unauthorized", 'WWW-Authenticate: Basic realm="here"'),
    _refusal("/403", "403 Forbidden"),
    _refusal("/404", "404 Not Found"),
    _refusal("/407", "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="here"'),
    _refusal("/410", "410 Gone"),
    _refusal("/429", "429 Too Many Requests", "Retry-After: 1"),
    _refusal("/500", "500 Internal Server Error"),
    _refusal("/503", "503 Service Unavailable"),
    *_recovering(),
)
