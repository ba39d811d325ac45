"""An aiohttp server that answers small requests, watches its own loop, and downloads inside of it when told to.

``python -m tests.benchmarks.peers_host [FOLDER]`` prints its port and serves until it is ended. With FOLDER it has
a downloader for files to be put there; without, asyncflags is not even imported. ``/`` is the small request;
``/begin`` and ``/end`` bound a measurement and ``/end`` tells of it; ``/download?url=U&checksum=C`` comes back when
the file is there.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from aiohttp import web

from tests.benchmarks.peers_figures import percentile
from tests.benchmarks.peers_launch import BYTES_OF_MAXRSS
from tests.benchmarks.peers_machine import peak_in

TICK_SECONDS = 0.001
ANSWER = {"code": "FR", "name": "France", "colours": ["blue", "white", "red"]}


@dataclass(frozen=True, slots=True)
class Watched:
    """A measurement.

    Attributes:
        seconds: How long it was.
        requests: Small requests answered.
        cpu: Seconds of processor time of this process, all threads.
        peak: Bytes of its largest resident size since its start.
        stalls_p99: Seconds that the loop was late for a timer, at the 99th percentile.
        stalls_worst: At worst.
        ticks: Timers that were watched.
    """

    seconds: float
    requests: int
    cpu: float
    peak: int
    stalls_p99: float
    stalls_worst: float
    ticks: int


def peak_of_this_process() -> int:
    """Bytes of its largest resident size."""
    try:
        found = peak_in(Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        found = 0
    # The usage counts from before exec, so that it is never below that of the process that started this one.
    return found or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_MAXRSS


class Host:
    """Counts what happens on the running loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._late: list[float] = []
        self._started = self._cpu = 0.0
        self._due = 0.0

    def watch(self) -> None:
        """Note how late the loop comes to a timer, and set the next one; for ever."""
        now = time.perf_counter()
        if self._due:
            self._late.append(max(0.0, now - self._due))
        # Not the loop's own clock, which uvloop keeps in whole milliseconds.
        self._due = now + TICK_SECONDS
        asyncio.get_running_loop().call_later(TICK_SECONDS, self.watch)

    async def answer(self, request: web.Request) -> web.Response:
        self._requests += 1
        return web.json_response(ANSWER)

    async def begin(self, request: web.Request) -> web.Response:
        self._requests = 0
        self._late.clear()
        self._started, self._cpu = time.perf_counter(), time.process_time()
        return web.Response()

    async def end(self, request: web.Request) -> web.Response:
        watched = Watched(
            seconds=time.perf_counter() - self._started,
            requests=self._requests,
            cpu=time.process_time() - self._cpu,
            peak=peak_of_this_process(),
            stalls_p99=percentile(self._late, 0.99),
            stalls_worst=max(self._late, default=0.0),
            ticks=len(self._late),
        )
        return web.json_response(asdict(watched))


def add_downloads(app: web.Application, folder: str) -> None:
    import asyncflags
    import asyncflags.aiohttp

    async def download(request: web.Request) -> web.Response:
        downloader = asyncflags.aiohttp.get_downloader(request)
        checksum = request.query.get("checksum")
        await downloader.download(
            request.query["url"], f"{folder}/", checksum=f"sha256:{checksum}" if checksum else None
        )
        return web.Response()

    asyncflags.aiohttp.setup(app, limits=asyncflags.Limits(max_downloads=8), durability="rename")
    app.router.add_get("/download", download)


async def start_watching(app: web.Application) -> None:
    app[HOST].watch()


HOST = web.AppKey("host", Host)


def main(folder: str = "") -> None:
    app = web.Application()
    app[HOST] = Host()
    app.on_startup.append(start_watching)
    app.router.add_get("/", app[HOST].answer)
    app.router.add_get("/begin", app[HOST].begin)
    app.router.add_get("/end", app[HOST].end)
    if folder:
        add_downloads(app, folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        web.run_app(app, sock=listener, print=None, access_log=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(*sys.argv[1:])
