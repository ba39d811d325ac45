"""An origin that obeys the RFCs, for tests of what a client does with true answers.

It serves what is put into it: resources with validators, ranges and a gzip variant, redirects, and statuses that
give way to the resource after some requests. Bodies can be made to come slowly, to wait, or to be cut. What it
answers is decided in `asyncflags.testing._resource`.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl as tls
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web
from yarl import URL

from asyncflags.testing._flow import Cut, Flow, Gate, let_out
from asyncflags.testing._resource import ENTITY_TAG, HASHES, Answer, Representation, accepts_gzip, answer

__all__ = ["AUTO", "Origin", "RecordedRequest"]

AUTO = "auto"
"""As *etag*: a strong entity tag made of the body's hash."""

SET_BY_THE_ORIGIN = frozenset(
    {"content-length", "content-range", "content-type", "etag", "last-modified", "transfer-encoding"}
)
DIGESTS = frozenset({"content-digest", "repr-digest"})
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
        status: The status that it is answered with.
        served: The bytes ``[start, stop)`` of what stands at the path that its answer carries if nothing cuts it;
            ``None``: the answer is none to a GET, or neither 200 nor 206.
    """

    method: str
    target: str
    path: str
    headers: Mapping[str, str]
    status: int
    served: tuple[int, int] | None


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
        self._flows: dict[str, Flow] = {}
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
        digests: Sequence[str] = (),
    ) -> str:
        """Serve *body* at *path*, in place of what stood there.

        Args:
            path: As it stands in a request line, without query: percent-encoded, with the leading slash.
            body: The content.
            etag: An entity tag with its quotes, weak ones with ``W/`` before them (RFC 9110 section 8.8.3);
                `AUTO`: a strong one made of the body's hash; ``None``: none is sent.
            last_modified: With a time zone; fractions of a second are dropped; ``None``: none is sent.
            content_type: The media type.
            headers: Further fields of a 200, for example Content-Disposition or Link.
            compressible: Send gzip, under an entity tag of its own, to clients that accept it.
            digests: ``"sha-256"``, ``"sha-512"`` or both: send Repr-Digest, of the whole as it is coded, and
                Content-Digest, of what the answer carries (RFC 9530). A 206 to If-Range has the latter alone
                (RFC 9110 section 15.3.7).

        Returns:
            The URL, or the path alone while the origin is not running yet.

        Raises:
            ValueError: The path has no leading slash or holds a query, *etag* is no entity tag, *last_modified* has
                no time zone, *headers* names a field that the origin sets itself, or a digest is of another kind.
        """
        plain = Representation(
            body=body,
            etag=_checked_etag(etag, body),
            last_modified=_whole_seconds(last_modified),
            content_type=content_type,
            headers=_checked_headers(headers, digests),
            negotiated=compressible,
        )
        resource = plain.digested(digests)
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

    def throttle(self, path: str, bytes_per_second: float | None) -> None:
        """Send the bodies at *path* slowly, each answer, and so each connection, by itself.

        Args:
            path: As for `add`.
            bytes_per_second: The rate; ``None``: as fast as it goes.

        Raises:
            ValueError: The path is not one, or the rate is not above 0.
        """
        if bytes_per_second is not None and not bytes_per_second > 0:
            raise ValueError(f"a rate is above 0 bytes a second, not {bytes_per_second}; None for no limit")
        self._flow(path).rate = bytes_per_second

    def cut(self, path: str, after: int, times: int | None = None) -> None:
        """Close the connection in the middle of the bodies at *path*, which were announced in full.

        Args:
            path: As for `add`.
            after: Bytes of an answer's body that are sent; answers whose body is no longer are not cut.
            times: This many answers are cut, the later ones are whole; 0: none; ``None``: all.

        Raises:
            ValueError: The path is not one, or a number is negative.
        """
        if after < 0 or (times is not None and times < 0):
            raise ValueError(
                f"an answer is cut after 0 bytes or more, 0 times or more, not {after} and {times}"
            )
        self._flow(path).cut = Cut(after, times)

    def hold(self, path: str, after: int = 0) -> asyncio.Event:
        """Have the bodies at *path* wait at a place, in place of one set before.

        Args:
            path: As for `add`.
            after: Bytes of an answer's body that are sent before; the head is always sent. Answers whose body
                is shorter do not wait.

        Returns:
            The gate. Its ``set()`` lets go on what waits and what is still to come.

        Raises:
            ValueError: The path is not one, or the number is negative.
        """
        if after < 0:
            raise ValueError(f"an answer is held after 0 bytes or more, not {after}")
        gate = self._flow(path).gate = Gate(after)
        return gate.opened

    def remove(self, path: str) -> None:
        """Serve nothing at *path* any more: it answers 404."""
        self._forget(path)
        self._interruptions.pop(path, None)
        self._flows.pop(path, None)

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

    def _flow(self, path: str) -> Flow:
        return self._flows.setdefault(_checked_path(path), Flow())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = _path(request.raw_path)
        decided = self._decide(request.method, path, request.headers)
        served = _served(request.method, decided)
        self.requests.append(
            RecordedRequest(request.method, request.raw_path, path, request.headers, decided.status, served)
        )
        flow = self._flows.get(path)
        if self.latency:
            await asyncio.sleep(self.latency)
        if flow is not None and served is not None:
            return await let_out(request, decided, flow)
        return web.Response(status=decided.status, headers=decided.headers, body=decided.body)

    def _decide(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if method not in ("GET", "HEAD"):
            return Answer(405, {"Allow": "GET, HEAD"})
        return self._interruption(path) or self._found(method, path, headers)

    def _interruption(self, path: str) -> Answer | None:
        interruption = self._interruptions.get(path)
        if interruption is None or interruption.left == 0:
            return None
        if interruption.left is not None:
            interruption.left -= 1
        return interruption.answer

    def _found(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        if path in self._redirects:
            return self._redirects[path]
        if path not in self._resources:
            return Answer(404)
        selected = self._resources[path]
        fields = _combined(headers)
        if accepts_gzip(fields.get("accept-encoding")):
            selected = self._compressed.get(path, selected)
        return answer(selected, method, fields, datetime.now(UTC))


def _served(method: str, decided: Answer) -> tuple[int, int] | None:
    """Tell which bytes of the resource an answer carries."""
    if method != "GET" or decided.status not in (200, 206):
        return None
    said = decided.headers.get("Content-Range", "bytes 0-")
    start = int(said.removeprefix("bytes ").partition("-")[0])
    return start, start + len(decided.body)


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


def _checked_headers(headers: Mapping[str, str] | None, digests: Sequence[str]) -> dict[str, str]:
    unknown = [key for key in digests if key not in HASHES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no digest that the origin makes: use {' or '.join(HASHES)}")
    own = SET_BY_THE_ORIGIN | (DIGESTS if digests else frozenset())
    for name in headers or {}:
        if name.lower() in own:
            raise ValueError(f"the origin sets {name} itself: use the argument for it, or leave it out")
    return dict(headers or {})
