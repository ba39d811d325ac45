"""Leaving the loop for a thread, together.

A hop to a thread and back costs more than many a small call does: waking the thread, handing the
interpreter over, waking the loop. Here the calls that gather while the thread is busy go over in one hop
and come back in one, so the price of the hop is shared by all that had to wait anyway.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from asyncflags.bridges._calls import attempt
from asyncflags.bridges._waiting import wait_all
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import BridgeError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_CALLS = 64


class GroupedCalls:
    """Runs small blocking calls on a bridge, one group after the other and in the order of the calls.

    For calls that are short and of one kind, such as writing small files: each waits for its group. The
    caller's context variables do not travel. Belongs to the loop in which it is first used.

    Args:
        bridge: Where the groups run, one at a time.
    """

    def __init__(self, bridge: ThreadBridge) -> None:
        self._bridge = bridge
        self._waiting: collections.deque[_Call] = collections.deque()
        self._crossing = False

    async def run(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Await ``fn(*args)`` in a thread, together with the calls of others.

        Cancelled while the call waits for its group, the caller is free at once and the call never
        starts. Cancelled later, the caller waits for the end of the call.

        Raises:
            BridgeClosed: The bridge is shut down.
        """
        loop = asyncio.get_running_loop()
        call = _Call(functools.partial(fn, *args), loop.create_future())
        self._waiting.append(call)
        if not self._crossing:
            self._cross(loop)
        try:
            result: T = await call.arrived
            return result
        except asyncio.CancelledError:
            if self._take_back(call):
                raise
            # The first future is spent by the cancellation, so the end of the call is told to another.
            if not call.ended:
                call.arrived = loop.create_future()
                try:
                    await wait_all((call.arrived,))
                finally:
                    if call.arrived.done() and not call.arrived.cancelled():
                        call.arrived.exception()
            raise
        finally:
            del call

    def _take_back(self, call: _Call) -> bool:
        """Whether *call* had not started; the thread that takes it from the queue and we cannot both win."""
        try:
            self._waiting.remove(call)
        except ValueError:
            return False
        return True

    def _cross(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send a thread for what is waiting; if the bridge refuses, all who wait are told."""
        self._crossing = True
        try:
            loop.run_in_executor(self._bridge, self._perform, loop)
        except BridgeError as error:
            self._crossing = False
            while self._waiting:
                call = self._waiting.popleft()
                call.ended = True
                if not call.arrived.done():
                    call.arrived.set_exception(error)

    def _perform(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run in the thread what has gathered, then tell the loop once."""
        ended: list[tuple[_Call, Any, BaseException | None]] = []
        with contextlib.suppress(IndexError):
            while len(ended) < _MOST_CALLS:
                call = self._waiting.popleft()
                ended.append((call, *attempt(call.work)))
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._arrive, loop, ended)

    def _arrive(
        self, loop: asyncio.AbstractEventLoop, ended: list[tuple[_Call, Any, BaseException | None]]
    ) -> None:
        self._crossing = False
        for call, result, error in ended:
            call.ended = True
            if call.arrived.done():
                continue
            if error is None:
                call.arrived.set_result(result)
            else:
                call.arrived.set_exception(error)
        if self._waiting:
            self._cross(loop)


class _Call:
    __slots__ = ("arrived", "ended", "work")

    def __init__(self, work: Callable[[], Any], arrived: asyncio.Future[Any]) -> None:
        self.work = [work]
        self.arrived = arrived
        self.ended = False
