"""The true origin serves what is put into it, as RFC 9110 says."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
import trustme

from asyncflags.testing.origin import Origin

from .raw_client import connected, exchange

BODY = b"flag " * 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_resource_carries_its_validators_and_fields(origin: Origin, method: str) -> None:
    url = origin.add(
        "/flag.gif",
        BODY,
        etag='"v1"',
        last_modified=datetime(2024, 2, 29, 12, 0, 0, 999, tzinfo=UTC),
        content_type="image/gif",
        headers={"Content-Disposition": 'attachment; filename="fr.gif"'},
    )
    reply = await exchange(origin, "/flag.gif", method=method)
    assert url == f"{origin.url}/flag.gif"
    assert (reply.status, reply.body) == (200, BODY if method == "GET" else b"")
    expected = {
        "etag": '"v1"',
        "last-modified": "Thu, 29 Feb 2024 12:00:00 GMT",
        "content-type": "image/gif",
        "content-disposition": 'attachment; filename="fr.gif"',
        "content-length": "1000",
        "accept-ranges": "bytes",
    }
    assert expected.items() <= reply.headers.items()
    assert "date" in reply.headers


async def test_the_default_etag_is_strong_and_follows_the_body(origin: Origin) -> None:
    origin.add("/file", b"one")
    first = (await exchange(origin, "/file")).headers["etag"]
    origin.add("/file", b"two")
    second = (await exchange(origin, "/file")).headers["etag"]
    assert first != second
    assert first.startswith('"')


async def test_no_etag_means_none(origin: Origin) -> None:
    origin.add("/file", BODY, etag=None)
    assert not {"etag", "last-modified"} & set((await exchange(origin, "/file")).headers)


async def test_an_unknown_path_is_a_404_and_so_is_a_removed_one(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.remove("/file")
    assert (await exchange(origin, "/file")).status == 404
    assert (await exchange(origin, "/other")).status == 404


async def test_other_methods_are_a_405_that_names_the_right_ones(origin: Origin) -> None:
    origin.add("/file", BODY)
    reply = await exchange(origin, "/file", method="DELETE")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


async def test_paths_are_taken_as_they_are_sent_and_a_query_is_no_part_of_them(origin: Origin) -> None:
    origin.add("/a%2Fb", b"encoded")
    origin.add("/a/b", b"plain")
    assert (await exchange(origin, "/a%2Fb?x=1")).body == b"encoded"
    assert (await exchange(origin, "/a/b")).body == b"plain"


async def test_a_whole_url_as_target_is_understood(origin: Origin) -> None:
    origin.add("/file", BODY)
    assert (await exchange(origin, "http://flags.example/file?x")).body == BODY
    assert (origin.requests[0].target, origin.requests[0].path) == ("http://flags.example/file?x", "/file")


async def test_requests_are_recorded(origin: Origin) -> None:
    await exchange(origin, "/file?x=%2F", "X-Mine: yes", method="HEAD")
    [request] = origin.requests
    assert (request.method, request.target, request.path) == ("HEAD", "/file?x=%2F", "/file")
    assert request.headers["x-mine"] == "yes"


async def test_connections_are_kept(origin: Origin) -> None:
    origin.add("/file", BODY)
    async with connected(origin.url) as client:
        for _ in range(2):
            client.ask("/file")
            assert (await client.answer())[1] == BODY


@pytest.mark.parametrize(
    ("accept", "coded"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("br, *;q=0", False),
        ("gzip;q=0.2, identity;q=0.8", False),
        ("gzip;q=rubbish", False),
        ("", False),
    ],
)
async def test_gzip_is_sent_to_those_who_prefer_it(origin: Origin, accept: str, coded: bool) -> None:
    origin.add("/text", BODY, etag='"v1"', compressible=True)
    reply = await exchange(origin, "/text", f"Accept-Encoding: {accept}")
    assert (gzip.decompress(reply.body) if coded else reply.body) == BODY
    assert reply.headers.get("content-encoding") == ("gzip" if coded else None)
    assert reply.headers["etag"] == ('"v1-gzip"' if coded else '"v1"')
    assert reply.headers["vary"] == "Accept-Encoding"


async def test_without_accept_encoding_or_compressible_there_is_no_gzip(origin: Origin) -> None:
    origin.add("/text", BODY, compressible=True)
    origin.add("/plain", BODY)
    assert (await exchange(origin, "/text")).body == BODY
    plain = await exchange(origin, "/plain", "Accept-Encoding: gzip")
    assert plain.body == BODY
    assert not {"vary", "content-encoding"} & set(plain.headers)


async def test_conditions_and_ranges_are_those_of_the_selected_coding(origin: Origin) -> None:
    origin.add("/text", BODY, etag='"v1"', compressible=True)
    accept = "Accept-Encoding: gzip"
    whole = (await exchange(origin, "/text", accept)).body
    part = await exchange(origin, "/text", accept, "Range: bytes=5-", 'If-Range: "v1-gzip"')
    assert (part.status, part.body) == (206, whole[5:])
    assert (await exchange(origin, "/text", accept, "Range: bytes=5-", 'If-Range: "v1"')).status == 200
    assert (await exchange(origin, "/text", accept, 'If-None-Match: "v1"')).status == 200
    assert (await exchange(origin, "/text", accept, 'If-None-Match: "v1-gzip"')).status == 304


async def test_adding_again_replaces_the_compressed_form_too(origin: Origin) -> None:
    origin.add("/text", BODY, compressible=True)
    origin.add("/text", b"new")
    assert (await exchange(origin, "/text", "Accept-Encoding: gzip")).body == b"new"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_names_its_location(origin: Origin, status: int) -> None:
    origin.add_redirect("/old", "/new?x", status)
    reply = await exchange(origin, "/old")
    assert (reply.status, reply.headers["location"], reply.body) == (status, "/new?x", b"")


async def test_a_status_gives_way_after_its_times(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.add_status("/file", 503, {"Retry-After": "2"}, times=2)
    replies = [await exchange(origin, "/file") for _ in range(4)]
    assert [reply.status for reply in replies] == [503, 503, 200, 200]
    assert replies[0].headers["retry-after"] == "2"
    assert replies[-1].body == BODY


async def test_a_status_without_times_stays(origin: Origin) -> None:
    origin.add("/file", BODY)
    origin.add_status("/file", 403)
    assert [(await exchange(origin, "/file")).status for _ in range(3)] == [403] * 3


async def test_latency_holds_the_answer_back_and_closing_does_not_wait_for_it() -> None:
    async with Origin(latency=3600) as origin, connected(origin.url) as client:
        origin.add("/file", BODY)
        client.ask("/file")
        while not origin.requests:
            await asyncio.sleep(0.001)
        await origin.aclose()
        assert await client.everything() == b""


async def test_https_is_served_with_a_context() -> None:
    authority = trustme.CA()
    server_side, client_side = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    authority.configure_trust(client_side)
    async with Origin(ssl=server_side) as origin, aiohttp.ClientSession() as session:
        url = origin.add("/file", BODY)
        async with session.get(url, ssl=client_side) as response:
            assert (url[:8], await response.read()) == ("https://", BODY)


async def test_closing_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with Origin() as origin, connected(origin.url) as client:
        client.ask("/file")
        await client.answer()
        await origin.aclose()
        assert await client.everything() == b""
    assert asyncio.all_tasks() == before


def test_the_url_of_an_origin_that_does_not_run_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = Origin().url


@pytest.mark.parametrize("path", ["file", "", "/file?x", "/file#x"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        Origin().add(path, BODY)


@pytest.mark.parametrize("etag", ["v1", '"v1', 'w/"v1"', '"a"b"', ""])
def test_what_is_no_entity_tag_is_refused(etag: str) -> None:
    with pytest.raises(ValueError, match="entity tag"):
        Origin().add("/file", BODY, etag=etag)


def test_other_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Origin().add("/file", BODY, last_modified=datetime(2024, 2, 29))
    with pytest.raises(ValueError, match="sets ETAG itself"):
        Origin().add("/file", BODY, headers={"ETAG": '"v1"'})
    with pytest.raises(ValueError, match="not a redirect"):
        Origin().add_redirect("/file", "/other", 200)
    with pytest.raises(ValueError, match="not a final status"):
        Origin().add_status("/file", 103)
