"""Waiting for work that cannot be stopped, whatever cancels the one who waits.

Two kinds of cancelling reach a task. ``Task.cancel()``, which ``asyncio.timeout`` uses too, raises
``CancelledError`` once. A cancelled anyio scope raises it again on every turn of the loop until it is
left. So the wait is a loop over the future that remembers the error, inside a shield against anyio;
either one alone lets one of the two through, or burns a processor.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from asyncflags.errors import BridgeClosed

T = TypeVar("T")


async def wait_settled(future: concurrent.futures.Future[Any]) -> None:
    """Wait until *future* is done, even when the caller is cancelled meanwhile.

    The outcome of the future is not looked at. Nothing is cancelled by this wait, and a second
    cancellation does not cut it short. ``Task.cancelling()`` is left as found.

    Raises:
        asyncio.CancelledError: The caller was cancelled; raised once, after the future is done.
    """
    if not future.done():
        await wait_all((_arrival(future),))


async def wait_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until every one of *tasks* is done, even when the caller is cancelled meanwhile.

    The same as `wait_settled`, for tasks and futures of the running loop.

    Raises:
        asyncio.CancelledError: The caller was cancelled; raised once, after all of them are done.
    """
    pending = {task for task in tasks if not task.done()}
    if not pending:
        return
    try:
        await asyncio.wait(pending)
    except asyncio.CancelledError:
        await _outlast(pending)
        raise


async def outcome(future: concurrent.futures.Future[T]) -> T:
    """Return the result of *future*, and never leave its work running behind a cancelled caller.

    A caller that is cancelled takes the call back if it has not started. If it has, the caller waits
    for its end, and an error the call ended with becomes the context of the ``CancelledError``.

    Raises:
        asyncio.CancelledError: The caller was cancelled.
        BridgeClosed: Someone else cancelled the future before the call started.
    """
    try:
        try:
            await _arrival(future)
        except asyncio.CancelledError as cancelled:
            if not _take_back(future):
                await _outlast({_arrival(future)})
                cancelled.__context__ = None if future.cancelled() else future.exception()
            raise
        if future.cancelled():
            raise BridgeClosed(
                "The call was dropped before it started, because its executor was shut down with "
                "cancel_futures=True. Let the executor finish its queue, or make the call earlier."
            )
        return future.result()
    finally:
        # An error's traceback holds this frame, and the future holds the error: a cycle otherwise.
        del future


def _take_back(future: concurrent.futures.Future[Any]) -> bool:
    try:
        return future.cancel()
    except NotImplementedError:
        # Some executors of third parties cannot cancel at all and say so in this way.
        return False


def _arrival(future: concurrent.futures.Future[Any]) -> asyncio.Future[None]:
    """Return a future of the running loop that is set when *future* is done.

    Unlike ``asyncio.wrap_future`` it passes no cancellation on, so it can be waited for a second time.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()

    def notify(_: concurrent.futures.Future[Any]) -> None:
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, arrived)

    future.add_done_callback(notify)
    return arrived


def _set(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)


async def _outlast(waiters: set[asyncio.Future[Any]]) -> None:
    """Wait for *waiters* after a first cancellation, which the caller raises again afterwards."""
    with _shield():
        while pending := {waiter for waiter in waiters if not waiter.done()}:
            # The caller still holds the first cancellation, so a further one adds nothing but its
            # count in Task.cancelling(), which stays.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(pending)


def _shield() -> contextlib.AbstractContextManager[object]:
    # A task can only be inside an anyio scope if anyio is imported already. Importing it here would
    # stall the loop of a host that never uses it.
    if "anyio" not in sys.modules:
        return contextlib.nullcontext()
    from anyio import CancelScope

    return CancelScope(shield=True)
