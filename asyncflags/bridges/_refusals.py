"""What callers are told when their call, its worker or the whole bridge came to an end."""

from __future__ import annotations

import signal

from asyncflags.bridges._lifetimes import MOST_CRASHES, WITHIN_SECONDS
from asyncflags.bridges._parcels import GUARD
from asyncflags.errors import BridgeClosed, BridgeError, TaskTimeout, WorkerCrashed


def closed() -> BridgeClosed:
    """Return what a call gets that comes too late."""
    return BridgeClosed("This ProcessBridge is closed and takes no more calls. Make a new one.")


def closed_while(name: str) -> BridgeClosed:
    """Return what a call gets that the closing bridge did not wait for."""
    return BridgeClosed(f"The bridge was closed while {name} was running, and its worker was killed.")


def loop_closed(name: str) -> BridgeError:
    """Return what a call gets whose loop was closed under it."""
    return BridgeError(
        f"The event loop that served the worker of {name} was closed while it was running, and the worker was "
        "killed. Close the bridge before its loop, or make the call from another one."
    )


def too_long(name: str, timeout: float | None) -> TaskTimeout:
    """Return what a call gets that ran longer than *timeout*, in seconds."""
    return TaskTimeout(
        f"{name} ran longer than its timeout of {timeout:g} seconds, and its worker process was killed. Give it "
        "more time with with_options(timeout=...), or less to do."
    )


def given_up(cause: BaseException | None) -> BridgeError:
    """Return what every call gets after a crash loop."""
    error = BridgeError(
        f"This ProcessBridge has given up: {MOST_CRASHES} workers died within {WITHIN_SECONDS:g} seconds with no "
        f"call answered in between. Find out why they die, and make a new bridge. {GUARD}"
    )
    error.__cause__ = cause
    return error


def no_process(cause: BaseException) -> BridgeError:
    """Return what those who wait for a worker are told when the system gives none."""
    error = BridgeError(f"No worker process could be started: {cause}. {GUARD}")
    error.__cause__ = cause
    return error


def crash(name: str, exitcode: int | None) -> WorkerCrashed:
    """Return what the caller of *name* is told when its worker died."""
    number = -exitcode if exitcode is not None and exitcode < 0 else None
    return WorkerCrashed(
        f"The worker process died while {name} was running: {_manner(exitcode)}. Only this call is lost, and "
        "later calls get a new worker.",
        exitcode=exitcode,
        signal=number,
    )


def failed_start(exitcode: int | None) -> BridgeError:
    """Return what those who wait for a worker are told when one ended before it could serve."""
    return BridgeError(
        f"A worker process ended before it was ready: {_manner(exitcode)}. Its main module could not be "
        f"imported; what it printed tells why. {GUARD}"
    )


def _manner(exitcode: int | None) -> str:
    if exitcode is None:
        return "its exit code is not known"
    if exitcode >= 0:
        return f"it ended with exit code {exitcode}"
    try:
        return f"it was ended by {signal.Signals(-exitcode).name}"
    except ValueError:
        return f"it was ended by signal {-exitcode}"
