"""Entities as a true origin serves them, and the ways to cut their answers short.

What is right is decided by `asyncflags.testing._resource`; a misbehaviour is a change of that. Nothing is kept
between requests but their number, so that one script serves any number of origins.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Literal, TypeAlias

from asyncflags.testing._faults.answers import Ending, chunks, end, head
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Script, Verdict
from asyncflags.testing._resource import Answer, Representation, answer

ENTITY_SIZE = 5000
"""Bytes of an ordinary entity that is resumed."""

CUT = 3000
"""Bytes of it that go out before the connection is cut, unless a sentence says otherwise."""

LARGE_SIZE = 1_500_000
"""Bytes of the entities that take several reads, several batches and several writes."""

LARGE_CUT = 700_000
"""Bytes of a large one that go out before the connection is cut."""

ALIKE = slice(1000, CUT)
"""Positions at which all versions of an entity have the same bytes."""

LONG_AGO = datetime(2024, 2, 29, 12, tzinfo=UTC)
"""When version 1 was made; each later one is a day younger."""

CONDITIONS = ("if-range", "if-match", "if-unmodified-since")
"""Fields that keep a range of one version from being joined to another's."""

Validators: TypeAlias = Literal["strong", "weak", "date", "none"]
"""A strong entity tag, a weak one that all versions share, Last-Modified alone, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out for one request.

    Attributes:
        answer: The answer as it is announced. A Content-Length of its own stands, whatever the body's length;
            ``Transfer-Encoding: chunked`` is obeyed; ``Date`` is added where it is missing.
        stop: Bytes of the content after which the connection is cut; ``None``: all goes out and the connection is
            kept.
        ending: How it is cut.
    """

    answer: Answer
    stop: int | None = None
    ending: Ending = "close"


Decide: TypeAlias = "Callable[[FaultyRequest], Reply]"


@functools.lru_cache(maxsize=32)
def entity_body(path: str, version: int = 1, size: int = ENTITY_SIZE) -> bytes:
    """Make one version of the entity at *path*, of ASCII bytes.

    All versions of more than `CUT` bytes agree in `ALIKE`, which ends there, and nowhere else, so that comparing
    some bytes before a cut does not tell them apart.
    """
    own = _stream(path, version, size)
    return own[: ALIKE.start] + _stream(path, 1, CUT)[ALIKE] + own[ALIKE.stop :] if size > CUT else own


def _stream(path: str, version: int, size: int) -> bytes:
    seed = f"{path}#{version}".encode()
    return hashlib.shake_128(seed).hexdigest((size + 1) // 2).encode()[:size]


def spliced(body: bytes, start: int) -> bytes:
    """Replace what stands in *body*, which begins at position *start* of its entity, behind `CUT`."""
    seam = max(0, CUT - start)
    return body[:seam] + body[seam:][::-1]


def entity(
    path: str, version: int = 1, *, size: int = ENTITY_SIZE, validators: Validators = "strong"
) -> Representation:
    """Make one version of what is served at *path*."""
    return versioned(entity_body(path, version, size), version, validators)


def versioned(body: bytes, version: int, validators: Validators) -> Representation:
    """Give *body* the validators of its version."""
    etag = {"strong": f'"v{version}"', "weak": 'W/"v"'}.get(validators)
    date = LONG_AGO + timedelta(days=version - 1) if validators == "date" else None
    return Representation(
        body=body, etag=etag, last_modified=date, content_type="application/octet-stream", headers={}
    )


def true_answer(resource: Representation, request: FaultyRequest, *, without: Collection[str] = ()) -> Answer:
    """Answer as RFC 9110 says.

    Args:
        resource: What is served.
        request: Its method and its fields decide.
        without: Fields of the request that are overlooked, in lower case.
    """
    fields = {name: value for name, value in request.headers.items() if name not in without}
    return answer(resource, "HEAD" if request.method == "HEAD" else "GET", fields, datetime.now(UTC))


def asked_range(resource: Representation, request: FaultyRequest) -> tuple[int, int] | None:
    """Tell which bytes ``[start, stop)`` a request asks for, whatever its conditions; ``None``: for the whole."""
    decided = true_answer(resource, request, without=CONDITIONS)
    start = first_position(decided)
    return (start, start + len(decided.body)) if decided.status == HTTPStatus.PARTIAL_CONTENT else None


def first_position(decided: Answer) -> int:
    """The position in the entity of the first byte that an answer carries."""
    said = decided.headers.get("Content-Range", "bytes 0-")
    return int(said.removeprefix("bytes ").partition("-")[0]) if "*/" not in said else 0


def cut_if_whole(decided: Answer, stop: int = CUT) -> Reply:
    """Cut a 200 short, and nothing else."""
    return Reply(decided, stop if decided.status == HTTPStatus.OK else None)


def cut_at(decided: Answer, position: int, ending: Ending = "close") -> Reply:
    """Cut an answer at a position of the entity, which it need not begin at."""
    left = max(0, position - first_position(decided))
    return Reply(decided, left, ending) if left < len(decided.body) else Reply(decided)


def with_fields(decided: Answer, fields: Mapping[str, str | None]) -> Answer:
    """Replace fields of an answer; ``None`` takes one away."""
    kept = {name: value for name, value in decided.headers.items() if name not in fields}
    added = {name: value for name, value in fields.items() if value is not None}
    return replace(decided, headers={**kept, **added})


def replies(decide: Decide) -> Script:
    """Make a script that sends what *decide* makes of a request."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        await send(reader, writer, request, decide(request))

    return script


async def send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest, reply: Reply
) -> None:
    """Write a reply as far as it goes."""
    decided = reply.answer
    body = b"" if request.method == "HEAD" else decided.body[: reply.stop]
    is_chunked = "Transfer-Encoding" in decided.headers
    writer.write(head(*_fields(decided), status=_status_line(decided.status)))
    writer.write(chunks(body) if is_chunked else body)
    if is_chunked and reply.stop is None:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if reply.stop is not None:
        await end(reader, writer, reply.ending)


def _fields(decided: Answer) -> Iterator[str]:
    names = {name.lower() for name in decided.headers}
    if not names & {"content-length", "transfer-encoding"} and decided.status != HTTPStatus.NOT_MODIFIED:
        yield f"Content-Length: {len(decided.body)}"
    if "date" not in names:
        yield f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}"
    yield from (f"{name}: {value}" for name, value in decided.headers.items())


def _status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def entity_fault(
    path: str,
    sentence: str,
    decide: Decide,
    *,
    verdict: Verdict = Verdict.RECOVERS,
    version: int = 1,
    size: int = ENTITY_SIZE,
    needs_resume: bool = False,
) -> Fault:
    """Make a fault at whose end stands one version of the entity at *path*."""
    return Fault(
        path,
        sentence,
        verdict,
        replies(decide),
        content=functools.partial(entity_body, path, version, size),
        needs_resume=needs_resume,
    )
