"""Where the requests of a list come from: any iterable, one item at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING

from asyncflags._models import Request

if TYPE_CHECKING:
    from asyncflags._types import Urls

__all__ = ["Feed", "as_request"]


def as_request(url: str | Request) -> Request:
    """*url* as a request.

    Raises:
        TypeError: It is neither text nor a request.
    """
    if isinstance(url, Request):
        return url
    if isinstance(url, str):
        return Request(url)
    raise TypeError(f"a URL is a str or a Request, not {type(url).__name__}: {url!r:.100}")


class Feed:
    """Hands out the items of an iterable to many workers, each item once.

    A plain iterable is advanced on the loop, so one that blocks should be an async one instead.

    Args:
        urls: Any iterable or async iterable of URLs and requests.

    Raises:
        TypeError: It is no iterable, or a single URL.
    """

    def __init__(self, urls: Urls) -> None:
        if isinstance(urls, str | bytes | Request):
            raise TypeError("a list of URLs is expected, not a single one: write [url], or use download(url)")
        self.ended = False
        self._items: Iterator[str | Request] | None = None
        self._async_items: AsyncIterator[str | Request] | None = None
        if isinstance(urls, AsyncIterable):
            self._async_items = aiter(urls)
            # An async generator must not be resumed while it is running.
            self._turn = asyncio.Lock()
        elif isinstance(urls, Iterable):
            self._items = iter(urls)
        else:
            raise TypeError(f"an iterable of URLs is expected, not {type(urls).__name__}")

    async def next(self) -> Request | None:
        """The next request; ``None`` at the end.

        Raises:
            BaseException: Whatever the iterable raises; nothing is taken from it afterwards.
        """
        if self._items is None:
            return await self._next_async()
        if self.ended:
            return None
        try:
            return as_request(next(self._items))
        except StopIteration:
            self.ended = True
            return None
        except BaseException:
            self.ended = True
            raise

    async def _next_async(self) -> Request | None:
        assert self._async_items is not None
        async with self._turn:
            if self.ended:
                return None
            try:
                return as_request(await anext(self._async_items))
            except StopAsyncIteration:
                self.ended = True
                return None
            except BaseException:
                self.ended = True
                raise

    def end(self) -> None:
        """Take nothing more."""
        self.ended = True

    async def aclose(self) -> None:
        """Close a generator that was not exhausted, so that its own clean-up runs now."""
        self.ended = True
        # Only generators: an open file or a cursor is the caller's to close.
        if isinstance(self._items, GeneratorType):
            self._items.close()
        elif isinstance(self._async_items, AsyncGeneratorType):
            await self._async_items.aclose()
