"""Calls that their client may end, and nobody else's task with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from asyncflags.bridges._waiting import wait_all
from asyncflags.errors import ClosedError

__all__ = ["OwnedCalls", "close_in_order"]

T = TypeVar("T")


class OwnedCalls:
    """Runs each call in a task of its own, so that closing ends the call and not the caller's task."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await *work*.

        Raises:
            ClosedError: `stop` ended it.

        Cancellation: Cancels *work* and waits for its clean-up.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            task.cancel()
            try:
                await wait_all((task,))
            finally:
                if not task.cancelled():
                    # Asked for, so that the loop does not report it as an error nobody looked at.
                    task.exception()
            raise
        if task.cancelled():
            raise ClosedError("the downloader was closed while this download was under way")
        return task.result()

    async def stop(self, *, but: asyncio.Task[Any] | None) -> None:
        """Cancel every call and wait for its clean-up, except the one that *but* is."""
        running = [task for task in self._tasks if task is not but]
        for task in running:
            task.cancel()
        await wait_all(running)


async def close_in_order(closers: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Await each of *closers*, whatever happens to the others, then raise the first error there was."""
    failure: BaseException | None = None
    for close in closers:
        try:
            await close()
        except BaseException as error:  # noqa: BLE001
            # What one of them cannot close is no reason to leave the rest open.
            failure = failure or error
    if failure is not None:
        raise failure
