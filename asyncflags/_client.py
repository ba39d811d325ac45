"""The asynchronous face, and the owner of everything underneath it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, TypeVar, TypeVarTuple, Unpack, cast

from asyncflags._engine.feeding import as_request
from asyncflags._engine.journaling import JournalUse
from asyncflags._engine.opening import Opening, Plans, origin_of
from asyncflags._engine.options import DownloadOptions, Options
from asyncflags._engine.planning import inspect, memory
from asyncflags._engine.postprocess import PostprocessIn
from asyncflags._engine.reporting import report_of
from asyncflags._engine.runs import Runs
from asyncflags._engine.scheduler import Outcomes
from asyncflags._models import Event, Progress, Report, Request, Result, Stats
from asyncflags.bridges._waiting import wait_all

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from asyncflags._engine.engine import Engine
    from asyncflags._policies.limits import Limits
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
        transport: Makes the exchanges; closed with the downloader. ``"aiohttp"``: all of them go through an
            `aiohttp.ClientSession`; ``None``: those that need a proxy do, and the others take a faster way.
        session: An `aiohttp.ClientSession` to use, with its own connections, headers and cookies. Not closed.
        ssl_context: For https; ``None``: certificates are verified against the system's authorities.
        family: `socket.AF_INET` or `socket.AF_INET6` to use only that one; 0: both.
        trust_env: Take the proxy from ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``.
        netrc: Take passwords from the file that ``$NETRC`` names, else ``~/.netrc``.
        respect_robots: Ask for the ``robots.txt`` of each host first, and follow it (RFC 9309). Needs the extra
            ``asyncflags[robots]``.
        rate_limit: Bytes a second of all bodies together; ``None``: no limit. See `set_rate_limit`.
        host_rate_limit: Bytes a second from each host (scheme, host and port); ``None``: no limit.
        on_event: Called on the loop with each `Event`; it must return soon.
        **options: Defaults for every download: see `DownloadOptions`.

    Raises:
        TypeError: An option of that name does not exist, or has another type.
        ValueError: An option is out of range, two of them exclude each other, or what one needs is not installed.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        transport: Transport | Literal["aiohttp"] | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        family: int = 0,
        trust_env: bool = False,
        netrc: bool = False,
        respect_robots: bool = False,
        rate_limit: float | None = None,
        host_rate_limit: float | None = None,
        on_event: Callable[[Event], None] | None = None,
        **options: Unpack[DownloadOptions],
    ) -> None:
        plans = Plans(
            limits=limits,
            transport=transport,
            session=session,
            ssl_context=ssl_context,
            family=family,
            trust_env=trust_env,
            netrc=netrc,
            respect_robots=respect_robots,
            rate_limit=rate_limit,
            host_rate_limit=host_rate_limit,
            on_event=on_event,
        )
        defaults = Options().override(cast("dict[str, Any]", options))
        self._opening = Opening(plans)
        self._runs = Runs(self._opening, defaults)
        self.limits = self._opening.limits
        self.threads = self._opening.threads
        self.processes = self._opening.processes

    async def __aenter__(self) -> Self:
        try:
            await self._opening.open()
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
        chosen = self._runs.options(cast("dict[str, Any]", options))
        after = self._runs.after(postprocess, postprocess_in)
        request = as_request(url, checksum=checksum, size=size, mirrors=mirrors)
        return await self._runs.one(request, lambda: inspect(dest), chosen, after)

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
        chosen = self._runs.options(cast("dict[str, Any]", options))
        if chosen.max_size is None and "max_size" not in options:
            chosen = replace(chosen, max_size=_FETCH_MAX_SIZE)
        return await self._runs.one(request, lambda: memory, chosen)

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
            deadline: Seconds for the whole run, from entering the context; ``None``: any time. When it passes,
                what is under way ends as if it were cancelled, parts that can be resumed stay, and the rest of
                *urls* is not read. What had been read fails with `TotalTimeout`, or with a journal is left
                for the next run; then the iteration ends, and ``Outcomes.expired`` is true.
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
        after, given = self._runs.after(postprocess, postprocess_in), cast("dict[str, Any]", options)
        return self._runs.many(urls, dest, JournalUse.of(journal), after, deadline, given)

    async def download_many(
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

        Failures do not raise here; call `Report.raise_for_errors` for that.

        Args:
            urls: As for `as_completed`.
            dest: The folder; made if it is missing.
            journal, deadline: As for `as_completed`; a deadline that passed shows in ``Report.expired``.
            postprocess, postprocess_in: As for `download`; the values are dropped.
            **options: See `DownloadOptions`.

        Raises:
            StorageError: The folder cannot be made, or the journal is in use or cannot be used.
            ClosedError: The downloader is closed.

        Cancellation: The downloads under way are cancelled and cleaned up.
        """
        after, given = self._runs.after(postprocess, postprocess_in), cast("dict[str, Any]", options)
        run = self._runs.many(urls, dest, JournalUse.of(journal), after, deadline, given)
        return await report_of(run)

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

    def set_rate_limit(self, bytes_per_second: float | None, *, host: str | None = None) -> None:
        """Change how fast bodies may come, at once, for what is under way too. Safe from any thread.

        Args:
            bytes_per_second: The limit; held within 5% over any two seconds, and shared evenly by the downloads
                that wait. ``None``: no limit.
            host: An origin such as ``"https://flags.example"``, of which alone it is the limit, in place of
                ``host_rate_limit``; ``None``: it is that of all together. Both kinds hold at once.

        Raises:
            TypeError: An argument has another type.
            ValueError: The limit is 0 or negative, or *host* names no origin.
        """
        self._opening.bandwidth.set_rate(bytes_per_second, None if host is None else origin_of(host))

    def progress(self) -> Progress:
        """The counters of this moment. Cheap, and safe from any thread."""
        return self._opening.tally.snapshot()

    def stats(self) -> Stats:
        """How the downloader stands with each host at this moment. Safe from any thread."""
        return self._opening.stats()

    async def aclose(self) -> None:
        """End what is under way with `ClosedError`, wait for it, then close all that is underneath.

        Connections close next, then threads and processes, after their running calls. Safe to call twice.
        """
        closing = self._opening.close()
        # Two who close at once wait for the same; neither being cancelled ends it half-way.
        await wait_all((closing,))
        closing.result()

    def _ready(self) -> Engine:
        return self._opening.ready()
