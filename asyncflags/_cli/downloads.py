"""The downloads of ``asyncflags get``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import asyncflags
from asyncflags._cli.complaints import Refusal
from asyncflags._cli.display import count_text
from asyncflags._cli.exit_codes import BROKEN_PIPE, NETWORK, STORAGE, USAGE, code_of
from asyncflags._cli.input_list import OpenList, UrlList, count_urls
from asyncflags._cli.output import object_line, path_line, silence
from asyncflags._cli.screen import Screen
from asyncflags._cli.tally import Tally
from asyncflags._engine.deadlines import message_of, within
from asyncflags._engine.journaling import JournalUse
from asyncflags._models import Event, Outcome, Request
from asyncflags.bridges import ThreadBridge
from asyncflags.errors import DownloadError, TotalTimeout

if TYPE_CHECKING:
    from typing import BinaryIO

    from asyncflags._cli.options import Plan
    from asyncflags._cli.running import Interruption

__all__ = ["event_text", "get_all"]

_BATCH = 256
# These are told as the outcomes that they are.
_OUTCOMES = frozenset({"finished", "failed"})
_ALWAYS_TOLD = frozenset({"checksum_unlisted", "mirror_dropped", "waiting"})


async def get_all(plan: Plan, opened: OpenList | None, interruption: Interruption) -> int:
    """Download what *plan* says.

    Args:
        plan: What to do.
        opened: The list, or ``None``.
        interruption: May cancel this task, which then tells what was done all the same.

    Returns:
        The exit code.

    Raises:
        Refusal: The downloader cannot take the options.
    """
    run = _Run(plan, opened, interruption)
    try:
        await run.download()
    except asyncio.CancelledError:
        # Only a signal or a reader that left cancels this task, and the downloads have ended by now.
        # What the run came to can still be told, in awaits that are not to be taken for cancelled.
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        run.interrupted = True
    finally:
        await run.end()
    if run.interrupted and interruption.code is None:
        raise asyncio.CancelledError
    return run.tally.exit_code if interruption.code is None else interruption.code


class _Run:
    """One run; its parts share what has been counted so far."""

    def __init__(self, plan: Plan, opened: OpenList | None, interruption: Interruption) -> None:
        self.tally = Tally()
        self.interrupted = False
        self._unbegun = 0
        self._plan = plan
        self._screen = Screen(plan, interruption)
        self._list = None if opened is None else UrlList(opened, self._refuse_line)
        self._total = len(plan.urls) if opened is None else None
        self._counter = ThreadBridge(1, name="asyncflags-count")

    async def download(self) -> None:
        """Do it, and tell of every outcome."""
        async with self._downloader() as downloader:
            self._screen.begin(downloader.progress, lambda: self._total, downloader.stats)
            if self._plan.file is not None:
                await self._to_file(downloader, self._plan.file)
            else:
                self._count()
                await self._to_folder(downloader)
        self._judge_list()

    async def end(self) -> None:
        """Tell what it came to and let go of the screen."""
        self._counter.shutdown(wait=False)
        wanted = not self._plan.is_one_file and not self._plan.quiet and self.tally.counts_something
        await self._screen.end(self.tally.summary() if wanted else None)

    def _downloader(self) -> asyncflags.AsyncDownloader:
        plan = self._plan
        try:
            return asyncflags.AsyncDownloader(
                limits=asyncflags.Limits(
                    max_downloads=plan.jobs,
                    max_connections_per_host=plan.per_host,
                    max_segments=plan.segments,
                    max_requests_per_second=plan.request_rate,
                ),
                ssl_context=plan.tls,
                family=plan.family,
                trust_env=plan.trust_env,
                netrc=plan.netrc,
                respect_robots=plan.respect_robots,
                rate_limit=plan.rate_limit,
                host_rate_limit=plan.host_rate_limit,
                on_event=self._tell_event,
                **plan.options,
            )
        except (TypeError, ValueError) as error:
            raise Refusal(str(error), USAGE) from error

    async def _to_file(self, downloader: asyncflags.AsyncDownloader, file: str) -> None:
        request = self._asked(self._plan.urls[0])
        destination: str | BinaryIO = file
        if file == "-":
            if sys.stdout is None:
                raise Refusal("-o -: standard output is closed", STORAGE)
            destination = sys.stdout.buffer
        work = downloader.download(request, destination)
        try:
            outcome = Outcome(request, await within(self._plan.deadline, time.monotonic(), request, work))
        except DownloadError as error:
            if file == "-" and isinstance(error.__cause__, OSError):
                # What lies in the buffer of the stream would fail once more at the interpreter's end.
                silence(sys.stdout)
            if isinstance(error.__cause__, BrokenPipeError):
                self.tally.note(BROKEN_PIPE)
                return
            outcome = Outcome(request, None, error)
        self._take(outcome)

    async def _to_folder(self, downloader: asyncflags.AsyncDownloader) -> None:
        plan = self._plan
        journal = None if plan.journal is None else JournalUse(plan.journal, plan.retries_failed)
        if plan.verbose and plan.journal is not None:
            self._screen.tell(f"the journal is {plan.journal}")
        try:
            async with downloader._runs.many(
                self._requests(), plan.folder, journal, None, plan.deadline, {}
            ) as outcomes:
                while batch := await outcomes.take(_BATCH):
                    for outcome in batch:
                        self._take(outcome)
                    await self._screen.room()
            if outcomes.expired:
                self._tell_expiry()
        except DownloadError as error:
            # Not one download but the folder or the journal of all of them; of the list nothing was read.
            self._fail(error)
            self._list = None

    def _asked(self, url: str) -> Request:
        return Request(url, checksum=self._plan.checksum, mirrors=self._plan.mirrors)

    async def _requests(self) -> AsyncIterator[str | Request]:
        for url in self._plan.urls:
            yield self._asked(url)
        if self._list is not None:
            async with aclosing(aiter(self._list)) as urls:
                async for each in urls:
                    yield each
            self._total = len(self._plan.urls) + self._list.urls

    def _take(self, outcome: Outcome) -> None:
        self.tally.add(outcome)
        if outcome.error is not None:
            if self._is_unbegun(outcome.error):
                # There may be thousands of them, and one sentence tells of all.
                self._unbegun += 1
            else:
                self._screen.tell(str(outcome.error))
        line = object_line(outcome) if self._plan.as_json else path_line(outcome)
        if line is not None:
            self._screen.result(line)

    def _is_unbegun(self, error: DownloadError) -> bool:
        """Whether a download failed because the deadline of its run passed before its turn came."""
        plan = self._plan
        is_of_list = plan.deadline is not None and plan.file is None and not plan.verbose
        return is_of_list and isinstance(error, TotalTimeout) and not error.attempts

    def _tell_expiry(self) -> None:
        assert self._plan.deadline is not None
        unbegun = f"; {count_text(self._unbegun)} downloads had not begun" if self._unbegun else ""
        self._screen.tell(message_of(self._plan.deadline) + unbegun)
        # Also when nothing failed: there may be more in the list than was read.
        self.tally.note(NETWORK)

    def _fail(self, error: DownloadError) -> None:
        self._screen.tell(str(error))
        self.tally.note(code_of(error))

    def _tell_event(self, event: Event) -> None:
        if event.kind in _OUTCOMES or (event.kind == "waiting" and self._plan.quiet):
            return
        # What happens to the journal concerns the next run too, and the others tell how far to trust a file, or why
        # nothing happens at all.
        if self._plan.verbose or event.kind.startswith("journal_") or event.kind in _ALWAYS_TOLD:
            self._screen.tell(event_text(event))

    def _refuse_line(self, reason: str) -> None:
        self._screen.tell(reason)
        self.tally.note(USAGE)

    def _count(self) -> None:
        """Find out how long the list is, beside the downloads, when somebody is going to see it."""
        path = self._plan.input_list
        if path in (None, "-") or not self._screen.shows_progress:
            return

        def count() -> None:
            urls = count_urls(path)
            if urls is not None and self._total is None:
                self._total = urls + len(self._plan.urls)

        self._counter.submit(count)

    def _judge_list(self) -> None:
        urls = self._list
        if urls is None:
            return
        if urls.failure is not None:
            self._screen.tell(urls.failure)
            self.tally.note(STORAGE)
        elif urls.is_empty and not self._plan.urls:
            self._screen.tell(f"{urls.name} holds no URL: put one on each line")
            self.tally.note(USAGE)


def event_text(event: Event) -> str:
    """A sentence for an event."""
    if event.kind == "retrying":
        return (
            f"attempt {event.attempt} failed: {event.detail}; "
            f"trying again in {event.seconds:.1f} s [{event.url}]"
        )
    if not event.url:
        return event.detail
    words = {"redirected": "redirected ", "backing_off": "backing off: "}.get(event.kind, "")
    return f"{words}{event.detail} [{event.url}]"
