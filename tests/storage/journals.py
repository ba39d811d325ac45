"""Journals for tests: opened without a name of their own, and looked into."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncflags import Request
from asyncflags._storage.journal import Journal
from asyncflags._storage.journal_rows import Settled, State


class PlainNames:
    """Names files after the last segment of their URL."""

    def __init__(self, *, anothers: Sequence[str] = (), listed: Mapping[str, str] | None = None) -> None:
        self.anothers = anothers
        self.sums = listed or {}

    def wanted(self, request: Request) -> tuple[str, bool] | None:
        if request.path is not None:
            return request.path, True
        return request.url.rpartition("/")[2], False

    def is_anothers(self, path: str, request: Request) -> bool:
        return path in self.anothers

    def listed(self, path: str) -> str | None:
        return self.sums.get(path)


def open_journal(folder: Path, *, keeps: bool = True, names: PlainNames | None = None) -> Journal:
    """The journal beside *folder*."""
    return Journal(f"{folder}.journal", folder=str(folder), names=names or PlainNames(), keeps=keeps)


def done(row: int, size: int = 4, **more: Any) -> Settled:
    """A row that has succeeded."""
    return settled(row, state=State.DONE, status=200, size=size, etag='"v"', **more)


def failed(row: int, **more: Any) -> Settled:
    """A row that has failed."""
    return settled(row, state=State.FAILED, status=404, error="StatusError", reason="not found", **more)


def settled(row: int, **more: Any) -> Settled:
    fields: dict[str, Any] = dict.fromkeys(Settled._fields) | {
        "row": row,
        "attempts": 1,
        "started": 1.0,
        "finished": 2.0,
    }
    return Settled(**(fields | more))


def finish(journal: Journal, folder: Path, *urls: str) -> None:
    """Note *urls* as done, their files standing."""
    folder.mkdir(exist_ok=True)
    answers = journal.admit([Request(url) for url in urls])
    for answer in answers:
        assert answer.path is not None
        (folder / answer.path).write_bytes(b"flag")
    journal.record((), [done(answer.row) for answer in answers], now=1.0)


def select(path: Path | str, statement: str) -> list[Any]:
    """What *statement* finds in the journal at *path*."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(statement).fetchall()
    connection.close()
    return found
