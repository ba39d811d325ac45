"""What lies between the network and the disk: at most two batches of one body.

While one batch is written the next one gathers, and when that is full too the network has to wait. This
is all the memory that a body takes, whatever its size.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from asyncflags.bridges._waiting import outcome, wait_settled

if TYPE_CHECKING:
    from asyncflags._engine.intake import Intake
    from asyncflags._types import Buffer
    from asyncflags.bridges.threads import ThreadBridge

__all__ = ["BATCH_BYTES", "Batches"]

BATCH_BYTES = 1 << 18
"""Bytes that go over in one call; a smaller body goes over whole, with its publication."""

_LENT_BYTES = 1 << 19
_LEAST_ROOM = 1 << 16


class Batches:
    """Gathers the chunks of one body and hands them to its intake on the disk bridge.

    Args:
        disk: The bridge that the intake is called on.
        intake: Takes the batches, one at a time and in order.
    """

    def __init__(self, disk: ThreadBridge, intake: Intake) -> None:
        self._disk = disk
        self._intake = intake
        self.flushed = False
        self._chunks: list[Buffer] = []
        self._size = 0
        self._writing: Future[None] | None = None
        # Memory to lend: one block gathers while the other is being written.
        self._blocks: list[memoryview] = []
        self._lent: memoryview | None = None
        self._used = 0

    def room(self) -> memoryview:
        """Lend memory to a transport that reads into it; at least 64 KiB."""
        if not self._blocks:
            self._blocks = [memoryview(bytearray(_LENT_BYTES)) for _ in range(2)]
        self._lent = self._blocks[0]
        return self._lent[self._used :]

    def add(self, data: Buffer, size: int) -> bool:
        """Take the next chunk; whether it is time to `flush`."""
        self._chunks.append(data)
        self._size += size
        if self._lent is not None:
            # The transport filled what it was lent, from its start.
            self._lent = None
            self._used += size
            return self._used > _LENT_BYTES - _LEAST_ROOM
        return self._size >= BATCH_BYTES

    async def flush(self) -> None:
        """Hand the batch over, once the one before it is written.

        Raises:
            DownloadError: The intake refused the batch before.
        """
        self.flushed = True
        chunks = await self.settle()
        self._writing = self._disk.submit(self._intake.take, chunks)

    async def settle(self) -> list[Buffer]:
        """Wait for the batch being written, and return what has gathered since."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await outcome(writing)
            except BaseException:
                self._writing = writing
                raise
        chunks, self._chunks, self._size = self._chunks, [], 0
        if self._used:
            self._blocks.reverse()
            self._used = 0
        return chunks

    async def abandon(self) -> None:
        """Wait until nothing is being written any more, then remove what was."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                await wait_settled(writing)
        finally:
            # This is the end of the attempt, so the sink is cleared even if the wait was cancelled.
            await wait_settled(self._disk.submit(self._intake.discard))
