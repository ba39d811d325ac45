"""The list of URLs that ``-i`` names, read as it is needed and never on the loop."""

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
from asyncflags._policies.lists import parse_list_line
from asyncflags._policies.urls import MAX_URL_SIZE
from asyncflags.bridges import ThreadBridge

__all__ = ["Batch", "LineSplitter", "OpenList", "RawReader", "UrlList", "count_urls", "open_list", "read_all"]

_READ_SIZE = 1 << 16
_LONGEST_LINE = 4 * MAX_URL_SIZE


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
        urls: In their order.
        refusals: A sentence for each line that holds no URL and should.
        failure: Why the list cannot be read on, or ``None``.
        is_last: Whether the list ends here.
    """

    urls: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    failure: str | None = None
    is_last: bool = False


class _BatchReader:
    """Reads a list piece by piece. Blocks; used by one thread at a time."""

    def __init__(self, opened: OpenList) -> None:
        self._opened = opened
        self._splitter = LineSplitter()

    def next(self) -> Batch:
        batch = Batch()
        try:
            data = self._opened.file.read(_READ_SIZE)
        except OSError as error:
            batch.failure = _unreadable(self._opened.name, error)
            data = b""
        lines = self._splitter.feed(data) if data else self._splitter.finish()
        for number, line in lines:
            self._take(batch, number, line)
        batch.is_last = not data
        return batch

    def _take(self, batch: Batch, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise ValueError(f"line {number} is longer than any URL may be: put one URL on each line")
            parsed = parse_list_line(line, number)
        except ValueError as error:
            batch.refusals.append(f"{self._opened.name}, {error}")
        else:
            if parsed is not None:
                batch.urls.append(parsed.url)


class UrlList:
    """Hands out the URLs of a list one by one, to one taker; an async iterable.

    The next piece of the list is read, on a thread of its own, only when all URLs before it were taken,
    so that a list of any length takes the same memory. A thread that waits for a slow pipe is left behind
    when the run ends: nothing can wake it, and it holds nothing up.

    Args:
        opened: The list.
        on_refusal: Called with a sentence for every line that holds no URL and should.

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
        self._reader = _BatchReader(opened)
        self._on_refusal = on_refusal

    @property
    def is_empty(self) -> bool:
        """Whether nothing but comments and empty lines was found so far."""
        return not self.urls and not self.refused and self.failure is None

    async def __aiter__(self) -> AsyncGenerator[str, None]:
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
    reader = _BatchReader(opened)
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
        The count; ``None``: the list is no ordinary file and can be read only once, or not at all.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            return sum(1 for line in file if (text := line.lstrip()) and not text.startswith(b"#"))
    except OSError:
        return None
