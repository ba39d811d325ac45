"""An origin that misbehaves on purpose, byte by byte.

It speaks through bare sockets, because an HTTP library would refuse to write most of what it sends. Every path of
`FAULTS` is one misbehaviour; ``/cd/<case>`` answers with one of `HOSTILE_DISPOSITIONS`, and each of `HOSTILE_PATHS`
with a small body. Anything else can be scripted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import TracebackType
from typing import Self

from asyncflags.testing._faults import FAULTS
from asyncflags.testing._faults.answers import Ending, reset, sends, sized
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Script, Verdict, default_body
from asyncflags.testing._faults.names import HOSTILE_DISPOSITIONS, HOSTILE_PATHS, NAMES, answer_name
from asyncflags.testing._faults.redirects import NON_ASCII_TARGET

__all__ = [
    "FAULTS",
    "HOSTILE_DISPOSITIONS",
    "HOSTILE_PATHS",
    "Ending",
    "Fault",
    "FaultyOrigin",
    "FaultyRequest",
    "Script",
    "Verdict",
    "body_for",
    "encoded_for",
    "reset",
]

HEAD_LIMIT = 1024 * 1024
"""Bytes of the largest request head that is read; a longer one ends the connection."""

UNKNOWN = sends(sized(b"no such fault\n", status="404 Not Found"))


def body_for(path: str) -> bytes:
    """Give the body that a client which succeeds on *path* must deliver, content codings undone.

    Args:
        path: A path of the origin, without a query; for a redirect the body at its end is given.
    """
    fault = FAULTS.get(path)
    return fault.content() if fault is not None and fault.content is not None else default_body(path)


def encoded_for(path: str) -> bytes:
    """Give the body on *path* as it is sent, content codings included; `body_for` where there are none."""
    fault = FAULTS.get(path)
    return fault.encoded() if fault is not None and fault.encoded is not None else body_for(path)


class FaultyOrigin:
    """An HTTP/1.1 origin on loopback that misbehaves as its path says; an async context manager.

    It has two listeners that serve the same paths, so that a redirect can lead to another origin. The method of a
    request is not looked at, and a request has no body. Connections end when the client leaves or the origin closes.

    Args:
        interval: Seconds between two writes of ``/drip`` and ``/interim-endless``.

    Attributes:
        requests: Every request, in the order in which they came.
        connections: How many connections were accepted so far.
    """

    def __init__(self, *, interval: float = 0.005) -> None:
        self.requests: list[FaultyRequest] = []
        self.connections = 0
        self._interval = interval
        self._visits: Counter[str] = Counter()
        self._scripts: dict[str, Script] = {}
        self._servers: list[asyncio.Server] = []
        self._urls: list[str] = []
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._errors: list[BaseException] = []

    @property
    def url(self) -> str:
        """The origin's base URL, without a trailing slash."""
        return self._urls[0]

    @property
    def other_url(self) -> str:
        """The second listener's base URL: the same host and another port, hence another origin."""
        return self._urls[1]

    @property
    def other_requests(self) -> list[FaultyRequest]:
        """The requests that came to the second listener."""
        return [request for request in self.requests if request.base_url == self.other_url]

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def script(self, path: str, callback: Script) -> None:
        """Answer *path* with *callback*, in place of what stood there.

        Args:
            path: A path without a query.
            callback: Awaited with ``(reader, writer, request)`` after the request head was read. When it returns with
                the writer still open, the connection takes a next request. An error it raises is raised again
                when the origin closes.
        """
        self._scripts[path] = callback

    def raw(self, path: str, *chunks: bytes, then: Ending = "close") -> None:
        """Answer *path* with these very bytes.

        Args:
            path: A path without a query.
            chunks: Written one by one.
            then: ``"close"`` (FIN), ``"reset"`` (RST), ``"keep"`` (take a next request) or ``"stall"`` (silence).
        """
        self.script(path, sends(*chunks, then=then))

    async def __aenter__(self) -> Self:
        for number in range(2):
            await self._listen(number)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        if error is None and self._errors:
            raise self._errors[0]

    async def aclose(self) -> None:
        """Stop listening and end every connection; nothing is left running."""
        for server in self._servers:
            server.close()
        tasks = list(self._open)
        for task, writer in self._open.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _listen(self, number: int) -> None:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accept(reader, writer, number)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=HEAD_LIMIT)
        self._servers.append(server)
        self._urls.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: int) -> None:
        self.connections += 1
        # With no room in the transport, drain() returns when the system has the bytes, so that an RST right
        # after does not overtake what uvloop would still keep back.
        writer.transport.set_write_buffer_limits(high=0)
        task = asyncio.create_task(self._serve(reader, writer, listener, self.connections))
        self._open[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._open[task]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._errors.append(error)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: int, connection: int
    ) -> None:
        turn = 0
        try:
            # A client that leaves is no error here, at whatever moment it does.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    turn += 1
                    request = self._record(head, listener, connection, turn)
                    await self._script_for(request.path)(reader, writer, request)
                    if _is_last(request):
                        break
        finally:
            writer.close()

    def _record(self, head: bytes, listener: int, connection: int, turn: int) -> FaultyRequest:
        method, target, headers = _parse(head)
        self._visits[target.partition("?")[0]] += 1
        request = FaultyRequest(
            method=method,
            target=target,
            headers=headers,
            base_url=self._urls[listener],
            other_url=self._urls[1 - listener],
            visit=self._visits[target.partition("?")[0]],
            connection=connection,
            turn=turn,
            interval=self._interval,
        )
        self.requests.append(request)
        return request

    def _script_for(self, path: str) -> Script:
        if path in self._scripts:
            return self._scripts[path]
        if path in FAULTS:
            return FAULTS[path].script
        if path.startswith(NAMES) or default_body(path) == default_body(NON_ASCII_TARGET):
            return answer_name
        return UNKNOWN


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target = (first.split(" ") + ["", ""])[:2]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return method, target, headers


def _is_last(request: FaultyRequest) -> bool:
    return request.headers.get("connection", "").lower() == "close"
