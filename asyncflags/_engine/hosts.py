"""One lane for each origin: how many requests run at once, and until when they rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from asyncflags._policies.urls import Origin

__all__ = ["Hosts"]

_ROUNDING = 0.01


class _Lane:
    __slots__ = ("resume_at", "slots", "users")

    def __init__(self, limit: int) -> None:
        self.slots = asyncio.Semaphore(limit)
        self.resume_at = 0.0
        self.users = 0


class Hosts:
    """Hands out the slots of origins. One per client and loop.

    A lane exists while somebody uses it or it rests, so memory follows the work under way and not the
    number of hosts ever seen.

    Args:
        limit: Requests in flight to one origin.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lanes: dict[Origin, _Lane] = {}

    def slot(self, origin: Origin) -> _Slot:
        """A context manager that waits for a slot of *origin* and holds it."""
        return _Slot(self, origin)

    def pause(self, origin: Origin, seconds: float) -> None:
        """Let every request to *origin* that has not begun wait for *seconds* from now.

        Pauses do not add up: of several that overlap, the one that ends last counts.
        """
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = _Lane(self._limit)
        moment = loop.time() + seconds
        if moment > lane.resume_at:
            lane.resume_at = moment
            # A moment later, because a loop may round the times of its timers down.
            loop.call_at(moment + _ROUNDING, self._forget, origin)

    async def _enter(self, origin: Origin) -> _Lane:
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = _Lane(self._limit)
        lane.users += 1
        try:
            await lane.slots.acquire()
        except BaseException:
            self._leave(origin, lane)
            raise
        if lane.resume_at:
            try:
                await _rest(lane)
            except BaseException:
                lane.slots.release()
                self._leave(origin, lane)
                raise
        return lane

    def _leave(self, origin: Origin, lane: _Lane) -> None:
        lane.users -= 1
        if not lane.users:
            self._forget(origin)

    def _forget(self, origin: Origin) -> None:
        lane = self._lanes.get(origin)
        if (
            lane is not None
            and not lane.users
            and (not lane.resume_at or lane.resume_at <= asyncio.get_running_loop().time())
        ):
            del self._lanes[origin]


class _Slot:
    __slots__ = ("_hosts", "_lane", "_origin")

    def __init__(self, hosts: Hosts, origin: Origin) -> None:
        self._hosts = hosts
        self._origin = origin

    async def __aenter__(self) -> None:
        self._lane = await self._hosts._enter(self._origin)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lane.slots.release()
        self._hosts._leave(self._origin, self._lane)


async def _rest(lane: _Lane) -> None:
    """Wait until the lane resumes, also when its rest is prolonged meanwhile."""
    loop = asyncio.get_running_loop()
    while (left := lane.resume_at - loop.time()) > 0:  # noqa: ASYNC110 - what ends it is the clock
        await asyncio.sleep(left)
    # A moment that has passed is forgotten, so that a lane without a rest to wait for asks no clock.
    lane.resume_at = 0.0
