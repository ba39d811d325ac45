"""What aiohttp does by default and must not reach a download; a caller's session; proxies; the names of its errors."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import aiohttp
import aioresponses
import pytest

from asyncflags import errors
from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import ExchangeRequest
from asyncflags.testing.faulty import FaultyOrigin, body_for
from asyncflags.testing.origin import Origin

from .exchanges import failure, fetch, read, refusing_port, resolve


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    running = AiohttpTransport(resolve)
    yield running
    await running.aclose()


async def test_there_is_no_total_timeout_and_no_read_timeout(transport: AiohttpTransport) -> None:
    for connect in (3.0, None):
        timeout = transport._timeout(connect)
        assert (timeout.total, timeout.sock_read) == (None, None)
        assert timeout.sock_connect == connect


# A session of the caller's.


async def test_a_session_of_the_caller_is_used_with_its_fields_and_left_open(faulty: FaultyOrigin) -> None:
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        transport = AiohttpTransport(resolve, session=session)
        assert await fetch(transport, faulty.url + "/surplus") == body_for("/surplus")
        assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")
        await transport.aclose()
        assert not session.closed
    assert faulty.requests[-1].headers["x-mine"] == "yes"


async def test_a_session_that_raises_for_statuses_changes_nothing(faulty: FaultyOrigin) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        transport = AiohttpTransport(resolve, session=session)
        stream = await transport.open(ExchangeRequest(faulty.url + "/404"))
        assert stream.status == 404
        await stream.aclose()
        await transport.aclose()


async def test_a_session_with_a_base_url_changes_nothing(faulty: FaultyOrigin) -> None:
    async with aiohttp.ClientSession("http://elsewhere.test/") as session:
        transport = AiohttpTransport(resolve, session=session)
        assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")
        await transport.aclose()


async def test_a_closed_session_of_the_caller_is_an_error_that_says_so(faulty: FaultyOrigin) -> None:
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises((errors.DownloadError, RuntimeError), match="closed"):
        await fetch(AiohttpTransport(resolve, session=session), faulty.url + "/ok")


# Proxies.


async def test_a_proxy_gets_the_whole_url_and_its_own_fields(
    transport: AiohttpTransport, origin: Origin
) -> None:
    origin.add("/flag", b"flag")
    fields = {"Proxy-Authorization": "Basic eDp5"}
    url = "http://flags.test/flag"
    assert await fetch(transport, url, proxy=origin.url, proxy_headers=fields) == b"flag"
    assert origin.requests[0].target == url
    assert origin.requests[0].headers["Proxy-Authorization"] == "Basic eDp5"


async def test_the_fields_for_a_proxy_are_sent_when_a_tunnel_is_asked_for(
    transport: AiohttpTransport, faulty: FaultyOrigin
) -> None:
    faulty.raw("flags.test:443", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", then="close")
    fields = {"Proxy-Authorization": "Basic eDp5"}
    await failure(transport, "https://flags.test/", proxy=faulty.url, proxy_headers=fields)
    assert faulty.requests[0].headers["proxy-authorization"] == "Basic eDp5"


async def test_a_proxy_that_cannot_be_reached_is_named_in_the_connect_error(
    transport: AiohttpTransport,
) -> None:
    proxy = f"http://127.0.0.1:{refusing_port()}"
    error = await failure(transport, "http://flags.test/", proxy=proxy)
    assert type(error) is errors.ConnectError
    assert "127.0.0.1" in error.message


async def test_a_proxy_that_refuses_a_tunnel_is_a_status_error(
    transport: AiohttpTransport, faulty: FaultyOrigin
) -> None:
    faulty.raw("flags.test:443", b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", then="close")
    error = await failure(transport, "https://flags.test/", proxy=faulty.url)
    assert isinstance(error, errors.StatusError)
    assert (error.status, faulty.requests[0].method) == (407, "CONNECT")


# With aiohttp's client scripted: the mapping of errors that no server makes on demand.


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (aiohttp.ServerDisconnectedError(), errors.ReadError),
        (aiohttp.ClientOSError(104, "reset"), errors.ReadError),
        (aiohttp.ServerTimeoutError(), errors.ConnectTimeout),
        (TimeoutError(), errors.ConnectTimeout),
        (aiohttp.InvalidURL("x"), errors.InvalidUrl),
        (aiohttp.NonHttpUrlClientError("ftp://x"), errors.InvalidUrl),
        (ssl.SSLError("handshake"), errors.TlsError),
        (OSError("no buffer space"), errors.ReadError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_errors_of_aiohttp_get_names_of_ours(
    raised: Exception,
    expected: type[errors.DownloadError],
    transport: AiohttpTransport,
    scripted_aiohttp: aioresponses.aioresponses,
) -> None:
    scripted_aiohttp.get("http://flags.test/", exception=raised)
    error = await failure(transport, "http://flags.test/")
    assert type(error) is expected
    assert error.__cause__ is raised
    assert error.url == "http://flags.test/"


async def test_a_scripted_answer_arrives(
    transport: AiohttpTransport, scripted_aiohttp: aioresponses.aioresponses
) -> None:
    scripted_aiohttp.get("http://flags.test/", status=203, body=b"flag", headers={"ETag": '"v1"'})
    stream = await transport.open(ExchangeRequest("http://flags.test/"))
    assert (stream.status, stream.header("etag"), await read(stream)) == (203, '"v1"', b"flag")
    await stream.aclose()
