"""What goes in and what comes out: frozen values, slotted, safe to share between threads and processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncflags.errors import DownloadError, TotalTimeout

__all__ = [
    "ActiveDownload",
    "Event",
    "HostStats",
    "Outcome",
    "Progress",
    "Report",
    "Request",
    "Result",
    "Stats",
]

MAX_REPORTED_FAILURES = 1000
"""A `Report` keeps this many failures, so that a list of millions cannot fill memory."""


@dataclass(frozen=True, slots=True)
class Request:
    """One download as it is asked for; a plain ``str`` is ``Request(url)``.

    Attributes:
        url: Absolute ``http`` or ``https`` URL.
        path: File to write, relative to the destination folder; ``None``: the name is derived from
            the URL. May name subfolders, never anything outside the destination.
        checksum: ``"algorithm:hex"`` with any fixed-length algorithm of `hashlib`; ``None``: not verified.
        size: Expected size in bytes of the file as written; ``None``: not verified.
        headers: Sent with this request only, on top of the client's.
        mirrors: Further URLs of the same file, the best first; they get neither credentials nor fields of
            your own. Whole files are judged one by one; parts from several are joined only where a checksum
            or a digest proves the result.
    """

    url: str
    path: str | None = field(default=None, kw_only=True)
    checksum: str | None = field(default=None, kw_only=True)
    size: int | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] | None = field(default=None, kw_only=True, repr=False)
    mirrors: tuple[str, ...] = field(default=(), kw_only=True)
    priority: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished download.

    Attributes:
        url: The URL asked for, credentials redacted.
        final_url: The URL that answered after redirects, credentials redacted.
        path: The complete file; ``None`` for a body kept in memory or written to a stream.
        size: Bytes as written.
        status: HTTP status of the last answer: 206 for the rest of a file, 304 for one that the server says
            is still the same (``skipped``); 0 when nothing was asked for.
        elapsed: Seconds from the start of the first attempt until the file stood under its name.
        attempts: From 1; 0 when nothing was asked for.
        length_verified: Whether the protocol proved that the body is whole. ``False`` for a body that
            ends when the connection closes (RFC 9112 section 6.3, item 8).
        checksum: The verified ``"algorithm:hex"``, or ``None`` when none was asked for.
        skipped: The file was there already and was kept.
        etag: The answer's entity tag as sent, or ``None``.
        last_modified: The answer's ``Last-Modified`` field as sent, or ``None``.
        content_type: The answer's ``Content-Type`` field as sent, or ``None``.
        content: The body, for `fetch`; else ``None``.
        value: What ``postprocess`` returned, or ``None``.
    """

    url: str
    final_url: str
    path: Path | None = None
    size: int
    status: int
    elapsed: float
    attempts: int
    length_verified: bool = True
    checksum: str | None = None
    skipped: bool = False
    etag: str | None = None
    last_modified: str | None = None
    content_type: str | None = None
    content: bytes | None = field(default=None, repr=False)
    value: Any = None

    def json(self) -> Any:
        """Parse a fetched body as JSON (RFC 8259).

        Raises:
            ValueError: The result holds no body, or the body is not JSON.
        """
        if self.content is None:
            raise ValueError("this result holds no body: use fetch() to download into memory")
        return json.loads(self.content)

    def text(self, encoding: str = "utf-8") -> str:
        """Decode a fetched body.

        Raises:
            ValueError: The result holds no body, or the body is not text in *encoding*.
        """
        if self.content is None:
            raise ValueError("this result holds no body: use fetch() to download into memory")
        return self.content.decode(encoding)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request of many: a result or an error, never both.

    Attributes:
        request: The request, the very object that was given (a ``str`` comes back as a `Request`).
        result: The result, or ``None`` when it failed.
        error: The error, or ``None`` when it succeeded.
    """

    request: Request
    result: Result | None = None
    error: DownloadError | None = None

    @property
    def url(self) -> str:
        """The URL as it was asked for; it may hold credentials."""
        return self.request.url

    def unwrap(self) -> Result:
        """Return the result.

        Raises:
            DownloadError: The download failed; the very error of this outcome.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a whole list, in a size that does not depend on its length.

    Attributes:
        completed: Downloads that finished, skipped ones left out.
        skipped: Files that were there already and were kept.
        failed: Downloads that failed.
        size: Bytes written by the completed ones.
        attempts: Attempts made in all; more than the downloads means that some were retried.
        elapsed: Seconds for the whole list.
        failures: The first 1,000 failures, in the order in which they happened.
        expired: The run's deadline passed before all was done; the list may hold more than was read.
    """

    completed: int = 0
    skipped: int = 0
    failed: int = 0
    size: int = 0
    attempts: int = 0
    elapsed: float = 0.0
    failures: tuple[Outcome, ...] = ()
    expired: bool = False

    @property
    def total(self) -> int:
        """How many downloads the list held."""
        return self.completed + self.skipped + self.failed

    def raise_for_errors(self) -> None:
        """Raise if anything failed.

        Raises:
            ExceptionGroup: Of the `DownloadError` of each failure kept; its message tells the full count.
        """
        errors = [outcome.error for outcome in self.failures if outcome.error is not None]
        if self.expired and not errors:
            message = "the run's deadline passed before the list was read to its end"
            raise ExceptionGroup(message, [TotalTimeout(message)])
        if self.failed:
            raise ExceptionGroup(f"{self.failed} of {self.total} downloads failed", errors)


@dataclass(frozen=True, slots=True)
class ActiveDownload:
    """One download under way.

    Attributes:
        name: The file's name, or the redacted URL while it has none.
        received: Bytes of the file so far, those of earlier attempts included that are kept.
        expected: Bytes announced by the server; ``None``: unknown.
        seconds: Since the download started.
    """

    name: str
    received: int
    expected: int | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counters of a downloader at one moment, since it was opened.

    Attributes:
        completed: Downloads finished, skipped ones included.
        failed: Downloads that failed.
        size: Bytes received, those of failed attempts included.
        attempts: Attempts started.
        retries: Attempts beyond the first of their download.
        seconds: Since the downloader was opened.
        active: Downloads under way, the longest-running first.
    """

    completed: int
    failed: int
    size: int
    attempts: int
    retries: int
    seconds: float
    active: tuple[ActiveDownload, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something a caller may want to know while downloads run.

    Attributes:
        kind: Of a download: ``"finished"`` and ``"failed"`` (it is over, after *seconds*), ``"retrying"`` (an attempt
            failed, another follows), ``"redirected"``, ``"length_unverified"`` (the body's end could not be proven),
            ``"resumed"`` (a part of an earlier run is taken up), ``"resume_refused"`` (the server does not
            prove that its file is still the same version, so it is begun anew), ``"digest_unusable"`` (a
            digest that cannot be read or is of no known algorithm), ``"checksum_unlisted"``,
            ``"mirror_dropped"`` (a source is given up), ``"segments_limited"`` and ``"segments_refused"``
            (fewer connections, or a single one, go on with the file).
            Of a host, told once however many requests are concerned: ``"backing_off"`` (it refused, and is left alone
            for *seconds*), ``"circuit_opened"`` (it cannot be connected to, and is tried again after *seconds*),
            ``"circuit_closed"`` (it answers again), ``"level_changed"`` (another number of connections was found to
            be worth having), ``"paced"`` (requests to it are sent at no more than some rate).
            Of a run: ``"waiting"`` (nothing has come for *seconds*; the detail names what is waited for),
            ``"journal_damaged"``, ``"journal_lost"`` and ``"journal_unwritable"`` (the run goes on without its
            journal, or with a new one).
        url: The URL it speaks of, credentials redacted; of a host ``scheme://host``, with its port if that is not
            the usual one; ``""`` for a run.
        detail: One sentence; empty for ``"finished"``.
        seconds: As the kind says, and the pause for ``"retrying"``; else 0.
        attempt: Number of the attempt it follows, from 1.
    """

    kind: str
    url: str
    detail: str
    seconds: float = 0.0
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStats:
    """One host at one moment.

    Attributes:
        origin: ``scheme://host``, with its port if that is not the usual one.
        queued: Downloads that wait for their turn there and have not begun.
        in_flight: Requests under way.
        level: Requests that may be under way now.
        is_settled: Whether that number is not being looked for.
        resumes_in: Seconds of the host's pause that are left; 0: none.
        events: Times in a row that it refused; any number of refused requests at once count as one.
        requests_per_second: At most so many are begun, learned or set; ``None``: any number.
        is_open: Whether it is left alone because it cannot be connected to.
        cause: What the first of its failed connections failed with; empty while there is none.
        requests: Requests sent.
        refused: Those answered by 429, by 503 or with a pause to make.
        failed: Those that got no answer.
        size: Bytes of bodies received.
        latency: Seconds from a request to the head of its answer, a moving average; 0: none came yet.
    """

    origin: str
    queued: int = 0
    in_flight: int = 0
    level: int = 0
    is_settled: bool = False
    resumes_in: float = 0.0
    events: int = 0
    requests_per_second: float | None = None
    is_open: bool = False
    cause: str = ""
    requests: int = 0
    refused: int = 0
    failed: int = 0
    size: int = 0
    latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The hosts of a downloader at one moment.

    Attributes:
        hosts: The most requests in flight first, at most 1,000.
        host_count: Hosts that are known in all.
        queued: Downloads that wait for their turn and have not begun.
        in_flight: Requests under way.
        sleeping: Downloads that have begun and wait for a host or for a pause to end.
        remembered: Hosts that are known and have no work.
        waiting_for: What is waited for, as a sentence; empty: nothing.
    """

    hosts: tuple[HostStats, ...] = ()
    host_count: int = 0
    queued: int = 0
    in_flight: int = 0
    sleeping: int = 0
    remembered: int = 0
    waiting_for: str = ""
