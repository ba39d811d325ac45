"""Progress in words: what is shown while downloads run, as pure functions of snapshots."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncflags._models import ActiveDownload, HostStats, Progress, Stats

__all__ = ["Estimate", "Pace", "active_text", "count_text", "duration_text", "estimate", "host_texts",
           "progress_text", "size_text", "waiting_text"]  # fmt: skip

_WINDOW_SECONDS = 5.0
_SHOWN_HOSTS = 3
# A pause between two files is no silence.
_SILENCE_SECONDS = 10.0
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the snapshots so far tell.

    Attributes:
        bytes_per_second: Over the last seconds.
        fraction: Share of the work that is done, from 0 to 1; ``None``: unknown.
        seconds_left: ``None``: unknown.
    """

    bytes_per_second: float
    fraction: float | None
    seconds_left: float | None


class Pace:
    """How fast bytes and files have come over the last five seconds.

    Attributes:
        silence: Seconds since the last byte came or the last download ended.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque()
        self._came_at = 0.0
        self.silence = 0.0

    def add(self, progress: Progress) -> None:
        """Take a snapshot; they come in the order of their time."""
        mark = (progress.seconds, progress.size, progress.completed + progress.failed)
        if not self._marks or self._marks[-1][1:] != mark[1:]:
            self._came_at = progress.seconds
        self.silence = progress.seconds - self._came_at
        self._marks.append(mark)
        while len(self._marks) > 2 and self._marks[1][0] <= progress.seconds - _WINDOW_SECONDS:
            self._marks.popleft()

    @property
    def bytes_per_second(self) -> float:
        return self._per_second(1)

    @property
    def files_per_second(self) -> float:
        return self._per_second(2)

    def _per_second(self, column: int) -> float:
        if not self._marks:
            return 0.0
        # Before the first full window the time since the start counts, when there was nothing.
        first = self._marks[0] if len(self._marks) > 1 else (0.0, 0, 0)
        last = self._marks[-1]
        seconds = last[0] - first[0]
        return max(last[column] - first[column], 0) / seconds if seconds > 0 else 0.0


def estimate(progress: Progress, total: int | None, pace: Pace) -> Estimate:
    """Say how much of the work is done and how long the rest takes.

    Args:
        progress: The newest snapshot.
        total: Downloads in all; ``None``: unknown.
        pace: Of the snapshots so far.
    """
    speed = pace.bytes_per_second
    ended = progress.completed + progress.failed
    if not total:
        return Estimate(speed, None, None)
    bytes_left = _bytes_left(progress, total - ended)
    if bytes_left is not None:
        received = sum(each.received for each in progress.active)
        share = received / (received + bytes_left) if received + bytes_left else 0.0
        fraction = (ended + share * len(progress.active)) / total
        return Estimate(speed, min(fraction, 1.0), bytes_left / speed if speed else None)
    files = pace.files_per_second
    left = max(total - ended, 0)
    return Estimate(speed, min(ended / total, 1.0), left / files if files else None)


def _bytes_left(progress: Progress, files_left: int) -> int | None:
    """Bytes to come when every file that is left is under way and its size is known."""
    if not progress.active or files_left > len(progress.active):
        return None
    left = 0
    for each in progress.active:
        if each.expected is None:
            return None
        left += max(each.expected - each.received, 0)
    return left


def progress_text(progress: Progress, total: int | None, so_far: Estimate) -> str:
    """One line: files, bytes, rate, time left and failures."""
    ended = progress.completed + progress.failed
    files = count_text(ended) if total is None else f"{count_text(ended)}/{count_text(total)}"
    parts = [
        f"{files} file{'' if (total or ended) == 1 else 's'}",
        size_text(progress.size),
        f"{size_text(so_far.bytes_per_second)}/s",
    ]
    if so_far.seconds_left is not None and ended != total:
        parts.append(f"{duration_text(so_far.seconds_left)} left")
    if progress.failed:
        parts.append(f"{count_text(progress.failed)} failed")
    return ", ".join(parts)


def host_texts(stats: Stats) -> tuple[str, ...]:
    """A line for each host that is left alone, asked for a pause or is paced: at most three.

    Those that pause come first, the longest pause before the others; then those with most to do.
    """
    # Of a host that nobody waits for there is no news.
    awaited = [host for host in stats.hosts if host.queued or host.in_flight or host.resumes_in > 0]
    resting = [host for host in awaited if _is_resting(host)]
    resting.sort(key=lambda host: -host.resumes_in)
    paced = [host for host in awaited if host.requests_per_second is not None and not _is_resting(host)]
    paced.sort(key=lambda host: -(host.queued + host.in_flight))
    told = [*resting, *paced]
    texts = [_host_text(host) for host in told[:_SHOWN_HOSTS]]
    if len(told) > _SHOWN_HOSTS:
        more = len(told) - _SHOWN_HOSTS
        texts[-1] += f" (and {count_text(more)} more host{'' if more == 1 else 's'})"
    return tuple(texts)


def _is_resting(host: HostStats) -> bool:
    return host.is_open or host.resumes_in > 0


def _host_text(host: HostStats) -> str:
    name = host.origin.partition("://")[2] or host.origin
    if host.is_open:
        again = f"in {_seconds_text(host.resumes_in)}" if host.resumes_in > 0 else "soon"
        return f"{name}: connections fail, tried again {again}"
    if host.resumes_in > 0:
        return f"{name} asked for a pause, {_seconds_text(host.resumes_in)} left"
    assert host.requests_per_second is not None
    rate = f"{host.requests_per_second:.3g}"
    return f"{name}: {host.level} at once, {rate} request{'' if rate == '1' else 's'}/s"


def _seconds_text(seconds: float) -> str:
    """A countdown, which never shows 0 while there is something left."""
    whole = math.ceil(seconds)
    return f"{whole} s" if whole < 60 else duration_text(whole)


def waiting_text(stats: Stats, pace: Pace) -> str | None:
    """What is waited for, once nothing has come for ten seconds; else ``None``."""
    if pace.silence < _SILENCE_SECONDS or not stats.waiting_for:
        return None
    return f"nothing for {_seconds_text(pace.silence)}: {stats.waiting_for}"


def active_text(download: ActiveDownload) -> str:
    """How far one download is."""
    received = size_text(download.received)
    if not download.expected:
        return received
    percent = min(100 * download.received // download.expected, 100)
    return f"{percent} % of {size_text(download.expected)}"


def count_text(count: int) -> str:
    """A count with its thousands set apart."""
    return f"{count:,}"


def size_text(size: float) -> str:
    """A number of bytes, in powers of 1024, as ``--max-size`` reads them."""
    if size < 1000:
        return f"{int(size)} B"
    for unit in _UNITS:
        size /= 1024
        if size < 999.5 or unit == _UNITS[-1]:
            break
    return f"{size:.0f} {unit}" if size >= 99.95 else f"{size:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """A duration as a clock shows it: ``0:42``, ``1:02:03``; days beyond two of them."""
    if seconds >= 48 * 3600:
        return f"{seconds / 86400:.0f} days"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
