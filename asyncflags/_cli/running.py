"""The run of a command on its event loop, and its end by a signal."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from asyncflags._cli.exit_codes import INTERRUPTED, TERMINATED
from asyncflags.bridges._loop_thread import loop_factory

__all__ = ["Interruption", "run"]

_OBJECTS_A_COLLECTION = 20_000
_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Interruption:
    """Ends a run early: cleanly when it is asked the first time, at once the second time.

    Attributes:
        code: The exit code that the end gives the run; ``None``: it was not asked to end.
        on_request: Called when the run is asked to end by a signal, before it does.
        on_exit: Called right before the process ends at once; must be quick.
    """

    def __init__(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.code: int | None = None
        self.on_request: Callable[[], None] = _nothing
        self.on_exit: Callable[[], None] = _nothing
        self._task = task
        self._loop = loop

    def stop(self, code: int, *, at_once: bool = True) -> None:
        """End the run with *code*; only the first call counts.

        Args:
            code: The exit code.
            at_once: Cancel the task; ``False``: it is about to end by itself.
        """
        if self.code is None:
            self.code = code
            if at_once:
                self._task.cancel()

    def listen(self) -> None:
        """Take SIGINT and SIGTERM, where the loop can, unless whoever started the process has them ignored."""
        for number in _CODES:
            if signal.getsignal(number) is signal.SIG_IGN:
                # A shell does that to what it runs in the background, so that Ctrl-C does not reach it.
                continue
            try:
                self._loop.add_signal_handler(number, self._asked, number)
            except NotImplementedError:
                # Windows: there KeyboardInterrupt cancels the task of asyncio.Runner.
                return

    def _asked(self, number: signal.Signals) -> None:
        # From here on the signals do not need the loop, which may be what hangs.
        for each in _CODES:
            self._loop.remove_signal_handler(each)
            signal.signal(each, self._exit)
        self.on_request()
        self.stop(_CODES[number])

    def _exit(self, number: int, frame: FrameType | None) -> None:
        self.on_exit()
        os._exit(_CODES[signal.Signals(number)])


def _nothing() -> None:
    return


def run(main: Callable[[Interruption], Coroutine[Any, Any, int]]) -> int:
    """Run *main* on the fastest loop there is and return its exit code.

    Args:
        main: Takes the `Interruption` that may cancel it. Cancelled so, it may tidy up, tell what it did and
            return, or let ``CancelledError`` pass.
    """
    # A download makes some hundred short-lived objects and hardly a cycle. By default the collector looks
    # for cycles several times a file, which costs a sixth of the run; the process is ours to tune.
    gc.set_threshold(_OBJECTS_A_COLLECTION, 20, 20)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_interruptible(main))


async def _interruptible(main: Callable[[Interruption], Coroutine[Any, Any, int]]) -> int:
    task = asyncio.current_task()
    assert task is not None
    interruption = Interruption(task, asyncio.get_running_loop())
    interruption.listen()
    try:
        return await main(interruption)
    except asyncio.CancelledError:
        # Nobody else cancels this task on POSIX, and on Windows nobody but Ctrl-C.
        return INTERRUPTED if interruption.code is None else interruption.code
