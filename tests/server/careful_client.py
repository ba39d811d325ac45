"""A client that downloads as carefully as it can be done, in as few lines as that takes: the verdicts' yardstick.

It keeps what came, asks for the rest under a condition, checks what a part says of itself, compares the bytes that
it asks for twice, and begins anew when anything does not fit. The other client only ever begins anew.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from asyncflags.testing.faulty import FaultyOrigin

IDLE = 4
"""Requests in a row that may bring nothing new."""

STRONG = re.compile(r'"[^"]*"')
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
DIGEST = re.compile(r"sha-(256(?==:.{44}:)|512(?==:.{88}:))=:([A-Za-z0-9+/=]+):")
LEGACY = re.compile(r"SHA-(256)=([A-Za-z0-9+/=]{44})")


class NotToBeHadError(Exception):
    """Nothing may be delivered."""


class UnfitError(Exception):
    """A part that is not the one asked for."""


class Wire(asyncio.Protocol):
    """Keeps what comes until the end, whatever kind of end that is."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


@dataclass
class Got:
    """An answer as far as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    @property
    def etag(self) -> str | None:
        return self.headers.get("etag")


@dataclass
class Part:
    """What is held, and of what."""

    body: bytes = b""
    total: int | None = None
    etag: str | None = None
    modified: str | None = None
    condition: str | None = None
    digests: list[str] = field(default_factory=list)


async def ask(url: str, path: str, fields: Mapping[str, str]) -> Got:
    host, _, port = url.removeprefix("http://").partition(":")
    transport, wire = await asyncio.get_running_loop().create_connection(Wire, host, int(port))
    lines = [f"GET {path} HTTP/1.1", "Host: test", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    try:
        transport.write("\r\n".join([*lines, "", ""]).encode())
        await wire.ended
    finally:
        transport.close()
    return taken_apart(bytes(wire.data))


def taken_apart(data: bytes) -> Got:
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not end:
        return Got(0, {}, b"", is_whole=False)
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    status = int(first.split(" ")[1])
    if headers.get("transfer-encoding") == "chunked":
        return Got(status, headers, *unchunked(body))
    length = int(headers.get("content-length", 0))
    return Got(status, headers, body[:length], is_whole=len(body) >= length)


def unchunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        if int(line, 16) == 0:
            return body, True
        body += data[: int(line, 16)]
        data = data[int(line, 16) + 2 :]
    return body, False


def condition_of(got: Got) -> str | None:
    """What If-Range may say (RFC 9110 sections 8.8.2.2 and 13.1.5)."""
    if got.etag is not None:
        return got.etag if STRONG.fullmatch(got.etag) else None
    modified, date = got.headers.get("last-modified"), got.headers.get("date")
    if modified is None or date is None:
        return None
    age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    return modified if age.total_seconds() >= 1 else None


def check_digests(values: list[str], content: bytes) -> None:
    for value in values:
        # Of one key that stands twice the last counts, which a dictionary does by itself.
        for bits, digest in dict(DIGEST.findall(value) + LEGACY.findall(value)).items():
            if hashlib.new(f"sha{bits}", content).digest() != base64.b64decode(digest):
                raise UnfitError("a digest does not match")


class Careful:
    """One download by parts.

    Args:
        origin: Who is asked.
        path: For what.
        tail: Bytes that are asked for twice and compared.
    """

    def __init__(self, origin: FaultyOrigin, path: str, *, tail: int = 1024) -> None:
        self.url = origin.url
        self.path = path
        self.tail = tail
        self.part = Part()
        self.most = 0
        self.idle = 0

    async def download(self) -> bytes:
        while self.idle < IDLE:
            try:
                body = await self.attempt()
            except UnfitError:
                body, self.part = None, Part()
            if body is not None:
                return body
            self.idle = 0 if len(self.part.body) > self.most else self.idle + 1
            self.most = max(self.most, len(self.part.body))
        raise NotToBeHadError(self.path)

    async def attempt(self) -> bytes | None:
        part = self.part
        if not part.body or part.condition is None:
            return self.take(await self.follow({}), asked=None)
        start = max(0, len(part.body) - self.tail)
        wanted = {"Range": f"bytes={start}-"}
        got = await self.follow(wanted | {"If-Range": part.condition})
        if got.status == 200 and part.etag is not None and got.etag == part.etag:
            again = await self.follow(wanted | {"If-Match": part.etag})
            got = again if again.status == 206 else await self.follow({})
            start = start if again.status == 206 else 0
        return self.take(got, asked=start if got.status == 206 else None)

    async def follow(self, fields: Mapping[str, str]) -> Got:
        target = self.path
        while (got := await ask(self.url, target, fields)).status == 302:
            target = got.headers["location"]
        return got

    def take(self, got: Got, asked: int | None) -> bytes | None:
        if got.status == 200:
            self.begin(got)
        elif got.status == 206 and asked is not None:
            self.go_on(got, asked)
        elif got.status == 206:
            raise NotToBeHadError("a part that nobody asked for")
        elif got.status in (412, 416):
            raise UnfitError("the condition or the range does not hold")
        else:
            return None
        if got.is_whole:
            check_digests([got.headers.get("content-digest", "")], got.body)
        part = self.part
        is_all = len(part.body) == part.total if part.total is not None else got.is_whole
        if not is_all:
            return None
        check_digests(part.digests, part.body)
        return part.body

    def begin(self, got: Got) -> None:
        length = got.headers.get("content-length")
        self.part = Part(
            body=got.body,
            total=int(length) if length is not None else None,
            etag=got.etag,
            modified=got.headers.get("last-modified"),
            condition=condition_of(got),
            digests=[got.headers.get("repr-digest", ""), got.headers.get("digest", "")],
        )

    def go_on(self, got: Got, asked: int) -> None:
        part = self.part
        stop, total = check_part(got, asked, part)
        overlap = min(len(part.body) - asked, len(got.body))
        if got.body[:overlap] != part.body[asked : asked + overlap]:
            raise UnfitError("the bytes are other ones than before")
        if len(got.body) > stop - asked:
            raise UnfitError("the part is longer than it says")
        part.body += got.body[overlap:]
        part.total = part.total if part.total is not None else total
        part.digests.append(got.headers.get("repr-digest", ""))


def check_part(got: Got, asked: int, part: Part) -> tuple[int, int | None]:
    """Where the part ends, and the total if it tells one."""
    said = CONTENT_RANGE.fullmatch(got.headers.get("content-range", ""))
    if said is None or "content-encoding" in got.headers:
        raise UnfitError("the part does not say what it is")
    first, last, total = int(said[1]), int(said[2]), None if said[3] == "*" else int(said[3])
    length = int(got.headers.get("content-length", last - first + 1))
    fits = (
        first == asked <= last
        and (total is None or last < total)
        and length == last - first + 1
        and part.total in (None, total or part.total)
        and got.etag == part.etag
        and got.headers.get("last-modified", part.modified) == part.modified
    )
    if not fits:
        raise UnfitError("the part is not the one asked for")
    return last + 1, total


async def restarted(origin: FaultyOrigin, path: str) -> bytes:
    """Download by a client that begins anew each time, four times in all."""
    for _ in range(IDLE):
        careful = Careful(origin, path)
        try:
            body = await careful.attempt()
        except UnfitError:
            continue
        if body is not None:
            return body
    raise NotToBeHadError(path)


async def joined(origin: FaultyOrigin, path: str) -> bytes:
    """Download by a client that joins what comes until an answer is whole, as most do."""
    body = b""
    for _ in range(20):
        got = await ask(origin.url, path, {"Range": f"bytes={len(body)}-"} if body else {})
        body += got.body if got.status in (200, 206) else b""
        if got.is_whole and got.status in (200, 206):
            return body
    raise NotToBeHadError(path)
