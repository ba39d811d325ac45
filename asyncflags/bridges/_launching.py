"""Starting the process of a worker."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncflags.bridges._worker import Settings, main

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess, SpawnProcess

    WorkerProcess: TypeAlias = ForkServerProcess | SpawnProcess

# More than a worker needs, but what the main module of most hosts imports, and so every worker with it.
_PRELOADED = "asyncflags.bridges.processes"


def launch(link: socket.socket, liveness: Connection, settings: Settings) -> WorkerProcess:
    """Start a worker by the fork server, or by spawn where there is none, and never by fork."""
    import multiprocessing
    import multiprocessing.reduction  # It is what lets a socket be an argument.

    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        _preload(forkserver)
        process: WorkerProcess = multiprocessing.get_context("forkserver").Process(
            target=main, args=(link, liveness, settings), name="asyncflags-worker"
        )
    else:
        process = multiprocessing.get_context("spawn").Process(
            target=main, args=(link, liveness, settings), name="asyncflags-worker"
        )
    process.start()
    _take_over(process)
    return process


def _take_over(process: WorkerProcess) -> None:
    """Leave the end of *process* to us alone.

    The standard library looks after all the processes it has started: at the exit it ends or joins them, in
    a child of ``fork`` too, where they belong to somebody else; and it reads their exit codes in any thread
    that starts a process, which then is lost to the thread that waits for it.
    """
    from multiprocessing import process as standard

    getattr(standard, "_children", set()).discard(process)


def _preload(forkserver: Any) -> None:
    """Add our module to what the fork server imports, which has an effect only before its first start."""
    chosen = getattr(forkserver._forkserver, "_preload_modules", [])
    if _PRELOADED not in chosen:
        # The main module is left out: one without a guard would end the server at its start.
        others = [module for module in chosen if module != "__main__"]
        forkserver.set_forkserver_preload([*others, _PRELOADED])


def open_pidfd(pid: int | None) -> int | None:
    """Return a descriptor that stands for the process, or ``None`` where there is no such thing."""
    if sys.platform != "linux" or pid is None:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        # An old kernel has none, and a process that is gone already needs none.
        return None
