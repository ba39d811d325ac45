"""Files and large bytes on their way to a process and back."""

from __future__ import annotations

import array
import asyncio
import importlib
import os
import pickle
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from asyncflags.bridges import ProcessBridge
from asyncflags.bridges._frames import HEADER, INLINE, RESULT, Frame, FrameReader, head, pack, unpack
from asyncflags.bridges.payloads import Block, MappedFile
from asyncflags.errors import TaskTimeout

LARGE = 3 * 1024 * 1024

FUNCTIONS = """
import hashlib, os, pickle
from asyncflags.bridges.payloads import Block, MappedFile

def digest(payload): return hashlib.sha256(payload.view).hexdigest()
def kind(payload): return type(payload.view).__name__, payload.view.readonly, payload.view.obj.__class__.__name__
def produce(size, byte=b"x"): return Block(byte * size)
def produce_many(sizes): return {size: Block(b"x" * size) for size in sizes}
def echo(payload): return payload
def burn(payload): sum(range(4 * 10**10))
class Other:
    def __init__(self, data):
        self.data = data
    def __reduce_ex__(self, protocol):
        return Other, (pickle.PickleBuffer(self.data),)
def other_kind(other): return type(memoryview(other.data).obj).__name__
def slabs():
    found = 0
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}"):
            found += "asyncflags-slab" in os.readlink(f"/proc/self/fd/{name}")
    return found
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "payload_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "payload_functions", raising=False)
    return importlib.import_module("payload_functions")


@pytest.fixture
async def bridge() -> AsyncIterator[ProcessBridge]:
    async with ProcessBridge(1) as bridge:
        yield bridge


def slabs_open() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += "asyncflags-slab" in os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # That of the listing itself.
    return found


def slab_sizes() -> list[int]:
    paths = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return [
        os.stat(path).st_size
        for path in paths
        if os.path.lexists(path) and "asyncflags-slab" in os.readlink(path)
    ]


async def test_a_file_is_mapped_by_the_worker_and_not_copied(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(LARGE))
    payload = MappedFile(path)
    assert await bridge.run(functions.digest, payload) == functions.digest(payload)
    assert await bridge.run(functions.kind, payload) == ("memoryview", True, "mmap")
    assert len(pack(payload)[0]) < 200


async def test_an_empty_file_is_an_empty_view(bridge: ProcessBridge, functions: Any, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert await bridge.run(functions.digest, MappedFile(path)) == functions.digest(Block(b""))


async def test_a_missing_file_is_an_error_of_the_call(
    bridge: ProcessBridge, functions: Any, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await bridge.run(functions.digest, MappedFile(tmp_path / "missing"))


def test_a_relative_path_is_fixed_when_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    payload = MappedFile("file")
    monkeypatch.chdir("/")
    with payload:
        assert (bytes(payload), len(payload)) == (b"content", 7)
    assert bytes(pickle.loads(pickle.dumps(payload)).view) == b"content"


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, LARGE])
async def test_a_block_arrives_and_comes_back_whole(bridge: ProcessBridge, functions: Any, size: int) -> None:
    data = os.urandom(size)
    assert await bridge.run(functions.digest, Block(data)) == functions.digest(Block(data))
    returned = await bridge.run(functions.echo, Block(data))
    assert returned.view == data
    assert returned.view.readonly


async def test_up_to_64_kib_travel_inside_the_message_and_more_in_shared_memory(
    bridge: ProcessBridge, functions: Any
) -> None:
    assert INLINE == 64 * 1024
    assert (await bridge.run(functions.kind, Block(bytes(INLINE))))[2] == "bytes"
    assert (await bridge.run(functions.kind, Block(bytes(INLINE + 1))))[2] == "mmap"
    assert slabs_open() == 1
    assert type((await bridge.run(functions.produce, INLINE)).view.obj) is bytes
    assert type((await bridge.run(functions.produce, INLINE + 1)).view.obj).__name__ == "mmap"


async def test_blocks_travel_anywhere_inside_an_argument_or_a_result(
    bridge: ProcessBridge, functions: Any
) -> None:
    blocks = await bridge.run(functions.produce_many, [10, INLINE + 1, 2 * INLINE])
    assert {size: bytes(block) for size, block in blocks.items()} == {
        size: b"x" * size for size in (10, INLINE + 1, 2 * INLINE)
    }
    returned = await bridge.run(functions.echo, [Block(b"a" * LARGE), {"b": Block(b"b" * 70_000)}])
    assert (returned[0].view[:3], returned[1]["b"].view[-3:]) == (b"aaa", b"bbb")


async def test_buffers_of_other_classes_are_copied_because_whoever_gets_them_may_keep_them(
    bridge: ProcessBridge, functions: Any
) -> None:
    assert await bridge.run(functions.other_kind, functions.Other(bytes(LARGE))) == "bytes"
    kept = await bridge.run(functions.echo, functions.Other(b"a" * LARGE))
    assert functions.other_kind(kept) == "bytes"
    assert slabs_open() == 0


async def test_the_same_memory_is_used_again_in_both_directions(
    bridge: ProcessBridge, functions: Any
) -> None:
    for _ in range(5):
        returned = await bridge.run(functions.echo, Block(bytes(LARGE)))
        del returned
        # The loop holds the result for as long as the step of the task takes that received it.
        await asyncio.sleep(0)
    assert await bridge.run(functions.slabs) == 2
    assert slabs_open() == 2


async def test_a_result_stays_as_it_is_for_as_long_as_a_slice_of_it_is_held(
    bridge: ProcessBridge, functions: Any
) -> None:
    kept = [(await bridge.run(functions.produce, LARGE, letter)).view[5:9] for letter in (b"a", b"b", b"c")]
    await bridge.run(functions.produce, LARGE, b"d")
    assert kept == [b"aaaa", b"bbbb", b"cccc"]


async def test_results_outlive_their_worker_and_the_bridge(functions: Any) -> None:
    async with ProcessBridge(1) as bridge:
        kept = await bridge.run(functions.produce, LARGE, b"a")
        with pytest.raises(TaskTimeout):
            await bridge.with_options(timeout=0.01).run(functions.burn, 1)
    assert slabs_open() <= 1  # the map of the result holds one
    assert bytes(kept) == b"a" * LARGE
    del kept
    assert slabs_open() == 0


async def test_nothing_leaks_when_workers_are_killed_with_memory_in_hand(functions: Any) -> None:
    async with ProcessBridge(1) as bridge:
        for _ in range(3):
            with pytest.raises(TaskTimeout):
                await bridge.with_options(timeout=0.03).run(functions.burn, Block(bytes(LARGE)))
        assert await bridge.run(abs, -1) == 1
        assert slabs_open() == 0


async def test_memory_that_grew_too_large_is_not_kept(
    bridge: ProcessBridge, functions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflags.bridges._slabs.LARGEST_KEPT", LARGE)
    data = bytes(LARGE + 1)
    returned = await bridge.run(functions.echo, Block(data))
    del returned
    await asyncio.sleep(0)
    await bridge.run(functions.digest, Block(bytes(INLINE + 1)))
    assert slabs_open() == 1
    assert slab_sizes() == [INLINE + 1]
    assert await bridge.run(functions.slabs) == 1


async def test_many_results_held_at_once_are_given_back(bridge: ProcessBridge, functions: Any) -> None:
    held = [await bridge.run(functions.produce, LARGE) for _ in range(5)]
    assert len({id(block.view.obj) for block in held}) == 5
    held.clear()
    await asyncio.sleep(0)
    await bridge.run(abs, -1)
    assert slabs_open() == 2
    assert await bridge.run(functions.slabs) == 2


async def test_concurrent_blocks_do_not_mix(functions: Any) -> None:
    async with ProcessBridge(2) as bridge:
        data = [bytes([number]) * (LARGE + number) for number in range(8)]
        returned = await asyncio.gather(*(bridge.run(functions.echo, Block(item)) for item in data))
        assert [bytes(block) for block in returned] == data


def test_blocks_travel_from_a_script_too(functions: Any) -> None:
    with ProcessBridge(1) as bridge:
        assert bytes(bridge.submit(functions.echo, Block(b"x" * LARGE)).result(20)) == b"x" * LARGE


def test_a_block_takes_any_contiguous_bytes_and_refuses_others() -> None:
    assert bytes(Block(array.array("i", [1, 2]))) == array.array("i", [1, 2]).tobytes()  # type: ignore[arg-type]
    assert bytes(Block(bytearray(b"abc"))) == b"abc"
    with pytest.raises(TypeError, match=r"contiguous bytes.*Block\(bytes\(data\)\)"):
        Block(memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_block_pickled_by_anything_else_is_a_copy(protocol: int) -> None:
    assert bytes(pickle.loads(pickle.dumps(Block(b"x" * 100_000), protocol))) == b"x" * 100_000


@given(strategies.lists(strategies.binary(max_size=200), max_size=5), strategies.data())
def test_frames_are_put_together_however_they_are_cut(
    notes: list[bytes], data: strategies.DataObject
) -> None:
    reader = FrameReader()
    for body in notes:
        stream = head(RESULT, body or None, len(body)) + body
        frame: Frame | None = None
        while stream:
            cut = data.draw(strategies.integers(1, len(stream)))
            assert frame is None
            if (room := reader.room) is not None:
                cut = min(cut, len(room))
                room[:cut] = stream[:cut]
                frame = reader.received(cut)
            else:
                frame = reader.feed(stream[:cut], None)
            stream = stream[cut:]
        assert frame is not None
        assert (frame.kind, frame.note, bytes(frame.body)) == (RESULT, body or None, body)
    assert HEADER.size == 16


@given(
    strategies.recursive(
        strategies.integers() | strategies.text() | strategies.binary(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    )
)
def test_what_is_packed_is_what_is_unpacked(value: Any) -> None:
    body, blocks = pack(value)
    assert unpack(body, blocks) == value
