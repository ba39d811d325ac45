"""The forms of a report; each takes the rows one by one, however many there are."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from asyncflags._cli.complaints import Refusal, printable
from asyncflags._cli.display import count_text, size_text
from asyncflags._cli.exit_codes import USAGE
from asyncflags._storage.journal_rows import State
from asyncflags.errors import redact_url

if TYPE_CHECKING:
    from asyncflags._storage.journal_reading import JournalReader
    from asyncflags._storage.journal_rows import JournalRow

__all__ = ["as_record", "write_report"]

Record = dict[str, Any]

_WORDS = {
    State.QUEUED: "queued",
    State.UNDER_WAY: "under way",
    State.DONE: "done",
    State.FAILED: "failed",
}
_COLUMNS = {
    "url": "string", "state": "string", "path": "string", "size": "int64", "status": "int64",
    "attempts": "int64", "checksum": "string", "etag": "string", "last_modified": "string",
    "error": "string", "message": "string", "started": "string", "finished": "string",
}  # fmt: skip
"""What a report tells of each URL, and of which type that is in Parquet."""

_ROWS_AT_ONCE = 10_000
_LINES_AT_ONCE = 500


def as_record(row: JournalRow, folder: str | None) -> Record:
    """What a report tells of *row*, credentials redacted.

    Returns:
        ``url``, ``state``, ``path`` (of the file, or where it is to be), ``size`` in bytes, ``status``,
        ``attempts``, ``checksum``, ``etag``, ``last_modified``, ``error`` (a class) with its ``message``, and
        ``started`` and ``finished`` in ISO 8601.
    """
    return {
        "url": redact_url(row.url),
        "state": _WORDS[State(row.state)],
        "path": None if row.path is None else os.path.join(folder or "", row.path),
        "size": row.bytes,
        "status": row.status,
        "attempts": row.attempts,
        "checksum": row.digest or row.checksum,
        "etag": row.etag,
        "last_modified": row.last_modified,
        "error": row.error,
        "message": row.reason,
        "started": _moment(row.started),
        "finished": _moment(row.finished),
    }


def write_report(reader: JournalReader, form: str, file: str | None) -> None:
    """Write all that *reader* has.

    Args:
        reader: The journal.
        form: ``"table"``, ``"json"``, ``"csv"`` or ``"parquet"``.
        file: Path to write to; ``None``: standard output.

    Raises:
        Refusal: Parquet cannot be written here.
        StorageError: The journal cannot be read.
        OSError: The report cannot be written.
    """
    folder = reader.folder
    records = (as_record(row, folder) for row in reader.rows())
    if form == "parquet":
        _write_parquet(records, file)
        return
    with _text(file) as stream:
        _FORMS[form](records, stream)
        stream.flush()


@contextlib.contextmanager
def _text(file: str | None) -> Iterator[IO[str]]:
    if file is not None:
        with open(file, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
    elif sys.stdout is not None:
        yield sys.stdout


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _write_json(records: Iterable[Record], stream: IO[str]) -> None:
    for record in records:
        stream.write(json.dumps(record, ensure_ascii=True) + "\n")


def _write_csv(records: Iterable[Record], stream: IO[str]) -> None:
    writer = csv.DictWriter(stream, list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _as_text(value) for name, value in record.items()})


def _as_text(value: object) -> object:
    # Half a character cannot be written in any encoding.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _write_table(records: Iterable[Record], stream: IO[str]) -> None:
    counts = dict.fromkeys(_WORDS.values(), 0)
    size = 0
    show = _show_drawn if stream.isatty() else _show_plain
    is_first = True
    while lines := list(itertools.islice(records, _LINES_AT_ONCE)):
        for record in lines:
            counts[record["state"]] += 1
            size += record["size"] or 0
        show(lines, stream, is_first)
        is_first = False
    words = ", ".join(f"{count_text(count)} {word}" for word, count in counts.items() if count)
    stream.write(f"{words or 'nothing yet'}; {size_text(size)}\n")


_HEADINGS = ("state", "status", "attempts", "size", "what")
_WIDTHS = (9, 6, 8, 10)


def _cells(record: Record) -> tuple[str, ...]:
    told = record["url"]
    if record["state"] == "done":
        told += f" -> {record['path']}"
    elif record["error"] is not None:
        told += f" {record['error']}: {record['message']}"
    return (
        record["state"],
        "" if record["status"] is None else str(record["status"]),
        str(record["attempts"]),
        "" if record["size"] is None else size_text(record["size"]),
        printable(_fit(told)),
    )


def _fit(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _show_plain(records: Iterable[Record], stream: IO[str], is_first: bool) -> None:
    rows = ([_HEADINGS] if is_first else []) + [_cells(record) for record in records]
    for row in rows:
        fixed = [cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=False)]
        stream.write("  ".join([*fixed, row[-1]]) + "\n")


_STYLES = {"done": "green", "failed": "red", "under way": "yellow", "queued": "dim"}


def _show_drawn(records: Iterable[Record], stream: IO[str], is_first: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Columns of one width each, so that the tables of all batches look like one.
    table = Table(box=None, show_header=is_first, pad_edge=False, expand=True)
    for heading, width in zip(_HEADINGS, _WIDTHS, strict=False):
        table.add_column(heading, width=width, justify="left" if heading == "state" else "right")
    table.add_column(_HEADINGS[-1], overflow="fold", ratio=1)
    for record in records:
        state, *rest = _cells(record)
        table.add_row(Text(state, _STYLES[state]), *map(Text, rest))
    Console(file=stream).print(table)


_FORMS: dict[str, Callable[[Iterable[Record], IO[str]], None]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}


def _write_parquet(records: Iterable[Record], file: str | None) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise Refusal(
            "--format parquet needs pyarrow: pip install 'asyncflags[parquet]', or take --format csv", USAGE
        ) from None
    if file is None and (sys.stdout is None or sys.stdout.isatty()):
        raise Refusal("--format parquet is not for a terminal: name a file with -o FILE", USAGE)
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in _COLUMNS.items()])
    target = sys.stdout.buffer if file is None else file
    records = iter(records)
    with parquet.ParquetWriter(target, schema) as writer:
        while batch := list(itertools.islice(records, _ROWS_AT_ONCE)):
            fitting = [{name: _as_text(value) for name, value in record.items()} for record in batch]
            writer.write_table(pa.Table.from_pylist(fitting, schema=schema))
