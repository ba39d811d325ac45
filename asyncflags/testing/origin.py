"""An origin that obeys the RFCs, for tests of what a client does with true answers.

It serves what is put into it: resources with validators, ranges and a gzip variant, redirects, and statuses that
give way to the resource after some requests. What it answers is decided in `asyncflags.testing._resource`.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl as tls
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web
from yarl import URL

from asyncflags.testing._resource import ENTITY_TAG, Answer, Representation, accepts_gzip, answer

__all__ = ["AUTO", "Origin", "RecordedRequest"]

AUTO = "auto"
"""As *etag*: a strong entity tag made of the body's hash."""

SET_BY_THE_ORIGIN = frozenset(
    {"content-length", "content-range", "content-type", "etag", "last-modified", "transfer-encoding"}
)
CLOSING_TIME = 0.05
"""Seconds that an answer under way gets when the origin closes."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it came.

    Attributes:
        method: As sent.
        target: The request target as sent, query included.
        path: The target's path as sent, without query.
        headers: The fields; names are looked up in any case.
    """

    method: str
    target: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Interruption:
    """A status that stands before whatever a path serves; *left* requests get it, ``None``: all."""

    answer: Answer
    left: int | None


class Origin:
    """An HTTP/1.1 origin on a free port of loopback; an async context manager.

    Args:
        latency: Seconds to wait before each answer; 0: none. May be changed at any time.
        ssl: Serve https with this context; ``None``: plain http.

    Attributes:
        requests: Every request, in the order in which they came.
    """

    def __init__(self, *, latency: float = 0.0, ssl: tls.SSLContext | None = None) -> None:
        self.latency = latency
        self.requests: list[RecordedRequest] = []
        self._ssl = ssl
        self._url = ""
        self._resources: dict[str, Representation] = {}
        self._compressed: dict[str, Representation] = {}
        self._redirects: dict[str, Answer] = {}
        self._interruptions: dict[str, _Interruption] = {}
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash.

        Raises:
            RuntimeError: The origin is not running.
        """
        if not self._url:
            raise RuntimeError("the origin is not running: enter it with `async with` first")
        return self._url

    def add(
        self,
        path: str,
        body: bytes,
        *,
        etag: str | None = AUTO,
        last_modified: datetime | None = None,
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
        compressible: bool = False,
    ) -> str:
        """Serve *body* at *path*, in place of what stood there.

        Args:
            path: As it stands in a request line, without query: percent-encoded, with the leading slash.
            body: The content.
            etag: An entity tag with its quotes, weak ones with ``W/`` before them (RFC 9110 section 8.8.3);
                `AUTO`: a strong one made of the body's hash; ``None``: none is sent.
            last_modified: With a time zone; fractions of a second are dropped; ``None``: none is sent.
            content_type: The media type.
            headers: Further fields of a 200, for example Content-Disposition.
            compressible: Send gzip, under an entity tag of its own, to clients that accept it.

        Returns:
            The URL, or the path alone while the origin is not running yet.

        Raises:
            ValueError: The path has no leading slash or holds a query, *etag* is no entity tag, *last_modified* has
                no time zone, or *headers* names a field that the origin sets itself.
        """
        resource = Representation(
            body=body,
            etag=_checked_etag(etag, body),
            last_modified=_whole_seconds(last_modified),
            content_type=content_type,
            headers=_checked_headers(headers),
            negotiated=compressible,
        )
        self._forget(_checked_path(path))
        self._resources[path] = resource
        if compressible:
            self._compressed[path] = resource.compressed()
        return self._url + path

    def add_redirect(self, path: str, location: str, status: int = 302) -> str:
        """Redirect *path* to *location*, in place of what stood there.

        Args:
            path: As for `add`.
            location: The Location field as it is sent.
            status: 301, 302, 303, 307 or 308.

        Returns:
            The URL, as `add` does.

        Raises:
            ValueError: The path is not one, or *status* is no redirect.
        """
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status} is not a redirect: use 301, 302, 303, 307 or 308")
        self._forget(_checked_path(path))
        self._redirects[path] = Answer(status, {"Location": location})
        return self._url + path

    def add_status(
        self, path: str, status: int, headers: Mapping[str, str] | None = None, times: int | None = None
    ) -> str:
        """Answer *path* with *status* before anything that stands there.

        Args:
            path: As for `add`.
            status: From 200 to 599.
            headers: For example Retry-After.
            times: This many requests get the status, the later ones what stands at the path; ``None``: all get it.

        Returns:
            The URL, as `add` does.

        Raises:
            ValueError: The path is not one, or *status* is no final status.
        """
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is not a final status: use one from 200 to 599")
        self._interruptions[_checked_path(path)] = _Interruption(Answer(status, dict(headers or {})), times)
        return self._url + path

    def remove(self, path: str) -> None:
        """Serve nothing at *path* any more: it answers 404."""
        self._forget(path)
        self._interruptions.pop(path, None)

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSING_TIME)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl).start()
        scheme = "https" if self._ssl else "http"
        self._url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening and end every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def _forget(self, path: str) -> None:
        self._resources.pop(path, None)
        self._compressed.pop(path, None)
        self._redirects.pop(path, None)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        recorded = RecordedRequest(request.method, request.raw_path, _path(request.raw_path), request.headers)
        self.requests.append(recorded)
        decided = self._decide(recorded)
        if self.latency:
            await asyncio.sleep(self.latency)
        return web.Response(status=decided.status, headers=decided.headers, body=decided.body)

    def _decide(self, request: RecordedRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return Answer(405, {"Allow": "GET, HEAD"})
        return self._interruption(request.path) or self._found(request)

    def _interruption(self, path: str) -> Answer | None:
        interruption = self._interruptions.get(path)
        if interruption is None or interruption.left == 0:
            return None
        if interruption.left is not None:
            interruption.left -= 1
        return interruption.answer

    def _found(self, request: RecordedRequest) -> Answer:
        if request.path in self._redirects:
            return self._redirects[request.path]
        if request.path not in self._resources:
            return Answer(404)
        selected = self._resources[request.path]
        headers = _combined(request.headers)
        if accepts_gzip(headers.get("accept-encoding")):
            selected = self._compressed.get(request.path, selected)
        return answer(selected, request.method, headers, datetime.now(UTC))


def _combined(headers: Mapping[str, str]) -> dict[str, str]:
    """Join the values of repeated fields with a comma (RFC 9110 section 5.3), under lower-case names."""
    combined: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        combined[key] = f"{combined[key]}, {value}" if key in combined else value
    return combined


def _path(target: str) -> str:
    # A client that takes the origin for a proxy sends the whole URL (RFC 9112 section 3.2.2).
    return target.partition("?")[0] if target.startswith("/") else URL(target, encoded=True).raw_path


def _checked_path(path: str) -> str:
    if not path.startswith("/") or "?" in path or "#" in path:
        raise ValueError(f"{path!r} is not a path: it starts with a slash and holds no query and no fragment")
    return path


def _checked_etag(etag: str | None, body: bytes) -> str | None:
    if etag == AUTO:
        return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    if etag is not None and not ENTITY_TAG.fullmatch(etag):
        raise ValueError(
            f"{etag!r} is not an entity tag: write it with its quotes, as in '\"v1\"' or 'W/\"v1\"'"
        )
    return etag


def _whole_seconds(date: datetime | None) -> datetime | None:
    if date is None:
        return None
    if date.tzinfo is None:
        raise ValueError("last_modified has no time zone: give it one, as in datetime.now(UTC)")
    return date.astimezone(UTC).replace(microsecond=0)


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    for name in headers or {}:
        if name.lower() in SET_BY_THE_ORIGIN:
            raise ValueError(f"the origin sets {name} itself: use the argument for it, or leave it out")
    return dict(headers or {})
