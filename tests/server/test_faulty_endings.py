"""Stalls, endless answers and scripts end when either side leaves, and leave nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import psutil
import pytest

from asyncflags.testing.faulty import (
    FaultyOrigin,
    FaultyRequest,
    body_for,
    reset,
)

from .raw_client import answer, connected, everything, is_silent

SILENT = {
    "/stall-before-headers": b"",
    "/stall-in-headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "/stall-in-body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body_for("/stall-in-body")[:500],
    "/stall-after-length-known-zero-bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
}


ENDLESS = ["/drip", "/interim-endless", "/endless-body", "/endless-body-close", "/endless-headers"]


@pytest.mark.parametrize(("path", "sent"), SILENT.items())
async def test_a_stall_sends_its_start_and_ends_when_the_origin_closes(path: str, sent: bytes) -> None:
    async with FaultyOrigin() as origin, connected(origin.url) as client:
        client.ask(path)
        assert await client.reader.readexactly(len(sent)) == sent
        assert await is_silent(origin, client)
        await origin.aclose()
        assert await client.everything() == b""
        assert origin.open_connections == 0


@pytest.mark.parametrize("path", ENDLESS)
async def test_an_endless_answer_ends_when_the_origin_closes(path: str) -> None:
    async with FaultyOrigin(interval=0.001) as origin, connected(origin.url) as client:
        client.ask(path)
        for _ in range(5):
            assert await client.reader.read(100)
        await origin.aclose()
        with contextlib.suppress(ConnectionResetError):
            await client.everything()
        assert origin.open_connections == 0


@pytest.mark.parametrize("path", [*SILENT, *ENDLESS, "/redirect-body-stalls", "/bad-chunk-size"])
async def test_a_script_without_end_ends_when_the_client_leaves(faulty: FaultyOrigin, path: str) -> None:
    async with connected(faulty.url) as client:
        client.ask(path)
        while not faulty.requests:
            await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        while faulty.open_connections:
            await asyncio.sleep(0.001)


async def test_closing_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with FaultyOrigin() as origin, contextlib.AsyncExitStack() as stack:
        for path in ("/endless-body", "/stall-in-body", "/drip"):
            client = await stack.enter_async_context(connected(origin.url))
            client.ask(path)
            if path != "/stall-in-body":
                await client.reader.read(1)
        await origin.aclose()
        assert asyncio.all_tasks() == before


async def test_closing_ends_a_script_that_waits_for_something_else() -> None:
    """The script never looks at the connection, so its task has to be ended."""
    started = asyncio.Event()

    async def script(
        _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _request: FaultyRequest
    ) -> None:
        started.set()
        await asyncio.Event().wait()

    async with FaultyOrigin() as origin, connected(origin.url) as client:
        origin.script("/waits", script)
        client.ask("/waits")
        await started.wait()
    assert origin.open_connections == 0


async def test_closing_does_not_wait_for_a_client_that_reads_nothing() -> None:
    async with FaultyOrigin() as origin:
        with socket.create_connection(("127.0.0.1", int(origin.url.rpartition(":")[2]))) as client:
            client.sendall(b"GET /endless-body HTTP/1.1\r\n\r\n")
            while not origin.requests:
                await asyncio.sleep(0.001)
            await origin.aclose()
            async with asyncio.timeout(5):
                while connections_of(origin):
                    await asyncio.sleep(0.001)


def connections_of(origin: FaultyOrigin) -> list[object]:
    """The sockets that this process still holds on the origin's side."""
    port = int(origin.url.rpartition(":")[2])
    established = psutil.Process().net_connections("tcp4")
    return [it for it in established if it.laddr.port == port and it.status == psutil.CONN_ESTABLISHED]


async def test_drip_sends_one_byte_a_chunk(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/drip")
        await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(12) == b"1\r\nx\r\n" * 2


@pytest.mark.parametrize(
    ("path", "first"), [("/503-then-ok", b"503"), ("/cut-then-ok", b"200"), ("/reset-then-ok", b"")]
)
async def test_the_second_visit_is_whole(faulty: FaultyOrigin, path: str, first: bytes) -> None:
    async with connected(faulty.url) as client:
        client.ask(path, "Connection: close")
        with contextlib.suppress(ConnectionResetError):
            head = await client.everything()
            assert first in head[:20]
            assert body_for(path) not in head
    assert (await answer(faulty, path))[1] == body_for(path)


async def test_a_second_request_on_one_connection_is_closed_on(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/close-on-second")
        assert (await client.answer())[1] == body_for("/close-on-second")
        client.ask("/close-on-second")
        assert await client.everything() == b""


async def test_close_between_promises_to_keep_and_closes(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/close-between")
        data = await client.everything()
    assert b"Connection: keep-alive\r\n" in data
    assert data.endswith(body_for("/close-between"))


async def test_raw_bytes_go_out_with_the_ending_asked_for(faulty: FaultyOrigin) -> None:
    faulty.raw("/mine", b"one ", b"two")
    faulty.raw("/mine-reset", b"three", then="reset")
    assert await everything(faulty, "/mine") == b"one two"
    with pytest.raises(ConnectionResetError):
        await everything(faulty, "/mine-reset")


async def test_raw_bytes_may_keep_the_connection(faulty: FaultyOrigin) -> None:
    faulty.raw("/kept", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", then="keep")
    async with connected(faulty.url) as client:
        for _ in range(2):
            client.ask("/kept")
            assert (await client.answer())[1] == b"hi"


async def test_a_script_takes_the_place_of_a_fault(faulty: FaultyOrigin) -> None:
    async def script(
        _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        writer.write(f"{request.method} {request.visit}".encode())
        await writer.drain()
        reset(writer) if request.visit > 1 else writer.close()

    faulty.script("/ok", script)
    assert await everything(faulty, "/ok?x") == b"GET 1"
    with pytest.raises(ConnectionResetError):
        await everything(faulty, "/ok")


async def test_an_error_in_a_script_is_raised_when_the_origin_closes() -> None:
    async def script(
        _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _request: FaultyRequest
    ) -> None:
        raise ZeroDivisionError("a mistake in the test")

    with pytest.raises(ZeroDivisionError):
        async with FaultyOrigin() as origin:
            origin.script("/mistake", script)
            assert await everything(origin, "/mistake") == b""
