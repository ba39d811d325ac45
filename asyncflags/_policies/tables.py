"""Lists of downloads with more than URLs: CSV (RFC 4180), tab-separated values, and a JSON object a line.

The columns, or keys, are ``url``, ``path``, ``checksum``, ``size`` and ``mirrors``; others are passed over, so that
a table made for something else will do. Line by line, so that a list of any length takes the memory of one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from asyncflags._models import Request
from asyncflags._policies.checksums import Checksum
from asyncflags._policies.lists import decoded_line, parse_list_line
from asyncflags._policies.naming import relative_parts
from asyncflags._policies.urls import parse_url
from asyncflags.errors import UnsafePath

__all__ = ["JsonLines", "ListReader", "PlainLines", "Table", "UnusableTable"]

_COLUMNS = ("url", "path", "checksum", "size", "mirrors")
_LONGEST_RECORD = 256 * 1024
_DIGITS = re.compile(r"[0-9]{1,18}")


class UnusableTable(ValueError):
    """Not one line but the whole list cannot be read, because it does not say what its columns are."""


class ListReader(Protocol):
    """Makes requests of the lines of a list, which come in their order."""

    def take(self, raw: bytes, number: int) -> str | Request | None:
        """Read one line.

        Args:
            raw: The line, with or without its line end.
            number: Of the line, from 1.

        Returns:
            The URL or the request; ``None``: the line holds none and need not.

        Raises:
            UnusableTable: No line of the list can be read.
            ValueError: This line cannot be read. The message names the line.
        """

    def finish(self) -> None:
        """Take note of the end of the list.

        Raises:
            ValueError: It is the end of no line. The message names the one that was begun.
        """


class PlainLines:
    """One URL a line; empty lines and those that start with ``#`` hold none."""

    def take(self, raw: bytes, number: int) -> str | None:
        parsed = parse_list_line(raw, number)
        return None if parsed is None else parsed.url

    def finish(self) -> None:
        return


class JsonLines:
    """One JSON object a line (RFC 8259); ``mirrors`` is an array of texts. Empty lines hold none."""

    def take(self, raw: bytes, number: int) -> Request | None:
        text = decoded_line(raw, number).strip()
        if not text:
            return None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is not JSON: put one object on each line") from None
        if not isinstance(value, dict):
            raise ValueError(f'line {number} is no JSON object: write {{"url": "https://..."}}')
        mirrors = _json_list(value.pop("mirrors", None), number)
        size = value.get("size")
        if size is not None and type(size) is not int:
            raise ValueError(f"line {number}: size must be a whole number of bytes, not {_shown(size)}")
        for name in ("url", "path", "checksum"):
            if not isinstance(value.get(name), str | None):
                raise ValueError(f"line {number}: {name} must be a text, not {_shown(value[name])}")
        return _request({**value, "size": None if size is None else str(size)}, mirrors, number)

    def finish(self) -> None:
        return


class Table:
    """A table whose first line names the columns; mirrors stand in one field, with spaces between them.

    A field that starts with a quotation mark ends at the next one, of two in a row each pair stands for one, and
    within it separators and line ends mean nothing (RFC 4180 section 2).

    Args:
        separator: ``","`` or a tab.
    """

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._field = re.compile(rf'"((?:[^"]|"")*+)"(?=[{separator}]|\Z)|(?!")([^{separator}]*+)')
        self._columns: tuple[str, ...] = ()
        # The lines of a record that goes on, their size in characters, and the number of the first.
        self._lines: list[str] = []
        self._size = 0
        self._first = 0

    def take(self, raw: bytes, number: int) -> Request | None:
        text = decoded_line(raw, number).removesuffix("\n").removesuffix("\r")
        if self._lines:
            return self._go_on(text)
        if '"' not in text:
            return self._row(text.split(self._separator), number)
        self._first = number
        return self._end(text)

    def finish(self) -> None:
        if self._lines:
            raise self._without_end()

    def _go_on(self, text: str) -> Request | None:
        self._lines.append(text)
        self._size += len(text) + 1
        if self._size > _LONGEST_RECORD:
            raise self._without_end()
        # Only a line with a quotation mark can end the record, so the others are not looked at again.
        return self._end("\n".join(self._lines)) if '"' in text else None

    def _end(self, record: str) -> Request | None:
        self._lines, self._size = [], 0
        fields = self._fields(record)
        if fields is None:
            self._lines, self._size = [record], len(record)
            return None
        return self._row(fields, self._first)

    def _without_end(self) -> ValueError:
        self._lines, self._size = [], 0
        return ValueError(f"line {self._first}: a quotation mark opens a field and none closes it")

    def _fields(self, record: str) -> list[str] | None:
        """The fields of *record*; ``None``: it goes on in the next line."""
        fields: list[str] = []
        position = -1
        while position < len(record):
            found = self._field.match(record, position + 1)
            if found is None:
                # With pairs taken away, a quotation mark that is left closes the field, and too early.
                if '"' in record[position + 2 :].replace('""', ""):
                    raise ValueError(
                        f"line {self._first}: text follows the quotation mark that closes a field"
                    )
                return None
            quoted, plain = found.groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"'))
            position = found.end()
        return fields

    def _row(self, fields: Sequence[str], number: int) -> Request | None:
        values = [field.strip() for field in fields]
        if not any(values):
            return None
        if not self._columns:
            self._columns = _checked_columns(values, number, self._separator)
            return None
        if len(values) > len(self._columns):
            raise ValueError(
                f"line {number} has {len(values)} fields, and the first line names {len(self._columns)} columns"
            )
        # A short row is one whose last fields are empty; some programs leave their separators out.
        row = {name: value or None for name, value in zip(self._columns, values, strict=False)}
        return _request(row, tuple((row.get("mirrors") or "").split()), number)


def _checked_columns(values: Sequence[str], number: int, separator: str) -> tuple[str, ...]:
    columns = tuple(value.lower() for value in values)
    if "url" not in columns:
        example = "<tab>".join(_COLUMNS) if separator == "\t" else ",".join(_COLUMNS)
        raise UnusableTable(f"line {number} must name the columns and one of them url, as in {example}")
    for name in _COLUMNS:
        if columns.count(name) > 1:
            raise UnusableTable(f"line {number} names the column {name} twice")
    return columns


def _request(row: Mapping[str, Any], mirrors: tuple[str, ...], number: int) -> Request:
    """The request of one row, every value of it checked."""
    url, path, checksum, size = (row.get(name) for name in _COLUMNS[:4])
    try:
        if not url:
            raise ValueError("the url is missing")
        for each in (url, *mirrors):
            parse_url(each)
        if path is not None:
            relative_parts(path)
        if checksum is not None:
            checksum = str(Checksum.parse(checksum))
        if size is not None and not _DIGITS.fullmatch(size):
            raise ValueError(f"the size {_shown(size)} is no number of bytes")
    except (ValueError, UnsafePath) as error:
        raise ValueError(f"line {number}: {error}") from None
    return Request(
        url, path=path, checksum=checksum, size=None if size is None else int(size), mirrors=mirrors
    )


def _json_list(value: object, number: int) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"line {number}: mirrors must be an array of texts, not {_shown(value)}")
    return tuple(value)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
