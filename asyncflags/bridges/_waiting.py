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
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from asyncflags.bridges._arrivals import arrival_of
from asyncflags.errors import BridgeClosed

T = TypeVar("T")


def endless() -> float | None:
    """The patience of one who waits for a running call as long as it takes."""
    return None


async def wait_settled(
    future: concurrent.futures.Future[Any], patience: Callable[[], float | None] = endless
) -> None:
    """Wait until *future* is done, even when the caller is cancelled meanwhile.

    The outcome of the future is not looked at. Nothing is cancelled by this wait, and a second
    cancellation does not cut it short. ``Task.cancelling()`` is left as found.

    Args:
        future: What to wait for.
        patience: Asked at each cancellation for the seconds to wait on; ``None``: as long as it takes.

    Raises:
        asyncio.CancelledError: The caller was cancelled; raised once, after the future is done.
    """
    if future.done():
        return
    try:
        await arrival_of(future)
    except asyncio.CancelledError:
        await outlast({arrival_of(future)}, patience)
        raise


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
        await outlast(pending)
        raise


async def outcome(future: concurrent.futures.Future[T], patience: Callable[[], float | None] = endless) -> T:
    """Return the result of *future*, and never leave its work running behind a cancelled caller.

    A caller that is cancelled takes the call back if it has not started. If it has, the caller waits
    for its end, and an error the call ended with becomes the context of the ``CancelledError``.

    Args:
        future: What to wait for.
        patience: Asked at each cancellation for the seconds to wait for a call that runs; ``None``: as
            long as it takes. Where it has run out, the call is not done when control returns.

    Raises:
        asyncio.CancelledError: The caller was cancelled.
        BridgeClosed: Someone else cancelled the future before the call started.
    """
    try:
        try:
            await arrival_of(future)
        except asyncio.CancelledError as cancelled:
            if not _take_back(future):
                await outlast({arrival_of(future)}, patience)
                if future.done():
                    cancelled.__context__ = None if future.cancelled() else future.exception()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            if not future.cancelled():
                raise
            raise BridgeClosed(
                "The call was dropped before it started, because its executor was shut down with "
                "cancel_futures=True. Let the executor finish its queue, or make the call earlier."
            ) from None
    finally:
        # An error's traceback holds this frame, and the future holds the error: a cycle otherwise.
        del future


def _take_back(future: concurrent.futures.Future[Any]) -> bool:
    try:
        return future.cancel()
    except NotImplementedError:
        # Some executors of third parties cannot cancel at all and say so in this way.
        return False


async def outlast(waiters: set[asyncio.Future[Any]], patience: Callable[[], float | None] = endless) -> None:
    """Wait for *waiters* after a first cancellation, which the caller raises again afterwards."""
    deadline = math.inf
    now = asyncio.get_running_loop().time
    with _shield():
        while pending := {waiter for waiter in waiters if not waiter.done()}:
            seconds = patience()
            if seconds is not None:
                # A further cancellation may shorten the wait and never prolongs it.
                deadline = min(deadline, now() + seconds)
            if now() >= deadline:
                return
            # The caller still holds the first cancellation, so a further one adds nothing but its
            # count in Task.cancelling(), which stays.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(pending, timeout=deadline - now() if deadline < math.inf else None)


def _shield() -> contextlib.AbstractContextManager[object]:
    # A task can only be inside an anyio scope if anyio is imported already. Importing it here would
    # stall the loop of a host that never uses it.
    if "anyio" not in sys.modules:
        return contextlib.nullcontext()
    from anyio import CancelScope

    return CancelScope(shield=True)
