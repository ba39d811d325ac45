"""The same bytes through aiohttp's client and the fast lane: the same answer, or the fast lane is the stricter one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from .exchanges import TRANSPORTS
from .lanes import Lanes, Verdict

try:
    import uvloop
except ImportError:
    # Windows has none.
    uvloop = None  # type: ignore[assignment]

FACTORIES = {"asyncio": asyncio.new_event_loop}
if uvloop is not None:
    FACTORIES["uvloop"] = uvloop.new_event_loop

STRICTER = {
    "a protocol that nobody asked for": "switches to a protocol",
    "a version other than 1.0 and 1.1, a status below 100, anything else before the first field": "its status line is",
    "a transfer coding other than chunked": "and only chunked is defined",
    "chunked in HTTP/1.0": "in HTTP/1.0, which does not have them",
    "a line that ends with LF alone": "ends with LF alone",
    "CR alone": "a CR stands alone",
    "a field folded over two lines": "is folded over two lines",
    "a space before the colon, a name that is no token": "a header field is malformed",
    "a control character": "holds a control character",
    "chunk lines that do not follow the grammar": "broke the framing of the body",
}
"""What aiohttp's client takes and the fast lane refuses, by what the latter says of it."""

# What is valid stands there several times, so that most of the examples come as far as the body.
STATUS_LINES = [
    *[b"HTTP/1.1 200 OK"] * 10,
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 103 Early Hints",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/2.0 200 OK",
    b"HTTP/1.1 099 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 999 Odd",
]
LENGTHS = [
    *[b"Content-Length: 10", b"Transfer-Encoding: chunked"] * 6,
    b"Content-Length:5",
    b"Content-Length: 10, 10",
    b"Content-Length: 010",
    b"Content-Length: +10",
    b"Content-Length: 0x10",
    b"Content-Length:",
    b"Content-Length : 10",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding:\tchunked ",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked",
]
FIELDS = [
    *LENGTHS[12:],
    *[b"Connection: close", b"Connection: keep-alive", b"A: b"] * 6,
    b"A:   b  c  ",
    b"A:",
    b"A: \xff\xc3\xa9",
    b"A: b\r\n c",
    b"A",
    b": b",
    b"A B: c",
    b"A: b\rc",
    b"A: b\nC: d",
    b"\xc3: b",
]
BODIES = [
    *[b"0123456789", b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"] * 4,
    b"",
    b"01234",
    b"0123456789surplus",
    b"5\r\n01234\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
    b'5;a=b;c="d"\r\n01234\r\n0\r\n\r\n',
    b"5;\r\n01234\r\n0\r\n\r\n",
    b"5 \r\n01234\r\n0\r\n\r\n",
    b"5\n01234\n0\n\n",
    b"5\r\n01234\r\n",
    b"zz\r\n",
    b"5\r\n0123456\r\n0\r\n\r\n",
    b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"5\r\n01234\r\n0\r\nT : u\r\n\r\n",
]
SPICE = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"0",
    b"a",
    b"-",
    b"",
]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=2))
    framing = draw(st.lists(st.sampled_from(LENGTHS), max_size=1))
    raw = b"\r\n".join([draw(st.sampled_from(STATUS_LINES)), *fields, *framing]) + b"\r\n\r\n"
    raw += draw(st.sampled_from(BODIES))
    if draw(st.integers(0, 7)) == 0:
        raw = draw(st.sampled_from(STATUS_LINES)) + b"\r\n\r\n" + raw
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        start, width = draw(st.integers(0, len(raw))), draw(st.integers(0, 1))
        raw = raw[:start] + draw(st.sampled_from(SPICE)) + raw[start + width :]
    return raw[: draw(st.integers(1, len(raw)))] if draw(st.integers(0, 5)) == 0 and raw else raw


@st.composite
def pieces_of(draw: st.DrawFn) -> list[bytes]:
    raw = draw(answers())
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=3)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return [piece for piece in pieces if piece]


def has_surplus(raw: bytes, verdict: Verdict) -> bool:
    """Whether bytes follow the end of an answer that the fast lane took."""
    assert verdict.head is not None
    while re.match(rb"HTTP/1\.[01] 1", raw):
        raw = raw.partition(b"\r\n\r\n")[2]
    names = {name.lower(): value for name, value in verdict.head[2]}
    rest = raw.partition(b"\r\n\r\n")[2]
    if verdict.head[0] in {204, 304}:
        return bool(rest)
    if "transfer-encoding" in names:
        return bool(rest.partition(b"\r\n\r\n")[2])
    return "content-length" in names and len(rest) > int(names["content-length"])


def difference(raw: bytes, lax: Verdict, strict: Verdict) -> str | None:
    """The name of what the two may differ in here; ``None``: in nothing."""
    if strict.error is None:
        # Whether aiohttp sees what follows depends on how the bytes came; the fast lane drops it in any case.
        return "bytes behind the end" if lax.error == "ProtocolError" and has_surplus(raw, strict) else None
    if strict.error == "ProtocolError":
        return next((name for name, reason in STRICTER.items() if reason in strict.message), None)
    if strict.error == "ReadError" and lax.error == "ProtocolError" and lax.head is None:
        return "fields that contradict each other in a head that is cut short"
    return None


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
@settings(max_examples=120, derandomize=True, deadline=None, database=None)
@example(pieces=[b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"])
@example(
    pieces=[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r", b"\n01234\r\n0\r\nT: u\r\n\r", b"\n"]
)
@example(pieces=[b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0", b"123"])
@given(pieces=pieces_of())
def test_the_fast_lane_agrees_with_aiohttp_or_is_stricter(
    factory: Callable[[], asyncio.AbstractEventLoop], pieces: list[bytes]
) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        lax, strict = (runner.run(Lanes(pieces).run(TRANSPORTS[name])) for name in ("aiohttp", "wire"))
    if strict.error is None or strict.error != lax.error:
        same = (lax.error, lax.head, lax.body) == (strict.error, strict.head, strict.body)
        allowed = None if same else difference(b"".join(pieces), lax, strict)
        event("the same" if same else f"allowed: {allowed}")
        assert same or allowed, (pieces, lax, strict)
