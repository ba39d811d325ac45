"""One download: its attempts, the pauses between them, and the name it gets."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from asyncflags._engine.planning import Place, existing_size, wanted_path
from asyncflags._engine.transfer import Attempt, Body
from asyncflags._policies.checksums import Checksum
from asyncflags._policies.retry import RETRY_AFTER_CAP, is_retryable
from asyncflags._policies.urls import parse_url
from asyncflags.errors import (
    DownloadError,
    StatusError,
    StorageError,
    TotalTimeout,
    redact_url,
)

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._models import Request
    from asyncflags._storage.claims import NameClaims

__all__ = ["Job", "Skipped"]


class Skipped(Exception):
    """The file is there already and is kept; holds its size in bytes."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(path)
        self.path = path
        self.size = size


class Job:
    """One download under way. Made and run by one task.

    Args:
        engine: What it runs on.
        request: What is asked for.
        destination: Where it goes.
        options: How.
        run: The names that its run has given away; ``None``: it is no part of a list.
        publish_at_once: Whether the attempt that completes the body publishes it too.

    Raises:
        InvalidUrl: The URL cannot be downloaded.
        ValueError: The checksum or size of the request is malformed.
    """

    def __init__(
        self,
        engine: Engine,
        request: Request,
        destination: Destination,
        options: Options,
        *,
        run: NameClaims | None = None,
        publish_at_once: bool = True,
    ) -> None:
        self.engine = engine
        self.request = request
        self.destination = destination
        self.options = options
        self.publish_at_once = publish_at_once
        self.target = parse_url(request.url)
        self.headers = engine.credentials.headers(self.target, request, options)
        self.checksum = Checksum.parse(request.checksum) if request.checksum is not None else None
        self.size = request.size
        self.place: Place | None = None
        self.name = redact_url(self.target.url)
        self.started = time.monotonic()
        self.attempts = 0
        self.retries_left = options.retries or 0
        self.received = 0
        self.expected: int | None = None
        self._run = run
        if self.size is not None and self.size < 0:
            raise ValueError(f"size must be 0 or more bytes, not {self.size}")

    async def run(self) -> Body:
        """Download until the body is whole and verified.

        Raises:
            DownloadError: The last attempt's error, with the number of attempts.
            Skipped: Nothing is to be done.
        """
        total = self.options.effective_timeout.total
        if total is None:
            return await self._run_attempts()
        try:
            async with asyncio.timeout(total) as limit:
                return await self._run_attempts()
        except TimeoutError as error:
            if isinstance(error, DownloadError) or not limit.expired():
                raise
            raise self.labelled(
                TotalTimeout(f"not finished within {total:g} s, after {self.received} bytes of this attempt")
            ) from error

    async def _run_attempts(self) -> Body:
        engine = self.engine
        async with engine.slots:
            self.started = time.monotonic()
            engine.tally.begin(self)
            try:
                if self.options.name_from == "url":
                    await self.settle(None, self.target.url)
                while True:
                    self.attempts += 1
                    engine.tally.attempts += 1
                    self.received, self.expected = 0, None
                    attempt = Attempt(engine, self)
                    try:
                        return await attempt.run()
                    except DownloadError as error:
                        delay = self._delay_after(error, attempt)
                    engine.tally.retries += 1
                    await asyncio.sleep(delay)
            except DownloadError as error:
                self.labelled(error)
                raise
            finally:
                engine.tally.end(self)

    def _delay_after(self, error: DownloadError, attempt: Attempt) -> float:
        """Seconds until the next attempt; raises *error* if there is none."""
        if self.retries_left < 1 or not is_retryable(error):
            raise error
        engine, url = self.engine, self.request.url
        if isinstance(error, StatusError) and error.retry_after is not None:
            pause = error.retry_after
            if pause > RETRY_AFTER_CAP:
                raise error
            if pause > 0:
                # The whole host waits, and waits once, however many of its downloads were told so.
                engine.hosts.pause(attempt.origin, pause)
                engine.tally.tell(
                    "backing_off", url, f"the host asks for a pause of {pause:g} s", seconds=pause
                )
        self.retries_left -= 1
        delay = engine.backoff.delay(self.attempts, jitter=engine.jitter())
        engine.tally.tell("retrying", url, error.message, seconds=delay, attempt=self.attempts)
        return delay

    def labelled(self, error: DownloadError) -> DownloadError:
        """*error* with what this job knows about it."""
        error.url = redact_url(self.request.url)
        error.attempts = self.attempts
        error.request = self.request
        return error

    async def settle(self, disposition: str | None, url: str) -> Place:
        """Settle where the file goes; the first answer that tells the name decides for all attempts.

        Raises:
            StorageError: The name is taken and that is an error.
            UnsafePath: The request's own path leaves the destination.
            Skipped: A file of that name is there and is kept.
        """
        if self.place is not None:
            return self.place
        destination, options = self.destination, self.options
        if destination.folder is None and destination.file is None:
            self.place = Place(None, destination, options)
            return self.place
        path, exact = wanted_path(self.request, destination, options, self.target.url, disposition)
        path = await self._claim(path, exact)
        nested = self.request.path is not None or options.layout == "url"
        self.place = Place(path, destination, options, make_folders=nested)
        self.name = path.rpartition("/")[2]
        return self.place

    async def _claim(self, path: str, exact: bool) -> str:
        names = self.engine.names
        renames = self.options.if_exists == "rename"
        wanted, number = path, 1
        if exact and not renames:
            names.take_exactly(path, run=self._run)
        else:
            path, number = names.take(wanted, run=self._run)
        try:
            while renames and await self._exists(path):
                names.release(path)
                path, number = names.take(wanted, run=self._run, first=number + 1)
            await self._respect_existing(path)
        except BaseException:
            names.release(path)
            raise
        return path

    async def _respect_existing(self, path: str) -> None:
        match self.options.if_exists:
            case "skip":
                size = await self.engine.disk.run(existing_size, path, self.checksum, self.size)
                if size is not None:
                    raise Skipped(path, size)
            case "error" if await self._exists(path):
                raise StorageError(
                    f"{path} exists already; choose another name, or another if_exists (--if-exists)",
                    path=path,
                )

    async def _exists(self, path: str) -> bool:
        return await self.engine.disk.run(_lexists, path)

    def release(self) -> None:
        """Give the name back; the job has ended."""
        if self.place is not None and self.place.path is not None:
            self.engine.names.release(self.place.path)


def _lexists(path: str) -> bool:
    return os.path.lexists(path)
