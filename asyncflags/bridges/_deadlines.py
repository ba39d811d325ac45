"""Releasing the callers of calls that run for too long, while the calls themselves run on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from asyncflags.errors import TaskTimeout


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long a call may run.

    Attributes:
        seconds: Counted from the start of its execution.
        releases: Whether its caller is released then; otherwise the caller waits for the call's end.
    """

    seconds: float
    releases: bool

    def error(self) -> TaskTimeout:
        """What the caller gets."""
        if self.releases:
            fate = "It cannot be stopped, and keeps its slot of the bridge until it ends"
        else:
            fate = "It cannot be stopped, so its end was waited for and its result dropped"
        return TaskTimeout(
            f"The call ran longer than its timeout of {self.seconds:g} s. {fate}. Give it more time, or "
            "run it on a ProcessBridge, which can end it."
        )


class Deadlines:
    """A thread that knows the calls that run now and have a deadline; it starts with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._running: dict[object, tuple[float, Callable[[], None]]] = {}
        self._next = math.inf
        self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self, call: object, seconds: float, expire: Callable[[], None]) -> None:
        """Have *expire* called after *seconds*, unless *call* has ended by then."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._running[call] = (deadline, expire)
            if deadline < self._next:
                self._changed.notify()

    def end(self, call: object) -> bool:
        """Note that *call* has ended; whether that was in time."""
        with self._changed:
            return self._running.pop(call, None) is not None

    def close(self) -> None:
        """End the thread; nothing that has a deadline runs any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                expired = self._expired()
                if not expired:
                    if self._closed:
                        return
                    self._next = min((deadline for deadline, _ in self._running.values()), default=math.inf)
                    # Waiting wakes up at once for a deadline that passed since it was looked at.
                    wait = None if self._next == math.inf else max(0.0, self._next - time.monotonic())
                    self._changed.wait(wait)
            for expire in expired:
                expire()

    def _expired(self) -> list[Callable[[], None]]:
        now = time.monotonic()
        late = [call for call, (deadline, _) in self._running.items() if deadline <= now]
        return [self._running.pop(call)[1] for call in late]
