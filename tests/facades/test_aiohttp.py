"""Downloads inside an aiohttp server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

import asyncflags.aiohttp
from asyncflags import AsyncDownloader, Limits, errors
from asyncflags._transports.mock import MockResponse, MockTransport

URL = "https://flags.example/fr.gif"


async def fetch(request: web.Request) -> web.Response:
    dl = asyncflags.aiohttp.get_downloader(request)
    return web.Response(body=(await dl.fetch(URL)).content)


def application(handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = fetch) -> web.Application:
    app = web.Application()
    app.router.add_get("/", handler)
    return app


def flag() -> MockTransport:
    return MockTransport({URL: MockResponse(body=b"flag")})


async def body_of(client: TestClient[Any, Any], path: str = "/") -> bytes:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def test_a_handler_downloads_with_the_application_s_downloader(aiohttp_client: AiohttpClient) -> None:
    app = application()
    asyncflags.aiohttp.setup(app, transport=flag(), limits=Limits(max_downloads=8), retries=1)
    assert await body_of(await aiohttp_client(app)) == b"flag"


async def test_the_downloader_is_opened_and_closed_with_the_application(
    aiohttp_client: AiohttpClient,
) -> None:
    app, transport = application(), flag()
    asyncflags.aiohttp.setup(app, transport=transport)
    client = await aiohttp_client(app)
    downloader = app[asyncflags.aiohttp.DOWNLOADER]
    assert isinstance(downloader, AsyncDownloader)
    assert not transport.closed
    await client.close()
    assert transport.closed
    with pytest.raises(errors.ClosedError):
        await downloader.fetch(URL)


async def test_a_nested_application_uses_the_downloader_of_the_outer_one(
    aiohttp_client: AiohttpClient,
) -> None:
    outer = web.Application()
    outer.add_subapp("/inner/", application())
    asyncflags.aiohttp.setup(outer, transport=flag())
    assert await body_of(await aiohttp_client(outer), "/inner/") == b"flag"


async def test_a_nested_application_may_have_one_of_its_own(aiohttp_client: AiohttpClient) -> None:
    outer, inner = application(), application()
    other = MockTransport({URL: MockResponse(body=b"other")})
    asyncflags.aiohttp.setup(outer, transport=flag())
    asyncflags.aiohttp.setup(inner, transport=other)
    outer.add_subapp("/inner/", inner)
    client = await aiohttp_client(outer)
    assert (await body_of(client), await body_of(client, "/inner/")) == (b"flag", b"other")


async def test_without_a_set_up_the_handler_is_told_what_to_call(aiohttp_client: AiohttpClient) -> None:
    told = []

    async def handler(request: web.Request) -> web.Response:
        with pytest.raises(RuntimeError, match=r"call asyncflags\.aiohttp\.setup\(app\)") as caught:
            asyncflags.aiohttp.get_downloader(request)
        told.append(caught.value)
        return web.Response()

    await body_of(await aiohttp_client(application(handler)))
    assert len(told) == 1


async def test_an_application_is_set_up_once() -> None:
    app = application()
    asyncflags.aiohttp.setup(app)
    with pytest.raises(RuntimeError, match="once"):
        asyncflags.aiohttp.setup(app)


async def test_a_running_application_is_not_set_up(aiohttp_client: AiohttpClient) -> None:
    app = application()
    await aiohttp_client(app)
    with pytest.raises(RuntimeError):
        asyncflags.aiohttp.setup(app)


@pytest.mark.parametrize("options", [{"unknown": 1}, {"retries": -1}], ids=str)
async def test_a_wrong_option_keeps_the_application_from_starting(options: Any) -> None:
    app = application()
    with pytest.raises((TypeError, ValueError)):
        asyncflags.aiohttp.setup(app, **options)
        runner = web.AppRunner(app)
        await runner.setup()


async def test_closing_ends_what_the_application_downloads(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    async def stall(request: Any) -> MockResponse:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = application()
    asyncflags.aiohttp.setup(app, transport=MockTransport(stall))
    client = await aiohttp_client(app)
    downloads = [
        asyncio.ensure_future(work)
        for work in (
            app[asyncflags.aiohttp.DOWNLOADER].download(URL, tmp_path),
            app[asyncflags.aiohttp.DOWNLOADER].download_many([URL], tmp_path),
        )
    ]
    await begun.wait()
    await client.close()
    await asyncio.wait(downloads)
    assert [type(each.exception()) for each in downloads] == [errors.ClosedError, errors.ClosedError]
    assert list(tmp_path.iterdir()) == []


async def test_a_client_that_leaves_does_not_harm_the_downloader(aiohttp_client: AiohttpClient) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def slow(request: Any) -> MockResponse:
        begun.set()
        await gate.wait()
        return MockResponse(body=b"flag")

    app = application()
    asyncflags.aiohttp.setup(app, transport=MockTransport(slow))
    client = await aiohttp_client(app)
    leaving = asyncio.ensure_future(client.get("/"))
    await begun.wait()
    leaving.cancel()
    await asyncio.wait((leaving,))
    gate.set()
    assert await body_of(client) == b"flag"
