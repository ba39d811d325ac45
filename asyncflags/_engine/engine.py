"""What all downloads of a client share, and one download from plan to result."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from asyncflags._engine.bandwidth import Bandwidth
from asyncflags._engine.batches import Blocks
from asyncflags._engine.budget import Budget
from asyncflags._engine.hosts import Hosts
from asyncflags._engine.job import Job, Skipped
from asyncflags._engine.leftovers import Leftovers
from asyncflags._engine.planning import Names
from asyncflags._engine.postprocess import Afterwards, processed
from asyncflags._engine.robots import Robots, RobotsFetch
from asyncflags._models import Result
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.segments import SegmentRules
from asyncflags._storage.sinks import MemorySink
from asyncflags.bridges.grouped import GroupedCalls
from asyncflags.errors import DownloadError, redact_url

if TYPE_CHECKING:
    from asyncflags._engine.answers import Body
    from asyncflags._engine.credentials import Credentials
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._engine.progress import Tally
    from asyncflags._engine.scheduler import Outcomes
    from asyncflags._models import Request
    from asyncflags._policies.limits import Limits
    from asyncflags._storage.claims import NameClaims
    from asyncflags._transports.base import Transport
    from asyncflags.bridges.threads import ThreadBridge

__all__ = ["Engine", "result_of", "skipped_result"]


class Engine:
    """One client's engine. Made in, and bound to, one event loop.

    Args:
        transport: Makes the exchanges.
        disk: Where every blocking call of the engine runs.
        limits: How much happens at once.
        tally: Counts and tells.
        credentials: Who asks.
        bandwidth: How fast; ``None``: without a limit.
        robots: Whether the robots.txt of each origin is respected.

    Raises:
        ValueError: It is to be, and its parser is not installed.
    """

    def __init__(
        self,
        transport: Transport,
        disk: ThreadBridge,
        limits: Limits,
        tally: Tally,
        credentials: Credentials,
        bandwidth: Bandwidth | None = None,
        *,
        robots: bool = False,
    ) -> None:
        self.transport = transport
        self.disk = disk
        self.writes = GroupedCalls(disk)
        self.limits = limits
        self.tally = tally
        self.credentials = credentials
        self.jitter = random.random
        self.hosts = Hosts(limits, tally, jitter=lambda: self.jitter())
        self.robots: Robots | None = None
        if robots:
            self.robots = Robots(RobotsFetch(transport, credentials), self.hosts.set_request_rate, disk.run)
        self.bandwidth = bandwidth if bandwidth is not None else Bandwidth()
        self.blocks = Blocks(Budget(limits.max_memory, holders=limits.max_downloads * limits.max_segments))
        self.names = Names()
        self.leftovers = Leftovers(disk, self.writes)
        self.runs: set[Outcomes] = set()
        self.backoff = Backoff()
        self.segment_rules = SegmentRules()
        self.time = asyncio.get_running_loop().time

    async def download(
        self,
        request: Request,
        destination: Destination,
        options: Options,
        afterwards: Afterwards | None,
        run: NameClaims | None,
    ) -> Result:
        """Download one file, as a part of *run* if there is one.

        Raises:
            DownloadError: It failed.
        """
        job: Job | None = None
        try:
            job = Job(self, request, destination, options, run=run)
            try:
                body = await job.run()
            finally:
                job.release()
            result = result_of(job, body)
            if afterwards is not None:
                result = await processed(job, result, afterwards)
        except Skipped as skipped:
            assert job is not None
            result = skipped_result(job, skipped)
        except DownloadError as error:
            if job is None:
                error.request = request
            self.tally.fail(request, error, since=job.started if job is not None else None)
            raise
        self.tally.complete(request, result)
        return result


def result_of(job: Job, body: Body) -> Result:
    """The result of a job whose body is published."""
    sink = body.intake.sink
    path = job.place.path if job.place is not None else None
    asked = redact_url(job.request.url)
    return Result(
        url=asked,
        final_url=asked if body.final_url == asked else redact_url(body.final_url),
        path=Path(path) if path is not None else None,
        size=body.intake.written,
        status=body.status,
        elapsed=time.monotonic() - job.started,
        attempts=job.attempts,
        length_verified=body.length_verified,
        checksum=str(job.checksum) if job.checksum is not None else None,
        etag=body.etag,
        last_modified=body.last_modified,
        content_type=body.content_type,
        content=sink.content if isinstance(sink, MemorySink) else None,
    )


def skipped_result(job: Job, skipped: Skipped) -> Result:
    """The result of a job for whose file one was there already."""
    url = redact_url(job.request.url)
    return Result(
        url=url,
        final_url=url,
        path=Path(skipped.path),
        size=skipped.size,
        status=skipped.status,
        elapsed=time.monotonic() - job.started,
        attempts=job.attempts,
        checksum=str(job.checksum) if job.checksum is not None else None,
        skipped=True,
    )
