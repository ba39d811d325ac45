"""A server that fetches a flag when it is first asked for, and serves it from disk afterwards.

python examples/aiohttp_server.py http://127.0.0.1:8000 [FOLDER] [PORT]
"""

from __future__ import annotations

import asyncio
import collections
import sys
from typing import Any

from aiohttp import web

import asyncflags
import asyncflags.aiohttp


class Flags:
    """The flags of one origin, kept in a folder."""

    def __init__(self, base: str, folder: str) -> None:
        self._base = base
        self._folder = folder + "/"
        self._rows: dict[str, dict[str, Any]] = {}
        self._locks: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    async def answer(self, request: web.Request) -> web.FileResponse:
        dl = asyncflags.aiohttp.get_downloader(request)
        try:
            row = await self._row(dl, request.match_info["code"])
            wanted = asyncflags.Request(self._base + row["path"], checksum=f"sha256:{row['sha256']}")
            # Two visitors who ask for one flag in the same moment share one download.
            async with self._locks[row["code"]]:
                result = await dl.download(wanted, self._folder, if_exists="skip")
        except asyncflags.DownloadError as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        assert result.path is not None
        return web.FileResponse(result.path)

    async def _row(self, dl: asyncflags.AsyncDownloader, code: str) -> dict[str, Any]:
        if not self._rows:
            index = (await dl.fetch(f"{self._base}/index.json")).json()
            self._rows = {row["code"].lower(): row for row in index["flags"]}
        if code not in self._rows:
            raise web.HTTPNotFound(text=f"no country has the code {code}")
        return self._rows[code]


def main(base: str, folder: str = "flags", port: str = "8080") -> None:
    app = web.Application()
    asyncflags.aiohttp.setup(app, limits=asyncflags.Limits(max_downloads=8))
    app.router.add_get("/{code}.png", Flags(base, folder).answer)
    web.run_app(app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
