"""``mirrors=`` on both faces: the next one is asked when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncflags
from asyncflags import AsyncDownloader, Downloader, Request
from asyncflags.bridges import Portal
from asyncflags.testing import Origin

BODY = b"blue white red"
GONE = "http://127.0.0.1:9/fr.gif"


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a flag whose origin runs in a thread, so that blocking calls can reach it."""
    origin = Origin()
    with Portal() as portal:
        portal.call(origin.__aenter__)
        yield origin.add("/fr.gif", BODY)
        portal.call(origin.aclose)


async def test_the_async_face_asks_the_mirrors(url: str, tmp_path: Path) -> None:
    async with AsyncDownloader(retries=0) as dl:
        found = await dl.download(GONE, tmp_path / "flag", mirrors=[url])
        fetched = await dl.fetch(GONE, mirrors=(f"{url}?none", url))
    assert ((tmp_path / "flag").read_bytes(), fetched.content) == (BODY, BODY)
    assert (found.url, found.final_url) == (GONE, url)


def test_the_blocking_face_asks_the_mirrors(url: str, tmp_path: Path) -> None:
    with Downloader(retries=0) as dl:
        assert dl.download(GONE, tmp_path / "one", mirrors=[url]).size == len(BODY)
        assert dl.submit(GONE, tmp_path / "two", mirrors=[url]).result().size == len(BODY)
        assert dl.fetch(GONE, mirrors=[url]).content == BODY
    assert asyncflags.download(GONE, tmp_path / "three", mirrors=[url], retries=0).size == len(BODY)


async def test_mirrors_given_replace_those_of_the_request(url: str) -> None:
    async with AsyncDownloader(retries=0) as dl:
        request = Request(GONE, mirrors=(url,))
        assert (await dl.fetch(request)).content == BODY
        with pytest.raises(asyncflags.ConnectError):
            await dl.fetch(request, mirrors=["http://127.0.0.1:9/other"])


async def test_one_text_is_no_list_of_mirrors(url: str, tmp_path: Path) -> None:
    async with AsyncDownloader() as dl:
        with pytest.raises(TypeError, match=r"write mirrors=\[url\]"):
            await dl.download(GONE, tmp_path, mirrors=url)


async def test_a_mirror_that_is_no_url_is_refused(url: str, tmp_path: Path) -> None:
    async with AsyncDownloader() as dl:
        with pytest.raises(asyncflags.InvalidUrl):
            await dl.download(url, tmp_path, mirrors=["ftp://flags.example/fr.gif"])
