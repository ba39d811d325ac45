"""How a journal is opened: whether it is one, whether it is whole, and whether nobody else has it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import threading
import time
from dataclasses import dataclass

from asyncflags._storage import journal_schema as schema
from asyncflags._storage.journal_rows import storable
from asyncflags._storage.liveness import Owner, is_alive, this_process
from asyncflags._storage.locality import is_remote
from asyncflags._storage.trouble import storage_error
from asyncflags.errors import StorageError

__all__ = ["Damaged", "Holding", "is_damage", "open_journal", "set_aside"]

_MAGIC = b"SQLite format 3\0"
_WRITE_VERSION = 18
_WAL = 2
_BUSY_SECONDS = 10.0
_CACHE_KIB = 16_384
_PAGES_A_CHECKPOINT = 4_096
_TRAILS = ("", "-wal", "-shm", "-journal")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

_held: set[str] = set()
_holding = threading.Lock()


class Damaged(Exception):
    """The file is no journal that could be read; holds why, as a clause of a sentence."""


@dataclass(frozen=True, slots=True)
class Holding:
    """An open journal and the right to write it.

    Attributes:
        connection: Without a transaction.
        path: As it was given.
        record: The owner's record, as it stands in the journal.
        since: When it was opened, in seconds since the epoch.
        last: The highest id of its rows; 0: there are none.
    """

    connection: sqlite3.Connection
    path: str
    record: str
    since: float
    last: int

    def close(self) -> None:
        """Give the journal free and close it, in one file where that is possible. Never raises."""
        try:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute(schema.CLEAR_OWNER, (self.record, self.since))
            with contextlib.suppress(sqlite3.Error):
                # A reader of a closed journal then leaves no file beside it.
                self.connection.execute("pragma busy_timeout = 0")
                self.connection.execute("pragma journal_mode = delete").fetchone()
        finally:
            self.drop()

    def drop(self) -> None:
        """Close it as it is."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        with _holding:
            _held.discard(os.path.realpath(self.path))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether *error* says that the file is not a whole database, and not that the system refused."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_journal(path: str, folder: str) -> Holding:
    """Open the journal at *path*, which becomes one if there is nothing. Blocks.

    Args:
        path: The file.
        folder: Where the downloads go, absolute; is noted.

    Raises:
        Damaged: It is no database, or a broken one.
        StorageError: Another process has it, another version or another program wrote it, or the system
            refuses.
    """
    real = os.path.realpath(path)
    with _holding:
        if real in _held:
            raise _is_taken(path, this_process(), None)
        _held.add(real)
    try:
        return _open(path, folder)
    except BaseException as error:
        with _holding:
            _held.discard(real)
        if not isinstance(error, sqlite3.Error):
            raise
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise StorageError(f"cannot use the journal {path}: {error}; {_WAY_OUT}", path=path) from error


_WAY_OUT = "name another one (--journal FILE), or go without (--no-journal)"


def _open(path: str, folder: str) -> Holding:
    was_wal = _look_at(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        remote = is_remote(path)
        if remote and was_wal:
            # The index of such a log is shared memory, which machines do not share.
            connection.execute("pragma locking_mode = exclusive")
        _prepare(connection, path)
        record, since = _take(connection, path)
        if remote or not _logs_ahead(connection):
            _roll_back_instead(connection)
        connection.execute(f"pragma cache_size = {-_CACHE_KIB}")
        _check_length(connection, path)
        last = connection.execute("select max(id) from downloads").fetchone()[0] or 0
        connection.execute(schema.SET_FOLDER, (storable(folder),))
        # What a process that died had under way is not so any more.
        connection.execute(schema.STOP)
    except BaseException:
        connection.close()
        raise
    return Holding(connection, path, record, since, last)


def _look_at(path: str) -> bool:
    """Create the file if it is missing, and look whether it may be a database; whether it has a log ahead."""
    try:
        with contextlib.suppress(FileExistsError):
            # What was downloaded is nobody else's business, and signed URLs are secrets.
            os.close(os.open(path, _CREATE, 0o600))
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StorageError(f"the journal {path} is no regular file; {_WAY_OUT}", path=path)
        with open(path, "rb") as file:
            head = file.read(_WRITE_VERSION + 1)
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise StorageError(f"{path!a} cannot be the name of a journal", path=ascii(path)) from error
    if head and not head.startswith(_MAGIC):
        raise Damaged("it is no database")
    if head and len(head) <= _WRITE_VERSION:
        raise Damaged("it is cut off")
    return bool(head) and head[_WRITE_VERSION] == _WAL


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables of a new journal, or see that they are ours."""
    application = _number(connection, "application_id")
    tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    if not application and not tables:
        _create(connection)
        return
    if application != schema.APPLICATION_ID:
        raise StorageError(f"{path} is the database of another program and no journal; {_WAY_OUT}", path=path)
    version = _number(connection, "user_version")
    if version != schema.SCHEMA_VERSION:
        raise StorageError(
            f"the journal {path} has format {version}, and this version of asyncflags reads format "
            f"{schema.SCHEMA_VERSION}; go on with the version that wrote it, or {_WAY_OUT}",
            path=path,
        )
    if not tables >= schema.TABLES:
        raise Damaged("its tables are missing")


def _create(connection: sqlite3.Connection) -> None:
    # All of it in one transaction: a journal is there with its tables, or is an empty file.
    connection.execute("begin immediate")
    if connection.execute("select 1 from sqlite_master").fetchone() is None:
        for statement in schema.SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"pragma application_id = {schema.APPLICATION_ID}")
        connection.execute(f"pragma user_version = {schema.SCHEMA_VERSION}")
    connection.execute("commit")


def _take(connection: sqlite3.Connection, path: str) -> tuple[str, float]:
    """Write this process down as the owner."""
    _refuse_living(connection, path)
    connection.execute("begin immediate")
    try:
        # Somebody else may have come first in the moment since.
        _refuse_living(connection, path)
        record, now = json.dumps(this_process().to_json(), sort_keys=True), time.time()
        connection.execute(schema.SET_OWNER, (record, now, now))
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return record, now


def _refuse_living(connection: sqlite3.Connection, path: str) -> None:
    found = connection.execute("select record, since, heard from owner").fetchone()
    if found is None:
        return
    try:
        owner, since, heard = Owner.from_json(json.loads(found[0])), float(found[1]), float(found[2])
    except (ValueError, TypeError) as error:
        raise Damaged("the record of its owner is broken") from error
    if owner == this_process():
        # Of this process only one can have it, and that is the caller; what is left is of one that failed.
        return
    if is_alive(owner, silent_for=max(time.time() - heard, 0.0)):
        raise _is_taken(path, owner, since)


def _is_taken(path: str, owner: Owner, since: float | None) -> StorageError:
    when = "" if since is None else time.strftime(" since %Y-%m-%d %H:%M:%S", time.localtime(since))
    return StorageError(
        f"the journal {path} is in use by process {owner.pid} on {owner.host}{when}; wait for it, or {_WAY_OUT}",
        path=path,
    )


def _logs_ahead(connection: sqlite3.Connection) -> bool:
    """Switch to a write-ahead log; whether the file system takes it."""
    connection.execute("pragma busy_timeout = 0")
    try:
        mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        if mode != "wal":
            return False
        # One page that is read through the log shows whether its shared memory works.
        connection.execute("select count(*) from meta").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.execute(f"pragma busy_timeout = {int(_BUSY_SECONDS * 1000)}")
    # A power cut may cost the last commits, whose files are then looked for again.
    connection.execute("pragma synchronous = normal")
    connection.execute(f"pragma wal_autocheckpoint = {_PAGES_A_CHECKPOINT}")
    return True


def _roll_back_instead(connection: sqlite3.Connection) -> None:
    connection.execute("pragma journal_mode = delete").fetchone()
    connection.execute("pragma locking_mode = normal")
    connection.execute("pragma synchronous = full")
    connection.execute("select count(*) from meta").fetchone()


def _check_length(connection: sqlite3.Connection, path: str) -> None:
    """Notice a file that was cut off, which otherwise shows only where it is read."""
    # Once all that the log holds is in the file, the file alone must be as long as it says.
    _, logged, copied = connection.execute("pragma wal_checkpoint(passive)").fetchone()
    if logged != copied:
        return
    size = _number(connection, "page_count") * _number(connection, "page_size")
    if os.stat(path).st_size < size:
        raise Damaged("it is cut off")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"pragma {pragma}").fetchone()[0])


def set_aside(path: str) -> str:
    """Give the file at *path*, and what SQLite keeps beside it, another name; return that. Blocks.

    Raises:
        StorageError: That cannot be done.
    """
    number = 1
    while any(os.path.lexists(f"{path}.damaged-{number}{trail}") for trail in _TRAILS):
        number += 1
    aside = f"{path}.damaged-{number}"
    try:
        for trail in _TRAILS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path + trail, aside + trail)
    except OSError as error:
        raise storage_error(error, aside) from error
    return aside
