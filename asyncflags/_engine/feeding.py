"""Where the requests of a list come from: any iterable, one item at a time."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, cast

from asyncflags._models import Request

if TYPE_CHECKING:
    from asyncflags._engine.known import KnownFile
    from asyncflags._engine.scheduler import Outcomes
    from asyncflags._engine.turns import Turn
    from asyncflags._policies.urls import Target
    from asyncflags._types import Urls
    from asyncflags.errors import DownloadError

__all__ = ["Entry", "Feed", "FromThread", "as_request", "fed", "refuse_single"]


@dataclass(slots=True, eq=False)
class Entry:
    """One download of a list, on its way to a worker.

    Attributes:
        given: As the list has it; what its outcome is reported for.
        asked: As it is downloaded.
        row: Id of its row in the journal; 0: it has none.
        is_named: Whether ``asked.path`` is the journal's and nobody else's in this run.
        known: What an earlier run recorded of the file, or ``None``.
        run: The run that it belongs to, once it waits for its turn.
        target: Its URL, once it was read.
        is_unfinished: Whether it is to be taken up by a next run, although it has an outcome.
    """

    given: Request
    asked: Request
    row: int = 0
    is_named: bool = False
    known: KnownFile | None = None
    run: Outcomes | None = None
    target: Target | None = None
    is_unfinished: bool = False

    @property
    def flow(self) -> Outcomes | None:
        """The list that it waits with."""
        return self.run

    @property
    def priority(self) -> float:
        """The higher, the sooner it begins."""
        return self.asked.priority

    def begin(self, turn: Turn) -> None:
        """It has its turn."""
        assert self.run is not None
        self.run.begin(self, turn)

    def refuse(self, error: Callable[[], DownloadError]) -> None:
        """It will never have one."""
        assert self.run is not None
        self.run.refuse(self, error)


def as_request(
    url: str | Request,
    *,
    checksum: str | None = None,
    size: int | None = None,
    mirrors: Sequence[str] = (),
) -> Request:
    """*url* as a request, with *checksum*, *size* and *mirrors* in place of its own where they are given.

    Raises:
        TypeError: It is neither text nor a request, or *mirrors* is one text.
    """
    if isinstance(mirrors, str):
        raise TypeError("mirrors is a list of URLs, not a single one: write mirrors=[url]")
    if isinstance(url, str):
        return Request(url, checksum=checksum, size=size, mirrors=tuple(mirrors))
    if not isinstance(url, Request):
        raise TypeError(f"a URL is a str or a Request, not {type(url).__name__}: {url!r:.100}")
    if checksum is not None:
        url = replace(url, checksum=checksum)
    if mirrors:
        url = replace(url, mirrors=tuple(mirrors))
    return url if size is None else replace(url, size=size)


def refuse_single(urls: object) -> None:
    """Refuse what is one URL, or nothing that could be many.

    Raises:
        TypeError: It is.
    """
    if isinstance(urls, str | bytes | Request):
        raise TypeError("a list of URLs is expected, not a single one: write [url], or use download(url)")
    if not isinstance(urls, Iterable | AsyncIterable):
        raise TypeError(f"an iterable of URLs is expected, not {type(urls).__name__}")


class Feed:
    """Hands out the items of an iterable to many workers, each item once.

    A plain iterable is advanced on the loop, so one that blocks should be an async one instead.

    Args:
        urls: Any iterable or async iterable of URLs and requests.

    Raises:
        TypeError: It is no iterable, or a single URL.
    """

    def __init__(self, urls: Urls) -> None:
        refuse_single(urls)
        self.ended = False
        self._is_interrupted = False
        # Who waits for the caller's iterable.
        self._puller: asyncio.Task[Any] | None = None
        self._items: Iterator[str | Request] | None = None
        self._async_items: AsyncIterator[str | Request] | None = None
        if isinstance(urls, AsyncIterable):
            self._async_items = aiter(urls)
            # An async generator must not be resumed while it is running.
            self._turn = asyncio.Lock()
        else:
            self._items = iter(urls)

    async def next(self) -> Entry | None:
        """The next request; ``None`` at the end.

        Raises:
            BaseException: Whatever the iterable raises; nothing is taken from it afterwards.
        """
        if self._items is None:
            return await self._next_async()
        if self.ended:
            return None
        try:
            request = as_request(next(self._items))
        except StopIteration:
            self.ended = True
            return None
        except BaseException:
            self.ended = True
            raise
        return Entry(request, request)

    async def _next_async(self) -> Entry | None:
        assert self._async_items is not None
        async with self._turn:
            if self.ended:
                return None
            self._puller = asyncio.current_task()
            try:
                request = as_request(await anext(self._async_items))
            except StopAsyncIteration:
                self.ended = True
                return None
            except asyncio.CancelledError:
                self.ended = True
                if not self._is_interrupted or self._puller is None or self._puller.uncancel():
                    raise
                return None
            except BaseException:
                self.ended = True
                raise
            finally:
                self._puller = None
        return Entry(request, request)

    def interrupt(self) -> None:
        """Take nothing more, and do not wait for what is about to come."""
        self.ended = True
        if self._puller is not None and not self._is_interrupted:
            self._puller.cancel()
        self._is_interrupted = True

    def end(self) -> None:
        """Take nothing more."""
        self.ended = True

    async def aclose(self) -> None:
        """Close a generator that was not exhausted, so that its own clean-up runs now."""
        self.ended = True
        # Only generators: an open file or a cursor is the caller's to close.
        if isinstance(self._items, GeneratorType):
            self._items.close()
        elif isinstance(self._async_items, AsyncGeneratorType | FromThread):
            await self._async_items.aclose()


_MOST_AHEAD = 256


class FromThread(AsyncIterator["str | Request"]):
    """Advances a plain iterable in a thread of its own, where it may block, and hands each item over at once.

    The thread runs at most 256 items ahead of the loop. It is a daemon: one that is blocked for ever holds
    up neither the end of the list nor that of the program.
    """

    def __init__(self, urls: Iterable[str | Request]) -> None:
        self._urls = urls
        self._items: collections.deque[str | Request] = collections.deque()
        self._room = threading.Semaphore(_MOST_AHEAD)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._exhausted = False
        self._stopped = False

    async def __anext__(self) -> str | Request:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._advance, name="asyncflags-feed", daemon=True).start()
        while not self._items and not self._exhausted:
            self._arrival = self._loop.create_future()
            # The thread looks for somebody who waits after it has put an item down, and we look for an item
            # after we have said that we wait, so that one of us sees the other.
            if not self._items and not self._exhausted:
                await self._arrival
            self._arrival = None
        if self._items:
            self._room.release()
            return self._items.popleft()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let the thread end after the item it is at; a generator is closed then."""
        self._stopped = True
        self._room.release()

    def _advance(self) -> None:
        """Run in the thread."""
        try:
            items = iter(self._urls)
            self._room.acquire()
            while not self._stopped and (item := next(items, _END)) is not _END:
                self._items.append(cast("str | Request", item))
                self._tell()
                self._room.acquire()
            if isinstance(items, GeneratorType):
                items.close()
        except BaseException as error:  # noqa: BLE001
            # The iterable is the caller's and may raise anything; it is raised where the list is read.
            self._failure = error
        self._exhausted = True
        self._tell()

    def _tell(self) -> None:
        arrival, loop = self._arrival, self._loop
        if arrival is not None and loop is not None:
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_arrive, arrival)


_END = object()


def _arrive(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)


def fed(urls: Urls) -> Urls:
    """*urls*, advanced in a thread where it may block.

    Raises:
        TypeError: It is no iterable, or a single URL.
    """
    refuse_single(urls)
    return FromThread(urls) if isinstance(urls, Iterable) and not isinstance(urls, list | tuple) else urls
