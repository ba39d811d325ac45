"""The way of calls from the queue into the sockets of their workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncflags.bridges import _parcels as parcels

if TYPE_CHECKING:
    from asyncflags.bridges._process_calls import ProcessCall
    from asyncflags.bridges._slots import Slot
    from asyncflags.bridges.threads import ThreadBridge

Given = list[tuple["Slot", "ProcessCall"]]
"""Calls, each with the worker that is to run it."""

_LARGE_BLOCKS = 1024 * 1024


class Deliveries:
    """Pickles calls and writes them, in any thread, without the lock of the pool.

    Args:
        movers: The threads that write large blocks.
        withdraw: Ends a call that could not be sent; returns those that can be handed out instead.
    """

    def __init__(
        self, movers: ThreadBridge, withdraw: Callable[[Slot, ProcessCall, BaseException], Given]
    ) -> None:
        self._movers = movers
        self._withdraw = withdraw

    def hand_out(self, given: Given) -> None:
        """Send every call to its worker, and those that take the places of calls that cannot be sent."""
        # The list grows while it is gone through.
        for slot, call in given:
            error = self._send(slot, call)
            if error is not None:
                given += self._withdraw(slot, call, error)
            elif call.timeout is not None:
                slot.arm(call)

    def _send(self, slot: Slot, call: ProcessCall) -> BaseException | None:
        """Write a call into the socket of its worker, or return why it cannot be."""
        work = call.work
        if work is None:
            # It was killed in this very moment.
            return None
        try:
            body, blocks = parcels.pack_call(work)
        except BaseException as error:  # noqa: BLE001
            # Ctrl-C while a large argument is pickled must not keep the slot either.
            return error
        if blocks and sum(map(len, blocks)) > _LARGE_BLOCKS:
            self._movers.submit(self._move, slot, call, body, blocks)
            return None
        return slot.carry(body, blocks)

    def _move(self, slot: Slot, call: ProcessCall, body: bytes, blocks: list[memoryview]) -> None:
        error = slot.carry(body, blocks)
        if error is not None:
            self.hand_out(self._withdraw(slot, call, error))
