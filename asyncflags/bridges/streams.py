"""Many calls of one function, lazily and under a bound, and many calls in the order of their ends."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import queue
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, TypeVarTuple

from asyncflags.bridges._waiting import wait_all
from asyncflags.bridges.portal import refuse_running_loop

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
C = TypeVar("C", bound="asyncio.Future[Any] | Future[Any]")

# A lock that is waited for without end cannot be interrupted by Ctrl-C on Windows.
_LONGEST_WAIT = 0.2


class Streaming:
    """The verbs for many items, for a bridge that has ``run`` and ``submit``."""

    if TYPE_CHECKING:

        async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
            """Await one call."""
            ...

        def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
            """Schedule one call."""
            ...

    def stream(
        self,
        fn: Callable[[S], T],
        iterable: Iterable[S] | AsyncIterable[S],
        *,
        in_flight: int,
        ordered: bool = False,
    ) -> Stream[T]:
        """Call *fn* on each item, off the loop, and hand the results over as they come.

        ::

            async with bridge.stream(parse, paths, in_flight=8) as results:
                async for result in results:
                    ...

        Items are taken only when a call may start for them, so neither the items nor the results pile up:
        memory does not grow with their number. A plain iterable is advanced on the loop and must not
        block. The first error, of a call or of the iterable, ends the stream when its turn comes.

        Args:
            fn: Called with one item.
            iterable: The items, plain or asynchronous, of any number.
            in_flight: The most items between being taken and their result being read, at least 1. More
                than the bridge has workers keeps these busy while a result is on its way.
            ordered: Whether results come in the order of their items; a slow one then holds up the rest.

        Returns:
            An asynchronous iterator that is a context manager too. Leaving its context or calling its
            ``aclose`` cancels what is under way, as a cancelled `run` does, and waits for that. A loop
            that is left by ``break`` outside of a context does so soon afterwards.

        Raises:
            ValueError: *in_flight* is less than 1.
        """
        _check(in_flight)
        return Stream(_Flight(self.run, fn, in_flight, ordered).results(iterable))

    def stream_sync(
        self, fn: Callable[[S], T], iterable: Iterable[S], *, in_flight: int, ordered: bool = False
    ) -> Generator[T, None, None]:
        """`stream` for scripts: block for each result.

        Leaving the loop early cancels the calls that have not started; those that run end by themselves.

        Args:
            fn: Called with one item.
            iterable: The items, of any number, taken lazily in the caller's thread.
            in_flight: The most items between being taken and their result being read, at least 1.
            ordered: Whether results come in the order of their items.

        Raises:
            ValueError: *in_flight* is less than 1.
            RuntimeError: A loop is running in this thread, and would be blocked.
        """
        _check(in_flight)
        refuse_running_loop("stream_sync", "async for ... in bridge.stream")
        if ordered:
            return _in_order(self.submit, fn, iterable, in_flight)
        return _as_they_end(self.submit, fn, iterable, in_flight)


class Stream(AsyncIterator[T]):
    """The results of one `Streaming.stream`; for one task at a time."""

    def __init__(self, results: AsyncGenerator[T, None]) -> None:
        self._results = results

    async def __anext__(self) -> T:
        return await anext(self._results)

    async def aclose(self) -> None:
        """Cancel what is under way, wait for its end, and end the stream; safe to call twice."""
        await self._results.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Flight(Generic[S, T]):
    """The calls of one stream. A slot is taken before an item is, and free when its result was read."""

    def __init__(
        self,
        run: Callable[[Callable[[S], T], S], Any],
        fn: Callable[[S], T],
        in_flight: int,
        ordered: bool,
    ) -> None:
        self._run = run
        self._fn = fn
        self._ordered = ordered
        self._free = in_flight
        self._calls: dict[asyncio.Task[T], None] = {}
        self._ended: collections.deque[asyncio.Task[T]] = collections.deque()
        self._feeding: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._news = asyncio.Event()

    async def results(self, iterable: Iterable[S] | AsyncIterable[S]) -> AsyncGenerator[T, None]:
        self._feeding = asyncio.create_task(self._feed(iterable))
        self._feeding.add_done_callback(lambda _: self._news.set())
        try:
            while (call := await self._next()) is not None:
                self._free += 1
                self._room.set()
                result = call.result()
                # The reader may keep the stream waiting for long, and must not keep the call as well.
                del call
                yield result
                del result
            self._feeding.result()
        finally:
            await self._abandon()

    async def _next(self) -> asyncio.Task[T] | None:
        """The next call that ended, or ``None`` once all have been handed over."""
        while True:
            if self._ordered:
                first = next(iter(self._calls), None)
                if first is not None and first.done():
                    del self._calls[first]
                    return first
            elif self._ended:
                return self._ended.popleft()
            assert self._feeding is not None
            if self._feeding.done() and not self._calls:
                return None
            self._news.clear()
            await self._news.wait()

    async def _feed(self, iterable: Iterable[S] | AsyncIterable[S]) -> None:
        if isinstance(iterable, AsyncIterable):
            source = aiter(iterable)
            while True:
                await self._slot()
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
                self._start(item)
                del item
        items = iter(iterable)
        while True:
            await self._slot()
            try:
                item = next(items)
            except StopIteration:
                return
            self._start(item)
            del item

    async def _slot(self) -> None:
        while not self._free:
            self._room.clear()
            await self._room.wait()

    def _start(self, item: S) -> None:
        self._free -= 1
        call = asyncio.create_task(self._run(self._fn, item))
        self._calls[call] = None
        call.add_done_callback(self._end)

    def _end(self, call: asyncio.Task[T]) -> None:
        if not self._ordered:
            self._calls.pop(call, None)
            self._ended.append(call)
        self._news.set()

    async def _abandon(self) -> None:
        under_way = [*self._calls, *self._ended]
        if self._feeding is not None:
            under_way.append(self._feeding)  # type: ignore[arg-type]
        for task in under_way:
            task.cancel()
        try:
            await wait_all(under_way)
        finally:
            for task in under_way:
                # An error that nobody reads any more is no news for the loop's exception handler.
                if task.done() and not task.cancelled():
                    task.exception()


def _check(in_flight: int) -> None:
    if in_flight < 1:
        raise ValueError(f"in_flight must be at least 1, not {in_flight}")


def _in_order(
    submit: Callable[[Callable[[S], T], S], Future[T]], fn: Callable[[S], T], items: Iterable[S], most: int
) -> Generator[T, None, None]:
    window: collections.deque[Future[T]] = collections.deque()
    try:
        for item in items:
            window.append(submit(fn, item))
            del item
            if len(window) == most:
                yield _result(window.popleft())
        while window:
            yield _result(window.popleft())
    finally:
        _drop(window)


def _as_they_end(
    submit: Callable[[Callable[[S], T], S], Future[T]], fn: Callable[[S], T], items: Iterable[S], most: int
) -> Generator[T, None, None]:
    calls: set[Future[T]] = set()
    ended: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()
    try:
        for item in items:
            call = submit(fn, item)
            del item
            calls.add(call)
            call.add_done_callback(ended.put)
            del call
            if len(calls) == most:
                yield _result(_take(calls, ended))
        while calls:
            yield _result(_take(calls, ended))
    finally:
        _drop(calls)


def _take(calls: set[Future[T]], ended: queue.SimpleQueue[Future[T]]) -> Future[T]:
    while True:
        try:
            call = ended.get(timeout=_LONGEST_WAIT)
        except queue.Empty:
            continue
        calls.remove(call)
        return call


def _result(call: Future[T]) -> T:
    try:
        while True:
            try:
                return call.result(_LONGEST_WAIT)
            except TimeoutError:
                # The call may have raised one of its own.
                if call.done():
                    return call.result()
    finally:
        # The future holds the error, and the error's traceback this frame.
        del call


def _drop(calls: Iterable[Future[Any]]) -> None:
    for call in calls:
        try:
            call.cancel()
        except NotImplementedError:
            # Some executors of third parties cannot cancel at all and say so in this way.
            continue


async def as_completed(calls: Iterable[C]) -> AsyncIterator[C]:
    """Yield the very objects of *calls*, each when it is done, first come, first served.

    ::

        pages = {asyncio.create_task(bridge.run(parse, path)): path for path in paths}
        async for page in as_completed(pages):
            print(pages[page], page.result())

    Leaving early cancels nothing: the calls are the caller's.

    Args:
        calls: Tasks and futures of the running loop, and futures of `concurrent.futures`, mixed as you
            like. One that is given twice is yielded once.
    """
    ended: collections.deque[C] = collections.deque()
    news = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(call: Any) -> None:
        ended.append(call)
        news.set()

    def tell_from_thread(call: Any) -> None:
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, call)

    waiting = set(calls)
    try:
        for call in tuple(waiting):
            call.add_done_callback(tell_from_thread if isinstance(call, Future) else tell)
            del call
        while waiting:
            while not ended:
                news.clear()
                await news.wait()
            waiting.discard(ended[0])
            yield ended.popleft()
    finally:
        for rest in waiting:
            if isinstance(rest, asyncio.Future):
                rest.remove_done_callback(tell)
