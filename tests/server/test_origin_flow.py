"""Bodies of the true origin come slowly, wait or end early when they are told to, and carry digests."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from asyncflags.testing.origin import Origin

from .raw_client import Client, connected, exchange

BODY = bytes(range(256)) * 8
LARGE = bytes(range(256)) * 4096
SENT_BEFORE = b"\r\n\r\n" + BODY[:100]


def sha_256(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def sha_512(content: bytes) -> str:
    return f"sha-512=:{base64.b64encode(hashlib.sha512(content).digest()).decode()}:"


async def whole(client: Client, target: str = "/file") -> bytes:
    client.ask(target)
    return (await client.answer())[1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_digests_are_of_the_whole_and_of_the_content(origin: Origin, method: str) -> None:
    origin.add("/file", BODY, digests=["sha-256", "sha-512"])
    reply = await exchange(origin, "/file", method=method)
    assert reply.headers["repr-digest"] == f"{sha_256(BODY)}, {sha_512(BODY)}"
    content = BODY if method == "GET" else b""
    assert reply.headers["content-digest"] == f"{sha_256(content)}, {sha_512(content)}"


async def test_a_part_has_the_digest_of_its_content(origin: Origin) -> None:
    origin.add("/file", BODY, etag='"v1"', digests=["sha-256"])
    reply = await exchange(origin, "/file", "Range: bytes=10-19")
    assert reply.headers["content-digest"] == sha_256(BODY[10:20])
    assert reply.headers["repr-digest"] == sha_256(BODY)
    resumed = await exchange(origin, "/file", "Range: bytes=10-19", 'If-Range: "v1"')
    assert (resumed.status, resumed.headers["content-digest"]) == (206, sha_256(BODY[10:20]))
    assert "repr-digest" not in resumed.headers


async def test_digests_are_of_the_coded_bytes(origin: Origin) -> None:
    origin.add("/file", BODY, compressible=True, digests=["sha-256"])
    reply = await exchange(origin, "/file", "Accept-Encoding: gzip")
    assert gzip.decompress(reply.body) == BODY
    assert reply.headers["repr-digest"] == reply.headers["content-digest"] == sha_256(reply.body)
    plain = await exchange(origin, "/file")
    assert plain.headers["repr-digest"] == sha_256(BODY)


@pytest.mark.parametrize("condition", ['If-None-Match: "v1"', 'If-Match: "v2"'])
async def test_answers_without_the_resource_have_no_digest(origin: Origin, condition: str) -> None:
    origin.add("/file", BODY, etag='"v1"', digests=["sha-256"])
    assert not {"repr-digest", "content-digest"} & set((await exchange(origin, "/file", condition)).headers)


async def test_no_digest_is_sent_unless_asked_for_and_own_fields_are(origin: Origin) -> None:
    origin.add("/plain", BODY)
    origin.add("/own", BODY, headers={"Repr-Digest": "sha-256=:AAAA:", "Link": "<u>; rel=duplicate"})
    assert not {"repr-digest", "content-digest"} & set((await exchange(origin, "/plain")).headers)
    own = (await exchange(origin, "/own")).headers
    assert (own["repr-digest"], own["link"]) == ("sha-256=:AAAA:", "<u>; rel=duplicate")


def test_digests_that_cannot_be_sent_are_refused() -> None:
    origin = Origin()
    with pytest.raises(ValueError, match="'md5' is no digest that the origin makes: use sha-256 or sha-512"):
        origin.add("/file", BODY, digests=["md5"])
    with pytest.raises(ValueError, match="the origin sets Content-Digest itself"):
        origin.add("/file", BODY, digests=["sha-256"], headers={"Content-Digest": "x"})


@pytest.mark.parametrize("after", [0, 1, 100, len(BODY) - 1])
async def test_a_cut_sends_these_bytes_and_closes(origin: Origin, after: int) -> None:
    origin.add("/file", BODY)
    origin.cut("/file", after)
    for _ in range(2):
        reply = await exchange(origin, "/file")
        assert (reply.status, reply.headers["content-length"]) == (200, str(len(BODY)))
        assert reply.body == BODY[:after]


async def test_a_large_body_is_cut_at_the_byte(origin: Origin) -> None:
    origin.add("/file", LARGE)
    origin.cut("/file", 700_000)
    assert (await exchange(origin, "/file")).body == LARGE[:700_000]


async def test_a_cut_ends_so_many_answers_as_it_was_told(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.cut("/file", 100, times=2)
    sizes = [len((await exchange(origin, "/file")).body) for _ in range(3)]
    assert sizes == [100, 100, len(BODY)]
    origin.cut("/file", 100, times=0)
    assert (await exchange(origin, "/file")).body == BODY


async def test_answers_that_are_no_longer_than_a_cut_are_whole_and_do_not_count(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.cut("/file", 100, times=1)
    async with connected(origin.url) as client:
        client.ask("/file", "Range: bytes=500-599")
        assert (await client.answer())[1] == BODY[500:600]
        client.ask("/file", method="HEAD")
        assert f"Content-Length: {len(BODY)}".encode() in await client.reader.readuntil(b"\r\n\r\n")
    reply = await exchange(origin, "/file", "Range: bytes=500-600")
    assert (reply.status, reply.body) == (206, BODY[500:600])
    assert (await exchange(origin, "/file")).body == BODY


async def test_what_stands_before_a_resource_is_not_cut(origin: Origin) -> None:
    origin.add_redirect("/old", "/file")
    origin.add_status("/file", 503, times=1)
    for path in ("/old", "/file", "/absent"):
        origin.cut(path, 0)
    statuses = [(await exchange(origin, path)).status for path in ("/old", "/file", "/absent")]
    assert statuses == [302, 503, 404]


async def test_a_held_body_waits_where_it_was_told(origin: Origin) -> None:
    origin.add("/file", BODY)
    gate = origin.hold("/file", after=100)
    async with connected(origin.url) as client, connected(origin.url) as other:
        for each in (client, other):
            each.ask("/file")
            await each.reader.readuntil(SENT_BEFORE)
        await exchange(origin, "/absent")
        assert not client.reader.at_eof()
        gate.set()
        for each in (client, other):
            assert await each.reader.readexactly(len(BODY) - 100) == BODY[100:]
        assert await whole(client) == BODY


async def test_a_held_body_may_wait_right_behind_its_head(origin: Origin) -> None:
    origin.add("/file", BODY)
    gate = origin.hold("/file")
    async with connected(origin.url) as client:
        client.ask("/file")
        assert f"Content-Length: {len(BODY)}\r\n".encode() in await client.reader.readuntil(b"\r\n\r\n")
        gate.set()
        assert await client.reader.readexactly(len(BODY)) == BODY


async def test_a_shorter_body_is_not_held(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.hold("/file", after=100)
    assert (await exchange(origin, "/file", "Range: bytes=0-98")).body == BODY[:99]


async def test_a_body_is_held_and_then_cut(origin: Origin) -> None:
    origin.add("/file", BODY)
    gate = origin.hold("/file", after=100)
    origin.cut("/file", 200)
    async with connected(origin.url) as client:
        client.ask("/file")
        await client.reader.readuntil(SENT_BEFORE)
        gate.set()
        assert await client.everything() == BODY[100:200]


async def test_closing_ends_what_is_held() -> None:
    async with Origin() as origin, connected(origin.url) as client:
        origin.add("/file", BODY)
        origin.hold("/file", after=100)
        client.ask("/file")
        await client.reader.readuntil(SENT_BEFORE)
        await origin.aclose()
        assert await client.everything() == b""


async def test_a_client_that_leaves_a_held_body_leaves_nothing_behind(origin: Origin) -> None:
    origin.add("/file", LARGE)
    gate = origin.hold("/file", after=100)
    async with connected(origin.url) as client:
        client.ask("/file")
        await client.reader.readuntil(b"\r\n\r\n")
    gate.set()
    assert (await exchange(origin, "/file")).body == LARGE


async def test_a_slow_body_comes_in_pieces(origin: Origin) -> None:
    """At 10,000 bytes a second no piece has more than 100, so another answer gets in between."""
    origin.add("/file", BODY)
    origin.add("/other", b"other")
    origin.throttle("/file", 10_000)
    async with connected(origin.url) as client:
        client.ask("/file")
        await client.reader.readuntil(b"\r\n\r\n")
        early = await client.reader.read(len(BODY))
        assert (await exchange(origin, "/other")).body == b"other"
        assert len(early) < len(BODY)
        assert early + await client.reader.readexactly(len(BODY) - len(early)) == BODY


async def test_no_slow_connection_waits_for_another(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.throttle("/file", 10_000)
    async with connected(origin.url) as one, connected(origin.url) as two:
        for each in (one, two):
            each.ask("/file")
            await each.reader.readuntil(b"\r\n\r\n")
        early = [await each.reader.read(len(BODY)) for each in (one, two)]
        assert all(0 < len(each) < len(BODY) for each in early)


async def test_a_rate_that_is_taken_away_holds_nothing_back(origin: Origin) -> None:
    origin.add("/file", LARGE)
    origin.throttle("/file", 1)
    origin.throttle("/file", None)
    assert (await exchange(origin, "/file")).body == LARGE


async def test_a_removed_path_comes_back_without_its_flow(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.cut("/file", 100)
    origin.remove("/file")
    origin.add("/file", BODY)
    assert (await exchange(origin, "/file")).body == BODY


async def test_what_was_set_for_a_path_stays_when_its_resource_changes(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.cut("/file", 100)
    origin.add("/file", BODY[::-1])
    assert (await exchange(origin, "/file")).body == BODY[::-1][:100]


@pytest.mark.parametrize(
    ("fields", "method", "status", "served"),
    [
        ((), "GET", 200, (0, 2048)),
        (("Range: bytes=10-19",), "GET", 206, (10, 20)),
        (("Range: bytes=-5",), "GET", 206, (2043, 2048)),
        (("Range: bytes=9999-",), "GET", 416, None),
        (('If-None-Match: "v1"',), "GET", 304, None),
        ((), "HEAD", 200, None),
        ((), "POST", 405, None),
    ],
)
async def test_a_request_is_recorded_with_what_it_got(
    origin: Origin, fields: tuple[str, ...], method: str, status: int, served: tuple[int, int] | None
) -> None:
    origin.add("/file", BODY, etag='"v1"')
    origin.cut("/file", 1)
    await exchange(origin, "/file", *fields, method=method)
    [request] = origin.requests
    assert (request.status, request.served) == (status, served)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="a rate is above 0 bytes a second"):
        Origin().throttle("/file", rate)


def test_places_and_paths_that_are_none_are_refused() -> None:
    origin = Origin()
    with pytest.raises(ValueError, match="is held after 0 bytes or more, not -1"):
        origin.hold("/file", -1)
    for after, times in ((-1, None), (0, -1)):
        with pytest.raises(ValueError, match="is cut after 0 bytes or more"):
            origin.cut("/file", after, times)
    for call in (lambda: origin.cut("file", 0), lambda: origin.hold("/f?q"), lambda: origin.throttle("", 1)):
        with pytest.raises(ValueError, match="is not a path"):
            call()
