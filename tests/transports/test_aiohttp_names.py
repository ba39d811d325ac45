"""How the transport looks names up: through what it is lent alone, with every address tried."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Sequence

import pytest

from asyncflags import errors
from asyncflags._engine.lookups import Lookups
from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import AddressInfo, ExchangeRequest
from asyncflags.testing.faulty import FaultyOrigin

from .exchanges import failure, fetch


def rows(*addresses: str) -> list[AddressInfo]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


def named(origin: FaultyOrigin, path: str = "/ok") -> str:
    return origin.url.replace("127.0.0.1", "flags.test") + path


async def test_each_connection_asks_for_the_name_because_there_is_no_memory_but_ours(
    faulty: FaultyOrigin,
) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        asked.append(host)
        return rows("127.0.0.1")

    # Unfinished answers keep their connections, so that each request needs another one.
    faulty.raw("/unfinished", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfla", then="stall")
    request = ExchangeRequest(named(faulty, "/unfinished"), connect_timeout=5.0)
    transport = AiohttpTransport(resolve)
    streams = [await transport.open(request) for _ in range(3)]
    for stream in streams:
        await stream.aclose()
    await transport.aclose()
    assert asked == ["flags.test"] * 3


async def test_addresses_where_nobody_listens_are_passed_over(faulty: FaultyOrigin) -> None:
    async def resolve(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        return rows("127.0.0.2", "127.0.0.3", "127.0.0.1")

    transport = AiohttpTransport(resolve)
    assert await fetch(transport, named(faulty))
    await transport.aclose()


@pytest.mark.parametrize(("code", "temporary"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)])
async def test_an_error_of_the_resolver_tells_the_name_the_reason_and_whether_it_passes(
    code: int, temporary: bool
) -> None:
    def look_up(host: str, family: int) -> list[AddressInfo]:
        raise socket.gaierror(code, "what the resolver says")

    lookups = Lookups(look_up)
    transport = AiohttpTransport(lookups.resolve)
    error = await failure(transport, "http://flags.test/")
    assert isinstance(error, errors.DnsError)
    assert error.temporary is temporary
    assert "flags.test" in error.message
    assert "what the resolver says" in error.message
    assert pickle.loads(pickle.dumps(error)).temporary is temporary
    await transport.aclose()
    await lookups.aclose()


async def silent(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    await asyncio.Event().wait()
    return []


async def test_a_connect_timeout_tells_that_it_was_the_name_that_was_waited_for() -> None:
    transport = AiohttpTransport(silent)
    with pytest.raises(errors.ConnectTimeout, match=r"flags\.test .*looked up"):
        await transport.open(ExchangeRequest("http://flags.test/", connect_timeout=0.02))
    await transport.aclose()


async def test_who_cancels_a_look_up_is_not_mistaken_for_a_timeout() -> None:
    transport = AiohttpTransport(silent)
    task = asyncio.ensure_future(transport.open(ExchangeRequest("http://flags.test/", connect_timeout=5.0)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    await transport.aclose()
