"""Downloads inside an aiohttp server: one downloader for the application, opened and closed with it.

::

    import asyncflags.aiohttp

    app = web.Application()
    asyncflags.aiohttp.setup(app, limits=asyncflags.Limits(max_downloads=8))

    async def handler(request: web.Request) -> web.Response:
        dl = asyncflags.aiohttp.get_downloader(request)
        page = await dl.fetch("https://flags.example/index.json")
        return web.json_response(page.json())
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Unpack

from aiohttp import web

from asyncflags._client import AsyncDownloader
from asyncflags._engine.options import ClientOptions

__all__ = ["DOWNLOADER", "get_downloader", "setup"]

DOWNLOADER: web.AppKey[AsyncDownloader] = web.AppKey("asyncflags.downloader", AsyncDownloader)
"""Where the application keeps its downloader, while it runs."""


def setup(app: web.Application, **options: Unpack[ClientOptions]) -> None:
    """Give *app*, and every application nested in it, a downloader.

    It is opened when the application starts and closed in its clean-up; downloads that are under way then
    end with `ClosedError`, and no half-finished file is left.

    Args:
        app: The application; not started yet.
        **options: The keywords of `AsyncDownloader`, with the same meaning.

    Raises:
        RuntimeError: *app* has a downloader already, or is running.
        TypeError, ValueError: When the application starts: an option is wrong.
    """
    if app.frozen:
        raise RuntimeError("this application is running: call asyncflags.aiohttp.setup before it starts")
    if DOWNLOADER in app or _SET_UP in app:
        raise RuntimeError("this application has a downloader already: call asyncflags.aiohttp.setup once")
    app[_SET_UP] = True

    async def run(app: web.Application) -> AsyncIterator[None]:
        async with AsyncDownloader(**options) as downloader:
            app[DOWNLOADER] = downloader
            yield

    app.cleanup_ctx.append(run)


_SET_UP: web.AppKey[bool] = web.AppKey("asyncflags.set_up", bool)


def get_downloader(request: web.Request) -> AsyncDownloader:
    """The downloader of the application that serves *request*, or of one it is nested in.

    Raises:
        RuntimeError: None of them was set up.
    """
    downloader = request.config_dict.get(DOWNLOADER)
    if downloader is None:
        raise RuntimeError(
            "no downloader here: call asyncflags.aiohttp.setup(app) before the application starts"
        )
    return downloader
