"""Megabytes to a process and back: what they travel in, what is left of them, and a loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncflags.bridges import Block, MappedFile, ProcessBridge
from asyncflags.errors import BridgeError, WorkerCrashed

SIXTEEN = 16 * 1024 * 1024
TICKS = 200

FUNCTIONS = """
import hashlib, json, os, pathlib, threading
from asyncflags.bridges import Block

def invert(payload):
    return type(payload.view.obj).__name__, Block(bytes(payload.view).translate(bytes(range(255, -1, -1))))

def hold(payload, pipe):
    with open(pipe, "w") as file:
        print(os.getpid(), file=file)
    threading.Event().wait()

def return_tail(size, mark):
    pathlib.Path(mark).touch()
    return Block(bytes(100_000)), bytes(size)

def summarize(text, pipe):
    pathlib.Path(pipe).read_bytes()
    found = json.loads(bytes(text.view) if hasattr(text, "view") else text)
    return len(found), sum(row["number"] for row in found)

class Opened:
    def __init__(self, size):
        self.filling = bytes(size)
    def __reduce__(self):
        return opened, (self.filling,)

class Spoiled(Opened):
    def __reduce__(self):
        return spoil, (self.filling,)

def spoil(filling):
    raise SystemExit(len(filling))

opened_in = []

def opened(filling):
    opened_in.append(threading.get_ident())
    return len(filling)
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "large_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "large_functions", raising=False)
    return importlib.import_module("large_functions")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


def slabs_of(process: str) -> list[str]:
    """The inodes of the shared memory that *process* holds; a map of one holds it a second time."""
    found = []
    for name in os.listdir(f"/proc/{process}/fd"):
        path = f"/proc/{process}/fd/{name}"
        if os.path.lexists(path) and "asyncflags-slab" in os.readlink(path):
            found.append(str(os.stat(path).st_ino))
    return sorted(found)


def named_memory() -> set[str]:
    """The shared memory with a name that this process has mapped; locks of the standard library are no data."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split("/dev/shm/")[1] for line in lines if "/dev/shm/" in line and "/sem." not in line}


async def ticks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def inverted(data: bytes) -> bytes:
    return data.translate(bytes(range(255, -1, -1)))


async def test_sixteen_megabytes_go_and_come_back_in_the_same_shared_memory_each_time(
    bridge: ProcessBridge, functions: Any
) -> None:
    data, used = random.Random(1).randbytes(SIXTEEN), set()
    worker = await bridge.run(os.getpid)
    before = named_memory()
    for _ in range(4):
        kind, returned = await bridge.run(functions.invert, Block(data))
        assert (kind, type(returned.view.obj).__name__) == ("mmap", "mmap")
        assert returned.view == inverted(data)
        del returned
        # The loop holds the result for as long as the step of the task takes that received it.
        await asyncio.sleep(0)
        used.add(tuple(slabs_of("self")))
    assert len(used) == 1
    assert len(next(iter(used))) == 2
    assert slabs_of(str(worker)) == slabs_of("self")
    assert named_memory() == before


async def test_sixteen_megabytes_by_path_are_read_from_the_file_and_not_from_a_message(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(SIXTEEN)
    (tmp_path / "data").write_bytes(data)
    kind, returned = await bridge.run(functions.invert, MappedFile(tmp_path / "data"))
    assert kind == "mmap"
    assert returned.view == inverted(data)
    # The one piece of memory is that of the result: nothing was needed for the way there.
    assert len(set(slabs_of("self"))) == 1


async def test_a_worker_killed_with_memory_in_hand_leaves_none_behind(
    bridge: ProcessBridge, functions: Any, pipe: Path
) -> None:
    await bridge.run(functions.invert, Block(bytes(SIXTEEN)))
    await asyncio.sleep(0)
    before = len(os.listdir("/proc/self/fd")), named_memory()
    for _ in range(3):
        call = asyncio.create_task(bridge.run(functions.hold, Block(bytes(SIXTEEN)), str(pipe)))
        worker = psutil.Process(int(await asyncio.to_thread(pipe.read_text)))
        assert slabs_of(str(worker.pid))
        worker.kill()
        with pytest.raises(WorkerCrashed, match="ended by SIGKILL"):
            await call
        await bridge.run(functions.invert, Block(bytes(SIXTEEN)))
        await asyncio.sleep(0)
        assert (len(os.listdir("/proc/self/fd")), named_memory()) == before


@pytest.mark.may_block("the worker must be killed before the loop has read its whole answer")
async def test_memory_that_came_with_an_answer_cut_short_is_given_back(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    worker = psutil.Process(await bridge.run(os.getpid))
    call = asyncio.create_task(bridge.run(functions.return_tail, SIXTEEN, str(mark)))
    await ticks(2)
    while not mark.exists() or worker.status() == psutil.STATUS_RUNNING:
        time.sleep(0.001)
    # It sleeps because the socket is full: the descriptor has arrived, and the rest never will.
    worker.kill()
    with pytest.raises(WorkerCrashed):
        await call
    assert slabs_of("self") == []


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {"number": number, "name": f"name of row {number}", "parts": [1, 2, 3]} for number in range(80_000)
    ]


def by_path(text: bytes, folder: Path) -> MappedFile:
    (folder / "rows.json").write_bytes(text)
    return MappedFile(folder / "rows.json")


@pytest.mark.parametrize(
    "wrap", [by_path, lambda text, _: Block(text), lambda text, _: text], ids=["path", "block", "pickle"]
)
async def test_five_megabytes_of_json_become_a_summary_while_the_loop_goes_on(
    bridge: ProcessBridge,
    functions: Any,
    rows: list[dict[str, Any]],
    wrap: Callable[[bytes, Path], object],
    pipe: Path,
    tmp_path: Path,
) -> None:
    text = json.dumps(rows).encode()
    assert len(text) > 5_000_000
    call = asyncio.create_task(bridge.run(functions.summarize, wrap(text, tmp_path), str(pipe)))
    gate = await asyncio.to_thread(open, pipe, "wb")
    # The worker is inside of the call now, and leaves it only after the loop has turned so often.
    await ticks(TICKS)
    assert not call.done()
    gate.close()
    turned = 0
    while not call.done():
        turned += 1
        await asyncio.sleep(0)
    assert await call == (len(rows), sum(row["number"] for row in rows))
    assert turned >= 10


async def test_a_large_result_is_unpickled_off_the_loop_and_a_small_one_on_it(
    bridge: ProcessBridge, functions: Any
) -> None:
    functions.opened_in.clear()
    assert await bridge.run(functions.Opened, 10) == 10
    assert await bridge.run(functions.Opened, 300_000) == 300_000
    small, large = functions.opened_in
    assert small == threading.get_ident() != large


async def test_a_large_result_that_does_not_unpickle_fails_its_call_alone(
    bridge: ProcessBridge, functions: Any
) -> None:
    worker = await bridge.run(os.getpid)
    with pytest.raises(BridgeError, match=r"The result of large_functions\.Spoiled could not be unpickled"):
        await bridge.run(functions.Spoiled, 300_000)
    assert await bridge.run(functions.Opened, 300_000) == 300_000
    assert await bridge.run(os.getpid) == worker


async def test_closing_waits_for_a_large_result_that_is_still_unpickled(functions: Any) -> None:
    bridge = ProcessBridge(1)
    calls = [bridge.submit(functions.Opened, 3_000_000) for _ in range(3)]
    await bridge.aclose()
    assert [call.result(0) for call in calls] == [3_000_000] * 3


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that have written into memory or a file at a position."""
    found: list[int] = []
    write = os.pwrite

    def noted(*args: Any) -> int:
        found.append(threading.get_ident())
        return write(*args)

    monkeypatch.setattr(os, "pwrite", noted)
    return found


async def test_megabytes_are_written_into_shared_memory_off_the_loop(
    bridge: ProcessBridge, functions: Any, writers: list[int]
) -> None:
    await bridge.run(functions.invert, Block(bytes(SIXTEEN)))
    assert writers
    assert threading.get_ident() not in writers
