"""The rows of a journal as values, and what makes one row the same as another."""

from __future__ import annotations

import enum
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncflags._models import Request
from asyncflags._policies.naming import folded
from asyncflags._policies.urls import parse_url
from asyncflags.errors import InvalidUrl

__all__ = [
    "Admission",
    "JournalRow",
    "Settled",
    "State",
    "Verdict",
    "bare_url",
    "key_of",
    "loaded",
    "name_hash",
    "storable",
]


_SPELLED_OUT = "\x7f"
"""Stands before a JSON text that stands for one that cannot be stored."""


class State(enum.IntEnum):
    """How far a download came."""

    QUEUED = 0
    UNDER_WAY = 1
    DONE = 2
    FAILED = 3


class Verdict(enum.Enum):
    """What is to be done about a request that the list gives."""

    DOWNLOAD = enum.auto()
    """It is new, unfinished or failed, or its file is not there any more."""
    KEEP = enum.auto()
    """It is done, and its file stands."""
    GIVEN = enum.auto()
    """It is under way in this run already, taken up from an earlier one."""


@dataclass(slots=True)
class Admission:
    """The answer to one request.

    Attributes:
        verdict: What to do.
        row: Id of its row; 0: it could not be recorded.
        path: Relative path that it has, or is to have; ``None``: that is not settled.
        size: Bytes of the file that stands, or ``None``.
        digest: Its verified ``"algorithm:hex"``, or ``None``.
        etag, last_modified: Its validators as the server sent them, or ``None``.
    """

    verdict: Verdict
    row: int
    path: str | None = None
    size: int | None = None
    digest: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Settled(NamedTuple):
    """What became of a row.

    Attributes:
        row: Its id.
        state: Done, failed, or queued for what was interrupted.
        attempts: How many were made.
        status: HTTP status of the last answer, or ``None``.
        path: Relative path, if the row does not know it yet; ``None``: it does, or there is none.
        size: Bytes of the file, or ``None``.
        digest: The verified ``"algorithm:hex"``, or ``None``.
        etag, last_modified: As sent, or ``None``.
        ranges: What is kept of the file that is not whole, as JSON; ``None``: nothing.
        error: Class of the error, or ``None``.
        reason: The error's sentence, credentials redacted, or ``None``.
        started, finished: Seconds since the epoch, or ``None``.
    """

    row: int
    state: State
    attempts: int
    status: int | None
    path: str | None
    size: int | None
    digest: str | None
    etag: str | None
    last_modified: str | None
    ranges: str | None
    error: str | None
    reason: str | None
    started: float | None
    finished: float | None


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row as it is read; the fields are the columns of `journal_schema.COLUMNS`.

    ``path`` is relative to the folder of the journal, ``started`` and ``finished`` are seconds since the
    epoch, ``bytes`` the size of the finished file and ``size`` the expected one.
    """

    id: int
    url: str
    requested: str | None
    checksum: str | None
    size: int | None
    mirrors: str | None
    withheld: int
    state: int
    attempts: int
    status: int | None
    path: str | None
    bytes: int | None
    digest: str | None
    etag: str | None
    last_modified: str | None
    ranges: str | None
    error: str | None
    reason: str | None
    started: float | None
    finished: float | None

    @classmethod
    def of(cls, values: Sequence[Any]) -> JournalRow:
        """The row with these values of its columns."""
        return cls(*map(loaded, values))

    def request(self) -> Request:
        """The request that it was; what is withheld is missing."""
        return Request(
            self.url,
            path=self.requested,
            checksum=self.checksum,
            size=self.size,
            mirrors=tuple(json.loads(self.mirrors)) if self.mirrors else (),
        )


def bare_url(url: str) -> tuple[str, bool]:
    """*url* without user information and fragment, and whether there was user information.

    Of what cannot be parsed nothing before its last ``@`` is left, because it may be a password.
    """
    url = url.partition("#")[0]
    if "@" not in url:
        return url, False
    try:
        target = parse_url(url)
    except InvalidUrl:
        return "***@" + url.rpartition("@")[2], True
    if target.username is None and target.password is None:
        return url, False
    return target.url, True


def key_of(url: str, requested: str | None, occurrence: int) -> bytes:
    """What tells a row from all others.

    Args:
        url: As `bare_url` leaves it.
        requested: Path that the caller gave, or ``None``.
        occurrence: How often the same URL and path came before it in one list.
    """
    wanted = "" if requested is None else f"/{requested}"
    text = f"{occurrence}\n{wanted}\n{url}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@functools.lru_cache(maxsize=1024)
def name_hash(path: str) -> int:
    """A number for a relative path, the same for those that some file systems take for one."""
    data = folded(path).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def storable(text: str | None) -> str | None:
    """*text* as SQLite takes it: what is not valid text, such as undecodable bytes of a path, is spelled out."""
    if text is None or (text.isascii() and not text.startswith(_SPELLED_OUT)):
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SPELLED_OUT + json.dumps(text)
    return _SPELLED_OUT + json.dumps(text) if text.startswith(_SPELLED_OUT) else text


def loaded(value: Any) -> Any:
    """What `storable` made, as it was; other values as they are."""
    if isinstance(value, str) and value.startswith(_SPELLED_OUT):
        return json.loads(value[1:])
    return value
