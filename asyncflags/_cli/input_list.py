"""The list of downloads that ``-i`` names, read as it is needed and never on the loop.

Its ending tells its kind: a table (``.csv``, ``.tsv``), JSON lines (``.jsonl``, ``.ndjson``), a Metalink document
(``.meta4``, ``.metalink``); anything else, and standard input, is a plain list of URLs.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

from asyncflags._cli.complaints import Refusal
from asyncflags._cli.exit_codes import STORAGE
from asyncflags._engine.metalinks import requests_in
from asyncflags._models import Request
from asyncflags._policies.metalink import MAX_DOCUMENT_SIZE
from asyncflags._policies.tables import JsonLines, ListReader, PlainLines, Table, UnusableTable
from asyncflags._policies.urls import MAX_URL_SIZE
from asyncflags.bridges import ThreadBridge

__all__ = ["Batch", "LineSplitter", "OpenList", "RawReader", "UrlList", "count_urls", "open_list", "read_all"]

_READ_SIZE = 1 << 16
_LONGEST_LINE = 4 * MAX_URL_SIZE
_METALINKS = (".meta4", ".metalink")
_TABLES = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")


class RawReader(Protocol):
    """An unbuffered binary file: `read` returns what there is, and waits only when there is nothing."""

    def read(self, size: int, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class OpenList:
    """A list that is open; a context manager that closes it.

    Attributes:
        file: Where the lines come from.
        name: For messages.
        close: Closes the file, even while a thread that was left behind still waits for it.
    """

    file: RawReader
    name: str
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LineSplitter:
    """Cuts a stream into numbered lines and holds at most one unfinished line, of bounded length."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[tuple[int, bytes | None]]:
        """Return the lines that *data* completes, with their numbers; ``None``: a line too long to keep."""
        *complete, rest = (self._rest + data).split(b"\n")
        lines = [self._numbered(line) for line in complete]
        self._rest = rest
        if len(rest) > _LONGEST_LINE:
            self._rest, self._skipping = b"", True
        return lines

    def finish(self) -> list[tuple[int, bytes | None]]:
        """Return the last line if no line end follows it."""
        return [self._numbered(self._rest)] if self._rest or self._skipping else []

    def _numbered(self, line: bytes) -> tuple[int, bytes | None]:
        self._number += 1
        too_long, self._skipping = self._skipping or len(line) > _LONGEST_LINE, False
        return self._number, None if too_long else line


@dataclass(slots=True)
class Batch:
    """What one piece of a list holds.

    Attributes:
        urls: In their order; a request where more than the URL is known.
        refusals: A sentence for each line that cannot be used and should.
        failure: Why the list cannot be read on, or ``None``.
        is_last: Whether the list ends here.
    """

    urls: list[str | Request] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    failure: str | None = None
    is_last: bool = False


class _BatchReader(Protocol):
    """Reads a list piece by piece. Blocks; used by one thread at a time."""

    def next(self) -> Batch: ...


class _LinesReader:
    """Reads a list of one download a line."""

    def __init__(self, opened: OpenList, lines: ListReader) -> None:
        self._opened = opened
        self._lines = lines
        self._splitter = LineSplitter()

    def next(self) -> Batch:
        batch = Batch()
        try:
            data = self._opened.file.read(_READ_SIZE)
        except OSError as error:
            batch.failure = _unreadable(self._opened.name, error)
            data = b""
        lines = self._splitter.feed(data) if data else self._splitter.finish()
        batch.is_last = not data
        for number, line in lines:
            self._take(batch, number, line)
        if not data:
            self._finish(batch)
        return batch

    def _take(self, batch: Batch, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise ValueError(f"line {number} is longer than any URL may be: put one URL on each line")
            taken = self._lines.take(line, number)
        except UnusableTable as error:
            batch.refusals.append(f"{self._opened.name}, {error}")
            batch.is_last, self._lines = True, _Nothing()
        except ValueError as error:
            batch.refusals.append(f"{self._opened.name}, {error}")
        else:
            if taken is not None:
                batch.urls.append(taken)

    def _finish(self, batch: Batch) -> None:
        try:
            self._lines.finish()
        except ValueError as error:
            batch.refusals.append(f"{self._opened.name}, {error}")


class _Nothing:
    """The lines that follow in a list which cannot be used."""

    def take(self, raw: bytes, number: int) -> None:
        return

    def finish(self) -> None:
        return


class _MetalinkReader:
    """Reads a Metalink document, which is whole or nothing."""

    def __init__(self, opened: OpenList) -> None:
        self._opened = opened

    def next(self) -> Batch:
        batch = Batch(is_last=True)
        data = bytearray()
        try:
            while len(data) <= MAX_DOCUMENT_SIZE and (piece := self._opened.file.read(_READ_SIZE)):
                data += piece
            batch.urls.extend(requests_in(bytes(data)))
        except OSError as error:
            batch.failure = _unreadable(self._opened.name, error)
        except ValueError as error:
            batch.refusals.append(f"{self._opened.name}: {error}")
        return batch


def _reader(opened: OpenList) -> _BatchReader:
    ending = _ending(opened.name)
    if ending in _METALINKS:
        return _MetalinkReader(opened)
    lines: ListReader = PlainLines()
    if ending in _TABLES:
        lines = Table(_TABLES[ending])
    elif ending in _JSON_LINES:
        lines = JsonLines()
    return _LinesReader(opened, lines)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


class UrlList:
    """Hands out the URLs of a list one by one, to one taker; an async iterable.

    The next piece of the list is read, on a thread of its own, only when all URLs before it were taken,
    so that a list of any length takes the same memory; a Metalink document alone is read whole. A thread that
    waits for a slow pipe is left behind when the run ends: nothing can wake it, and it holds nothing up.

    Args:
        opened: The list.
        on_refusal: Called with a sentence for every line that cannot be used and should.

    Attributes:
        name: Of the list.
        urls: URLs handed out so far.
        refused: Lines refused so far.
        failure: Why the list could not be read to its end; ``None``: it could so far.
    """

    def __init__(self, opened: OpenList, on_refusal: Callable[[str], None]) -> None:
        self.name = opened.name
        self.urls = 0
        self.refused = 0
        self.failure: str | None = None
        self._reader = _reader(opened)
        self._on_refusal = on_refusal

    @property
    def is_empty(self) -> bool:
        """Whether nothing but comments and empty lines was found so far."""
        return not self.urls and not self.refused and self.failure is None

    async def __aiter__(self) -> AsyncGenerator[str | Request, None]:
        bridge = ThreadBridge(1, name="asyncflags-list")
        batch = Batch()
        try:
            while not batch.is_last:
                # Not bridge.run(): cancelled, that waits for the running call, which may never end.
                batch = await asyncio.wrap_future(bridge.submit(self._reader.next))
                self._tell(batch)
                for url in batch.urls:
                    self.urls += 1
                    yield url
        finally:
            bridge.shutdown(wait=False)

    def _tell(self, batch: Batch) -> None:
        self.failure = batch.failure
        self.refused += len(batch.refusals)
        for reason in batch.refusals:
            self._on_refusal(reason)


def read_all(opened: OpenList) -> Iterator[Batch]:
    """Read a list piece by piece. Blocks."""
    reader = _reader(opened)
    batch = Batch()
    while not batch.is_last:
        batch = reader.next()
        yield batch


def open_list(path: str) -> OpenList:
    """Open a list. Blocks, on a named pipe until somebody writes to it.

    Args:
        path: Of the list; ``"-"``: standard input.

    Raises:
        Refusal: It cannot be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise Refusal("-i -: standard input is closed", STORAGE)
        # Below the buffer, so that a read returns what has come and holds no lock while it waits.
        return OpenList(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), "standard input")
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - the list closes it
    except OSError as error:
        raise Refusal(_unreadable(path, error), STORAGE) from None
    return OpenList(file, path, file.close)


def _unreadable(name: str, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"the list {name} cannot be read: {reason[:1].lower()}{reason[1:]}"


def count_urls(path: str) -> int | None:
    """Count the lines of a list that should hold a URL. Blocks.

    Returns:
        The count; ``None``: the list has no lines, or is no ordinary file and can be read only once, if at all.
    """
    ending = _ending(path)
    if ending in _METALINKS:
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            count = sum(1 for line in file if (text := line.lstrip()) and not text.startswith(b"#"))
    except OSError:
        return None
    # The first line of a table names its columns.
    return max(count - 1, 0) if ending in _TABLES else count
