"""The asynchronous face, and the owner of everything underneath it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, TypeVarTuple, Unpack, cast

from asyncflags._engine.credentials import Credentials, read_netrc
from asyncflags._engine.engine import Engine
from asyncflags._engine.feeding import as_request
from asyncflags._engine.journaling import JournalUse
from asyncflags._engine.lookups import Lookups
from asyncflags._engine.opening import new_transport, refuse_doubles
from asyncflags._engine.options import DownloadOptions, Options
from asyncflags._engine.ownership import OwnedCalls, close_in_order
from asyncflags._engine.planning import inspect, inspect_folder, memory
from asyncflags._engine.postprocess import Afterwards, PostprocessIn, afterwards
from asyncflags._engine.progress import Tally
from asyncflags._engine.reporting import report_of
from asyncflags._engine.scheduler import Outcomes
from asyncflags._models import Event, Progress, Report, Request, Result
from asyncflags._policies.limits import Limits
from asyncflags._storage.claims import NameClaims
from asyncflags.bridges._waiting import wait_all
from asyncflags.bridges.processes import ProcessBridge
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import ClosedError

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from asyncflags._engine.planning import Destination
    from asyncflags._transports.base import Transport
    from asyncflags._types import Postprocess, StrPath, Urls

__all__ = ["AsyncDownloader"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_FETCH_MAX_SIZE = 64 << 20


class AsyncDownloader:
    """Downloads, from async code: one file with `download`, many with `as_completed` or `download_many`.

    ::

        async with asyncflags.AsyncDownloader() as dl:
            result = await dl.download("https://flags.example/fr.gif", "flags/")

    Belongs to one event loop; safe from many of its tasks, not from other threads (use `Downloader`).

    Args:
        limits: How much happens at once.
        transport: Makes the exchanges instead of aiohttp; closed with the downloader.
        session: An `aiohttp.ClientSession` to use, with its own connections, headers and cookies. Not closed.
        ssl_context: For https; ``None``: certificates are verified against the system's authorities.
        family: `socket.AF_INET` or `socket.AF_INET6` to use only that one; 0: both.
        trust_env: Take the proxy from ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``.
        netrc: Take passwords from the file that ``$NETRC`` names, else ``~/.netrc``.
        on_event: Called on the loop with each `Event`; it must return soon.
        **options: Defaults for every download: see `DownloadOptions`.

    Raises:
        TypeError: An option of that name does not exist, or has another type.
        ValueError: An option is out of range, or two of them exclude each other.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        family: int = 0,
        trust_env: bool = False,
        netrc: bool = False,
        on_event: Callable[[Event], None] | None = None,
        **options: Unpack[DownloadOptions],
    ) -> None:
        refuse_doubles(transport, session, ssl_context, family)
        self._options = Options().override(cast("dict[str, Any]", options))
        self.limits = limits if limits is not None else Limits()
        self._transport = transport
        self._session = session
        self._ssl_context = ssl_context
        self._family = family
        self._trust_env = trust_env
        self._netrc = netrc
        self._opening = asyncio.Lock()
        self._tally = Tally(on_event)
        self._disk = ThreadBridge(self.limits.max_threads, name="asyncflags-disk")
        self._lookups = Lookups()
        self.threads = ThreadBridge(self.limits.max_threads, name="asyncflags-thread")
        self.processes = ProcessBridge(self.limits.max_processes)
        self._engine: Engine | None = None
        self._calls = OwnedCalls()
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            # Nobody will call __aexit__ now.
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def download(
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

        The bytes go to ``NAME.part`` beside the destination and become ``NAME`` in one rename, so nobody
        ever sees half a file under its name.

        Args:
            url: Absolute ``http`` or ``https`` URL, or a `Request`.
            dest: File to write; or a folder that exists, or a path ending in ``/`` that is made one, which
                receives the file under the name in the URL; or a binary file open for writing.
            checksum: ``"algorithm:hex"`` of the file as written, any fixed-length algorithm of `hashlib`;
                ``None``: the request's own, if it has one.
            size: Expected bytes of the file as written; ``None``: the request's own, if it has one.
            mirrors: Further URLs of the same file, as for `Request`; none: the request's own.
            postprocess: Called with the `Path` of the finished file; what it returns is ``Result.value``.
            postprocess_in: Where it runs: ``"process"``, ``"thread"``, or any `Executor`.
            **options: See `DownloadOptions`.

        Returns:
            The result; sizes in bytes, times in seconds.

        Raises:
            StatusError: The last answer was no success.
            TransportError: The network failed, also at the last attempt.
            TotalTimeout: ``Timeout.total`` passed.
            ChecksumMismatch: The file came whole and is not the expected one.
            BodyTooLarge: It is larger than ``max_size``.
            StorageError: It cannot be written.
            DownloadError: Any other of `asyncflags.errors`.

        Cancellation: No thread is still writing when control returns; a part that can be resumed stays.
        Source: RFC 9110, RFC 9112, RFC 6266 (names).
        """
        chosen = self._options.override(cast("dict[str, Any]", options))
        afterwards = self._afterwards(postprocess, postprocess_in)
        request = as_request(url, checksum=checksum, size=size, mirrors=mirrors)
        return await self._download(request, lambda: inspect(dest), chosen, afterwards, None)

    async def _download(
        self,
        request: Request,
        plan: Callable[[], Destination],
        options: Options,
        afterwards: Afterwards | None,
        run: NameClaims | None,
    ) -> Result:
        """One download, whose destination is found by *plan*, off the loop; part of *run* if there is one."""

        async def work() -> Result:
            engine = await self._open()
            destination = await engine.disk.run(plan)
            return await engine.download(request, destination, options, afterwards, run)

        return await self._calls.run(work())

    def _mapper(
        self,
        dest: StrPath,
        postprocess: Postprocess | None,
        postprocess_in: PostprocessIn,
        options: DownloadOptions,
    ) -> Callable[[Request], Coroutine[Any, Any, Result]]:
        """A function that downloads one request of a run of its own into the folder *dest*."""
        chosen = self._options.override(cast("dict[str, Any]", options))
        afterwards = self._afterwards(postprocess, postprocess_in)
        run = NameClaims()
        return lambda request: self._download(request, lambda: inspect_folder(dest), chosen, afterwards, run)

    async def fetch(
        self,
        url: str | Request,
        *,
        checksum: str | None = None,
        size: int | None = None,
        mirrors: Sequence[str] = (),
        **options: Unpack[DownloadOptions],
    ) -> Result:
        """Download *url* into memory; the body is ``Result.content``.

        Args:
            url, checksum, size, mirrors: As for `download`.
            **options: See `DownloadOptions`; ``max_size`` is 64 MiB unless it is given here or to the
                downloader, and ``None`` given here means no limit.

        Raises:
            BodyTooLarge: The body is larger than ``max_size``.
            DownloadError: As for `download`.

        Cancellation: The body is dropped.
        """
        request = as_request(url, checksum=checksum, size=size, mirrors=mirrors)
        chosen = self._options.override(cast("dict[str, Any]", options))
        if chosen.max_size is None and "max_size" not in options:
            chosen = replace(chosen, max_size=_FETCH_MAX_SIZE)
        return await self._download(request, lambda: memory, chosen, None, None)

    def as_completed(
        self,
        urls: Urls,
        dest: StrPath = ".",
        *,
        journal: StrPath | None = None,
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Outcomes:
        """Download many files into one folder, and hand over each outcome as it comes.

        ::

            async with dl.as_completed(urls, "flags/") as outcomes:
                async for outcome in outcomes:
                    print(outcome.url, outcome.error or outcome.result.path)

        *urls* is taken lazily, and no faster than the outcomes are read, so it may have no end. Two
        downloads of the list never share a path: the second ``index.html`` becomes ``index-2.html``.

        Args:
            urls: Any iterable or async iterable of URLs and requests. A plain one is advanced on the loop,
                so one that blocks should be an async one.
            dest: The folder; made if it is missing.
            journal: File that keeps what became of each URL, made if it is missing; ``None``: nothing is
                kept. A list that ended early, however it did, goes on where it stopped when it is given again
                with the same journal: what is done and stands is skipped, what was left unfinished comes
                first, also what is not in *urls* any more. An outcome is handed over once it is noted.
            postprocess, postprocess_in: As for `download`.
            **options: See `DownloadOptions`.

        Returns:
            An async context manager that is an async iterator of `Outcome`. Leaving it early cancels the
            rest. Iterating raises whatever *urls* raised.

        Raises:
            ClosedError: The downloader is closed.
            StorageError: On entering the context: the folder cannot be made, or the journal is in use or
                cannot be used.
            TypeError: *urls* is no iterable, or a single URL.
        """
        after = self._afterwards(postprocess, postprocess_in)
        return self._many(urls, dest, JournalUse.of(journal), after, options)

    def _many(
        self,
        urls: Urls,
        dest: StrPath,
        journal: JournalUse | None,
        after: Afterwards | None,
        options: DownloadOptions,
    ) -> Outcomes:
        """A run of many downloads into the folder *dest*."""
        chosen = self._options.override(cast("dict[str, Any]", options))
        engine = self._ready()
        return Outcomes(engine, urls, lambda: self._folder(engine, dest), chosen, after, journal)

    async def download_many(
        self,
        urls: Urls,
        dest: StrPath = ".",
        *,
        journal: StrPath | None = None,
        postprocess: Postprocess | None = None,
        postprocess_in: PostprocessIn = "process",
        **options: Unpack[DownloadOptions],
    ) -> Report:
        """Download many files into one folder and report what became of them.

        Failures do not raise here; call `Report.raise_for_errors` for that.

        Args:
            urls: As for `as_completed`.
            dest: The folder; made if it is missing.
            journal: As for `as_completed`.
            postprocess, postprocess_in: As for `download`; the values are dropped.
            **options: See `DownloadOptions`.

        Raises:
            StorageError: The folder cannot be made, or the journal is in use or cannot be used.
            ClosedError: The downloader is closed.

        Cancellation: The downloads under way are cancelled and cleaned up.
        """
        after = self._afterwards(postprocess, postprocess_in)
        return await report_of(self._many(urls, dest, JournalUse.of(journal), after, options))

    async def to_thread(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """Run a blocking function in one of the downloader's threads (``Limits.max_threads``).

        Cancellation: Dropped while it waits for a thread; else the caller waits for its end.
        """
        return await self.threads.run(function, *args)

    async def to_process(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """Run a function in one of the downloader's processes (``Limits.max_processes``).

        The function must be importable, and it, its arguments and its result must pickle.

        Raises:
            WorkerCrashed: The process died.
            BridgeError: The function cannot be sent to a process.

        Cancellation: Dropped while it waits for a process; else the caller waits for its end.
        """
        return await self.processes.run(function, *args)

    def progress(self) -> Progress:
        """The counters of this moment. Cheap, and safe from any thread."""
        return self._tally.snapshot()

    async def aclose(self) -> None:
        """End what is under way with `ClosedError`, wait for it, then close all that is underneath.

        Connections close next, then threads and processes, after their running calls. Safe to call twice.
        """
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(asyncio.current_task()))
        # Two who close at once wait for the same; neither being cancelled ends it half-way.
        await wait_all((self._closing,))
        self._closing.result()

    async def _close(self, closer: asyncio.Task[Any] | None) -> None:
        """Close in the order in which things rest on each other."""
        engine, self._engine = self._engine, None
        closers: list[Callable[[], Awaitable[None]]] = [lambda: self._calls.stop(but=closer)]
        if engine is not None:
            closers += [run.stop for run in engine.runs]
        if (transport := engine.transport if engine is not None else self._transport) is not None:
            closers.append(transport.aclose)
        closers += [self._disk.aclose, self._lookups.aclose, self.threads.aclose, self.processes.aclose]
        await close_in_order(closers)

    def _ready(self) -> Engine:
        """The engine, made on first use in the loop that it then belongs to."""
        if self._closed:
            raise ClosedError("this downloader is closed and takes no more work: make a new one")
        if self._engine is None:
            self._engine = Engine(
                self._transport
                or new_transport(self._lookups.resolve, self._ssl_context, self._family, self._session),
                self._disk,
                self.limits,
                self._tally,
                Credentials(os.environ if self._trust_env else None),
            )
        return self._engine

    async def _open(self) -> Engine:
        engine = self._ready()
        if self._netrc:
            # Downloads that start together all wait for the passwords, and none goes out without them.
            async with self._opening:
                if self._netrc:
                    engine.credentials.netrc = await self._disk.run(read_netrc)
                    self._netrc = False
        return engine

    async def _folder(self, engine: Engine, dest: StrPath) -> Destination:
        await self._open()
        return await engine.disk.run(inspect_folder, dest)

    def _afterwards(self, function: Postprocess | None, where: PostprocessIn) -> Afterwards | None:
        return afterwards(
            function,
            where,
            processes=self.processes,
            threads=self.threads,
            in_flight=self.limits.max_downloads,
        )
