"""The slots of a bridge: who starts, who is idle, who works, who ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from asyncflags.bridges._slots import Slot, State


class Roster:
    """Every change of who is at what. All of it happens under the pool's lock.

    Args:
        most: How many slots there are.
        start: Makes a slot and has its worker started.
    """

    def __init__(self, most: int, start: Callable[[], Slot]) -> None:
        self.slots: set[Slot] = set()
        self.ending: set[Slot] = set()
        self.replaced = 0
        self._idle: list[Slot] = []
        self._most = most
        self._start = start
        self._vacant = 0

    def everyone(self) -> tuple[Slot, ...]:
        return (*self.slots, *self.ending)

    def empty(self) -> bool:
        return not self.slots and not self.ending

    def serving(self) -> bool:
        """Whether any worker has started and has not ended."""
        return any(slot.state is not State.STARTING for slot in self.slots)

    def claim(self) -> Slot | None:
        """Take an idle worker; ``None``: there is none. One whose loop stands still is given up."""
        while self._idle:
            slot = self._idle.pop()
            if slot.usable():
                return slot
            self.dismiss(slot)
            self.ending.discard(slot)
            slot.worker.strand()
        return None

    def rest(self, slot: Slot) -> None:
        """Note that the worker has nothing to do."""
        slot.state = State.IDLE
        self._idle.append(slot)

    def dismiss_idle(self) -> tuple[list[Slot], list[Slot]]:
        """Dismiss whoever is idle; return those who can leave by themselves, and those whose loop stands still."""
        idle = tuple(self._idle)
        for slot in idle:
            self.dismiss(slot)
        return [slot for slot in idle if slot.usable()], [slot for slot in idle if not slot.usable()]

    def drop_idle(self, slot: Slot) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(slot)

    def dismiss(self, slot: Slot) -> None:
        """Give the place of a worker that ends, in whatever way, to another one."""
        slot.state = State.ENDING
        self.slots.discard(slot)
        self.ending.add(slot)
        self._vacant += 1
        self.drop_idle(slot)

    def condemn(self, slot: Slot, error: BaseException) -> None:
        """Dismiss a worker that is going to be killed, and whose caller is to be told *error*."""
        if slot.state is not State.ENDING:
            slot.verdict = error
            self.dismiss(slot)

    def staff(self, waiting: int) -> None:
        """Have workers started for the calls that wait, as far as there are slots."""
        if not waiting or len(self.slots) >= self._most:
            return
        starting = sum(slot.state is State.STARTING for slot in self.slots)
        for _ in range(min(waiting - starting, self._most - len(self.slots))):
            self._enlist()

    def replace(self, *, closing: bool) -> None:
        """Start a worker for the place that has become free although no call waits for it, unless *closing*."""
        if not closing and len(self.slots) < self._most:
            self._enlist()

    def _enlist(self) -> None:
        self.slots.add(self._start())
        if self._vacant:
            self._vacant -= 1
            self.replaced += 1
