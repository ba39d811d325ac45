"""What lies between the network and the disk: at most two batches of one body.

While one batch is written the next one gathers, and when that is full too the network has to wait. This
is all the memory that a body takes, whatever its size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVarTuple

from asyncflags.errors import DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags._types import Buffer
    from asyncflags.bridges.grouped import GroupedCall, GroupedCalls

Ts = TypeVarTuple("Ts")

__all__ = ["BATCH_BYTES", "Batches", "Blocks"]

BATCH_BYTES = 1 << 18
"""Bytes that go over in one call; a smaller body goes over whole, with its publication, and with others."""

_BLOCK_BYTES = 1 << 18
_LEAST_ROOM = 1 << 16
_MOST_SPARE = 64


class Blocks:
    """Memory for transports that read into it, kept between downloads; to make it anew costs its zeroing."""

    def __init__(self) -> None:
        self._spare: list[memoryview] = []

    def take(self) -> memoryview:
        """A block that nobody else has."""
        return self._spare.pop() if self._spare else memoryview(bytearray(_BLOCK_BYTES))

    def give_back(self, blocks: list[memoryview]) -> None:
        """Nothing uses *blocks* any more."""
        self._spare += blocks[: _MOST_SPARE - len(self._spare)]


class Batches:
    """Gathers the chunks of one body and hands them to its intake, off the loop.

    Args:
        writes: What the intake is called through; in the order of the calls.
        intake: Takes the batches, one at a time and in order.
        pool: Where the memory comes from that is lent to the transport.
    """

    def __init__(self, writes: GroupedCalls, intake: Intake, pool: Blocks) -> None:
        self._pool = pool
        self._writes = writes
        self._intake = intake
        self._chunks: list[Buffer] = []
        self._size = 0
        self._writing: GroupedCall[None] | None = None
        # What that call was given, in case it is taken back before it begins.
        self._given: list[Buffer] = []
        # At most two: the last one gathers while the one before it is being written.
        self._blocks: list[memoryview] = []
        self._is_lent = False
        self._used = 0

    def room(self) -> memoryview:
        """Lend memory to a transport that reads into it; at least 64 KiB."""
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
            return self._used > _BLOCK_BYTES - _LEAST_ROOM
        return self._size >= BATCH_BYTES

    async def flush(self) -> None:
        """Hand the batch over, once the one before it is written.

        Raises:
            DownloadError: The intake refused the batch before.
        """
        await self._settle()
        size = self._size
        await self._writes.room(size)
        # Only now, so that a cancellation up to here finds everything in its place.
        self._given = self._gathered()
        self._writing = self._writes.submit(self._intake.take_batch, self._given, key=self._intake, size=size)
        if self._used:
            self._used = 0
            if len(self._blocks) == 1:
                self._blocks.append(self._pool.take())
            else:
                self._blocks.reverse()

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

    def _gathered(self) -> list[Buffer]:
        """What has gathered since the last batch went over; from now on another one gathers."""
        chunks, self._chunks, self._size = self._chunks, [], 0
        return chunks

    def close(self) -> None:
        """The intake has ended: give the memory back."""
        self._pool.give_back(self._blocks)
        self._blocks = []

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
