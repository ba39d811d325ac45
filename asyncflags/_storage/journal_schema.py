# ruff: noqa: S608 - nothing but names from this file stands in the statements
"""What a journal looks like on the disk: its tables, and the statements that work on them."""

from __future__ import annotations

import functools

__all__ = [
    "APPLICATION_ID",
    "CHUNK",
    "CLEAR_OWNER",
    "COLUMNS",
    "FREE_NAME",
    "HEARD",
    "PLACE",
    "READMIT",
    "SCHEMA",
    "SCHEMA_VERSION",
    "SET_FOLDER",
    "SET_OWNER",
    "START",
    "STOP",
    "TABLES",
    "TAKE_UP",
    "find",
    "find_names",
    "insert",
    "settle",
]

APPLICATION_ID = 0x41464A4C
"""Tells a journal from any other SQLite database."""

SCHEMA_VERSION = 1
"""Grows with every change of the tables."""

COLUMNS = (
    "id", "url", "requested", "checksum", "size", "mirrors", "withheld", "state", "attempts", "status", "path",
    "bytes", "digest", "etag", "last_modified", "ranges", "error", "reason", "started", "finished",
)  # fmt: skip
"""Of a row, as far as it is for anybody but the journal."""

SCHEMA = """
create table meta (name text primary key, value text not null) without rowid;
create table owner (
    only integer primary key check (only = 1), record text not null, since real not null, heard real not null
);
create table downloads (
    id integer primary key,
    key blob not null,             -- of URL, requested path and occurrence
    url text not null,             -- without user information
    requested text,                -- path that the caller gave
    checksum text,
    size integer,
    mirrors text,                  -- JSON
    withheld integer not null,     -- 1: it needs credentials that are not kept here
    state integer not null,        -- 0 queued, 1 under way, 2 done, 3 failed
    attempts integer not null default 0,
    status integer,
    path text,                     -- relative to the folder, with slashes
    name integer,                  -- hash of the path as file systems without case compare it
    bytes integer,
    digest text,
    etag text,
    last_modified text,
    ranges text,                   -- JSON, what is kept of the file
    error text,
    reason text,
    started real,
    finished real
);
create unique index downloads_by_key on downloads (key);
create index downloads_by_name on downloads (name) where name is not null;
create index downloads_unfinished on downloads (id) where state < 2;
create index downloads_failed on downloads (id) where state = 3;
"""

TABLES = frozenset({"meta", "owner", "downloads"})

CHUNK = 64
"""The most rows that one statement is about: SQLite takes no more than 999 values everywhere."""

# The interpreter is let go of at every step of a statement, and comes back only when the busy thread of the
# loop lets go of it in turn. So what is about many rows takes one step: all rows in one statement, and what is
# found in one value.


@functools.cache
def find(count: int) -> str:
    """Find the rows with *count* keys, as one JSON array of arrays: the key in hexadecimal, then the facts."""
    facts = "hex(key), id, state, path, bytes, digest, etag, last_modified"
    return f"select json_group_array(json_array({facts})) from downloads where key in ({_marks(count)})"


@functools.cache
def find_names(count: int) -> str:
    """Find which of *count* names rows have."""
    return f"select json_group_array(name) from downloads where name in ({_marks(count)})"


@functools.cache
def insert(count: int) -> str:
    """Insert *count* rows."""
    row = "(?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
    columns = "id, key, url, requested, checksum, size, mirrors, withheld, state, path, name"
    return f"insert into downloads ({columns}) values {', '.join([row] * count)}"


@functools.cache
def settle(count: int) -> str:
    """Note what became of *count* rows."""
    names = ("state", "attempts", "status", "bytes", "digest", "etag", "last_modified", "ranges", "error",
             "reason", "started", "finished")  # fmt: skip
    row = f"({_marks(1 + len(names))})"
    values = ", ".join(f"column{number}" for number in range(2, 2 + len(names)))
    return (
        # The row is there, so nothing is inserted; what must not be null is given to please the check.
        f"insert into downloads (id, key, url, withheld, {', '.join(names)}) select column1, x'', '', 0, {values} "
        f"from (values {', '.join([row] * count)}) where column1 in (select id from downloads) "
        f"on conflict (id) do update set {', '.join(f'{name} = excluded.{name}' for name in names)}"
    )


def _marks(count: int) -> str:
    return ", ".join("?" * count)


READMIT = (
    "update downloads set url = ?, checksum = ?, size = ?, mirrors = ?, withheld = ?, path = ?, name = ?, "
    "state = 0, error = null, reason = null where id = ?"
)
START = "update downloads set state = 1, started = ? where id = ? and state = 0"
STOP = "update downloads set state = 0 where state < 2 and state = 1"
PLACE = "update downloads set path = ?, name = ? where id = ?"
FREE_NAME = "update downloads set path = null, name = null where name = ? and id <> ?"

# The condition of the partial index is repeated to the letter, or the index is not used.
TAKE_UP = {
    False: f"select {', '.join(COLUMNS)} from downloads where state < 2 and id > ? and id <= ? "
    "and withheld = 0 order by id limit ?",
    True: f"select {', '.join(COLUMNS)} from downloads where state = 3 and id > ? and id <= ? "
    "and withheld = 0 order by id limit ?",
}
"""What was left unfinished, and what failed."""

SET_FOLDER = "insert or replace into meta values ('folder', ?)"
SET_OWNER = "insert or replace into owner (only, record, since, heard) values (1, ?, ?, ?)"
HEARD = "update owner set heard = ? where record = ? and since = ?"
CLEAR_OWNER = "delete from owner where record = ? and since = ?"
