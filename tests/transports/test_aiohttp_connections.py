"""aiohttp's connections: with TLS, through proxies, and those of a caller's own session."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from asyncflags import errors
from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import ExchangeRequest
from asyncflags.testing.faulty import FaultyOrigin, body_for
from asyncflags.testing.origin import Origin

from .exchanges import failure, fetch, refusing_port, resolve

# TLS.


@pytest.fixture
async def tls_origin(server_tls: ssl.SSLContext) -> AsyncIterator[Origin]:
    async with Origin(ssl=server_tls) as running:
        running.add("/flag", b"flag")
        yield running


async def with_context(context: ssl.SSLContext | None, url: str) -> bytes:
    transport = AiohttpTransport(resolve, ssl_context=context)
    try:
        return await fetch(transport, url)
    finally:
        await transport.aclose()


async def test_a_certificate_of_a_trusted_authority_is_taken(
    tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    assert await with_context(client_tls, tls_origin.url + "/flag") == b"flag"


async def test_a_certificate_of_an_unknown_authority_is_a_tls_error(tls_origin: Origin) -> None:
    with pytest.raises(errors.TlsError, match="no trusted TLS connection to 127.0.0.1") as caught:
        await with_context(None, tls_origin.url + "/flag")
    assert "--cacert" in caught.value.message


async def test_a_certificate_for_another_name_is_a_tls_error(
    tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    with pytest.raises(errors.TlsError):
        await with_context(client_tls, tls_origin.url.replace("127.0.0.1", "other.test") + "/flag")


async def test_a_server_that_speaks_no_tls_is_a_tls_error(origin: Origin) -> None:
    with pytest.raises(errors.TlsError):
        await with_context(None, origin.url.replace("http:", "https:") + "/flag")


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
