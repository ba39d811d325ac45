"""What every transport to a network does alike: requests to the byte, limits, and the names of errors."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from asyncflags import errors
from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags._transports.base import AddressInfo, ExchangeRequest, Transport
from asyncflags.testing.faulty import FaultyOrigin, body_for
from asyncflags.testing.origin import Origin

from .exchanges import Network, failure, fetch, refusing_port


async def test_a_url_is_sent_to_the_byte(transport: Transport, origin: Origin) -> None:
    target = "/c%7Ed/a%2Fb//x;p?sig=a%2Fb&c=%2C%3A&plus=+&e=&%E2%82%AC"
    await fetch(transport, origin.url + target)
    assert [request.target for request in origin.requests] == [target]


async def test_only_the_given_fields_are_sent_and_nobody_is_told_who_asks(
    transport: Transport, faulty: FaultyOrigin
) -> None:
    await fetch(transport, faulty.url + "/ok", headers={"Accept": "*/*", "Accept-Encoding": "identity"})
    sent = dict(faulty.requests[0].headers)
    sent.pop("host")
    # aiohttp adds its own name where no other is given; the engine always gives one.
    if sent.pop("user-agent", None) is not None:
        assert isinstance(transport, AiohttpTransport)
    assert sent == {"accept": "*/*", "accept-encoding": "identity"}


@pytest.mark.parametrize("path", ["/bad-chunk-size", "/chunk-overflow", "/chunk-missing-crlf"])
async def test_a_bad_chunk_after_a_good_one_wakes_the_reader(
    path: str, transport: Transport, faulty: FaultyOrigin
) -> None:
    assert type(await failure(transport, faulty.url + path)) is errors.ProtocolError


async def test_a_reset_is_no_end_of_a_body_that_ends_by_closing(
    transport: Transport, faulty: FaultyOrigin
) -> None:
    assert type(await failure(transport, faulty.url + "/cut-close-reset")) is errors.ReadError


async def test_surplus_bytes_do_not_answer_the_next_request(
    transport: Transport, faulty: FaultyOrigin
) -> None:
    for _ in range(3):
        assert await fetch(transport, faulty.url + "/surplus") == body_for("/surplus")
        assert await fetch(transport, faulty.url + "/ok") == body_for("/ok")


async def test_a_field_of_18_kilobytes_is_taken(transport: Transport, faulty: FaultyOrigin) -> None:
    assert await fetch(transport, faulty.url + "/giant-header") == body_for("/giant-header")


async def test_fields_without_end_are_refused(transport: Transport, faulty: FaultyOrigin) -> None:
    assert type(await failure(transport, faulty.url + "/endless-headers")) is errors.ProtocolError


class _Refusing(concurrent.futures.ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the default executor of the host was used")


async def test_the_default_executor_is_never_used(transport: Transport, origin: Origin) -> None:
    asyncio.get_running_loop().set_default_executor(_Refusing(1))
    url = origin.add("/flag", b"flag").replace("127.0.0.1", "flags.test")
    assert await fetch(transport, url) == b"flag"


async def test_bodies_are_not_decoded(transport: Transport, faulty: FaultyOrigin) -> None:
    body = gzip.compress(b"flag")[:-4]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    faulty.raw("/cut-gzip", head + body, then="keep")
    assert await fetch(transport, faulty.url + "/cut-gzip") == body


async def test_redirects_are_handed_over(transport: Transport, faulty: FaultyOrigin) -> None:
    stream = await transport.open(ExchangeRequest(faulty.url + "/redirect"))
    assert (stream.status, stream.header("Location")) == (302, "/ok")
    await stream.aclose()
    assert len(faulty.requests) == 1


async def test_cookies_are_not_kept(transport: Transport, faulty: FaultyOrigin) -> None:
    faulty.raw(
        "/set", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n", then="keep"
    )
    await fetch(transport, faulty.url + "/set")
    await fetch(transport, faulty.url + "/ok")
    assert "cookie" not in faulty.requests[-1].headers


async def test_a_connection_is_used_again(transport: Transport, faulty: FaultyOrigin) -> None:
    for _ in range(3):
        await fetch(transport, faulty.url + "/ok")
    assert faulty.connections == 1


async def test_any_number_of_connections_to_one_host_is_allowed(
    transport: Transport, faulty: FaultyOrigin
) -> None:
    faulty.raw("/hold", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", then="stall")
    streams = []
    # No more at a time than the queue of a listener takes.
    for _ in range(2):
        opening = [transport.open(ExchangeRequest(faulty.url + "/hold")) for _ in range(55)]
        streams += await asyncio.gather(*opening)
    assert faulty.open_connections == 110
    for stream in streams:
        await stream.aclose()


# Errors before the head is there.


@pytest.mark.parametrize("path", ["/empty-reply", "/reset-at-once", "/cut-headers"])
async def test_a_connection_that_ends_before_the_head_is_a_read_error(
    path: str, transport: Transport, faulty: FaultyOrigin
) -> None:
    error = await failure(transport, faulty.url + path)
    assert type(error) is errors.ReadError
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("path", ["/bad-status-line", "/http2-preface", "/http09", "/lengths-differ"])
async def test_a_head_that_is_not_http_is_a_protocol_error_of_one_line(
    path: str, transport: Transport, faulty: FaultyOrigin
) -> None:
    error = await failure(transport, faulty.url + path)
    assert type(error) is errors.ProtocolError
    assert "\n" not in str(error)


async def test_a_refused_connection_is_a_connect_error(transport: Transport) -> None:
    error = await failure(transport, f"http://127.0.0.1:{refusing_port()}/")
    assert type(error) is errors.ConnectError
    assert "127.0.0.1" in error.message


async def failing_lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_name_that_does_not_resolve_is_a_dns_error(network: Network) -> None:
    transport = network(failing_lookup)
    error = await failure(transport, "http://flags.test/")
    assert type(error) is errors.DnsError
    assert "flags.test" in error.message
    await transport.aclose()


async def empty_lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    return []


async def test_a_name_without_an_address_is_an_error_of_the_network(network: Network) -> None:
    transport = network(empty_lookup)
    assert isinstance(await failure(transport, "http://flags.test/"), errors.TransportError)
    await transport.aclose()


async def silent_lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    await asyncio.Event().wait()
    return []


async def test_a_look_up_without_an_answer_counts_for_the_connect_timeout(network: Network) -> None:
    transport = network(silent_lookup)
    try:
        async with asyncio.timeout(0.5):
            with pytest.raises(errors.ConnectTimeout):
                await transport.open(ExchangeRequest("http://flags.test/", connect_timeout=0.02))
    finally:
        await transport.aclose()


async def test_a_look_up_that_ran_out_of_time_is_a_connect_timeout(network: Network) -> None:
    async def late(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        raise TimeoutError

    transport = network(late)
    assert type(await failure(transport, "http://flags.test/")) is errors.ConnectTimeout
    await transport.aclose()


@pytest.fixture
def full_backlog() -> Any:
    """The port of a listener that accepts nobody and whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


async def test_a_connection_that_does_not_come_about_is_a_connect_timeout(
    transport: Transport, full_backlog: int
) -> None:
    request = ExchangeRequest(f"http://127.0.0.1:{full_backlog}/", connect_timeout=0.05)
    with pytest.raises(errors.ConnectTimeout, match=r"127\.0\.0\.1 within 0\.05 seconds"):
        await transport.open(request)


async def test_connecting_can_be_cancelled(transport: Transport, full_backlog: int) -> None:
    opening = asyncio.ensure_future(transport.open(ExchangeRequest(f"http://127.0.0.1:{full_backlog}/")))
    for _ in range(5):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_an_answer_without_end_in_sight_can_be_cancelled(
    transport: Transport, faulty: FaultyOrigin
) -> None:
    opening = asyncio.ensure_future(transport.open(ExchangeRequest(faulty.url + "/stall-in-headers")))
    async with asyncio.timeout(5):
        while not faulty.requests:
            await asyncio.sleep(0.001)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        while faulty.open_connections:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/\r\nX: y", "http://127.0.0.1:1/\x00"])
async def test_a_url_that_cannot_be_sent_is_an_invalid_url(url: str, transport: Transport) -> None:
    assert isinstance(await failure(transport, url), (errors.InvalidUrl, errors.ConnectError))


async def test_a_field_that_would_end_early_is_refused(transport: Transport, faulty: FaultyOrigin) -> None:
    error = await failure(transport, faulty.url + "/ok", headers={"X-A": "b\r\nX-C: d"})
    assert type(error) is errors.InvalidUrl
    assert faulty.requests == []
