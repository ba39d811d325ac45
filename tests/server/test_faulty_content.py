"""Redirects, names and content codings of the misbehaving origin are the ones promised."""

from __future__ import annotations

import gzip
import zlib

import pytest

from asyncflags.testing.faulty import (
    HOSTILE_DISPOSITIONS,
    HOSTILE_PATHS,
    FaultyOrigin,
    body_for,
    encoded_for,
)

from .raw_client import answer, connected


async def test_an_endless_redirect_leads_to_a_new_url_each_time(faulty: FaultyOrigin) -> None:
    target, seen = "/redirect-endless", []
    for _ in range(3):
        head, _ = await answer(faulty, target)
        target = head.partition(b"Location: ")[2].partition(b"\r\n")[0].decode()
        seen.append(target)
    assert seen == [f"/redirect-endless?hop={hop}" for hop in (1, 2, 3)]


async def test_redirects_name_the_listeners(faulty: FaultyOrigin) -> None:
    host = faulty.url.removeprefix("http://")
    for path, location in {
        "/redirect-relative-host": f"//{host}/ok",
        "/redirect-other-port": f"{faulty.other_url}/ok",
        "/redirect-credentials": f"http://user:pass@{host}/ok",
    }.items():
        head, _ = await answer(faulty, path)
        assert f"Location: {location}\r\n".encode() in head


async def test_the_other_listener_records_what_arrives_there(faulty: FaultyOrigin) -> None:
    await answer(faulty, "/ok")
    async with connected(faulty.other_url) as client:
        client.ask("/ok", "Authorization: Basic eDp5")
        assert (await client.answer())[1] == body_for("/redirect-other-port")
    [request] = faulty.other_requests
    assert request.headers["authorization"] == "Basic eDp5"
    assert faulty.url != faulty.other_url


async def test_the_targets_of_redirects_answer_with_the_promised_body(faulty: FaultyOrigin) -> None:
    assert (await answer(faulty, "/redirect-relative-query?q"))[1] == body_for("/redirect-relative-query")
    assert (await answer(faulty, "/caf%C3%A9"))[1] == body_for("/redirect-non-ascii")


@pytest.mark.parametrize("case", HOSTILE_DISPOSITIONS)
async def test_a_hostile_disposition_goes_out_unchanged(faulty: FaultyOrigin, case: str) -> None:
    head, body = await answer(faulty, f"/cd/{case}")
    assert b"\r\nContent-Disposition: " + HOSTILE_DISPOSITIONS[case] + b"\r\n" in head
    assert body == body_for(f"/cd/{case}")


@pytest.mark.parametrize("path", HOSTILE_PATHS)
async def test_a_hostile_path_answers_200(faulty: FaultyOrigin, path: str) -> None:
    head, body = await answer(faulty, path)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == body_for(path)


def test_hostile_paths_can_stand_in_a_request_line() -> None:
    assert all(path.isascii() and path.isprintable() and " " not in path for path in HOSTILE_PATHS)
    assert len(set(HOSTILE_PATHS)) == len(HOSTILE_PATHS)


@pytest.mark.parametrize("path", ["/gzip", "/gzip-two-members"])
async def test_valid_gzip_decodes_to_the_body(faulty: FaultyOrigin, path: str) -> None:
    head, body = await answer(faulty, path)
    assert b"Content-Encoding: gzip\r\n" in head
    assert body == encoded_for(path)
    assert gzip.decompress(body) == body_for(path)


@pytest.mark.parametrize(("path", "bits"), [("/deflate", 15), ("/deflate-raw", -15)])
async def test_deflate_decodes_to_the_body(faulty: FaultyOrigin, path: str, bits: int) -> None:
    _, body = await answer(faulty, path)
    assert zlib.decompress(body, bits) == body_for(path)


async def test_truncated_gzip_never_reaches_its_end(faulty: FaultyOrigin) -> None:
    _, body = await answer(faulty, "/gzip-truncated")
    decoder = zlib.decompressobj(31)
    assert body_for("/gzip-truncated").startswith(decoder.decompress(body))
    assert not decoder.eof


async def test_garbage_is_no_gzip(faulty: FaultyOrigin) -> None:
    _, body = await answer(faulty, "/gzip-garbage")
    with pytest.raises(zlib.error):
        zlib.decompress(body, 31)


async def test_junk_follows_a_whole_gzip_stream(faulty: FaultyOrigin) -> None:
    _, body = await answer(faulty, "/gzip-trailing-junk")
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(body) == body_for("/gzip-trailing-junk")
    assert decoder.unused_data == b"junk"


async def test_a_chain_is_compressed_twice(faulty: FaultyOrigin) -> None:
    _, body = await answer(faulty, "/coding-chain")
    assert gzip.decompress(gzip.decompress(body)) == body_for("/coding-chain")


async def test_the_bomb_is_small_and_valid(faulty: FaultyOrigin) -> None:
    _, body = await answer(faulty, "/gzip-bomb")
    assert len(body) < 256 * 1024
    decoder = zlib.decompressobj(31)
    size = 0
    while not decoder.eof:
        size += len(decoder.decompress(body, 1024 * 1024))
        body = decoder.unconsumed_tail
    assert size > 100 * 1000 * 1000
