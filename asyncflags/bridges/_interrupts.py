"""Whether Ctrl-C has told a loop to end.

``asyncio.run`` turns the first Ctrl-C into a cancellation of its main task, and that looks like any other.
Waiting for a thread as long as it takes is right for a timeout and wrong for a person at a prompt.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import weakref

_runners: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[asyncio.Runner]] = (
    weakref.WeakKeyDictionary()
)


def remember_runner(loop: asyncio.AbstractEventLoop) -> None:
    """Note which runner, if any, handles Ctrl-C for *loop*, which runs in this thread.

    The runner takes its handler away before it cancels the tasks that are left, so it is too late then.
    """
    if threading.current_thread() is threading.main_thread():
        # The handler is a partial of a method of the runner; nothing public leads from a loop to it.
        method = getattr(signal.getsignal(signal.SIGINT), "func", None)
        runner = getattr(method, "__self__", None)
        if isinstance(runner, asyncio.Runner):
            _runners[loop] = weakref.ref(runner)


def is_interrupted(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether Ctrl-C was pressed in this run of *loop*; False also where nobody can know."""
    reference = _runners.get(loop)
    runner = None if reference is None else reference()
    return getattr(runner, "_interrupt_count", 0) > 0
