"""An HTTP origin that serves the flags of the world, well or badly on request.

``python -m asyncflags.testing.flags.origin`` starts it on a free port of 127.0.0.1 and prints its
URL as the only line. In a test, use the same thing in-process::

    async with flag_origin(latency=0.01) as origin:
        print(origin.url + "/index.json")
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from asyncflags.testing.flags.countries import COUNTRIES, most_populous
from asyncflags.testing.flags.drawing import draw_flag
from asyncflags.testing.flags.faults import Fault, planned_faults

LAST_MODIFIED = datetime(2025, 1, 1, tzinfo=UTC)
"""One date for all flags, long enough ago to be a strong validator (RFC 9110 section 8.8.2.2)."""

_SHUTDOWN_SECONDS = 0.25
"""How long answers under way may take to finish once the origin is told to stop."""

_COUNTRIES = {country.code.lower(): country for country in COUNTRIES}


@dataclass(frozen=True, slots=True)
class Picture:
    """The drawn flag of one country.

    Attributes:
        body: The PNG file.
        sha256: Its hash in hexadecimal.
    """

    body: bytes
    sha256: str

    @property
    def etag(self) -> str:
        """The opaque part of the strong entity tag (RFC 9110 section 8.8.3)."""
        return self.sha256[:32]


@functools.cache
def picture(code: str) -> Picture:
    """Draw a flag, once in the life of the process.

    Args:
        code: The lower-case alpha-2 code of a country.
    """
    body = draw_flag(_COUNTRIES[code])
    return Picture(body, hashlib.sha256(body).hexdigest())


@functools.cache
def index_document() -> bytes:
    """The list of all flags as JSON, most populous country first."""
    rows = []
    for country in most_populous(len(COUNTRIES)):
        code = country.code.lower()
        row = {"code": country.code, "name": country.name, "population": country.population}
        drawn = picture(code)
        rows.append(row | {"path": f"/flags/{code}.png", "size": len(drawn.body), "sha256": drawn.sha256})
    return json.dumps({"flags": rows}, ensure_ascii=False, indent=1).encode()


class FlagOrigin:
    """The state of one running origin.

    Attributes:
        url: Where it listens, without a slash at the end; empty until it does.
        requests: How many requests came for each path, a query included. With ``faulty`` the faults happen
            once for each such key, so ``?run=2`` meets them afresh.
    """

    def __init__(self, *, latency: float = 0.0, faulty: bool = False, seed: int = 0) -> None:
        """Prepare an origin that does not listen yet.

        Args:
            latency: Seconds that every flag waits before its answer begins; 0 answers at once.
            faulty: Whether about a quarter of the flags fail on their first request, and some on the second.
            seed: Which flags those are.
        """
        if not latency >= 0:
            raise ValueError(f"The latency is {latency}, but it must be 0 seconds or more.")
        self.url = ""
        self.requests: collections.Counter[str] = collections.Counter()
        self._latency = latency
        self._faulty = faulty
        self._seed = seed
        # Two threads: drawing the whole index on one does not hold up a single flag on the other.
        self._painters = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="flag-painter")
        self._drawn: dict[str, Picture] = {}

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[FlagOrigin]:
        """Listen on 127.0.0.1 while the block runs.

        Args:
            port: The port to take; 0 takes a free one.

        Raises:
            OSError: The port cannot be had.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()
            self._painters.shutdown(cancel_futures=True)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/index.json", self._answer_index)
        application.router.add_get("/flags/{code:[a-z]+}.png", self._answer_flag)
        return application

    async def _answer_index(self, request: web.Request) -> web.Response:
        self.requests[request.path_qs] += 1
        body = await asyncio.get_running_loop().run_in_executor(self._painters, index_document)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def _answer_flag(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path_qs] += 1
        fault = self._fault(request.path, self.requests[request.path_qs])
        await asyncio.sleep(self._latency)
        code = request.match_info["code"]
        if code not in _COUNTRIES:
            raise web.HTTPNotFound(
                text=f"No country has the code {code}; /index.json lists those that are served."
            )
        if fault is Fault.UNAVAILABLE:
            raise web.HTTPServiceUnavailable(
                text="This origin fails on purpose; the next request may succeed."
            )
        drawn = await self._picture(code)
        if fault is not None:
            return await _break_off(request, drawn, fault)
        return _complete(request, drawn)

    def _fault(self, path: str, attempt: int) -> Fault | None:
        faults = planned_faults(self._seed, path) if self._faulty else ()
        return faults[attempt - 1] if attempt <= len(faults) else None

    async def _picture(self, code: str) -> Picture:
        if code not in self._drawn:
            loop = asyncio.get_running_loop()
            self._drawn[code] = await loop.run_in_executor(self._painters, picture, code)
        return self._drawn[code]


def _complete(request: web.Request, drawn: Picture) -> web.Response:
    """The whole flag, or 304 if the client names its entity tag (RFC 9110 section 13.1.2)."""
    known = any(tag.value in ("*", drawn.etag) for tag in request.if_none_match or ())
    response = web.Response(status=304) if known else web.Response(body=drawn.body, content_type="image/png")
    response.etag = drawn.etag
    response.last_modified = LAST_MODIFIED
    return response


async def _break_off(request: web.Request, drawn: Picture, fault: Fault) -> web.StreamResponse:
    """Announce the whole flag, send half of it and end the connection."""
    response = web.StreamResponse()
    response.content_type = "image/png"
    response.content_length = len(drawn.body)
    response.etag = drawn.etag
    response.last_modified = LAST_MODIFIED
    response.force_close()
    # A client that was quicker to leave needs no more breaking off.
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        await response.write(drawn.body[: len(drawn.body) // 2])
    if request.transport is not None:
        if fault is Fault.RESET:
            _reset_on_close(request.transport)
        request.transport.close()
    return response


def _reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Make the end of a connection a TCP reset instead of an orderly end."""
    # Lingering for 0 seconds is what makes a close a reset; aborting the transport would end it in order too.
    linger = struct.pack("ii" if os.name == "posix" else "hh", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@contextlib.asynccontextmanager
async def flag_origin(
    *, latency: float = 0.0, faulty: bool = False, seed: int = 0
) -> AsyncIterator[FlagOrigin]:
    """Serve the flags inside this process, on a free port of 127.0.0.1.

    Args:
        latency: Seconds that every flag waits before its answer begins; 0 answers at once.
        faulty: Whether about a quarter of the flags fail on their first request, and some on the second.
        seed: Which flags those are.
    """
    async with FlagOrigin(latency=latency, faulty=faulty, seed=seed).listening() as origin:
        yield origin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyncflags.testing.flags.origin",
        description="Serve the flags of the world on 127.0.0.1.",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the port to listen on; 0, the default, takes a free one"
    )
    parser.add_argument(
        "--latency", type=float, default=0.05, help="seconds before each answer (default 0.05)"
    )
    parser.add_argument(
        "--faulty", action="store_true", help="let a quarter of the flags fail on first request"
    )
    parser.add_argument("--seed", type=int, default=0, help="which flags fail with --faulty (default 0)")
    parser.add_argument("--parent-pipe", action="store_true", help="end when standard input reaches its end")
    return parser


def _watch_standard_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Ask the loop to stop when standard input ends, which it does when the parent dies in whatever way."""
    # The bare descriptor: a buffered reader holds a lock that the interpreter would wait for at exit.
    # A descriptor that is closed altogether has no parent at its other end either.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    # The loop may have been closed for another reason in the meantime; then there is nothing left to stop.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)


async def _serve(options: argparse.Namespace) -> None:
    """Serve until a signal or the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Loops on Windows have no signal handlers; there KeyboardInterrupt ends the run.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    origin = FlagOrigin(latency=options.latency, faulty=options.faulty, seed=options.seed)
    async with origin.listening(options.port):
        if options.parent_pipe:
            threading.Thread(target=_watch_standard_input, args=(loop, stop), daemon=True).start()
        print(origin.url, flush=True)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the origin from the command line.

    Args:
        arguments: The words after the program's name; None takes those of the process.

    Returns:
        The exit code: 0 after an orderly end, 1 if the port cannot be had; wrong options exit with 2.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.latency >= 0:
        parser.error(f"--latency is {options.latency}, but it must be 0 seconds or more")
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(
            f"Cannot listen on port {options.port}: {error.strerror}. Choose another --port.", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
