"""What a journal answers to the requests of a list: which are new, which are done, and which names they get."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncflags._models import Request
from asyncflags._policies.checksums import Checksum
from asyncflags._storage import journal_schema as schema
from asyncflags._storage.journal_bits import Bits
from asyncflags._storage.journal_names import NameBook, chunks
from asyncflags._storage.journal_rows import (
    Admission,
    State,
    Verdict,
    bare_url,
    key_of,
    loaded,
    name_hash,
    storable,
)

__all__ = ["Admitter", "Naming"]


class Naming(Protocol):
    """How the files of a run are named."""

    def wanted(self, request: Request) -> tuple[str, bool] | None:
        """The relative path *request* would like to have, and whether to the letter; ``None``: unknown yet."""

    def is_anothers(self, path: str, request: Request) -> bool:
        """Whether something of another download lies under the relative *path*."""

    def listed(self, path: str) -> str | None:
        """The checksum that is listed for the relative *path*, or ``None``."""


@dataclass(slots=True)
class _Found:
    """A row as it stands, or as it will once this batch is written."""

    id: int
    state: int = State.QUEUED
    path: str | None = None
    size: int | None = None
    digest: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(slots=True)
class _Asked:
    """A request on its way through the admission."""

    request: Request
    url: str
    withheld: bool
    mirrors: str | None
    key: bytes
    found: _Found | None = None
    answer: Admission | None = None


class Admitter:
    """Admits requests to the rows of one journal.

    Args:
        connection: To the journal.
        folder: Where the downloads go, absolute.
        names: Names new rows.
        keeps: Whether a row that is done, and whose file stands, is done with.
        last: The highest id so far.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, folder: str, names: Naming, keeps: bool, last: int
    ) -> None:
        self._connection = connection
        self._prefix = os.path.join(folder, "")
        self._naming = names
        self._keeps = keeps
        self._last = last
        self._listed = Bits()
        self._names = NameBook(connection)
        self.taken = Bits()

    def decide(self, requests: Sequence[Request]) -> list[_Asked]:
        """Find the rows of *requests* and answer each; writes nothing."""
        batch = [self._ask(request) for request in requests]
        known = self._find([asked.key for asked in batch])
        for asked in batch:
            self._identify(asked, known)
            asked.answer = self._answer(asked)
        nameless = [asked.answer for asked in batch if _needs_name(asked)]
        paths = self.name([asked.request for asked in batch if _needs_name(asked)])
        for answer, path in zip(nameless, paths, strict=True):
            if answer is not None:
                answer.path = path
        return batch

    def write(self, batch: Iterable[_Asked], last_before: int) -> None:
        """Write what `decide` found to be new or to be done again, in the open transaction.

        Args:
            batch: As decided.
            last_before: The highest id before it.
        """
        fresh: list[tuple[object, ...]] = []
        again: list[tuple[object, ...]] = []
        for asked in batch:
            answer, request = asked.answer, asked.request
            if answer is None or answer.verdict is not Verdict.DOWNLOAD:
                continue
            name = None if answer.path is None else name_hash(answer.path)
            path, url = storable(answer.path), storable(asked.url)
            expected = (request.checksum, _size(request.size), asked.mirrors, int(asked.withheld))
            if answer.row > last_before:
                fresh.append((answer.row, asked.key, url, storable(request.path), *expected, path, name))
            else:
                again.append((url, *expected, path, name, answer.row))
        for rows in chunks(fresh):
            self._connection.execute(schema.insert(len(rows)), list(itertools.chain.from_iterable(rows)))
        self._connection.executemany(schema.READMIT, again)

    @property
    def last(self) -> int:
        """The highest id so far."""
        return self._last

    def _ask(self, request: Request) -> _Asked:
        url, has_credentials = bare_url(request.url)
        mirrors = None
        if request.mirrors:
            bare = [bare_url(mirror) for mirror in request.mirrors]
            mirrors = json.dumps([mirror for mirror, _ in bare])
            has_credentials = has_credentials or any(each for _, each in bare)
        key = key_of(url, request.path, 0)
        return _Asked(request, url, has_credentials or bool(request.headers), mirrors, key)

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, _Found]:
        known = {}
        for some in chunks(keys):
            (found,) = self._connection.execute(schema.find(len(some)), some).fetchone()
            for key, *facts in json.loads(found):
                known[bytes.fromhex(key)] = _Found(*map(loaded, facts))
        return known

    def _identify(self, asked: _Asked, known: dict[bytes, _Found]) -> None:
        """Find the row of *asked*: the first of its occurrences that this run's list has not given yet."""
        found = known.get(asked.key)
        if found is not None and found.id in self._listed:
            asked.key, found = self._next_occurrence(asked, known)
        if found is None:
            self._last += 1
            known[asked.key] = _Found(self._last)
            self._listed.add(self._last)
            return
        self._listed.add(found.id)
        asked.found = found

    def _next_occurrence(self, asked: _Asked, known: dict[bytes, _Found]) -> tuple[bytes, _Found | None]:
        def look(occurrence: int) -> tuple[bytes, _Found | None]:
            key = key_of(asked.url, asked.request.path, occurrence)
            if key not in known:
                known.update(self._find((key,)))
            return key, known.get(key)

        def is_given(occurrence: int) -> bool:
            found = look(occurrence)[1]
            return found is not None and found.id in self._listed

        # They are given in their order, so the first free one is found in the logarithm of their number.
        given, step = 0, 1
        while is_given(given + step):
            given, step = given + step, step * 2
        low, high = given, given + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_given(middle) else (low, middle)
        return look(high)

    def _answer(self, asked: _Asked) -> Admission:
        found = asked.found
        if found is None:
            return Admission(Verdict.DOWNLOAD, self._last)
        if found.id in self.taken:
            return Admission(Verdict.GIVEN, found.id)
        if found.state != State.DONE or not self._stands(found, asked.request):
            return Admission(Verdict.DOWNLOAD, found.id, found.path)
        verdict = Verdict.KEEP if self._keeps else Verdict.DOWNLOAD
        return Admission(
            verdict, found.id, found.path, found.size, found.digest, found.etag, found.last_modified
        )

    def _stands(self, found: _Found, request: Request) -> bool:
        """Whether the file of a row that is done is there, as it was left and as it is expected."""
        if found.path is None or found.size is None:
            return False
        if request.size is not None and request.size != found.size:
            return False
        checksum = request.checksum or self._naming.listed(found.path)
        if checksum is not None and not _is_same_checksum(checksum, found.digest):
            return False
        try:
            file = os.stat(self._prefix + found.path)
        except (OSError, ValueError):
            return False
        return stat.S_ISREG(file.st_mode) and file.st_size == found.size

    def name(self, requests: Sequence[Request]) -> list[str | None]:
        """Relative paths for requests whose rows have none; ``None``: that shows later."""
        wishes = [self._naming.wanted(request) for request in requests]
        self._names.look_up(wish[0] for wish in wishes if wish is not None and not wish[1])
        return [
            None if wish is None else self._path(wish, request)
            for request, wish in zip(requests, wishes, strict=True)
        ]

    def _path(self, wish: tuple[str, bool], request: Request) -> str:
        wanted, is_exact = wish
        if is_exact:
            return self._names.take_exactly(wanted)
        path = self._names.take(wanted)
        while self._naming.is_anothers(path, request):
            path = self._names.take(wanted)
        return path


def _needs_name(asked: _Asked) -> bool:
    answer = asked.answer
    return answer is not None and answer.verdict is Verdict.DOWNLOAD and answer.path is None


def _size(size: int | None) -> int | None:
    # What SQLite cannot hold is no size of a file either, and the download tells so.
    return size if size is not None and 0 <= size < 1 << 63 else None


def _is_same_checksum(wanted: str, verified: str | None) -> bool:
    try:
        return str(Checksum.parse(wanted)) == verified
    except ValueError:
        return False
