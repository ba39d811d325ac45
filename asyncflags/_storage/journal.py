"""The durable list of what is to do, under way, done and failed.

A `Journal` is a blocking object over one SQLite database; the engine calls it on a thread of its own. Every
operation takes many rows at once, and what several of them changed is committed together by `record`.

What the file system refuses costs no download: a row that cannot be written is looked for again by the next
run. `trouble` tells of it.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

from asyncflags._models import Request
from asyncflags._storage import journal_schema as schema
from asyncflags._storage.journal_admission import Admitter, Naming
from asyncflags._storage.journal_names import chunks
from asyncflags._storage.journal_opening import Damaged, Holding, is_damage, open_journal, set_aside
from asyncflags._storage.journal_rows import (
    Admission,
    JournalRow,
    Settled,
    State,
    Verdict,
    name_hash,
    storable,
)
from asyncflags.errors import StorageError

__all__ = ["Journal"]


class Journal:
    """The journal of one run; used by one thread at a time.

    Args:
        path: The file; a journal is begun if there is none, and one that is damaged is set aside.
        folder: Where the downloads go, absolute; noted for later runs.
        names: Names new rows.
        keeps: Whether a row that is done, and whose file stands, is done with; ``False``: it is downloaded
            again, with what is known of it.

    Attributes:
        notes: What is to be told since the last look: kinds of events with a sentence each.
        is_usable: Whether there still is a journal.

    Raises:
        StorageError: Another process has it, another version or another program wrote it, or the system
            refuses.
    """

    def __init__(self, path: str, *, folder: str, names: Naming, keeps: bool = True) -> None:
        self.notes: list[tuple[str, str]] = []
        self.is_usable = True
        self._path = path
        self._holding = self._open(folder)
        self._connection = connection = self._holding.connection
        self._last_old = self._holding.last
        self._admitter = Admitter(connection, folder=folder, names=names, keeps=keeps, last=self._last_old)
        self._is_complained = False

    def _open(self, folder: str) -> Holding:
        try:
            return open_journal(self._path, folder)
        except Damaged as error:
            aside = set_aside(self._path)
            sentence = (
                f"the journal {self._path} was damaged ({error}) and is set aside as {aside}; a new one is "
                "begun, which does not know what was downloaded before"
            )
            self.notes.append(("journal_damaged", sentence))
        try:
            return open_journal(self._path, folder)
        except Damaged as error:
            raise StorageError(f"cannot begin the journal {self._path}: {error}", path=self._path) from error

    def take_up(self, after: int, limit: int, *, failed: bool = False) -> list[JournalRow]:
        """Return rows of earlier runs, in their order, that this run is to go on with.

        Those that need credentials which are not kept here are left out: they go on when a list gives
        them again.

        Args:
            after: Id of the last row that was returned before; 0: begin.
            limit: How many at most.
            failed: Those that failed; ``False``: those that were left unfinished.
        """
        if not self.is_usable:
            return []
        try:
            found = self._connection.execute(
                schema.TAKE_UP[failed], (after, self._last_old, limit)
            ).fetchall()
        except sqlite3.Error as error:
            self._note(error)
            return []
        rows = [JournalRow.of(values) for values in found]
        for row in rows:
            self._admitter.taken.add(row.id)
        return self._named(rows)

    def _named(self, rows: Sequence[JournalRow]) -> list[JournalRow]:
        """*rows*, those that have no path yet with one, where it can be known."""
        nameless = [row.id for row in rows if row.path is None]
        if not nameless:
            return list(rows)
        try:
            paths = self._admitter.name([row.request() for row in rows if row.path is None])
            given = {row: path for row, path in zip(nameless, paths, strict=True) if path is not None}
            self._begin()
            self._connection.executemany(
                schema.PLACE, [(storable(path), name_hash(path), row) for row, path in given.items()]
            )
        except sqlite3.Error as error:
            self._note(error)
            return list(rows)
        return [replace(row, path=given.get(row.id, row.path)) for row in rows]

    def admit(self, requests: Sequence[Request]) -> list[Admission]:
        """Find or make the rows of requests that the list gives, in its order.

        The n-th occurrence of a URL with a path is a row of its own. What is new is committed by the next
        `record`.
        """
        if not self.is_usable:
            return [Admission(Verdict.DOWNLOAD, 0) for _ in requests]
        last = self._admitter.last
        try:
            batch = self._admitter.decide(requests)
        except sqlite3.Error as error:
            self._note(error)
            return [Admission(Verdict.DOWNLOAD, 0) for _ in requests]
        answers = [asked.answer for asked in batch if asked.answer is not None]
        try:
            self._begin()
            self._admitter.write(batch, last)
        except sqlite3.Error as error:
            kept = last if self._note(error) else 0
            for answer in answers:
                answer.row = answer.row if answer.row <= kept else 0
        return answers

    def record(self, started: Iterable[int], settled: Sequence[Settled], *, now: float) -> None:
        """Note what happened and commit it, together with the rows that were admitted.

        Args:
            started: Rows that are under way.
            settled: Rows that are not any more.
            now: Seconds since the epoch.
        """
        if not self.is_usable:
            return
        try:
            self._begin()
            self._connection.executemany(schema.START, [(now, row) for row in started])
            for rows in chunks(settled):
                values = itertools.chain.from_iterable(map(_parameters, rows))
                self._connection.execute(schema.settle(len(rows)), list(values))
            for row in settled:
                self._place(row)
            heard = self._connection.execute(schema.HEARD, (now, self._holding.record, self._holding.since))
            if heard.rowcount == 1:
                self._connection.execute("commit")
            else:
                self._give_up("journal_lost", f"another process has taken over the journal {self._path}")
        except sqlite3.Error as error:
            self._note(error)

    def close(self) -> None:
        """Commit what is not, and give the journal free. Never raises."""
        if not self.is_usable:
            return
        self.is_usable = False
        try:
            self._begin()
            self._connection.execute(schema.STOP)
            self._connection.execute("commit")
        except sqlite3.Error:
            # The next run looks again for what is not noted.
            self._holding.drop()
            return
        self._holding.close()

    def _place(self, row: Settled) -> None:
        if row.path is None:
            return
        name = name_hash(row.path)
        if row.state == State.DONE:
            # Whoever had the file of this name before has it no longer.
            self._connection.execute(schema.FREE_NAME, (name, row.row))
        self._connection.execute(schema.PLACE, (storable(row.path), name, row.row))

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("begin immediate")

    def _note(self, error: sqlite3.Error) -> bool:
        """Go on after *error*: without the rows of this transaction, or without the journal.

        Returns:
            Whether there still is a journal.
        """
        if is_damage(error):
            self._give_up("journal_damaged", f"the journal {self._path} is damaged ({error})")
            return False
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
        except sqlite3.Error as worse:
            self._give_up("journal_unwritable", f"the journal {self._path} cannot be written ({worse})")
            return False
        if not self._is_complained:
            self._is_complained = True
            sentence = (
                f"the journal {self._path} cannot be written ({error}); the downloads go on, and the next run "
                "looks again for what is not noted"
            )
            self.notes.append(("journal_unwritable", sentence))
        return True

    def _give_up(self, kind: str, reason: str) -> None:
        self.is_usable = False
        self._holding.drop()
        if kind == "journal_damaged":
            try:
                reason += f" and is set aside as {set_aside(self._path)}"
            except StorageError as error:
                reason += f", and it cannot be set aside: {error.message}"
        self.notes.append((kind, f"{reason}; the downloads go on without a journal"))


def _parameters(row: Settled) -> tuple[object, ...]:
    return (
        row.row, int(row.state), row.attempts, row.status, row.size, row.digest, storable(row.etag),
        storable(row.last_modified), row.ranges, row.error, storable(row.reason), row.started, row.finished,
    )  # fmt: skip
