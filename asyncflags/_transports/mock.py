"""A transport without a network: answers are scripted, and every exchange is recorded.

For tests of applications that download, and for our own. It keeps the contract of `Transport`, which one
and the same test holds for it and for the real one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from asyncflags._policies.framing import Framing, body_framing
from asyncflags._transports.base import ExchangeRequest, ResponseStream, Room, Transport
from asyncflags.errors import DownloadError, TruncatedBody

__all__ = ["MockResponse", "MockTransport"]

Step: TypeAlias = "bytes | DownloadError | Callable[[], Awaitable[object]]"
"""Bytes to send, an error to raise, or something to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MockResponse:
    """One scripted answer.

    ==============================================  =================================================
    call                                            meaning
    ==============================================  =================================================
    ``MockResponse(body=b"flag")``                  200 with these bytes and their length
    ``MockResponse(status=503)``                    an error with an empty body
    ``MockResponse(body=[b"fl", ReadError("…")])``  two bytes come, then the connection breaks
    ``MockResponse(body=[event.wait, b"flag"])``    the bytes come once the event is set
    ==============================================  =================================================

    Attributes:
        status: The HTTP status code.
        headers: Name to value, or pairs where a name is repeated. ``Content-Length`` is added when the
            body is plain bytes and no header frames it; without either the body ends by closing.
        body: The bytes, or the steps in which they come.
        http_version: As in the status line.
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | Iterable[Step] = b""
    http_version: tuple[int, int] = (1, 1)


Handler: TypeAlias = "Callable[[ExchangeRequest], MockResponse | Awaitable[MockResponse]]"


class MockTransport(Transport):
    """Answers from a script.

    ::

        transport = MockTransport({"https://flags.example/fr.gif": MockResponse(body=b"...")})
        async with AsyncDownloader(transport=transport) as dl: ...

    Args:
        answers: URL to answer, or a function (which may be async, and may raise a `DownloadError` as a
            network does) of the request. A URL that a mapping does not hold is answered with 404.

    Attributes:
        requests: Every exchange that was asked for, in order.
        closed: Whether `aclose` was called.
    """

    def __init__(self, answers: Mapping[str, MockResponse] | Handler) -> None:
        self._answers = answers
        self.requests: list[ExchangeRequest] = []
        self.closed = False

    async def open(self, request: ExchangeRequest) -> ResponseStream:
        self.requests.append(request)
        if isinstance(self._answers, Mapping):
            return _MockStream(self._answers.get(request.url, MockResponse(status=404)))
        answer = self._answers(request)
        return _MockStream(answer if isinstance(answer, MockResponse) else await answer)

    async def aclose(self) -> None:
        self.closed = True


class _MockStream(ResponseStream):
    def __init__(self, response: MockResponse) -> None:
        self.status = response.status
        self.http_version = response.http_version
        headers = response.headers
        self._headers = list(headers.items() if isinstance(headers, Mapping) else headers)
        body = response.body
        if isinstance(body, bytes):
            names = {name.lower() for name, _ in self._headers}
            if not names & {"content-length", "transfer-encoding"}:
                self._headers.append(("Content-Length", str(len(body))))
            body = [body]
        self._steps = iter(body)
        self._rest = memoryview(b"")
        self._left: int | None = None
        self._received = 0
        self._framed = False

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self._headers

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for known, value in self._headers if known.lower() == wanted), None)

    async def receive(self, room: Room) -> memoryview:
        self._frame()
        while not self._rest:
            if self._left == 0:
                return memoryview(b"")
            step = next(self._steps, None)
            if step is None:
                return self._end()
            if isinstance(step, DownloadError):
                raise step
            if isinstance(step, bytes):
                self._rest = memoryview(step)[: self._left]
            else:
                waited = step()
                assert inspect.isawaitable(waited)
                await waited
        # Like a transport that reads from a socket itself: into the memory it is lent.
        space = room()
        size = min(len(space), len(self._rest))
        space[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._received += size
        if self._left is not None:
            self._left -= size
        return space[:size]

    def _frame(self) -> None:
        if not self._framed:
            self._framed = True
            framing, self._left = body_framing(
                method="GET", status=self.status, headers=self._headers, http_version=self.http_version
            )
            if framing is Framing.NONE:
                self._left = 0

    def _end(self) -> memoryview:
        if self._left:
            expected = self._received + self._left
            raise TruncatedBody(
                f"the body ended after {self._received} bytes, before {expected}",
                expected=expected,
                received=self._received,
            )
        return memoryview(b"")

    async def aclose(self) -> None:
        self._steps = iter(())
        self._rest = memoryview(b"")
