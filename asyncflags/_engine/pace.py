"""The clocks of an attempt: how long the server has been silent, and how slow it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncflags._engine.watch import Watch
from asyncflags._policies.timeouts import Stall, check_pace
from asyncflags.errors import ReadTimeout, TooSlow

if TYPE_CHECKING:
    from asyncflags._engine.options import Options
    from asyncflags.errors import DownloadError

__all__ = ["Pace"]

_WINDOW = 60.0
# How long systems try to look up a name and to connect, at most, when no limit is set.
_SYSTEM_CONNECT = 300.0


class Pace:
    """Measures one connection, and tells when it has stalled.

    Args:
        options: Timeouts and ``min_speed``.
        clock: The loop's, in seconds.
    """

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._timeout = options.effective_timeout
        self._min_speed = options.min_speed
        self._clock = clock
        # While the attempt waits for a slot or for the disk, the server is not to blame for the silence.
        self._held = False
        # Told the size of every piece; None: nobody wants to know.
        self.listener: Callable[[int], None] | None = None
        self.restart()

    def restart(self) -> None:
        """A request goes out."""
        self._started = self._heard = self._window_started = self._clock()
        self._window_bytes = 0
        self._received = 0
        self._reading = self._held = False
        self._other: Pace | None = None

    def watch(self) -> Watch:
        """A guard that ends its block when the server has stalled."""
        return Watch(self._look, self._started + self._look_every())

    def hold(self) -> None:
        """What comes next is not the server's doing, until `restart` or `resume`."""
        self._held = True
        self._held_at = self._clock()

    def resume(self) -> None:
        """The network stood still for the sake of something else, so its clocks did too."""
        self._heard = self._clock()
        self._window_started += self._heard - self._held_at
        self._held = False

    def hand_over(self, other: Pace) -> None:
        """From now on *other* measures what this one did, which is held."""
        self.hold()
        self._other = other
        other.listener = self.listener

    @property
    def received(self) -> int:
        """Bytes of the body that came since the request went out."""
        return self._received if self._other is None else self._other.received

    def silence(self, now: float) -> float:
        """Seconds for which nothing came, and something might have; 0.0 while it is held."""
        if self._other is not None:
            return self._other.silence(now)
        return 0.0 if self._held else now - self._heard

    def read(self) -> None:
        """The head is there; the body follows."""
        self._reading = True

    def heard(self, size: int) -> None:
        """*size* bytes of the body came."""
        self._received += size
        self._window_bytes += size
        self._heard = self._clock()
        if self.listener is not None:
            self.listener(size)

    def _head_deadline(self) -> float:
        """When the head must be there; interim answers do not prolong it."""
        timeout = self._timeout
        if timeout.read is None:
            return math.inf
        connect = timeout.connect if timeout.connect is not None else _SYSTEM_CONNECT
        return self._started + connect + timeout.read

    def _look_every(self) -> float:
        """Seconds within which something may have to be noticed."""
        return min(self._timeout.read or math.inf, _WINDOW if self._min_speed else math.inf)

    def _look(self, now: float) -> float | DownloadError:
        if self._held:
            return now + 1.0
        if not self._reading:
            deadline = self._head_deadline()
            if now >= deadline:
                return ReadTimeout(f"no answer within {deadline - self._started:g} s")
            if deadline < math.inf:
                return min(deadline, now + self._look_every())
        return self._look_at_pace(now)

    def _look_at_pace(self, now: float) -> float | DownloadError:
        timeout, min_speed = self._timeout, self._min_speed
        verdict = check_pace(
            now=now,
            last_byte_at=self._heard,
            window_started_at=self._window_started,
            window_bytes=self._window_bytes,
            read=timeout.read,
            min_speed=min_speed,
            window=_WINDOW,
        )
        if verdict is Stall.READ:
            return ReadTimeout(f"no byte for {timeout.read:g} s after {self._received} bytes")
        if verdict is Stall.SLOW:
            return TooSlow(
                f"less than {min_speed:g} bytes a second for {_WINDOW:g} s, "
                f"after {self._received} bytes (min_speed)"
            )
        assert isinstance(verdict, float)
        if now >= self._window_started + _WINDOW:
            self._window_started, self._window_bytes = now, 0
        return verdict
