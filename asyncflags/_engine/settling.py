"""Where one download goes: its name, what stands there already, and what was left of it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from asyncflags._engine.leftovers import clear_away, is_anothers, take_up
from asyncflags._engine.planning import Place, existing_size, wanted_path
from asyncflags._policies.retry import http_date
from asyncflags._policies.validators import Validator, not_modified_headers
from asyncflags._storage.records import identity_of
from asyncflags.errors import StorageError

if TYPE_CHECKING:
    from asyncflags._engine.job import Job

__all__ = ["Skipped", "settle"]


class Skipped(Exception):
    """The file is there already and is kept.

    Attributes:
        path: The file.
        size: Its bytes.
        status: 304 when the server said so; 0 when nothing was asked.
    """

    def __init__(self, path: str, size: int, status: int = 0) -> None:
        super().__init__(path)
        self.path = path
        self.size = size
        self.status = status


async def settle(job: Job, disposition: str | None, url: str) -> Place:
    """Settle where a job's file goes, and take up what an earlier process left of it.

    Args:
        job: Holds what was taken up, afterwards.
        disposition: The ``Content-Disposition`` field of an answer, or ``None``.
        url: What the name comes from.

    Raises:
        StorageError: The name is taken and that is an error, or another process is at it.
        UnsafePath: The request's own path leaves the destination.
        Skipped: A file of that name is there and is kept.
    """
    destination, options = job.destination, job.options
    if destination.folder is None and destination.file is None:
        return Place(None, destination, options)
    path, exact = wanted_path(job.request, destination, options, job.target.url, disposition)
    if job.checksum is None:
        job.expect_listed(path)
    path = await _claim(job, path, exact)
    try:
        nested = job.request.path is not None or options.layout == "url"
        place = Place(
            path, destination, options, identity=partial(identity_of, job.target.url), make_folders=nested
        )
        await _take_up(job, place)
    except BaseException:
        job.engine.names.release(path)
        raise
    return place


async def _claim(job: Job, path: str, exact: bool) -> str:
    names = job.engine.names
    renames = job.options.if_exists == "rename"
    wanted, number = path, 1
    if exact and not renames:
        names.take_exactly(path, run=job.run_names)
    else:
        path, number = names.take(wanted, run=job.run_names)
    try:
        while (renames and await _exists(job, path)) or (not exact and await _is_anothers(job, path)):
            names.release(path)
            path, number = names.take(wanted, run=job.run_names, first=number + 1)
        await _respect_existing(job, path)
    except BaseException:
        names.release(path)
        raise
    return path


async def _respect_existing(job: Job, path: str) -> None:
    match job.options.if_exists:
        case "skip":
            size = await job.engine.disk.run(existing_size, path, job.checksum, job.size)
            if size is not None:
                await _clear_away(job, path)
                raise Skipped(path, size)
        case "error" if await _exists(job, path):
            raise StorageError(
                f"{path} exists already; choose another name, or another if_exists (--if-exists)",
                path=path,
            )
        case "update":
            await _ask_for_news(job, path)


async def _ask_for_news(job: Job, path: str) -> None:
    """Ask for the file under the condition that it is another one than the one at *path*."""
    disk = job.engine.disk
    if (job.checksum is not None or job.size is not None) and (
        await disk.run(existing_size, path, job.checksum, job.size) is None
    ):
        # What the server has to say of a file that is not the expected one does not matter.
        return
    found = await disk.run(_size_and_time, path)
    if found is None:
        return
    size, modified_at = found
    known = job.known
    if known is not None and known.path == path and known.size == size:
        validator = Validator.of(
            etag=known.etag, last_modified=known.last_modified, date=None, now=modified_at
        )
        fields = not_modified_headers(validator)
    else:
        # The file has the time that its server gave it, or a later one at which it was new.
        fields = {"If-Modified-Since": http_date(modified_at)}
    job.fields.update(fields)
    job.kept = Skipped(path, size, 304)


async def _take_up(job: Job, place: Place) -> None:
    assert place.path is not None
    if not await job.engine.leftovers.has(place.path):
        return
    job.place = place
    held = job.hold(job.sources.current)
    record = await job.engine.writes.run(take_up, held.intake, key=held.intake, alone=True)
    job.engine.leftovers.forget(place.path)
    if record is None or job.options.compressed:
        await job.drop()
        return
    source = job.sources.identified(record.source)
    if source is None and not held.intake.is_checked:
        # Nobody who is asked now knows that version, and nothing would prove what came of it.
        await job.drop()
        return
    held.is_mixed = job.was_mixed = source is None
    held.source = source or job.sources.current
    held.validator, held.total = record.validator, record.total
    held.content_type, held.digests, held.is_provable = record.content_type, record.digests, True
    # What stands there is older than the part that has begun to replace it.
    job.kept = None
    for name in ("If-None-Match", "If-Modified-Since"):
        job.fields.pop(name, None)
    job.tell("resumed", f"{held.intake.written} bytes of an earlier run are taken up")


async def _clear_away(job: Job, path: str) -> None:
    """Remove what a process left that died between giving the file its name and forgetting its part."""
    if await job.engine.leftovers.has(path):
        job.engine.leftovers.forget(path)
        await job.engine.disk.run(clear_away, path, job.identify())


async def _is_anothers(job: Job, path: str) -> bool:
    if not job.options.resume or not await job.engine.leftovers.has(path):
        return False
    return await job.engine.disk.run(is_anothers, path, job.identify())


async def _exists(job: Job, path: str) -> bool:
    return await job.engine.disk.run(os.path.lexists, path)


def _size_and_time(path: str) -> tuple[int, float] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime
