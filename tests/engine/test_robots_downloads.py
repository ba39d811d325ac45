"""robots.txt through the whole downloader: what it disallows is not asked for, and nobody waits in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflags import AsyncDownloader, Limits, errors
from asyncflags.testing.faulty import FaultyOrigin

pytest.importorskip("protego")

PRIVATE = b"User-agent: *\nDisallow: /private\n"


def serve(origin: FaultyOrigin, path: str, body: bytes) -> None:
    origin.raw(path, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body), then="keep")


def asked(origin: FaultyOrigin) -> list[str]:
    return [request.path for request in origin.requests]


async def test_what_is_disallowed_is_never_asked_for(faulty: FaultyOrigin) -> None:
    serve(faulty, "/robots.txt", PRIVATE)
    serve(faulty, "/public", b"flag")
    async with AsyncDownloader(respect_robots=True) as dl:
        with pytest.raises(errors.BlockedUrl, match=r"robots\.txt of .* disallows it") as caught:
            await dl.fetch(faulty.url + "/private/flag")
        assert caught.value.attempts == 1
        assert (await dl.fetch(faulty.url + "/public")).content == b"flag"
    assert asked(faulty) == ["/robots.txt", "/public"]


async def test_a_redirect_to_what_is_disallowed_is_not_followed(faulty: FaultyOrigin) -> None:
    serve(faulty, "/robots.txt", PRIVATE)
    location = faulty.other_url + "/private/flag"
    faulty.raw(
        "/moved",
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(),
        then="keep",
    )
    async with AsyncDownloader(respect_robots=True) as dl:
        with pytest.raises(errors.BlockedUrl):
            await dl.fetch(faulty.url + "/moved")
    # The rules of both origins were asked for, and the target was not.
    assert asked(faulty) == ["/robots.txt", "/moved", "/robots.txt"]


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_list_of_one_host_asks_for_its_rules_once_however_few_connections_there_are(
    faulty: FaultyOrigin, tmp_path: Path, connections: int
) -> None:
    serve(faulty, "/robots.txt", PRIVATE)
    for number in range(20):
        serve(faulty, f"/public/{number}", b"flag")
    urls = [f"{faulty.url}/{'public' if number % 2 else 'private'}/{number}" for number in range(20)]
    limits = Limits(max_connections_per_host=connections)
    async with AsyncDownloader(respect_robots=True, limits=limits) as dl:
        report = await dl.download_many(urls, tmp_path)
    assert (report.completed, report.failed) == (10, 10)
    assert {type(outcome.error) for outcome in report.failures} == {errors.BlockedUrl}
    assert asked(faulty).count("/robots.txt") == 1
    assert not [path for path in asked(faulty) if path.startswith("/private")]


async def test_rules_that_cannot_be_read_at_first_are_asked_for_again(faulty: FaultyOrigin) -> None:
    serve(faulty, "/public", b"flag")
    faulty.raw("/robots.txt", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", then="keep")
    async with AsyncDownloader(respect_robots=True, retries=0) as dl:
        with pytest.raises(errors.StatusError, match=r"robots\.txt .* cannot be read") as caught:
            await dl.fetch(faulty.url + "/public")
        assert caught.value.status == 503
    assert asked(faulty) == ["/robots.txt"]


async def test_without_the_option_nobody_asks_for_rules(faulty: FaultyOrigin) -> None:
    serve(faulty, "/private/flag", b"flag")
    async with AsyncDownloader() as dl:
        assert (await dl.fetch(faulty.url + "/private/flag")).content == b"flag"
    assert asked(faulty) == ["/private/flag"]
