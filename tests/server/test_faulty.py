"""The misbehaving origin's table is complete, and the very bytes it promises go out."""

from __future__ import annotations

import pytest

from asyncflags.testing.faulty import (
    FAULTS,
    HOSTILE_DISPOSITIONS,
    FaultyOrigin,
    Verdict,
    body_for,
)

from .raw_client import answer, connected, everything, is_silent, unchunk

PROMISED = """
ok ok-chunked ok-chunked-extensions-and-trailers ok-close http10 http10-close
cut-length cut-length-reset cut-chunked cut-chunked-between cut-chunked-reset cut-close-reset cut-headers
empty-reply reset-at-once bad-chunk-size bad-chunk-size-first chunk-overflow chunk-negative chunk-missing-crlf
length-wrong-short surplus lengths-differ lengths-equal-twice length-and-chunked length-negative
length-not-a-number length-huge length-plus te-gzip-chunked te-unknown
stall-before-headers stall-in-headers stall-in-body stall-after-length-known-zero-bytes drip interim-endless
interim endless-body endless-body-close endless-headers giant-header giant-header-100k many-headers
many-headers-1000 folded-header header-no-colon header-space-before-colon header-nul bare-lf bad-status-line
status-999 http2-preface http09 204 304 205 206-unasked 416-unasked 401 403 404 407 410 429 500 503 503-then-ok
cut-then-ok reset-then-ok close-between close-on-second redirect redirect-loop redirect-loop-two
redirect-endless redirect-file redirect-ftp redirect-no-location redirect-empty redirect-relative
redirect-relative-query redirect-relative-host redirect-other-port redirect-credentials redirect-body-stalls
redirect-non-ascii gzip gzip-truncated gzip-garbage gzip-bomb gzip-trailing-junk gzip-two-members deflate
deflate-raw coding-unknown coding-chain
"""


RESETS = [
    "/cut-length-reset",
    "/cut-chunked-reset",
    "/cut-close-reset",
    "/reset-at-once",
    "/range/resume-reset",
]


def endings() -> list[str]:
    """Paths whose answer ends by itself and whose connection is closed with FIN when the client asks for it."""
    stalled = {"/redirect-body-stalls"} | {p for p in FAULTS if p.startswith(("/bad-chunk-", "/chunk-"))}
    stalled |= {"/range/stall"}
    plain = (path for path in FAULTS if FAULTS[path].verdict is not Verdict.UNBOUNDED)
    return sorted(set(plain) - stalled - set(RESETS) - {"/reset-then-ok", "/gzip-bomb"})


def test_every_promised_case_is_in_the_table() -> None:
    promised = {f"/{name}" for name in PROMISED.split()} | {f"/cd/{case}" for case in HOSTILE_DISPOSITIONS}
    assert promised - set(FAULTS) == set()


def test_every_fault_is_documented_under_its_own_path() -> None:
    for path, fault in FAULTS.items():
        assert (path, f"/{fault.name}") == (fault.path, path)
        assert fault.sentence.endswith(".")


def test_ordinary_bodies_differ_from_path_to_path() -> None:
    paths = [path for path in FAULTS if path.startswith(("/ok", "/cd/", "/http1"))]
    assert len({body_for(path) for path in paths}) == len(paths)


def test_a_body_does_not_depend_on_how_a_client_spells_the_path() -> None:
    assert body_for("/names/%2e%2E%2fevil") == body_for("/names/../evil")


@pytest.mark.parametrize("path", endings())
async def test_every_answer_that_ends_has_a_handler(faulty: FaultyOrigin, path: str) -> None:
    assert b"no such fault" not in await everything(faulty, path)
    assert [request.path for request in faulty.requests] == [path]


async def test_an_unknown_path_is_a_404(faulty: FaultyOrigin) -> None:
    head, body = await answer(faulty, "/no-such-path")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert body == b"no such fault\n"


async def test_requests_are_recorded_with_their_headers(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/ok?a=b", "X-Twice: 1", "x-twice: 2")
        await client.answer()
    [request] = faulty.requests
    assert (request.method, request.path, request.query) == ("GET", "/ok", "a=b")
    assert request.headers == {"host": "test", "x-twice": "1, 2"}


async def test_connections_and_turns_are_counted(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        for _ in range(2):
            client.ask("/ok")
            await client.answer()
    await answer(faulty, "/ok")
    assert faulty.connections == 2
    seen = [(request.connection, request.turn, request.visit) for request in faulty.requests]
    assert seen == [(1, 1, 1), (1, 2, 2), (2, 1, 3)]


@pytest.mark.parametrize("path", ["/ok", "/http10", "/interim", "/giant-header", "/close-between"])
async def test_a_whole_answer_carries_its_length_and_body(faulty: FaultyOrigin, path: str) -> None:
    data = await everything(faulty, path)
    assert b"Content-Length: 1000\r\n" in data
    assert data.endswith(b"\r\n\r\n" + body_for(path))


@pytest.mark.parametrize("path", ["/ok-chunked", "/ok-chunked-extensions-and-trailers"])
async def test_chunks_are_valid_and_carry_the_body(faulty: FaultyOrigin, path: str) -> None:
    head, _, data = (await everything(faulty, path)).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    parts = list(unchunk(data))
    assert b"".join(parts) == body_for(path)
    assert len(parts) > 1
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/ok-close", "/http10-close"])
async def test_a_body_without_length_ends_with_fin(faulty: FaultyOrigin, path: str) -> None:
    head, _, data = (await everything(faulty, path)).partition(b"\r\n\r\n")
    assert b"content-length" not in head.lower()
    assert data == body_for(path)


async def test_http10_says_so(faulty: FaultyOrigin) -> None:
    assert (await everything(faulty, "/http10")).startswith(b"HTTP/1.0 200 OK\r\n")


async def test_a_cut_length_sends_half_and_fin(faulty: FaultyOrigin) -> None:
    head, _, data = (await everything(faulty, "/cut-length")).partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in head
    assert data == body_for("/cut-length")[:500]


async def test_a_cut_chunk_ends_inside_it(faulty: FaultyOrigin) -> None:
    data = await everything(faulty, "/cut-chunked")
    assert data.rpartition(b"\r\n1f4\r\n")[2] == body_for("/cut-length")[:100]


async def test_cut_between_chunks_the_last_chunk_is_missing(faulty: FaultyOrigin) -> None:
    data = await everything(faulty, "/cut-chunked-between")
    assert data.endswith(b"\r\n\r\n1f4\r\n" + body_for("/cut-length")[:500] + b"\r\n")


async def test_cut_headers_and_empty_reply_end_early(faulty: FaultyOrigin) -> None:
    assert await everything(faulty, "/cut-headers") == b"HTTP/1.1 200 OK\r\nContent-Le"
    assert await everything(faulty, "/empty-reply") == b""


@pytest.mark.parametrize("path", RESETS)
async def test_a_reset_is_a_reset_after_the_bytes_before_it(faulty: FaultyOrigin, path: str) -> None:
    async with connected(faulty.url) as client:
        client.ask(path)
        received = b""
        with pytest.raises(ConnectionResetError):
            while data := await client.reader.read(1):
                received += data
    assert (b"\r\n\r\n" in received) is (path != "/reset-at-once")


@pytest.mark.parametrize(
    ("path", "bytes_sent"),
    [
        ("/bad-chunk-size", b"x\r\nzz\r\nrubbish\r\n0\r\n\r\n"),
        ("/bad-chunk-size-first", b"\r\n\r\nzz\r\nrubbish\r\n0\r\n\r\n"),
        ("/chunk-overflow", b"x\r\nfffffffffffffffff\r\nrubbish"),
        ("/chunk-negative", b"x\r\n-5\r\nhello\r\n0\r\n\r\n"),
        ("/chunk-missing-crlf", b"\r\n\r\n5\r\nhello5\r\nworld\r\n0\r\n\r\n"),
    ],
)
async def test_a_bad_chunk_goes_out_and_the_connection_stays_open(
    faulty: FaultyOrigin, path: str, bytes_sent: bytes
) -> None:
    async with connected(faulty.url) as client:
        client.ask(path)
        await client.reader.readuntil(bytes_sent)
        assert await is_silent(faulty, client)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/lengths-differ", b"Content-Length: 1000\r\nContent-Length: 999\r\n"),
        ("/lengths-equal-twice", b"Content-Length: 1000\r\nContent-Length: 1000\r\n"),
        ("/length-and-chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("/length-negative", b"Content-Length: -5\r\n"),
        ("/length-not-a-number", b"Content-Length: 1000abc\r\n"),
        ("/length-huge", b"Content-Length: 1180591620717411303424\r\n"),
        ("/length-plus", b"Content-Length: +5\r\n"),
        ("/te-gzip-chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
        ("/te-unknown", b"Transfer-Encoding: x-rot13\r\n"),
        ("/folded-header", b"X-Folded: one\r\n two\r\n"),
        ("/header-no-colon", b"\r\nNo colon here\r\n"),
        ("/header-space-before-colon", b"Content-Length : 1000\r\n"),
        ("/header-nul", b"X-Nul: a\x00b\r\n"),
        ("/bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 1000\n\n"),
        ("/bad-status-line", b"HTTP/1.1 OK 200\r\n"),
        ("/status-999", b"HTTP/1.1 999 Odd\r\n"),
        ("/401", b'WWW-Authenticate: Basic realm="here"\r\n'),
        ("/407", b'Proxy-Authenticate: Basic realm="here"\r\n'),
        ("/429", b"Retry-After: 1\r\n"),
        ("/206-unasked", b"Content-Range: bytes 0-499/1000\r\n"),
        ("/416-unasked", b"Content-Range: bytes */1000\r\n"),
        ("/redirect-file", b"Location: file:///etc/passwd\r\n"),
        ("/redirect-ftp", b"Location: ftp://127.0.0.1/ok\r\n"),
        ("/redirect-empty", b"Location: \r\n"),
        ("/redirect-relative", b"Location: ../ok\r\n"),
        ("/redirect-relative-query", b"Location: ?q\r\n"),
        ("/redirect-non-ascii", b"Location: /caf\xc3\xa9\r\n"),
        ("/redirect-loop", b"Location: /redirect-loop\r\n"),
        ("/redirect-loop-two", b"Location: /redirect-loop-two-back\r\n"),
        ("/redirect-loop-two-back", b"Location: /redirect-loop-two\r\n"),
        ("/coding-unknown", b"Content-Encoding: x-unknown\r\n"),
        ("/coding-chain", b"Content-Encoding: gzip, gzip\r\n"),
    ],
)
async def test_the_odd_field_goes_out_as_it_is(faulty: FaultyOrigin, path: str, field: bytes) -> None:
    head = b"\r\n" + (await everything(faulty, path))[:4000]
    assert field in head


@pytest.mark.parametrize(("path", "lines"), [("/many-headers", 200), ("/many-headers-1000", 1000)])
async def test_headers_are_as_many_as_promised(faulty: FaultyOrigin, path: str, lines: int) -> None:
    head, _ = await answer(faulty, path)
    assert head.count(b"\r\nX-Number-") == lines


async def test_surplus_follows_a_whole_answer_on_an_open_connection(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/surplus")
        assert (await client.answer())[1] == body_for("/surplus")
        assert (await client.answer())[1] == b"EVIL!"
        client.ask("/ok")
        assert (await client.answer())[1] == body_for("/ok")


async def test_a_length_that_is_too_short_leaves_bytes_behind(faulty: FaultyOrigin) -> None:
    _, _, data = (await everything(faulty, "/length-wrong-short")).partition(b"\r\n\r\n")
    assert len(data) == 1000
    assert data[:500] == body_for("/length-wrong-short")


async def test_http2_frames_and_a_bare_body_have_no_status_line(faulty: FaultyOrigin) -> None:
    assert (await everything(faulty, "/http2-preface")).startswith(b"\x00\x00\x00\x04\x00")
    assert await everything(faulty, "/http09") == body_for("/http09")
