"""Calls that wait in a bridge's queue."""

from __future__ import annotations

import contextlib
import functools
import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Call(Future[T]):
    """A call that is also the future of its own outcome."""

    announces_early = False

    def __init__(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._work: functools.partial[T] | None = functools.partial(fn, *args, **kwargs)

    def cancel(self) -> bool:
        """Cancel the call if it has not started, and let go of its arguments at once."""
        cancelled = super().cancel()
        if cancelled:
            self._work = None
        return cancelled

    def take(self) -> functools.partial[T] | None:
        """Mark the call as running and return its work, or ``None`` if it was cancelled."""
        if not self.set_running_or_notify_cancel():
            return None
        work, self._work = self._work, None
        return work

    def publish(self, result: T, error: BaseException | None) -> None:
        """Set the outcome and wake those who wait for it."""
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)


class AwaitedCall(Call[T]):
    """A call of `ThreadBridge.run`, whose only callback wakes a loop.

    Its thread counts as idle before the loop is told, so the next call of the same task finds it. The
    callbacks of a submitted future can take long, and their thread is busy until they end.
    """

    announces_early = True


def drop_queued(calls: queue.SimpleQueue[Call[Any] | None]) -> None:
    """Cancel every call in the queue of a closed bridge, and leave the mark of its end behind."""
    with contextlib.suppress(queue.Empty):
        while True:
            call = calls.get_nowait()
            if call is not None and call.cancel():
                # Those who wait in concurrent.futures.wait hear of it only by this.
                call.set_running_or_notify_cancel()
    calls.put(None)


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
