"""Memory of bodies on their way to the disk: bounded over all of them, and no body ever waits for another."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags._engine.batches import Batches, Blocks
from asyncflags._engine.budget import LARGEST_BLOCK, SMALLEST_BLOCK, Budget
from asyncflags._engine.intake import Intake
from asyncflags._storage.sinks import MemorySink
from asyncflags.bridges.grouped import GroupedCalls
from asyncflags.bridges.threads import ThreadBridge

from .waiting import Gate, until

BLOCK = SMALLEST_BLOCK
MOST_A_PIECE = 40_000


@dataclass(frozen=True)
class Body:
    """A body that comes in pieces; some transports fill memory that they are lent, others bring their own."""

    pieces: tuple[int, ...]
    is_lent: bool
    cancelled_at: int | None


class Trial:
    """Bodies under one budget."""

    def __init__(self, limit: int, holders: int, bridge: ThreadBridge) -> None:
        self.budget = Budget(limit, holders=holders)
        self.blocks = Blocks(self.budget)
        self.writes = GroupedCalls(bridge)
        self.most = 0

    def batches(self) -> tuple[Intake, Batches]:
        intake = Intake(MemorySink(), checksum=None, size=None, max_size=None)
        return intake, Batches(self.writes, intake, self.blocks)

    async def receive(self, body: Body) -> int:
        """Take a whole body as a transfer does; the bytes that arrived."""
        intake, batches = self.batches()
        try:
            for data in self.pieces(body, batches):
                is_time = batches.add(data, len(data))
                self.most = max(self.most, self.budget.used)
                if is_time:
                    await batches.flush()
                    self.most = max(self.most, self.budget.used)
                await asyncio.sleep(0)
            await batches.run(intake.complete, alone=False)
        except BaseException:
            await batches.keep()
            raise
        finally:
            batches.close()
        return intake.written

    @staticmethod
    def pieces(body: Body, batches: Batches) -> Iterator[bytes | memoryview]:
        for size in body.pieces:
            if not body.is_lent:
                yield bytes(size)
                continue
            while size:
                room = batches.room()
                assert len(room) > 0
                filled = min(size, len(room))
                size -= filled
                yield room[:filled]


BODIES = st.lists(
    st.builds(
        Body,
        st.lists(st.integers(1, MOST_A_PIECE), max_size=12).map(tuple),
        st.booleans(),
        st.none() | st.integers(0, 30),
    ),
    min_size=1,
    max_size=8,
)


async def run_all(bodies: list[Body], limit: int) -> None:
    async with ThreadBridge(2) as bridge:
        trial = Trial(limit, 8, bridge)
        tasks = [asyncio.ensure_future(trial.receive(body)) for body in bodies]
        for turn in range(31):
            for task, body in zip(tasks, bodies, strict=True):
                if body.cancelled_at == turn:
                    task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=10)
        assert all(task.done() for task in tasks)
        for task, body in zip(tasks, bodies, strict=True):
            assert task.cancelled() or task.result() == sum(body.pieces)
        claims = len(bodies) * (trial.budget.block + MOST_A_PIECE)
        assert trial.most <= limit + claims
        if limit < BLOCK:
            assert trial.most <= claims
        assert trial.budget.used == 0


@settings(max_examples=60, deadline=None)
@given(bodies=BODIES, limit=st.sampled_from([1, BLOCK, 3 * BLOCK, 10 * BLOCK, 1 << 22]))
def test_the_bodies_in_memory_never_pass_the_budget_by_more_than_one_block_each_and_all_end(
    bodies: list[Body], limit: int
) -> None:
    asyncio.run(run_all(bodies, limit))


@pytest.mark.parametrize("is_lent", [True, False])
@pytest.mark.parametrize(("limit", "held"), [(1 << 20, 2), (1, 1)])
async def test_the_network_goes_on_while_a_batch_is_written_only_where_there_is_memory_for_another(
    is_lent: bool, limit: int, held: int
) -> None:
    gate = Gate()
    async with ThreadBridge(1) as bridge:
        trial = Trial(limit, 64, bridge)
        holding = trial.writes.submit(gate.hold, alone=True)
        body = Body((BLOCK,) * 5, is_lent, None)
        task = asyncio.ensure_future(trial.receive(body))
        try:
            await until(gate.arrived.is_set)
            for _ in range(20):
                await asyncio.sleep(0)
            assert trial.budget.used == held * trial.budget.block
        finally:
            gate.opened.set()
        assert await task == sum(body.pieces)
        await holding.settled()
        assert trial.budget.used == 0


async def test_a_block_that_others_have_a_claim_to_is_given_back() -> None:
    async with ThreadBridge(1) as bridge:
        trial = Trial(2 * BLOCK, 64, bridge)
        intake, batches = trial.batches()
        others = []
        for _ in range(3):
            room = batches.room()
            assert batches.add(room, len(room))
            await batches.flush()
            # Others come, and what they claim is more than the budget holds.
            others.append(trial.blocks.take())
        assert trial.budget.used == (3 + 1) * BLOCK
        await batches.run(intake.complete, alone=False)
        batches.close()
        trial.blocks.give_back(others)
        assert trial.budget.used == 0
        assert intake.written == 3 * BLOCK


async def test_a_small_body_is_not_counted_and_a_larger_one_is_as_a_block() -> None:
    async with ThreadBridge(1) as bridge:
        trial = Trial(1 << 30, 64, bridge)
        intake, batches = trial.batches()
        assert not batches.add(bytes(SMALLEST_BLOCK // 2), SMALLEST_BLOCK // 2)
        assert trial.budget.used == 0
        assert not batches.add(b"flag", 4)
        assert trial.budget.used == LARGEST_BLOCK
        await batches.run(intake.complete, alone=False)
        batches.close()
        batches.close()
        assert trial.budget.used == 0


async def test_a_body_that_nobody_ever_read_leaves_no_claim_behind() -> None:
    async with ThreadBridge(1) as bridge:
        trial = Trial(1 << 30, 64, bridge)
        _, batches = trial.batches()
        batches.room()
        assert trial.budget.used == LARGEST_BLOCK
        del batches
        gc.collect()
        assert trial.budget.used == 0


@given(limit=st.integers(1, 1 << 34), holders=st.integers(1, 1 << 16))
def test_the_claims_of_all_stay_within_half_of_the_budget_where_blocks_can_be_that_small(
    limit: int, holders: int
) -> None:
    block = Budget(limit, holders=holders).block
    assert SMALLEST_BLOCK <= block <= LARGEST_BLOCK
    assert block & (block - 1) == 0
    assert block == SMALLEST_BLOCK or block * holders <= limit // 2


def test_the_usual_downloads_have_the_largest_blocks() -> None:
    assert Budget().block == LARGEST_BLOCK


@pytest.mark.parametrize(("limit", "holders"), [(0, 1), (1, 0)])
def test_a_budget_of_nothing_is_refused(limit: int, holders: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Budget(limit, holders=holders)
