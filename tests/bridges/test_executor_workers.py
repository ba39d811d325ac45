"""The workers of Windows, which run everywhere: a pool of one process a slot under the same contract."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncflags.bridges import ProcessBridge
from asyncflags.bridges._executor_workers import ExecutorWorker
from asyncflags.bridges._pool import Pool
from asyncflags.bridges._workers import Events
from asyncflags.bridges.payloads import Block
from asyncflags.errors import BridgeClosed, BridgeError, TaskTimeout, WorkerCrashed

# One call of C code that holds the interpreter's lock for minutes.
STUCK = range(4 * 10**10)


@pytest.fixture(autouse=True)
def _as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_worker(pool: Pool, events: Events) -> ExecutorWorker:
        return ExecutorWorker(pool._settings, events, pool.reap)

    monkeypatch.setattr(Pool, "make_worker", make_worker)


pytestmark = pytest.mark.may_leak(reason="the standard pool keeps its resource tracker")


async def test_calls_results_errors_and_blocks_cross() -> None:
    async with ProcessBridge(1) as bridge:
        worker = await bridge.run(os.getpid)
        assert worker != os.getpid()
        assert await bridge.run(len, Block(bytes(100_000))) == 100_000
        with pytest.raises(ValueError, match="invalid literal") as raised:
            await bridge.run(int, "no number")
        assert raised.value.__cause__ is not None
        with pytest.raises(BridgeError, match="An argument"):
            await bridge.run(id, threading.Lock())
        assert await bridge.run(os.getpid) == worker


async def test_a_crash_costs_its_call_alone_and_tells_the_exit_code() -> None:
    async with ProcessBridge(2) as bridge:
        outcomes = await asyncio.gather(
            bridge.run(abs, -1), bridge.run(os._exit, 3), bridge.run(abs, -2), return_exceptions=True
        )
        assert (outcomes[0], outcomes[2]) == (1, 2)
        crashed = outcomes[1]
        assert isinstance(crashed, WorkerCrashed)
        assert crashed.exitcode == 3


async def test_timeouts_and_cancelling_kill_the_worker_and_a_fresh_one_takes_its_place() -> None:
    async with ProcessBridge(1) as bridge:
        worker = await bridge.run(os.getpid)
        with pytest.raises(TaskTimeout):
            await bridge.with_options(timeout=0.02).run(sum, STUCK)
        second = await bridge.run(os.getpid)
        task = asyncio.create_task(bridge.run(sum, STUCK))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len({worker, second, await bridge.run(os.getpid)}) == 3
        assert bridge.stats().killed == 2


async def test_recycling_and_closing_with_a_grace() -> None:
    bridge = ProcessBridge(1, max_tasks=1)
    assert await bridge.run(os.getpid) != await bridge.run(os.getpid)
    task = asyncio.create_task(bridge.run(sum, STUCK))
    await asyncio.sleep(0)
    await bridge.aclose(grace=0.01)
    with pytest.raises(BridgeClosed):
        await task


async def test_an_initializer_that_fails_is_told() -> None:
    async with ProcessBridge(1, initializer=int, initargs=("no number",)) as bridge:
        with pytest.raises(BridgeError, match="initializer of the workers failed: .*ValueError"):
            await bridge.run(abs, -1)


def test_a_script_that_ends_is_not_held_up_by_a_stuck_worker(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("""
import time
from asyncflags.bridges import ProcessBridge
from asyncflags.bridges._executor_workers import ExecutorWorker
from asyncflags.bridges._pool import Pool

Pool.make_worker = lambda pool, events: ExecutorWorker(pool._settings, events, pool.reap)

if __name__ == "__main__":
    bridge = ProcessBridge(1)
    bridge.submit(abs, -1).result()
    bridge.submit(time.sleep, 3600)
    print("left")
""")
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ended.returncode, ended.stdout) == (0, "left\n"), ended.stderr


async def test_a_worker_that_was_seen_to_die_while_idle_costs_no_call() -> None:
    async with ProcessBridge(1) as bridge:
        worker = psutil.Process(await bridge.run(os.getpid))
        (slot,) = bridge._pool._roster.slots
        worker.kill()
        while not slot.worker._executor._broken:  # type: ignore[attr-defined]
            await asyncio.sleep(0.002)
        assert await bridge.run(os.getpid) != worker.pid


async def test_a_worker_killed_while_idle_costs_one_call_at_most() -> None:
    async with ProcessBridge(1) as bridge:
        worker = psutil.Process(await bridge.run(os.getpid))
        worker.kill()
        # At once: the pool has not noticed, and nobody can know whether the call was begun.
        with contextlib.suppress(WorkerCrashed):
            await bridge.run(os.getpid)
        assert await bridge.run(os.getpid) != worker.pid


async def test_workers_ignore_the_interrupt_of_the_terminal(functions: Any) -> None:
    async with ProcessBridge(1) as bridge:
        assert await bridge.run(functions.interrupt_handler)


def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("""
import os, time
from asyncflags.bridges import ProcessBridge
from asyncflags.bridges._executor_workers import ExecutorWorker
from asyncflags.bridges._pool import Pool

Pool.make_worker = lambda pool, events: ExecutorWorker(pool._settings, events, pool.reap)

if __name__ == "__main__":
    bridge = ProcessBridge(1)
    print(bridge.submit(os.getpid).result(), flush=True)
    bridge.submit(time.sleep, 3600)
    time.sleep(3600)
""")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        worker = psutil.Process(int(process.stdout.readline()))
        process.kill()
    # In a container without an init process that reaps them, the dead stay as zombies.
    deadline = time.monotonic() + 20
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_loop_closed_under_the_bridge_kills_its_worker_and_the_next_loop_gets_a_new_one() -> None:
    bridge = ProcessBridge(1)
    loop = asyncio.new_event_loop()
    worker = psutil.Process(loop.run_until_complete(bridge.run(os.getpid)))
    task = loop.create_task(bridge.run(sum, STUCK))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was destroyed with its loop, on purpose
    del task
    assert asyncio.run(bridge.run(os.getpid)) != worker.pid
    asyncio.run(bridge.aclose(grace=0))
    worker.wait(10)
