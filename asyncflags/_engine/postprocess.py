"""The caller's own function on each finished file, off the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from asyncflags.bridges.executors import ExecutorBridge
from asyncflags.errors import PostprocessError

if TYPE_CHECKING:
    from asyncflags._engine.job import Job
    from asyncflags._models import Result
    from asyncflags._types import Postprocess
    from asyncflags.bridges.processes import ProcessBridge
    from asyncflags.bridges.threads import ThreadBridge

__all__ = ["Afterwards", "PostprocessIn", "afterwards", "processed"]

PostprocessIn: TypeAlias = "Literal['process', 'thread'] | Executor"
"""Where ``postprocess`` runs."""

Afterwards: TypeAlias = "Callable[[Path], Awaitable[Any]]"
"""What happens to each finished file, somewhere off the loop."""


def afterwards(
    function: Postprocess | None,
    where: PostprocessIn,
    *,
    processes: ProcessBridge,
    threads: ThreadBridge,
    in_flight: int,
) -> Afterwards | None:
    """*function* as something to await, or ``None`` if there is none.

    Args:
        function: The caller's function.
        where: Where it runs.
        processes: The client's processes.
        threads: The client's threads.
        in_flight: How many calls an executor of the caller's gets at once.

    Raises:
        TypeError: *where* is no such place.
    """
    if function is None:
        return None
    if where == "process":
        return lambda path: processes.run(function, path)
    if where == "thread":
        return lambda path: threads.run(function, path)
    if isinstance(where, Executor):
        bridge = ExecutorBridge(where, max_in_flight=in_flight)
        return lambda path: bridge.run(function, path)
    raise TypeError(f"postprocess_in must be 'process', 'thread' or an Executor, not {where!r}")


async def processed(job: Job, result: Result, after: Afterwards) -> Result:
    """*result* with the value that the caller's function returns for its file.

    Raises:
        PostprocessError: The function failed; the file stays.
    """
    if result.path is None:
        return result
    try:
        value = await after(result.path)
    except Exception as error:
        # The function is the caller's, so it may raise anything; that is the outcome of this download.
        raise job.labelled(
            PostprocessError(
                f"postprocess failed on {result.path}: {type(error).__name__}: {error}; the file is kept"
            )
        ) from error
    return replace(result, value=value)
