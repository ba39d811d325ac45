"""Calls of a `ProcessBridge`, from the queue to their outcome."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from asyncflags.bridges._parcels import Work, name_of
from asyncflags.errors import BridgeClosed

if TYPE_CHECKING:
    from asyncflags.bridges._slots import Slot

T = TypeVar("T")


class ProcessCall(Protocol):
    """What the pool knows of a call. It calls all of these but `finish` under its lock."""

    function: Callable[..., Any]
    work: Work | None
    timeout: float | None
    slot: Slot | None
    """Where the call runs; ``None``: it is queued, or has ended."""
    sent_again: bool
    """Whether a worker has died already before it had read the call."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where somebody awaits the call; ``None``: nobody does."""
        ...

    @property
    def name(self) -> str:
        """The dotted name of the function."""
        ...

    def begin(self) -> bool:
        """Mark the call as running; return ``False`` if it was cancelled. A second time changes nothing."""
        ...

    def take_back(self) -> bool:
        """Cancel the call if it has not begun, and let go of its arguments."""
        ...

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Hand the outcome to those who wait; from any thread, once."""
        ...

    def arrive(self, result: Any, error: BaseException | None) -> None:
        """Do what `finish` does, in the thread of `loop`."""
        ...

    def drop(self) -> None:
        """Tell those who wait that the call never ran because the bridge was closed; from any thread."""
        ...


class SubmittedCall(Future[T]):
    """A call that is also the future of its own outcome.

    Args:
        work: The function and its arguments.
        timeout: Seconds from the start of the execution; ``None``: no bound.
        refuse_to_wait: Raises where waiting for the call would wait for ever.
    """

    def __init__(self, work: Work, timeout: float | None, refuse_to_wait: Callable[[str], None]) -> None:
        super().__init__()
        self.function = work[0]
        self.work: Work | None = work
        self.timeout = timeout
        self.slot: Slot | None = None
        self.sent_again = False
        self._refuse_to_wait = refuse_to_wait
        self._begun = False

    @property
    def loop(self) -> None:
        return None

    @property
    def name(self) -> str:
        return name_of(self.function)

    def cancel(self) -> bool:
        """Cancel the call if it has not started, and let go of its arguments at once."""
        cancelled = super().cancel()
        if cancelled:
            self.work = None
        return cancelled

    def result(self, timeout: float | None = None) -> T:
        self._check_wait("result()", timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._check_wait("exception()", timeout)
        return super().exception(timeout)

    def begin(self) -> bool:
        if not self._begun:
            self._begun = self.set_running_or_notify_cancel()
        return self._begun

    def take_back(self) -> bool:
        return self.cancel()

    def finish(self, result: T, error: BaseException | None) -> None:
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    arrive = finish

    def drop(self) -> None:
        if self.cancel():
            # Those who wait in concurrent.futures.wait hear of it only by this.
            self.set_running_or_notify_cancel()

    def _check_wait(self, verb: str, timeout: float | None) -> None:
        if timeout != 0 and not self.done():
            self._refuse_to_wait(verb)


class AwaitedCall(Generic[T]):
    """A call whose outcome goes to a task, of whatever loop."""

    # Few calls ever change these, and setting each of them would be a good part of what a call costs.
    slot: Slot | None = None
    sent_again = False
    error: BaseException | None = None
    """What the call ended with after its caller was cancelled."""
    _ended: asyncio.Future[None] | None = None
    _late = False
    _begun = False
    _cancelled = False

    def __init__(self, work: Work, timeout: float | None) -> None:
        self.function = work[0]
        self.work: Work | None = work
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()
        self.arrived: asyncio.Future[T] = self.loop.create_future()

    @property
    def name(self) -> str:
        return name_of(self.function)

    def end(self) -> asyncio.Future[None]:
        """Return a future that is done when the call has ended, for the one whose `arrived` was cancelled."""
        if self._ended is None:
            self._ended = self.loop.create_future()
            if not self.arrived.cancelled() or self._late:
                self._ended.set_result(None)
        return self._ended

    def begin(self) -> bool:
        self._begun = not self._cancelled
        return self._begun

    def take_back(self) -> bool:
        if not self._begun:
            self._cancelled = True
            self.work = None
        return self._cancelled

    def finish(self, result: T, error: BaseException | None) -> None:
        # asyncio.get_running_loop raises where there is none, which costs more than the whole rest.
        if asyncio._get_running_loop() is self.loop:
            self.arrive(result, error)
            return
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.arrive, result, error)

    def drop(self) -> None:
        error = BridgeClosed(
            "The call was dropped before it started, because its bridge was shut down with "
            "cancel_futures=True. Let the bridge finish its queue, or make the call earlier."
        )
        outcome: Any = None
        self.finish(outcome, error)

    def arrive(self, result: T, error: BaseException | None) -> None:
        if self.arrived.done():
            self.error, self._late = error, True
            if self._ended is not None:
                self._ended.set_result(None)
            return
        if error is None:
            self.arrived.set_result(result)
        else:
            self.arrived.set_exception(error)


class Waiting(collections.deque[ProcessCall]):
    """The calls that no worker has yet; under the pool's lock."""

    def add_again(self, call: ProcessCall) -> None:
        """Put a call to the front whose worker has ended before it had read it."""
        call.slot, call.sent_again = None, True
        self.appendleft(call)

    def discard(self, call: ProcessCall) -> bool:
        """Take *call* out; return whether it was there."""
        try:
            self.remove(call)
        except ValueError:
            return False
        return True

    def next(self) -> ProcessCall | None:
        """Take the first call that was not cancelled, and mark it as running."""
        while self:
            call = self.popleft()
            if call.begin():
                return call
        return None

    def take_all(self) -> list[ProcessCall]:
        """Take every call that was not cancelled, to tell it an error."""
        taken = [call for call in self if call.begin()]
        self.clear()
        return taken

    def take_back_all(self) -> list[ProcessCall]:
        """Cancel and take every call that has not begun."""
        taken = [call for call in self if call.take_back()]
        self.clear()
        return taken
