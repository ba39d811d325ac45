"""Redirects, good and hostile (RFC 9110 section 15.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asyncflags.testing._faults.answers import end, head, sends, sized
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Script, Verdict, default_body

FOUND = "302 Found"
NON_ASCII_TARGET = "/caf\u00e9"


def _ok() -> bytes:
    return default_body("/ok")


def _to(location: str | bytes) -> Script:
    field = location if isinstance(location, bytes) else location.encode()
    return sends(sized(b"elsewhere\n", b"Location: " + field, status=FOUND))


def _computed(location: Callable[[FaultyRequest], str]) -> Script:
    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        await _to(location(request))(reader, writer, request)

    return script


def _next_hop(request: FaultyRequest) -> str:
    _, _, hop = request.query.partition("=")
    return f"/redirect-endless?hop={int(hop or 0) + 1}"


async def _by_query(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
) -> None:
    """Redirect to the same path with a query, and answer there."""
    script = sends(sized(default_body(request.path))) if request.query else _to("?q")
    await script(reader, writer, request)


async def _stalling_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: FaultyRequest
) -> None:
    writer.write(head("Location: /ok", "Content-Length: 1000", status=FOUND))
    await writer.drain()
    await end(reader, writer, "stall")


def _followed() -> tuple[Fault, ...]:
    def leads_on(path: str, sentence: str, script: Script, verdict: Verdict = Verdict.WHOLE) -> Fault:
        return Fault(path, sentence, verdict, script, content=_ok)

    return (
        leads_on("/redirect", "To /ok.", _to("/ok")),
        leads_on("/redirect-relative", "To ../ok, which is /ok.", _to("../ok")),
        Fault("/redirect-relative-query", "To ?q, the same path.", Verdict.WHOLE, _by_query),
        leads_on(
            "/redirect-relative-host",
            "To //host:port/ok, the same scheme.",
            _computed(lambda request: request.base_url.removeprefix("http:") + "/ok"),
        ),
        leads_on(
            "/redirect-other-port",
            "To /ok on the other listener, where credentials must not arrive.",
            _computed(lambda request: request.other_url + "/ok"),
        ),
        leads_on(
            "/redirect-credentials",
            "To /ok with a user and a password in the Location.",
            _computed(lambda request: request.base_url.replace("://", "://user:pass@") + "/ok"),
            Verdict.TOLERABLE,
        ),
        leads_on("/redirect-body-stalls", "To /ok, with a body that never comes.", _stalling_body),
        Fault(
            "/redirect-non-ascii",
            "To a path in raw UTF-8 bytes, which RFC 3986 does not allow and servers send.",
            Verdict.TOLERABLE,
            _to(NON_ASCII_TARGET.encode()),
            content=lambda: default_body(NON_ASCII_TARGET),
        ),
    )


def _refused() -> tuple[Fault, ...]:
    def leads_nowhere(path: str, sentence: str, script: Script) -> Fault:
        return Fault(path, sentence, Verdict.REFUSAL, script)

    return (
        leads_nowhere("/redirect-loop", "To itself.", _to("/redirect-loop")),
        leads_nowhere("/redirect-loop-two", "To a path that leads back.", _to("/redirect-loop-two-back")),
        leads_nowhere("/redirect-loop-two-back", "Back to /redirect-loop-two.", _to("/redirect-loop-two")),
        leads_nowhere("/redirect-endless", "To a new URL each time.", _computed(_next_hop)),
        leads_nowhere("/redirect-file", "To a file of the client.", _to("file:///etc/passwd")),
        leads_nowhere("/redirect-ftp", "To another protocol.", _to("ftp://127.0.0.1/ok")),
        leads_nowhere("/redirect-no-location", "Without a Location.", sends(sized(b"", status=FOUND))),
        leads_nowhere("/redirect-empty", "With an empty Location, which is the same URL.", _to("")),
    )


FAULTS: tuple[Fault, ...] = (*_followed(), *_refused())
