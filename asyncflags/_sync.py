"""The blocking face: the asynchronous downloader in a loop of its own thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, TypeVarTuple, Unpack, cast

from asyncflags._client import AsyncDownloader
from asyncflags._engine.crossing import SyncOutcomes
from asyncflags._engine.feeding import as_request, fed, refuse_single
from asyncflags._engine.options import ClientOptions, DownloadOptions
from asyncflags._engine.postprocess import PostprocessIn
from asyncflags._models import Progress, Report, Request, Result, Stats
from asyncflags.bridges.portal import Portal, in_order, refuse_running_loop, result_of
from asyncflags.errors import ClosedError

if TYPE_CHECKING:
    from asyncflags._engine.scheduler import Outcomes
    from asyncflags._types import Postprocess, StrPath, Urls

__all__ = ["Downloader", "download", "download_many"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Downloader:
    """Downloads, from plain scripts and notebooks: what `AsyncDownloader` does, blocking.

    ::

        with asyncflags.Downloader() as dl:
            futures = [dl.submit(url, "flags/") for url in urls]
            for future in concurrent.futures.as_completed(futures):
                print(future.result().path)

    Safe from many threads. Every method that blocks raises `RuntimeError` in a thread whose event loop is
    running (except in a cell of a notebook), and Ctrl-C while one waits cancels what it waits for.

    Args:
        **options: The keywords of `AsyncDownloader`, with the same meaning: ``limits``, ``transport``,
            ``session`` (which must belong to no other loop), ``ssl_context``, ``family``, ``trust_env``,
            ``netrc``, ``respect_robots``, ``rate_limit``, ``host_rate_limit``, ``on_event`` (called in the
            loop's thread), and the defaults of `DownloadOptions`.

    Raises:
        TypeError: An option of that name does not exist, or has another type.
        ValueError: An option is out of range, two of them exclude each other, or what one needs is not installed.
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._downloader = AsyncDownloader(**options)
        self.limits = self._downloader.limits
        self.threads = self._downloader.threads
        self.processes = self._downloader.processes
        self._portal = Portal(name="asyncflags-downloader")
        self._closed = False

    def __enter__(self) -> Self:
        refuse_running_loop("Downloader", "async with AsyncDownloader()")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def download(
        self,
        url: str | Request,
        dest: StrPath | BinaryIO = ".",
        *,
        checksum: str | None = None,
        size: int | None = None,
        mirrors: Sequence[str] = (),
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Result:
        """Download *url* to *dest* and return once the file is complete and verified.

        Arguments, result and errors are those of `AsyncDownloader.download`.

        Raises:
            DownloadError: It failed.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.download", "await AsyncDownloader.download")
        return self._call(
            functools.partial(
                self._downloader.download,
                url,
                dest,
                checksum=checksum,
                size=size,
                mirrors=mirrors,
                postprocess=postprocess,
                postprocess_in=postprocess_in,
                **options,
            )
        )

    def submit(
        self,
        url: str | Request,
        dest: StrPath | BinaryIO = ".",
        *,
        checksum: str | None = None,
        size: int | None = None,
        mirrors: Sequence[str] = (),
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Future[Result]:
        """Start a download and return its future at once.

        The future is a real `concurrent.futures.Future`, so `concurrent.futures.as_completed` and
        `concurrent.futures.wait` take it. Its ``cancel()`` cancels the download too. Arguments are those
        of `AsyncDownloader.download`, and the future raises what that raises.

        Raises:
            ClosedError: The downloader is closed.
        """
        return self._start(
            functools.partial(
                self._downloader.download,
                url,
                dest,
                checksum=checksum,
                size=size,
                mirrors=mirrors,
                postprocess=postprocess,
                postprocess_in=postprocess_in,
                **options,
            )
        )

    def map(
        self,
        urls: Iterable[str | Request],
        dest: StrPath = ".",
        *,
        deadline: float | None = None,
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Iterator[Result]:
        """Download many files and yield their results in the order of *urls*, like `Executor.map`.

        Unlike there *urls* is taken lazily, twice ``Limits.max_downloads`` ahead of the reader. Leaving
        the loop early cancels what is under way.

        Args:
            urls: Any iterable of URLs and requests.
            dest: The folder; made if it is missing.
            deadline: Seconds for the whole run, from this call; ``None``: any time. When it passes, the
                downloads under way fail with `TotalTimeout`.
            postprocess, postprocess_in: As for `download`.
            **options: See `DownloadOptions`.

        Raises:
            DownloadError: When the result of a download that failed is reached; the rest is cancelled.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.map", "async with AsyncDownloader.as_completed")
        refuse_single(urls)
        runs = self._downloader._runs
        after = runs.after(postprocess, postprocess_in)
        start = runs.mapper(dest, after, deadline, cast("dict[str, Any]", options))
        started = (self._start(functools.partial(start, as_request(url))) for url in urls)
        return in_order(started, 2 * self.limits.max_downloads)

    def fetch(
        self,
        url: str | Request,
        *,
        checksum: str | None = None,
        size: int | None = None,
        mirrors: Sequence[str] = (),
        **options: Unpack[DownloadOptions],
    ) -> Result:
        """Download *url* into memory; the body is ``Result.content``.

        Arguments, result and errors are those of `AsyncDownloader.fetch`.

        Raises:
            DownloadError: It failed.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.fetch", "await AsyncDownloader.fetch")
        return self._call(
            lambda: self._downloader.fetch(url, checksum=checksum, size=size, mirrors=mirrors, **options)
        )

    def as_completed(
        self,
        urls: Urls,
        dest: StrPath = ".",
        *,
        journal: StrPath | None = None,
        deadline: float | None = None,
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> SyncOutcomes:
        """Download many files into one folder, and hand over each outcome as it comes.

        ::

            with dl.as_completed(urls, "flags/") as outcomes:
                for outcome in outcomes:
                    print(outcome.url, outcome.error or outcome.result.path)

        Arguments and errors are those of `AsyncDownloader.as_completed`; a plain iterable is advanced in a
        thread of its own, so it may block.

        Returns:
            A context manager that is an iterator of `Outcome`. Leaving it early cancels the rest.

        Raises:
            ClosedError: On entering the context: the downloader is closed.
            StorageError: On entering the context: the folder cannot be made, or the journal is in use or
                cannot be used.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.as_completed", "async with AsyncDownloader.as_completed")

        async def start() -> Outcomes:
            outcomes = self._downloader.as_completed(
                fed(urls),
                dest,
                journal=journal,
                deadline=deadline,
                postprocess=postprocess,
                postprocess_in=postprocess_in,
                **options,
            )
            return await outcomes.__aenter__()

        return SyncOutcomes(self._call, start)

    def download_many(
        self,
        urls: Urls,
        dest: StrPath = ".",
        *,
        journal: StrPath | None = None,
        deadline: float | None = None,
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Report:
        """Download many files into one folder and report what became of them.

        Arguments and errors are those of `AsyncDownloader.download_many`; a plain iterable is advanced in
        a thread of its own, so it may block.

        Raises:
            StorageError: The folder cannot be made, or the journal is in use or cannot be used.
            ClosedError: The downloader is closed.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.download_many", "await AsyncDownloader.download_many")
        return self._call(
            lambda: self._downloader.download_many(
                fed(urls),
                dest,
                journal=journal,
                deadline=deadline,
                postprocess=postprocess,
                postprocess_in=postprocess_in,
                **options,
            )
        )

    def to_thread(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """Run a function in one of the downloader's threads and wait for it.

        Raises:
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.to_thread", "await AsyncDownloader.to_thread")
        return result_of(self.threads.submit(function, *args))

    def to_process(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """Run a function in one of the downloader's processes and wait for it.

        Raises:
            WorkerCrashed: The process died.
            BridgeError: The function cannot be sent to a process.
            RuntimeError: This thread's event loop is running.
        """
        refuse_running_loop("Downloader.to_process", "await AsyncDownloader.to_process")
        return result_of(self.processes.submit(function, *args))

    def set_rate_limit(self, bytes_per_second: float | None, *, host: str | None = None) -> None:
        """Change how fast bodies may come, at once, for what is under way too. Safe from any thread.

        Arguments are those of `AsyncDownloader.set_rate_limit`.

        Raises:
            TypeError: An argument has another type.
            ValueError: The limit is 0 or negative, or *host* names no origin.
        """
        self._downloader.set_rate_limit(bytes_per_second, host=host)

    def progress(self) -> Progress:
        """The counters of this moment. Cheap, and safe from any thread."""
        return self._downloader.progress()

    def stats(self) -> Stats:
        """How the downloader stands with each host at this moment. Safe from any thread."""
        return self._downloader.stats()

    def close(self) -> None:
        """End what is under way with `ClosedError` and close everything underneath. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._portal.call(self._downloader.aclose)
        finally:
            self._portal.close()

    def _call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._refuse_closed()
        return self._portal.call(function)

    def _start(self, function: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        self._refuse_closed()
        return self._portal.start_soon(function)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedError("this downloader is closed and takes no more work: make a new one")


def download(
    url: str | Request,
    dest: StrPath | BinaryIO = ".",
    *,
    checksum: str | None = None,
    size: int | None = None,
    mirrors: Sequence[str] = (),
    postprocess: Postprocess | None = None,
    postprocess_in: PostprocessIn = "process",
    **options: Unpack[DownloadOptions],
) -> Result:
    """Download one file, in one line.

    Makes a `Downloader` for this call alone; use one yourself for more than a few files, so that
    connections are used again. Arguments, result and errors are those of `AsyncDownloader.download`.

    Raises:
        DownloadError: It failed.
        RuntimeError: This thread's event loop is running.
    """
    refuse_running_loop("asyncflags.download", "await AsyncDownloader.download")
    with Downloader() as downloader:
        return downloader.download(
            url,
            dest,
            checksum=checksum,
            size=size,
            mirrors=mirrors,
            postprocess=postprocess,
            postprocess_in=postprocess_in,
            **options,
        )


def download_many(
    urls: Urls,
    dest: StrPath = ".",
    *,
    journal: StrPath | None = None,
    deadline: float | None = None,
    postprocess: Postprocess | None = None,
    postprocess_in: PostprocessIn = "process",
    **options: Unpack[DownloadOptions],
) -> Report:
    """Download many files into one folder, in one line.

    Arguments, result and errors are those of `AsyncDownloader.download_many`.

    Raises:
        StorageError: The folder cannot be made, or the journal is in use or cannot be used.
        RuntimeError: This thread's event loop is running.
    """
    refuse_running_loop("asyncflags.download_many", "await AsyncDownloader.download_many")
    with Downloader() as downloader:
        return downloader.download_many(
            urls,
            dest,
            journal=journal,
            deadline=deadline,
            postprocess=postprocess,
            postprocess_in=postprocess_in,
            **options,
        )
