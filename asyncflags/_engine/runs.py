"""What the methods of a client come to: single downloads, and runs of many, on what is underneath the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from asyncflags._engine.deadlines import Guard, RunDeadline, checked_deadline, within
from asyncflags._engine.planning import inspect_folder
from asyncflags._engine.postprocess import Afterwards, PostprocessIn, afterwards
from asyncflags._engine.scheduler import Outcomes
from asyncflags._engine.watchdog import Watchdog
from asyncflags._storage.claims import NameClaims

if TYPE_CHECKING:
    from asyncflags._engine.engine import Engine
    from asyncflags._engine.journaling import JournalUse
    from asyncflags._engine.opening import Opening
    from asyncflags._engine.options import Options
    from asyncflags._engine.planning import Destination
    from asyncflags._models import Request, Result
    from asyncflags._types import Postprocess, StrPath, Urls

__all__ = ["Runs"]


class Runs:
    """Begins the downloads of one client.

    Args:
        opening: What is underneath it.
        defaults: Its options.
    """

    def __init__(self, opening: Opening, defaults: Options) -> None:
        self._opening = opening
        self._defaults = defaults

    def options(self, given: Mapping[str, Any]) -> Options:
        """The options of a call.

        Raises:
            TypeError: An option of that name does not exist, or has another type.
            ValueError: A value is out of range.
        """
        return self._defaults.override(given)

    def after(self, function: Postprocess | None, where: PostprocessIn) -> Afterwards | None:
        """As `postprocess.afterwards`, with the client's threads and processes."""
        return afterwards(
            function,
            where,
            processes=self._opening.processes,
            threads=self._opening.threads,
            in_flight=self._opening.limits.max_downloads,
        )

    async def one(
        self,
        request: Request,
        plan: Callable[[], Destination],
        options: Options,
        after: Afterwards | None = None,
        claims: NameClaims | None = None,
    ) -> Result:
        """One download, whose destination is found by *plan*, off the loop; in a run with *claims* if there are any.

        Raises:
            DownloadError: It failed.
        """

        async def work() -> Result:
            engine = await self._opening.open()
            destination = await engine.disk.run(plan)
            return await engine.download(request, destination, options, after, claims)

        return await self._opening.calls.run(work())

    def mapper(
        self, dest: StrPath, after: Afterwards | None, deadline: float | None, given: Mapping[str, Any]
    ) -> Callable[[Request], Coroutine[Any, Any, Result]]:
        """A function that downloads one request of a run of its own, which begins now, into the folder *dest*."""
        options, seconds = self.options(given), checked_deadline(deadline)
        claims, begun = NameClaims(), time.monotonic()

        async def download(request: Request) -> Result:
            work = self.one(request, lambda: inspect_folder(dest), options, after, claims)
            return await within(seconds, begun, request, work)

        return download

    def many(
        self,
        urls: Urls,
        dest: StrPath,
        journal: JournalUse | None,
        after: Afterwards | None,
        deadline: float | None,
        given: Mapping[str, Any],
    ) -> Outcomes:
        """A run of many downloads into the folder *dest*."""
        options, seconds = self.options(given), checked_deadline(deadline)
        engine = self._opening.ready()
        guards: list[Guard] = [Watchdog(engine.tally, engine.hosts.waiting_for)]
        if seconds is not None:
            guards.append(RunDeadline(seconds))
        return Outcomes(
            engine, urls, lambda: self._folder(engine, dest), options, after, journal, guards=guards
        )

    async def _folder(self, engine: Engine, dest: StrPath) -> Destination:
        await self._opening.open()
        return await engine.disk.run(inspect_folder, dest)
