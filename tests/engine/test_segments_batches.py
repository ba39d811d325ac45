"""What a cancelled transfer keeps: bytes up to the first that is missing, and none that would stand in its place."""

from __future__ import annotations

import asyncio

from asyncflags._engine.batches import BATCH_BYTES, Batches, Blocks
from asyncflags._engine.intake import Intake
from asyncflags._storage.sinks import MemorySink
from asyncflags.bridges.grouped import GroupedCalls
from asyncflags.bridges.threads import ThreadBridge

from .waiting import Gate, until

BODY = b"".join(bytes([value]) * BATCH_BYTES for value in b"abcd")


async def test_behind_a_batch_that_was_taken_back_no_other_is_kept() -> None:
    gate = Gate()
    async with ThreadBridge(1) as bridge:
        writes = GroupedCalls(bridge)
        intake = Intake(MemorySink(), checksum=None, size=None, max_size=None)
        batches = Batches(writes, intake, Blocks())

        async def gather() -> None:
            for start in range(0, len(BODY), BATCH_BYTES):
                assert batches.add(BODY[start : start + BATCH_BYTES], BATCH_BYTES)
                await batches.flush()

        # The only thread is busy, so the first batch waits for it, and the second one for the first.
        holding = writes.submit(gate.hold, alone=True)
        task = asyncio.ensure_future(gather())
        await until(gate.arrived.is_set)
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        keeping = asyncio.ensure_future(batches.keep())
        await asyncio.sleep(0)
        gate.opened.set()
        await keeping
        await holding.settled()
        kept = b"".join(intake.sink.read_back())
        assert kept == BODY[: len(kept)]
        assert intake.written == len(kept)
        intake.discard()
        batches.close()
