"""Calls that wait in a bridge's queue."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
from collections.abc import Callable, Container
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from asyncflags.bridges._kernels import is_kernel_cell

if TYPE_CHECKING:
    from asyncflags.bridges._deadlines import TimeLimit

T = TypeVar("T")


class Call(Future[T]):
    """A call that is also the future of its own outcome."""

    # The callbacks of a submitted future can take long, and their thread is busy until they end.
    announces_early = False
    limit: TimeLimit | None = None
    detached = False
    finished = False
    is_own_loop: Callable[[], bool] | None = None

    def __init__(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._work: functools.partial[T] | None = functools.partial(fn, *args, **kwargs)

    def cancel(self) -> bool:
        """Cancel the call if it has not started, and let go of its arguments at once."""
        cancelled = super().cancel()
        if cancelled:
            self._work = None
        return cancelled

    def result(self, timeout: float | None = None) -> T:
        """Return the result, as `concurrent.futures.Future.result` does.

        Raises:
            RuntimeError: Called before the end on a loop that has awaited the bridge, and would block it.
        """
        self._refuse("result()", timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error or ``None``, as `concurrent.futures.Future.exception` does.

        Raises:
            RuntimeError: Called before the end on a loop that has awaited the bridge, and would block it.
        """
        self._refuse("exception()", timeout)
        return super().exception(timeout)

    def _refuse(self, waiting: str, timeout: float | None) -> None:
        if self.is_own_loop is None or self.done() or (timeout is not None and timeout <= 0):
            return
        if self.is_own_loop():
            raise RuntimeError(
                f"Future.{waiting} was called on an event loop that uses the bridge, and would block it. Use "
                "`await bridge.run(...)`, or `await asyncio.wrap_future(future)`."
            )

    def take(self) -> functools.partial[T] | None:
        """Mark the call as running and return its work, or ``None`` if it was cancelled."""
        if not self.set_running_or_notify_cancel():
            return None
        work, self._work = self._work, None
        return work

    def drop(self) -> None:
        """Cancel the call if it has not started, because its bridge is closed."""
        if self.cancel():
            # Those who wait in concurrent.futures.wait hear of it only by this.
            self.set_running_or_notify_cancel()

    def publish(self, result: Any, error: BaseException | None) -> None:
        """Set the outcome and wake those who wait for it."""
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)


def drop_queued(calls: queue.SimpleQueue[Any]) -> int:
    """Cancel every call in the queue of a closed bridge, and leave the mark of its end behind.

    Returns:
        How many calls were taken from the queue.
    """
    dropped = 0
    with contextlib.suppress(queue.Empty):
        while True:
            call = calls.get_nowait()
            if call is not None:
                dropped += 1
                call.drop()
    calls.put(None)
    return dropped


def is_loop_running(loops: Container[asyncio.AbstractEventLoop]) -> bool:
    """Whether one of *loops* runs in this thread and must not be blocked; a cell of a notebook may."""
    try:
        return asyncio.get_running_loop() in loops and not is_kernel_cell()
    except RuntimeError:
        return False


def attempt(work: list[Callable[[], Any]]) -> tuple[Any, BaseException | None]:
    """Call the one function in *work*; return its result, or ``None`` and what it raised.

    The error's traceback holds this frame, so the frame gives the function and its arguments away.
    """
    try:
        return work.pop()(), None
    except StopIteration as error:
        carrier = RuntimeError("The function raised StopIteration, which a future cannot carry.")
        carrier.__cause__ = error
        return None, carrier
    except BaseException as error:  # noqa: BLE001
        # Whatever the call raised is its outcome and belongs to the one who waits for it.
        return None, error
