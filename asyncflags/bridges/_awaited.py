"""A call that one task waits for: what `ThreadBridge.run` puts into the queue instead of a future.

A future of ``concurrent.futures`` has a lock and a condition, because anybody may wait for it from anywhere.
Here one task of one loop waits, so it is enough that taking the work out of a list is one atomic step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from asyncflags.bridges._arrivals import Doorbell
from asyncflags.bridges._deadlines import TimeLimit
from asyncflags.bridges._waiting import outlast
from asyncflags.errors import BridgeClosed

T = TypeVar("T")


class AwaitedCall(Generic[T]):
    """A call, and the wait for its outcome on the loop of *bell*."""

    __slots__ = (
        "_arrival",
        "_bell",
        "_error",
        "_result",
        "_work",
        "arrived",
        "detached",
        "finished",
        "limit",
    )

    # Its thread counts as idle before the loop is told, so the next call of the same task finds it.
    announces_early = True

    def __init__(self, bell: Doorbell, work: Callable[[], T], limit: TimeLimit | None) -> None:
        self.limit = limit
        self.detached = False
        self.finished = False
        self._bell = bell
        self._work = [work]
        self._arrival: asyncio.Future[None] = bell.loop.create_future()
        self.arrived = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def take(self) -> Callable[[], T] | None:
        """Return the work of a call that starts now, or ``None`` if it was cancelled."""
        try:
            return self._work.pop()
        except IndexError:
            return None

    def keep(self, result: T | None, error: BaseException | None) -> None:
        """Keep the outcome; `arrive` is still to be called on the loop."""
        self._result = result
        self._error = error

    def publish(self, result: T | None, error: BaseException | None) -> None:
        """Keep the outcome and wake the one who waits for it."""
        self.keep(result, error)
        self._bell.ring(self.arrive)

    def drop(self) -> None:
        """End a call that has not started, because its bridge is closed."""
        if self.take() is not None:
            self.publish(
                None,
                BridgeClosed(
                    "The call was dropped before it started, because its bridge was closed. Let the bridge "
                    "finish its queue, or make the call earlier."
                ),
            )

    async def outcome(self, patience: Callable[[], float | None], give_up: Callable[[], None]) -> T:
        """Wait for the call as `asyncflags.bridges._waiting.outcome` waits for a future.

        Args:
            patience: Asked at each cancellation for the seconds to wait on; ``None``: as long as it takes.
            give_up: Called when the patience has run out and the call still runs.
        """
        try:
            try:
                await self._arrival
            except asyncio.CancelledError as cancelled:
                if self.take() is None:
                    await self.outlast(patience, give_up)
                    cancelled.__context__ = self._error
                else:
                    self.taken_back()
                raise
            return self.value()
        finally:
            # The error's traceback holds this frame: a cycle otherwise.
            del self

    def value(self) -> T:
        """The result of a call that has arrived; raises what the call raised."""
        try:
            if self._error is not None:
                raise self._error
            return cast(T, self._result)
        finally:
            del self

    async def outlast(self, patience: Callable[[], float | None], give_up: Callable[[], None]) -> None:
        """Wait for the end of a call that cannot be taken back, on and on while the caller is cancelled."""
        if self.arrived:
            return
        # The first arrival is spent by the cancellation, so the end of the call is told to another.
        self._arrival = self._bell.loop.create_future()
        await outlast({self._arrival}, patience)
        if not self.arrived:
            give_up()

    def taken_back(self) -> None:
        """Note, on the loop, that the caller was cancelled before the call started."""

    def arrive(self) -> None:
        """Tell the one who waits, on the loop."""
        self.arrived = True
        if not self._arrival.done():
            self._arrival.set_result(None)
