"""Streams and memory: continued within a run; a stream never gets a byte twice, whatever becomes of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncflags import Request, errors
from asyncflags.testing import ChangingEntity, FaultyOrigin, Origin
from asyncflags.testing._faults.entities import ENTITY_SIZE, entity_body
from asyncflags.testing.faulty import FAULTS, Verdict, body_for, encoded_for

from .interrupted import eager, ranges_asked

BODY = hashlib.shake_128(b"body").digest(900_000)
SMALL = hashlib.shake_128(b"small").digest(5000)
CUT = 600_000

LARGE_SIZE = 1_500_000
"""Bytes of the larger entities of the misbehaving origin."""

FAULTY = sorted(
    path for path in FAULTS if path.startswith(("/range/", "/digest/")) and path != "/range/stall"
)


async def test_a_stream_is_continued_where_it_was_cut(origin: Origin) -> None:
    url, stream = origin.add("/file", BODY), io.BytesIO()
    origin.cut("/file", CUT, times=1)
    async with eager() as dl:
        result = await dl.download(url, stream)
    assert stream.getvalue() == BODY
    assert (result.size, result.attempts, result.path) == (len(BODY), 2, None)
    assert ranges_asked(origin.requests) == [None, f"bytes={CUT - 1024}-"]


async def test_memory_is_continued_where_it_was_cut(origin: Origin) -> None:
    url = origin.add("/file", BODY)
    origin.cut("/file", CUT, times=1)
    async with eager() as dl:
        result = await dl.fetch(url, checksum="sha256:" + hashlib.sha256(BODY).hexdigest())
    assert (result.content, result.attempts) == (BODY, 2)
    assert ranges_asked(origin.requests) == [None, f"bytes={CUT - 1024}-"]


async def test_a_stream_takes_a_byte_an_attempt(faulty: FaultyOrigin) -> None:
    stream = io.BytesIO()
    async with eager(retries=1) as dl:
        await dl.download(faulty.url + "/range/byte-by-byte", stream)
    assert stream.getvalue() == body_for("/range/byte-by-byte")


UNTELLABLE = {"/digest/resumed-spliced", "/range/chunked-206-longer-always", "/range/chunked-206-longer"}
"""What is wrong with these bytes shows behind them, when they have gone into the stream already."""


async def test_whatever_the_server_does_a_stream_gets_no_byte_twice(faulty: FaultyOrigin) -> None:
    async def promise(path: str) -> None:
        stream, url = io.BytesIO(), faulty.url + path
        try:
            await dl.download(url, stream)
        except errors.DownloadError:
            assert FAULTS[path].verdict is not Verdict.WHOLE
            assert path in UNTELLABLE or is_beginning(path, stream.getvalue())
            assert path not in UNTELLABLE or len(stream.getvalue()) <= ENTITY_SIZE + 100
        else:
            assert stream.getvalue() == encoded_for(path)

    async with eager(retries=2, timeout=None) as dl:
        ended = await asyncio.gather(*map(promise, FAULTY), return_exceptions=True)
    assert {path: error for path, error in zip(FAULTY, ended, strict=True) if error is not None} == {}


def is_beginning(path: str, data: bytes) -> bool:
    """Whether *data* is how some version of what is served at *path* begins."""
    versions = [encoded_for(path), *(entity_body(path, number) for number in range(1, 9))]
    versions += [entity_body(path, 1, size) for size in (300 * 1024, LARGE_SIZE)]
    return any(version.startswith(data) for version in versions)


FIRST, SECOND = b"a" * 900_000, b"b" * 900_000


@pytest.mark.parametrize("validators", ["strong", "weak", "date", "none"])
@pytest.mark.parametrize("if_range", ["honoured", "unmatched", "ignored"])
async def test_a_file_that_changed_ends_a_stream_and_not_its_bytes(
    validators: Any, if_range: Any, faulty: FaultyOrigin
) -> None:
    stream = io.BytesIO()
    faulty.script("/file", ChangingEntity([FIRST, SECOND], [CUT], validators=validators, if_range=if_range))
    async with eager() as dl:
        with pytest.raises(errors.DownloadError):
            await dl.download(faulty.url + "/file", stream)
    # Of what nothing proves, the last batch had not gone out yet.
    assert FIRST[:CUT].startswith(stream.getvalue())
    assert len(stream.getvalue()) > CUT - (1 << 19)


class Slow(io.BytesIO):
    """A stream that is still busy with its first bytes when the connection is cut behind the last."""

    def write(self, data: Any) -> int:
        if not self.tell():
            time.sleep(0.03)
        return super().write(data)


@pytest.mark.parametrize("validators", ["strong", "none"])
async def test_a_slow_stream_gets_no_byte_twice(validators: Any, faulty: FaultyOrigin) -> None:
    stream = Slow()
    faulty.script("/file", ChangingEntity([FIRST, SECOND], [400_000], validators=validators))
    async with eager() as dl:
        with pytest.raises(errors.DownloadError):
            await dl.download(faulty.url + "/file", stream)
    assert FIRST.startswith(stream.getvalue())


async def test_before_its_first_byte_a_stream_may_begin_anew(faulty: FaultyOrigin) -> None:
    stream = io.BytesIO()
    faulty.script("/file", ChangingEntity([FIRST, SECOND], [0], validators="none"))
    async with eager() as dl:
        await dl.download(faulty.url + "/file", stream)
    assert stream.getvalue() == SECOND


def cut_for_good(validators: Any) -> ChangingEntity:
    return ChangingEntity([FIRST], [CUT, *[0] * 20], validators=validators)


SOURCES: dict[str, Callable[[], tuple[ChangingEntity, ChangingEntity]]] = {
    "whole and wrong": lambda: (ChangingEntity([FIRST]), ChangingEntity([SECOND])),
    "cut for good": lambda: (cut_for_good("none"), ChangingEntity([SECOND])),
    "cut for good, and known": lambda: (cut_for_good("strong"), ChangingEntity([SECOND], validators="weak")),
    "cut for good, and the same tag": lambda: (cut_for_good("strong"), ChangingEntity([SECOND])),
}


@pytest.mark.parametrize("with_checksum", [True, False])
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_stream_that_has_bytes_of_one_source_is_not_given_another_s_on_top(
    kind: str, with_checksum: bool, faulty: FaultyOrigin
) -> None:
    for path, entity in zip(("/0", "/1"), SOURCES[kind](), strict=True):
        faulty.script(path, entity)
    checksum = "sha256:" + hashlib.sha256(SECOND).hexdigest() if with_checksum else None
    request = Request(faulty.url + "/0", mirrors=(faulty.url + "/1",), checksum=checksum)
    stream = io.BytesIO()
    async with eager(retries=1) as dl:
        if kind == "whole and wrong" and not with_checksum:
            await dl.download(request, stream)
        else:
            with pytest.raises(errors.DownloadError):
                await dl.download(request, stream)
    assert FIRST.startswith(stream.getvalue())


async def test_a_digest_that_only_the_part_tells_is_no_reason_to_fail_a_stream(faulty: FaultyOrigin) -> None:
    # What went into a stream cannot be read back, so a digest that comes too late proves nothing of it.
    stream = io.BytesIO()
    async with eager() as dl:
        await dl.download(faulty.url + "/digest/resumed-only-on-parts", stream)
    assert stream.getvalue() == body_for("/digest/resumed-only-on-parts")


async def test_a_checksum_of_a_stream_is_of_all_its_attempts(faulty: FaultyOrigin) -> None:
    faulty.script("/file", ChangingEntity([SMALL], [1000, 1500]))
    stream = io.BytesIO()
    async with eager() as dl:
        checksum = "sha256:" + hashlib.sha256(SMALL).hexdigest()
        assert (await dl.download(faulty.url + "/file", stream, checksum=checksum)).checksum == checksum
    assert stream.getvalue() == SMALL


async def test_a_cancelled_stream_gets_nothing_more(origin: Origin) -> None:
    url, stream = origin.add("/file", BODY), io.BytesIO()
    gate = origin.hold("/file", CUT)
    async with eager() as dl:
        running = asyncio.ensure_future(dl.download(url, stream))
        while not stream.getvalue():
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait((running,))
        size = len(stream.getvalue())
        gate.set()
        await asyncio.sleep(0.01)
    assert running.cancelled()
    assert BODY.startswith(stream.getvalue())
    assert len(stream.getvalue()) == size
