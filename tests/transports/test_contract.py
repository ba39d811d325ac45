"""What every transport keeps: `asyncflags._transports.base`, held against each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing as closing

import pytest

from asyncflags.errors import ProtocolError, ReadError, TruncatedBody
from asyncflags.testing.faulty import FaultyOrigin

from .exchanges import SPARE, TRANSPORTS, Framing, Kind, Lender, Mocked, Networked, Script, read, resolve

FRAMINGS: tuple[Framing, ...] = ("length", "chunked", "close")
LARGE = [bytes([number]) * 100_000 for number in range(1, 6)]


@pytest.fixture(params=[*TRANSPORTS, "mock"])
async def kind(request: pytest.FixtureRequest, faulty: FaultyOrigin) -> AsyncIterator[Kind]:
    network = TRANSPORTS.get(request.param)
    running = Networked(faulty, network(resolve)) if network is not None else Mocked()
    yield running
    await running.aclose()


async def test_the_head_is_there_before_the_body(kind: Kind) -> None:
    stream = await kind.open(Script(chunks=(), end="stall", status=203))
    assert (stream.status, stream.http_version) == (203, (1, 1))
    await stream.aclose()


async def test_fields_keep_their_order_and_repetitions(kind: Kind) -> None:
    fields = [("X-B", "1"), ("X-A", "2"), ("x-b", "3"), ("X-Empty", "")]
    stream = await kind.open(Script(headers=fields))
    assert [*stream.headers][:4] == fields
    await stream.aclose()


async def test_a_field_is_found_in_any_case_and_the_first_one_counts(kind: Kind) -> None:
    stream = await kind.open(Script(headers=[("X-Flag", "one"), ("x-flag", "two")]))
    assert stream.header("x-FLAG") == "one"
    assert stream.header("X-Other") is None
    await stream.aclose()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("chunks", [(), (b"flag",), (b"f", b"l", b"ag"), tuple(LARGE)])
async def test_the_body_comes_whole_and_its_end_is_empty_again_and_again(
    chunks: tuple[bytes, ...], framing: Framing, kind: Kind
) -> None:
    stream, room = await kind.open(Script(chunks=chunks, framing=framing)), Lender()
    assert await read(stream, room) == b"".join(chunks)
    assert bytes(await stream.receive(room)) == b""
    assert bytes(await stream.receive(room)) == b""
    await stream.aclose()


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_content_has_an_empty_body(status: int, kind: Kind) -> None:
    stream = await kind.open(Script(status=status, chunks=(), framing="close"))
    assert await read(stream) == b""
    await stream.aclose()


async def test_a_cut_body_tells_what_was_announced_and_what_came(kind: Kind) -> None:
    stream = await kind.open(Script(chunks=[b"x" * 70], end="cut"))
    with pytest.raises(TruncatedBody) as caught:
        await read(stream)
    assert (caught.value.expected, caught.value.received) == (70 + SPARE, 70)
    await stream.aclose()


async def test_a_chunked_body_without_its_last_chunk_is_cut(kind: Kind) -> None:
    stream = await kind.open(Script(chunks=[b"x" * 70], framing="chunked", end="cut"))
    with pytest.raises(TruncatedBody) as caught:
        await read(stream)
    assert (caught.value.expected, caught.value.received) == (None, 70)
    await stream.aclose()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_broken_connection_is_never_the_end_of_a_body(framing: Framing, kind: Kind) -> None:
    # The error may be there as soon as the head is, if all of it came at once.
    with pytest.raises(ReadError):
        async with closing(
            await kind.open(Script(chunks=[b"x" * 70], framing=framing, end="reset"))
        ) as stream:
            await read(stream)


async def test_a_malformed_chunk_is_an_error_and_no_wait_for_ever(kind: Kind) -> None:
    script = Script(chunks=[b"x" * 70], framing="chunked", end="malformed")
    with pytest.raises(ProtocolError):
        async with closing(await kind.open(script)) as stream:
            await read(stream)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_body_can_be_left_in_the_middle_and_twice(framing: Framing, kind: Kind) -> None:
    stream = await kind.open(Script(chunks=LARGE, framing=framing))
    assert await stream.receive(Lender())
    await stream.aclose()
    await stream.aclose()


async def test_a_body_left_in_the_middle_does_not_answer_the_next_request(kind: Kind) -> None:
    stream = await kind.open(Script(chunks=LARGE))
    await stream.aclose()
    stream = await kind.open(Script(chunks=[b"the next"]))
    assert await read(stream) == b"the next"
    await stream.aclose()


async def test_what_came_is_not_touched_until_room_is_asked_for_again(kind: Kind) -> None:
    stream, room = await kind.open(Script(chunks=LARGE)), Lender()
    received = []
    while data := await stream.receive(room):
        received.append((data, bytes(data)))
    assert all(bytes(data) == copy for data, copy in received)
    await stream.aclose()


async def test_waiting_for_bytes_can_be_cancelled(kind: Kind) -> None:
    stream, room = await kind.open(Script(end="stall")), Lender()
    assert bytes(await stream.receive(room)) == b"flag"
    waiting = asyncio.ensure_future(stream.receive(room))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stream.aclose()


async def test_a_closed_transport_can_be_closed_again(kind: Kind) -> None:
    await kind.transport.aclose()
    await kind.transport.aclose()


async def test_lent_room_is_filled_from_its_start_and_no_further_than_it_reaches() -> None:
    stream, room = await Mocked().open(Script(chunks=LARGE)), Lender(1000)
    while data := await stream.receive(room):
        assert isinstance(data, memoryview)
        assert len(data) <= 1000
        assert data.obj is room.lent[-1].obj
        assert room.lent[-1][: len(data)] == data
    assert len(room.lent) == 500
