"""What lies between the network and the disk: at most two batches of one body.

While one batch is written the next one gathers, and when that is full too the network has to wait. This
is all the memory that a body takes, whatever its size. Where the budget of all bodies is used up there is one
batch of each, and the network waits while it is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVarTuple

from asyncflags._engine.budget import LARGEST_BLOCK, SMALLEST_BLOCK, Budget
from asyncflags.errors import DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags._types import Buffer
    from asyncflags.bridges.grouped import GroupedCall, GroupedCalls

Ts = TypeVarTuple("Ts")

__all__ = ["BATCH_BYTES", "Batches", "Blocks"]

BATCH_BYTES = LARGEST_BLOCK
"""Bytes that go over in one call, unless the budget is small; a smaller body goes over whole, with its publication,
and with others."""

_LEAST_ROOM = 1 << 16
_MOST_SPARE = 64
# Less than any block, so that what goes over in the middle of a body is always counted.
_UNCOUNTED = SMALLEST_BLOCK // 2


class Blocks:
    """Memory for transports that read into it, kept between downloads; to make it anew costs its zeroing.

    Args:
        budget: Bounds the bodies that are in memory; ``None``: one of the usual size.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget if budget is not None else Budget()
        # With less room than this in it, a block goes over.
        self.least_room = min(_LEAST_ROOM, self.budget.block // 4)
        self._spare: list[memoryview] = []

    def take(self) -> memoryview:
        """A block that nobody else has."""
        self.budget.used += self.budget.block
        return self._spare.pop() if self._spare else memoryview(bytearray(self.budget.block))

    def give_back(self, blocks: list[memoryview]) -> None:
        """Nothing uses *blocks* any more."""
        self.budget.used -= len(blocks) * self.budget.block
        self._spare += blocks[: _MOST_SPARE - len(self._spare)]


class Batches:
    """Gathers the chunks of one body and hands them to its intake, off the loop.

    Args:
        writes: What the intake is called through; in the order of the calls.
        intake: Takes the batches, one at a time and in order.
        pool: Where the memory comes from that is lent to the transport, and whose budget holds for all of it.
    """

    def __init__(self, writes: GroupedCalls, intake: Intake, pool: Blocks) -> None:
        self._pool = pool
        self._budget = pool.budget
        self._batch = pool.budget.block
        self._writes = writes
        self._intake = intake
        self._chunks: list[Buffer] = []
        self._size = 0
        # Lent memory counts as the blocks that it is. Chunks count when they gather beyond this many bytes, so that
        # a small body costs a comparison.
        self._free = _UNCOUNTED
        # Bytes of the budget for the chunks that gather, and for those that are being written.
        self._charged = self._given_charge = 0
        self._writing: GroupedCall[None] | None = None
        # What that call was given, in case it is taken back before it begins.
        self._given: list[Buffer] = []
        # At most two: the last one gathers while the one before it is being written.
        self._blocks: list[memoryview] = []
        self._is_lent = False
        self._used = 0

    def room(self) -> memoryview:
        """Lend memory to a transport that reads into it, never empty; 64 KiB or more, unless the budget is small."""
        if not self._blocks:
            self._blocks.append(self._pool.take())
        self._is_lent = True
        return self._blocks[-1][self._used :]

    def add(self, data: Buffer, size: int) -> bool:
        """Take the next chunk; whether it is time to `flush`."""
        self._chunks.append(data)
        self._size += size
        if self._is_lent:
            # The transport filled what it was lent, from its start.
            self._is_lent = False
            self._used += size
            return self._used > self._batch - self._pool.least_room
        if self._size > self._free:
            self._charge()
        return self._size >= self._batch

    def _charge(self) -> None:
        """Count what gathers as a whole block, and what goes beyond it."""
        self._free = max(self._size, self._batch)
        self._budget.used += self._free - self._charged
        self._charged = self._free

    async def flush(self) -> None:
        """Hand the batch over, once the one before it is written; and wait for it, if there is no memory for another.

        Raises:
            DownloadError: The intake refused the batch before, or this one.
        """
        await self._settle()
        if len(self._blocks) > 1 and self._budget.used > self._budget.limit:
            # The block that was written goes to the claim of another body.
            self._pool.give_back([self._blocks.pop(0)])
        size = self._size
        await self._writes.room(size)
        # Only now, so that a cancellation up to here finds everything in its place.
        self._given = self._gathered()
        self._writing = self._writes.submit(self._intake.take_batch, self._given, key=self._intake, size=size)
        if not self._used:
            if not self._budget.has_room:
                await self._settle()
            return
        self._used = 0
        if len(self._blocks) > 1:
            self._blocks.reverse()
        elif self._budget.has_room:
            self._blocks.append(self._pool.take())
        else:
            await self._settle()

    async def run(self, finish: Callable[[list[Buffer], *Ts], None], *args: *Ts, alone: bool) -> None:
        """Call *finish* with the rest of the body, off the loop and behind everything before it.

        Args:
            finish: A method of the intake.
            args: Its further arguments.
            alone: Whether it can take long, so that others should not wait with it.

        Raises:
            DownloadError: The intake refused, this time or before.
        """
        await self._settle()
        size = self._size
        await self._writes.room(size)
        self._given = self._gathered()
        self._writing = self._writes.submit(
            finish, self._given, *args, key=self._intake, size=size, alone=alone
        )
        await self._settle()

    async def _settle(self) -> None:
        """Wait for the batch being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await writing.result()
            except BaseException:
                self._writing = writing
                raise
            if self._given_charge:
                self._given = []
                self._budget.used -= self._given_charge
                self._given_charge = 0

    def _gathered(self) -> list[Buffer]:
        """What has gathered since the last batch went over; from now on another one gathers."""
        chunks, self._chunks, self._size = self._chunks, [], 0
        if self._charged:
            self._given_charge += self._charged
            self._charged, self._free = 0, _UNCOUNTED
        return chunks

    def close(self) -> None:
        """The intake has ended: give the memory back."""
        if self._blocks:
            self._pool.give_back(self._blocks)
            self._blocks = []
        if self._charged or self._given_charge:
            self._budget.used -= self._charged + self._given_charge
            self._charged = self._given_charge = 0

    def __del__(self) -> None:
        # A body that nobody began to read was never closed. Its memory is not given to others, because a
        # transport may have it still.
        if self._blocks:
            self._budget.used -= len(self._blocks) * self._batch

    async def keep(self) -> None:
        """Wait until nothing is being written any more, and keep what came; a disk that refuses keeps less."""
        writing, given, chunks = self._writing, self._given, self._gathered()
        try:
            await self._stop()
        finally:
            await self._writes.submit(self._keep, writing, given, chunks, key=self._intake).settled()

    async def abandon(self) -> None:
        """Wait until nothing is being written any more, then remove what was."""
        try:
            await self._stop()
        finally:
            # This is the end of the attempt, so the sink is cleared even if the wait was cancelled.
            await self._writes.submit(self._intake.discard, key=self._intake).settled()

    async def _stop(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing.settled()

    def _keep(self, writing: GroupedCall[None] | None, given: list[Buffer], chunks: list[Buffer]) -> None:
        with contextlib.suppress(DownloadError):
            if writing is not None and writing.is_dropped:
                # It was taken back before it began, and behind it nothing may follow without it.
                self._intake.take_batch(given)
            elif writing is not None:
                # Behind bytes that could not be written no others may follow.
                writing.value()
            self._intake.take_batch(chunks)
