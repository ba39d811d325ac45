"""Leaving the loop for a thread, together: for small blocking calls such as writing files.

A hop to a thread and back costs more than many a small call does: waking the thread, handing the
interpreter over, waking the loop. Here the calls that gather while the thread is busy go over in one hop
and come back in one, so the price of the hop is shared by all that had to wait anyway.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, TypeVarTuple

from asyncflags.bridges._arrivals import doorbell
from asyncflags.bridges._awaited import AwaitedCall
from asyncflags.bridges._calls import attempt
from asyncflags.bridges._forks import refuse_in_child
from asyncflags.bridges._waiting import endless, wait_all
from asyncflags.bridges.stats import BridgeStats
from asyncflags.bridges.threads import ThreadView
from asyncflags.errors import BridgeClosed

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LARGE_BYTES = 1 << 16
"""A call that handles this many bytes works for longer than a hop costs, and gains nothing by a group."""

# What a group may hold, so that the loop is never busy for long with those that come back together, and no
# caller waits long for the work of others.
_MOST_CALLS = 64
_MOST_BYTES = 1 << 20
_MOST_SECONDS = 0.002
_BUDGET_BYTES = 64 << 20


class GroupedCall(AwaitedCall[T]):
    """One call of `GroupedCalls.submit`, and its outcome; for one task."""

    __slots__ = ("_calls", "follower", "is_alone", "is_dropped", "is_on_its_way", "key", "size")

    def __init__(
        self, calls: GroupedCalls, work: Callable[[], T], key: Hashable, size: int, alone: bool
    ) -> None:
        super().__init__(doorbell(), work, None)
        self._calls = calls
        self.key = key
        self.size = size
        self.is_alone = alone
        self.is_on_its_way = False
        self.is_dropped = False
        self.follower: GroupedCall[Any] | None = None

    async def result(self) -> T:
        """Wait for the call and return its result.

        Cancelled while the call waits for its group, the caller is free at once and the call never
        starts. Cancelled later, the caller waits for the end of the call.

        Raises:
            BridgeClosed: The bridge is shut down.
        """
        if self.arrived:
            return self.value()
        return await self.outcome(endless, _nothing)

    async def settled(self) -> None:
        """Wait until the call has ended, whatever cancels the caller; its outcome is not looked at.

        Raises:
            asyncio.CancelledError: The caller was cancelled; raised once, after the end.
        """
        if self.arrived:
            return
        if self._arrival.cancelled():
            self._arrival = self._bell.loop.create_future()
        await wait_all((self._arrival,))

    def arrive(self) -> None:
        self.arrived = True
        if not self._arrival.done():
            self._arrival.set_result(None)
        self._calls.end(self)

    def taken_back(self) -> None:
        self.is_dropped = True
        if self.is_alone and self.is_on_its_way:
            # No thread will tell of it. A group does, and so does the one whose turn comes before it.
            self.arrive()


class _Crossing(AwaitedCall["list[GroupedCall[Any]]"]):
    """One hop of a group, on which nobody waits but the calls of the group."""

    __slots__ = ("_calls",)

    def __init__(self, calls: GroupedCalls) -> None:
        super().__init__(doorbell(), calls.perform, None)
        self._calls = calls

    def publish(self, result: list[GroupedCall[Any]] | None, error: BaseException | None) -> None:
        self._bell.ring(functools.partial(self._calls.arrive, result or [], error))


class GroupedCalls:
    """Runs small blocking calls on a bridge in groups, and larger ones beside them on threads of their own.

    The calls that gather while a thread works on a group are the next group. The caller's context
    variables do not travel. Belongs to the loop in which it is first used.

    Args:
        bridge: Where the calls run: one group at a time, and the larger calls on its other threads.
        budget: Bytes that may be under way. `run` and `room` wait while there are more, which holds up
            those who produce them.

    Raises:
        ValueError: *budget* is less than 1.
    """

    def __init__(self, bridge: ThreadView, *, budget: int = _BUDGET_BYTES) -> None:
        if budget < 1:
            raise ValueError(f"budget must be at least 1 byte, not {budget}")
        self._bridge = bridge
        self._budget = budget
        self._under_way = 0
        self._entering = 0
        self._unended = 0
        self._delayed = 0
        self._completed = 0
        self._batches = 0
        self._largest_batch = 0
        self._gathered: collections.deque[GroupedCall[Any]] = collections.deque()
        self._crossing = False
        self._last: dict[Hashable, GroupedCall[Any]] = {}
        self._waiting_for_room: collections.deque[tuple[asyncio.Future[None], int]] = collections.deque()

    async def run(
        self, fn: Callable[[*Ts], T], /, *args: *Ts, key: Hashable = None, size: int = 0, alone: bool = False
    ) -> T:
        """Wait for room, await ``fn(*args)`` in a thread together with the calls of others.

        Cancelled while the call waits for its group, the caller is free at once and the call never
        starts. Cancelled later, the caller waits for the end of the call.

        Args:
            fn: A short blocking function.
            args: Its arguments.
            key: Calls of one key, such as a path, run one after the other in the order in which they were
                made; ``None``: in any order.
            size: Bytes that the call handles, for the budget; one of 64 KiB or more gets a thread alone.
            alone: Whether the call gets a thread alone for another reason, such as waiting for the disk.

        Raises:
            BridgeClosed: The bridge is shut down.
        """
        if self._has_line() or not self._fits(size):
            await self._line_up(size)
        # The call gets no name here: this frame is part of the traceback of the error it may hold.
        return await self.submit(fn, *args, key=key, size=size, alone=alone).outcome(endless, _nothing)

    def submit(
        self, fn: Callable[[*Ts], T], /, *args: *Ts, key: Hashable = None, size: int = 0, alone: bool = False
    ) -> GroupedCall[T]:
        """`run` without the waiting: the call is on its way at once, also over the budget.

        Raises:
            BridgeClosed: The bridge is shut down.
        """
        refuse_in_child("GroupedCalls", self._bridge._owner)
        call = GroupedCall(self, functools.partial(fn, *args), key, size, alone or size >= LARGE_BYTES)
        self._unended += 1
        self._under_way += size
        before = None
        if key is not None:
            before = self._last.get(key)
            self._last[key] = call
        if before is None or (before.is_on_its_way and not before.is_alone and not call.is_alone):
            # Two calls of one group keep their order by themselves.
            self._send(call)
        else:
            before.follower = call
            self._delayed += 1
        return call

    async def room(self, size: int) -> None:
        """Wait, first come, first served, until *size* bytes fit the budget; 0 bytes always do.

        More than the whole budget fit once nothing else is under way.
        """
        if size and (self._has_line() or not self._fits(size)):
            await self._line_up(size)

    async def _line_up(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting_for_room.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting_for_room.remove((turn, size))
            else:
                self._entering -= 1
                self._under_way -= size
            self._let_in()
            raise
        self._entering -= 1
        self._let_in()
        # The room was kept until here; whoever makes the call now, without a pause, takes it again.
        self._under_way -= size

    def stats(self) -> BridgeStats:
        """The counters of this moment; from the calls' own loop."""
        queued = len(self._gathered) + self._delayed
        return BridgeStats(
            queued=queued,
            running=max(0, self._unended - queued),
            completed=self._completed,
            batches=self._batches,
            largest_batch=self._largest_batch,
        )

    def perform(self) -> list[GroupedCall[Any]]:
        """Run in the thread what has gathered, up to the bounds of a group, and return it."""
        group: list[GroupedCall[Any]] = []
        size = 0
        latest = time.perf_counter() + _MOST_SECONDS
        with contextlib.suppress(IndexError):
            while len(group) < _MOST_CALLS and size < _MOST_BYTES and time.perf_counter() < latest:
                call = self._gathered.popleft()
                group.append(call)
                size += call.size
                work = call.take()
                if work is not None:
                    works = [work]
                    del work
                    call.keep(*attempt(works))
        return group

    def arrive(self, group: list[GroupedCall[Any]], error: BaseException | None) -> None:
        """Tell the callers of a group, on the loop, and send a thread for the next one."""
        self._crossing = False
        if error is not None:
            # The bridge was shut down and dropped the hop; nobody comes for what has gathered.
            group = self._refused(error)
        elif self._gathered:
            self._cross()
        if group:
            self._batches += 1
            self._largest_batch = max(self._largest_batch, len(group))
            self._bridge._crew.count_batch(len(group))
        for call in group:
            call.arrive()

    def end(self, call: GroupedCall[Any]) -> None:
        """Settle what an ended call leaves behind, on the loop."""
        self._unended -= 1
        self._completed += not call.is_dropped
        self._under_way -= call.size
        if call.key is not None and self._last.get(call.key) is call:
            del self._last[call.key]
        if (follower := call.follower) is not None:
            call.follower = None
            self._delayed -= 1
            self._send(follower)
        if self._waiting_for_room:
            self._let_in()

    def _has_line(self) -> bool:
        """Whether somebody who came before has not made the call yet, and must not be overtaken."""
        return bool(self._waiting_for_room or self._entering)

    def _fits(self, size: int) -> bool:
        return not size or self._under_way <= 0 or self._under_way + size <= self._budget

    def _let_in(self) -> None:
        while self._waiting_for_room and self._fits(self._waiting_for_room[0][1]):
            turn, size = self._waiting_for_room.popleft()
            # One that was cancelled in this moment has not been here yet to leave the line.
            if not turn.cancelled():
                self._entering += 1
                self._under_way += size
                turn.set_result(None)

    def _send(self, call: GroupedCall[Any]) -> None:
        call.is_on_its_way = True
        if not call.is_alone:
            self._gathered.append(call)
            if not self._crossing:
                self._cross()
        elif call.is_dropped:
            call.arrive()
        else:
            try:
                self._bridge._crew.accept(call)
            except BridgeClosed as error:
                call.publish(None, error)

    def _cross(self) -> None:
        """Send a thread for what has gathered."""
        self._crossing = True
        crossing = _Crossing(self)
        try:
            self._bridge._crew.accept(crossing)
        except BridgeClosed as error:
            crossing.publish(None, error)

    def _refused(self, error: BaseException) -> list[GroupedCall[Any]]:
        group = list(self._gathered)
        self._gathered.clear()
        for call in group:
            call.take()
            call.keep(None, error)
        return group


def _nothing() -> None:
    """Patience without an end never gives up."""
