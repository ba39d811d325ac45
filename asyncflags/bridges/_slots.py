"""The slot of a worker: what the pool knows of it, and the worker's words to the pool."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asyncflags.bridges._homes import turns
from asyncflags.errors import BridgeError

if TYPE_CHECKING:
    from asyncflags.bridges._frames import Frame
    from asyncflags.bridges._pool import Pool
    from asyncflags.bridges._process_calls import ProcessCall
    from asyncflags.bridges._workers import AnyWorker, Events

DYING_SECONDS = 0.05
"""How long the caller of a killed call waits at most until the process is seen to be gone."""

LEAVING_SECONDS = 1.0
"""How long a worker that is to leave has before it is killed."""


class State(enum.Enum):
    """What a worker is at."""

    STARTING = enum.auto()
    IDLE = enum.auto()
    BUSY = enum.auto()
    ENDING = enum.auto()


class Slot:
    """One worker and the call it runs. What changes here changes under the pool's lock.

    Args:
        pool: Is told what happens.
        make_worker: Makes the worker; it tells the slot what happens.
    """

    def __init__(self, pool: Pool, make_worker: Callable[[Events], AnyWorker]) -> None:
        self.state = State.STARTING
        self.call: ProcessCall | None = None
        self.verdict: BaseException | None = None
        """What the caller of the call is told because the worker was killed; ``None``: it was not."""
        self.tasks = 0
        self.timer: asyncio.TimerHandle | None = None
        self.worker = make_worker(self)
        self._pool = pool

    def usable(self) -> bool:
        """Whether the loop that serves the worker turns."""
        return turns(self.worker.loop)

    def name(self) -> str:
        """The dotted name of the function that runs here."""
        return self.call.name if self.call is not None else "no call"

    def ends(self) -> bool:
        """Whether the worker is to take no more calls."""
        return self.state is State.ENDING

    def take(self, call: ProcessCall) -> Slot:
        """Run *call* from now on; return this slot."""
        self.state, self.call, call.slot = State.BUSY, call, self
        return self

    def carry(self, body: bytes, blocks: list[memoryview]) -> BaseException | None:
        """Hand a pickled call to the worker; return why it cannot be."""
        if blocks:
            try:
                self.worker.lay_down(blocks)
            except OSError as error:
                refusal = BridgeError(f"No shared memory could be had for the blocks of the call: {error}")
                refusal.__cause__ = error
                return refusal
        self.worker.send(body, blocks)
        return None

    def arm(self, call: ProcessCall) -> None:
        """Have the pool end *call* when its time is over."""
        if call.timeout is None:
            return
        if asyncio._get_running_loop() is self.worker.loop:
            self._arm(call)
        else:
            self.soon(self._arm, call)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def leave(self) -> None:
        """Have the worker end by itself, or else be killed."""
        self.worker.leave()
        self.soon(self._kill_later)

    def execute(self) -> None:
        """Kill the worker and have its caller told, at the latest after `DYING_SECONDS`."""
        if self.worker.loop is None:
            # The process is not started yet, and will not be.
            self._pool.conclude(self)
        elif self.usable():
            self.worker.kill()
            self.soon(self._conclude_later)
        else:
            self._pool.stranded(self)

    def soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """Call *callback* on the worker's loop, unless that was closed meanwhile."""
        assert self.worker.loop is not None
        with contextlib.suppress(RuntimeError):
            self.worker.loop.call_soon_threadsafe(callback, *args)

    def ready(self) -> None:
        self._pool.ready(self)

    def not_started(self, frame: Frame) -> None:
        self._pool.not_started(self, frame)

    def answered(self, frame: Frame, views: list[memoryview]) -> None:
        self._pool.answered(self, frame, views)

    def lost(self) -> None:
        self.disarm()
        self._pool.lost(self)

    def loop_closed(self) -> None:
        self._pool.loop_closed(self)

    def ended(self, exitcode: int | None) -> None:
        self._pool.ended(self, exitcode)

    def _arm(self, call: ProcessCall) -> None:
        if self.call is call and call.timeout is not None:
            assert self.worker.loop is not None
            self.timer = self.worker.loop.call_later(call.timeout, self._pool.expire, call)

    def _conclude_later(self) -> None:
        assert self.worker.loop is not None
        self.disarm()
        self.timer = self.worker.loop.call_later(DYING_SECONDS, self._pool.conclude, self)

    def _kill_later(self) -> None:
        assert self.worker.loop is not None
        self.disarm()
        self.timer = self.worker.loop.call_later(LEAVING_SECONDS, self.worker.kill)
