"""A journal as its readers see it, also while a run writes it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import Any, Self
from urllib.request import pathname2url

from asyncflags._storage import journal_schema as schema
from asyncflags._storage.journal_rows import JournalRow, loaded
from asyncflags.errors import StorageError

__all__ = ["JournalReader"]

_BATCH = 1000
_BUSY_SECONDS = 10.0
_COLUMNS = ", ".join(schema.COLUMNS)


class JournalReader:
    """Reads a journal and changes nothing; a context manager. Blocks.

    Args:
        path: The file.

    Raises:
        StorageError: There is no journal, or none that this version reads.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        if not os.path.isfile(path):
            raise StorageError(f"there is no journal {path}", path=path)
        self._connection = self._connect()
        try:
            application, version = self._number("application_id"), self._number("user_version")
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unreadable(error) from error
        if application != schema.APPLICATION_ID or version != schema.SCHEMA_VERSION:
            self._connection.close()
            other = f"a journal of format {version}, and this version of asyncflags reads format "
            raise StorageError(
                f"{path} is {other}{schema.SCHEMA_VERSION}"
                if application == schema.APPLICATION_ID
                else f"{path} is no journal",
                path=path,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def folder(self) -> str | None:
        """Where the last run put its files, absolute; ``None``: there was none."""
        found = self._select("select value from meta where name = 'folder'")
        return str(loaded(found[0][0])) if found else None

    def withheld(self) -> int:
        """How many rows did not succeed and need credentials that are not kept in the journal."""
        statement = "select count(*) from downloads where state {} and withheld = 1"
        return sum(int(self._select(statement.format(state))[0][0]) for state in ("< 2", "= 3"))

    def rows(self) -> Iterator[JournalRow]:
        """Every row in its order; each batch of them as it is at its moment, so that no run has to wait."""
        last = 0
        while batch := self._select(
            f"select {_COLUMNS} from downloads where id > ? order by id limit ?",  # noqa: S608 - our own names
            last,
            _BATCH,
        ):
            last = batch[-1][0]
            yield from map(JournalRow.of, batch)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        name = pathname2url(os.path.abspath(self._path))
        connection = sqlite3.connect(
            f"file:{name}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
        )
        try:
            connection.execute("pragma user_version").fetchone()
        except sqlite3.OperationalError:
            # A log ahead needs a file beside it, which cannot be made in a folder that is read only.
            if os.path.exists(self._path + "-wal"):
                return connection
            with contextlib.suppress(sqlite3.Error):
                still = sqlite3.connect(f"file:{name}?mode=ro&immutable=1", uri=True, isolation_level=None)
                connection.close()
                return still
        except sqlite3.Error:
            # The first look at what it holds tells that once more.
            pass
        return connection

    def _number(self, pragma: str) -> int:
        return int(self._connection.execute(f"pragma {pragma}").fetchone()[0])

    def _select(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(f"the journal {self._path} cannot be read: {error}", path=self._path)
