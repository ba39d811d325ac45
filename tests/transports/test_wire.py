"""The fast lane beyond the contract: connections kept and given up, bodies without copies, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncflags import errors
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.wire import WireTransport
from asyncflags.testing.faulty import FaultyOrigin, FaultyRequest, body_for

from .exchanges import Lender, failure, fetch, read, resolve

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[WireTransport]:
    running = WireTransport(resolve)
    yield running
    await running.aclose()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def idle(transport: WireTransport) -> int:
    return len(transport._pool._order)


# Strictness at the seam.


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        HEAD + b"X: a\r\n b\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"Content-Length : 1\r\n\r\nx",
        HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"X: \x00\r\nContent-Length: 1\r\n\r\nx",
        HEAD + b"X: " + b"y" * 66_000 + b"\r\n\r\n",
        HEAD + b"X: " + b"y" * 66_000,
        HEAD + b"X: y\r\n" * 257 + b"Content-Length: 1\r\n\r\nx",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 33,
        b"\r\n" + HEAD + b"Content-Length: 1\r\n\r\nx",
    ],
    ids=range(11),
)
async def test_an_answer_that_is_not_valid_is_refused_and_its_connection_closed(
    raw: bytes, transport: WireTransport, faulty: FaultyOrigin
) -> None:
    faulty.raw("/bad", raw, then="stall")
    error = await failure(transport, faulty.url + "/bad")
    assert type(error) is errors.ProtocolError
    assert error.url == faulty.url + "/bad"
    await until(lambda: not faulty.open_connections)


async def test_interim_answers_are_passed_over_wherever_they_are_cut(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    raw = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 2 + HEAD + b"Content-Length: 4\r\n\r\nflag"
    for cut in range(0, len(raw), 7):
        faulty.raw("/cut", raw[:cut], raw[cut:], then="keep")
        assert await fetch(transport, faulty.url + "/cut") == b"flag"
    assert faulty.connections == 1


async def test_a_head_that_comes_byte_by_byte_is_read(transport: WireTransport, faulty: FaultyOrigin) -> None:
    raw = HEAD + b"Transfer-Encoding: chunked\r\nX: y\r\n\r\n4;a=b\r\nflag\r\n0\r\nT: u\r\n\r\n"
    faulty.raw("/slow", *(raw[at : at + 1] for at in range(len(raw))), then="keep")
    assert await fetch(transport, faulty.url + "/slow") == b"flag"
    assert idle(transport) == 1


async def test_an_answer_before_the_request_is_refused() -> None:
    def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 4\r\n\r\nevil")
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    transport = WireTransport(resolve)
    connection = await transport._connect(
        transport._origin(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), 5.0
    )
    await until(lambda: connection.transport is None)
    outcome = await connection.ask(b"GET / HTTP/1.1\r\n\r\n", "http://flags.test/")
    assert type(outcome) is errors.ProtocolError
    assert "before it is asked" in outcome.message
    await transport.aclose()
    server.close()
    await server.wait_closed()


async def test_a_proxy_is_refused(transport: WireTransport) -> None:
    error = await failure(transport, "http://flags.test/", proxy="http://127.0.0.1:1")
    assert type(error) is errors.ConnectError
    assert "proxies" in error.message


@pytest.mark.parametrize(
    "url",
    ["ftp://flags.test/", "http:///x", "http://flags.test?x/", "http://a:b@flags.test/", "http://[::1/", ""],
)
async def test_a_url_that_is_not_ready_is_refused(url: str, transport: WireTransport) -> None:
    assert type(await failure(transport, url)) is errors.InvalidUrl


# Connections that are kept.


async def test_the_connection_used_last_is_used_first(transport: WireTransport, faulty: FaultyOrigin) -> None:
    await asyncio.gather(*(fetch(transport, faulty.url + "/ok") for _ in range(3)))
    assert (faulty.connections, idle(transport)) == (3, 3)
    used = []
    for _ in range(3):
        await fetch(transport, faulty.url + "/ok")
        used.append(faulty.requests[-1].connection)
    assert len(set(used)) == 1


async def test_connections_of_one_origin_serve_no_other(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    await fetch(transport, faulty.url + "/ok")
    await fetch(transport, faulty.other_url + "/ok")
    await fetch(transport, faulty.url.replace("127.0.0.1", "flags.test") + "/ok")
    assert (faulty.connections, idle(transport)) == (3, 3)


async def test_no_more_connections_are_kept_than_allowed(faulty: FaultyOrigin) -> None:
    transport = WireTransport(resolve, max_idle=2)
    await asyncio.gather(*(fetch(transport, faulty.url + "/ok") for _ in range(5)))
    assert idle(transport) == 2
    await until(lambda: faulty.open_connections == 2)
    await transport.aclose()


async def test_a_connection_that_was_idle_for_too_long_is_closed(faulty: FaultyOrigin) -> None:
    transport = WireTransport(resolve, idle_seconds=0.01)
    await fetch(transport, faulty.url + "/ok")
    await until(lambda: not faulty.open_connections)
    assert idle(transport) == 0
    await transport.aclose()


async def test_a_connection_that_the_server_closes_is_dropped(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    faulty.raw("/last", HEAD + b"Content-Length: 4\r\n\r\nflag", then="close")
    assert await fetch(transport, faulty.url + "/last") == b"flag"
    await until(lambda: not idle(transport))
    assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_request_that_met_a_closed_connection_is_sent_again_once(
    ending: Any, transport: WireTransport, faulty: FaultyOrigin
) -> None:
    await fetch(transport, faulty.url + "/ok")
    seen: list[FaultyRequest] = []

    async def script(reader: Any, writer: asyncio.StreamWriter, request: FaultyRequest) -> None:
        seen.append(request)
        if request.turn > 1:
            writer.transport.abort() if ending == "reset" else writer.close()
        else:
            writer.write(HEAD + b"Content-Length: 4\r\n\r\nflag")

    faulty.script("/again", script)
    assert await fetch(transport, faulty.url + "/again") == b"flag"
    assert [request.turn for request in seen] == [2, 1]


async def test_a_request_is_not_sent_again_on_a_connection_that_was_new(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    assert type(await failure(transport, faulty.url + "/empty-reply")) is errors.ReadError
    assert len(faulty.requests) == 1


async def test_a_request_is_not_sent_again_once_a_byte_of_an_answer_came(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    await fetch(transport, faulty.url + "/ok")
    faulty.raw("/half", b"HTTP/1.1 2", then="close")
    assert type(await failure(transport, faulty.url + "/half")) is errors.ReadError
    assert len(faulty.requests) == 2


async def test_bytes_on_an_idle_connection_end_it(transport: WireTransport, faulty: FaultyOrigin) -> None:
    go = asyncio.Event()

    async def script(reader: Any, writer: asyncio.StreamWriter, request: FaultyRequest) -> None:
        writer.write(HEAD + b"Content-Length: 4\r\n\r\nflag")
        await go.wait()
        writer.write(HEAD + b"Content-Length: 4\r\n\r\nevil")

    faulty.script("/late", script)
    assert await fetch(transport, faulty.url + "/late") == b"flag"
    assert idle(transport) == 1
    go.set()
    await until(lambda: not idle(transport))
    assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")


@pytest.mark.parametrize("room", [999, 1000, 1001, 100_000])
@pytest.mark.parametrize("surplus", [b"", HEAD + b"Content-Length: 0\r\n\r\n"])
async def test_surplus_is_seen_with_room_of_any_size(
    room: int, surplus: bytes, transport: WireTransport, faulty: FaultyOrigin
) -> None:
    body = bytes(1000)
    faulty.raw("/sized", HEAD + b"Content-Length: 1000\r\n\r\n", body + surplus, then="keep")
    stream = await transport.open(ExchangeRequest(faulty.url + "/sized"))
    assert await read(stream, Lender(room)) == body
    await stream.aclose()
    assert idle(transport) == (0 if surplus else 1)


# Bodies.


async def test_a_large_body_lies_in_the_memory_that_was_lent(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    body = bytes(range(256)) * 8192
    faulty.raw("/large", HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body, then="keep")
    stream, room = await transport.open(ExchangeRequest(faulty.url + "/large")), Lender(1 << 18)
    received, direct = [], 0
    while data := await stream.receive(room):
        if isinstance(data, memoryview):
            assert data.obj is room.lent[-1].obj
            direct += len(data)
        received.append(bytes(data))
    assert b"".join(received) == body
    assert direct >= len(body) - (1 << 19)
    await stream.aclose()
    assert idle(transport) == 1


async def test_the_rest_of_a_large_chunk_lies_in_the_memory_that_was_lent(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    body = bytes(range(256)) * 8192
    raw = b"%x\r\n%s\r\n5\r\nsmall\r\n0\r\n\r\n" % (len(body), body)
    faulty.raw("/large", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", raw, then="keep")
    stream, room = await transport.open(ExchangeRequest(faulty.url + "/large")), Lender(1 << 18)
    assert await read(stream, room) == body + b"small"
    assert room.lent
    await stream.aclose()
    assert idle(transport) == 1


async def test_a_small_body_asks_for_no_room(transport: WireTransport, faulty: FaultyOrigin) -> None:
    stream, room = await transport.open(ExchangeRequest(faulty.url + "/ok")), Lender()
    assert await read(stream, room) == body_for("/ok")
    assert room.lent == []


async def test_a_server_is_held_back_while_nobody_reads(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    stream = await transport.open(ExchangeRequest(faulty.url + "/endless-body-close"))
    connection = next(iter(transport._pool._open))
    await until(lambda: connection._is_paused)
    kept = len(stream._pending)  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)
    assert len(stream._pending) == kept <= (256 + 64 + 64) * 1024  # type: ignore[attr-defined]
    assert await stream.receive(Lender())
    await stream.aclose()


async def test_tiny_chunks_come_whole_and_leave_the_loop_its_turns(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    body = bytes(range(256)) * 100
    raw = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    faulty.raw("/tiny", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + raw, then="close")
    stream = await transport.open(ExchangeRequest(faulty.url + "/tiny"))
    await until(lambda: not faulty.open_connections or stream._raw)  # type: ignore[attr-defined]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    assert await read(stream) == body
    counting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await counting
    assert turns > 10
    await stream.aclose()


async def test_a_body_that_was_given_up_is_never_taken_for_whole(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    stream = await transport.open(ExchangeRequest(faulty.url + "/ok"))
    await stream.aclose()
    with pytest.raises(errors.DownloadError):
        await read(stream)


# Nothing stays behind.


@pytest.mark.parametrize(
    "path", ["/stall-before-headers", "/stall-in-headers", "/stall-in-body", "/drip", "/ok"]
)
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 5, 6, 8, 12, 20])
async def test_cancelling_at_any_moment_leaves_nothing(
    path: str, turns: int, transport: WireTransport, faulty: FaultyOrigin
) -> None:
    before = asyncio.current_task().cancelling()  # type: ignore[union-attr]
    fetching = asyncio.ensure_future(fetch(transport, faulty.url + path))
    for _ in range(turns):
        await asyncio.sleep(0)
    fetching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await fetching
    await until(lambda: len(transport._pool._open) == idle(transport))
    assert asyncio.current_task().cancelling() == before  # type: ignore[union-attr]
    # Whatever is kept is fit for use.
    assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")


async def test_an_answer_in_the_moment_of_the_cancellation_is_let_go(
    transport: WireTransport, faulty: FaultyOrigin
) -> None:
    faulty.raw("/part", HEAD + b"Content-Length: 10\r\n\r\nflag", then="stall")
    opening = asyncio.ensure_future(transport.open(ExchangeRequest(faulty.url + "/part")))
    async with asyncio.timeout(5):
        while not any(connection._waiter for connection in transport._pool._open):
            await asyncio.sleep(0)
    waiter = next(iter(transport._pool._open))._waiter
    assert waiter is not None
    while not waiter.done():
        await asyncio.sleep(0)
    assert not opening.done()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: not faulty.open_connections)


async def test_an_exchange_needs_no_task(transport: WireTransport, faulty: FaultyOrigin) -> None:
    tasks = asyncio.all_tasks()
    stream = await transport.open(ExchangeRequest(faulty.url + "/stall-in-body", connect_timeout=5.0))
    mine = {
        task
        for task in asyncio.all_tasks() - tasks
        if "_faults" not in repr(task) and "_serve" not in repr(task)
    }
    assert mine == set()
    await stream.aclose()


async def test_closing_ends_what_is_under_way(transport: WireTransport, faulty: FaultyOrigin) -> None:
    stream = await transport.open(ExchangeRequest(faulty.url + "/stall-in-body"))
    reading = asyncio.ensure_future(read(stream))
    opening = asyncio.ensure_future(transport.open(ExchangeRequest(faulty.url + "/stall-in-headers")))
    await until(lambda: len(faulty.requests) == 2)
    await transport.aclose()
    for waiting in (reading, opening):
        with pytest.raises(errors.ReadError):
            await waiting
    await until(lambda: not faulty.open_connections)
    await stream.aclose()
