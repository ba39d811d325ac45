"""New connections of the fast lane: addresses, races, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from asyncflags import errors
from asyncflags._transports import wire_racing
from asyncflags._transports.base import AddressInfo, ExchangeRequest
from asyncflags._transports.wire import WireTransport
from asyncflags._transports.wire_connecting import default_context
from asyncflags._transports.wire_origins import read_origin
from asyncflags._transports.wire_racing import NoConnection, connect_first, connect_in_turn, in_order
from asyncflags.testing.faulty import FaultyOrigin
from asyncflags.testing.origin import Origin

from .exchanges import fetch, read, refusing_port, resolve


def row(port: int, host: str = "127.0.0.1", family: int = socket.AF_INET) -> AddressInfo:
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


# Origins.


@pytest.mark.parametrize(
    ("name", "host", "port", "field"),
    [
        ("http://flags.example", "flags.example", 80, "flags.example"),
        ("http://flags.example:80", "flags.example", 80, "flags.example"),
        ("https://flags.example:80", "flags.example", 80, "flags.example:80"),
        ("https://flags.example:8443", "flags.example", 8443, "flags.example:8443"),
        ("http://10.0.0.1:81", "10.0.0.1", 81, "10.0.0.1:81"),
        ("http://[2001:db8::1]", "2001:db8::1", 80, "[2001:db8::1]"),
        ("http://[fe80::1%25eth0]:81", "fe80::1%eth0", 81, "[fe80::1]:81"),
    ],
)
def test_an_origin_is_read(name: str, host: str, port: int, field: str) -> None:
    origin = read_origin(name, 0)
    assert (origin.host, origin.port, origin.host_field) == (host, port, field)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_needs_no_look_up_and_has_to_be_of_the_family_asked_for(host: str) -> None:
    family, other = (socket.AF_INET6, socket.AF_INET) if "[" in host else (socket.AF_INET, socket.AF_INET6)
    assert read_origin(f"http://{host}", family).family == family
    with pytest.raises(errors.InvalidUrl, match="no address of the family asked for"):
        read_origin(f"http://{host}", other)


@pytest.mark.parametrize(
    "name",
    ["", "http://", "ftp://a", "http://a:0", "http://a:65536", "http://a:x", "http://a b", "http://\u00e9"],
)
def test_what_is_no_origin_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidUrl):
        read_origin(name, 0)


async def test_an_address_is_not_looked_up(faulty: FaultyOrigin) -> None:
    async def never(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        raise AssertionError(host)

    transport = WireTransport(never)
    assert await fetch(transport, faulty.url + "/ok")
    await transport.aclose()


async def test_the_resolver_is_asked_for_the_name_the_port_and_the_family(faulty: FaultyOrigin) -> None:
    asked = []

    async def asking(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        asked.append((host, port, family))
        return await resolve(host, port, family)

    transport = WireTransport(asking, family=socket.AF_INET)
    port = int(faulty.url.rpartition(":")[2])
    await fetch(transport, f"http://flags.test:{port}/ok")
    assert asked == [("flags.test", port, socket.AF_INET)]
    assert faulty.requests[0].headers["host"] == f"flags.test:{port}"
    await transport.aclose()


async def test_an_error_of_ours_from_the_resolver_comes_through() -> None:
    async def blocking(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        raise errors.DnsError("told before")

    transport = WireTransport(blocking)
    with pytest.raises(errors.DnsError, match="told before") as caught:
        await transport.open(ExchangeRequest("http://flags.test/"))
    assert caught.value.url == "http://flags.test/"
    await transport.aclose()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), errors.DnsError),
        (UnicodeError("label too long"), errors.DnsError),
        (TimeoutError(), errors.ConnectTimeout),
        (RuntimeError("cannot schedule new futures"), errors.ConnectError),
    ],
)
async def test_whatever_a_resolver_raises_is_an_error_of_ours(
    raised: Exception, expected: type[errors.DownloadError]
) -> None:
    async def failing(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        raise raised

    transport = WireTransport(failing)
    with pytest.raises(expected) as caught:
        await transport.open(ExchangeRequest("http://flags.test/"))
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised
    await transport.aclose()


# Which address.


def test_families_take_turns_and_addresses_are_rotated_within_them() -> None:
    rows = [row(port, family=family) for family, ports in ((10, (1, 2, 3)), (2, (4, 5))) for port in ports]
    assert [[address[4][1] for address in in_order(rows, turn)] for turn in range(3)] == [
        [1, 4, 2, 5, 3],
        [2, 5, 3, 4, 1],
        [3, 4, 1, 5, 2],
    ]


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as running:
        yield running.getsockname()[1]


@pytest.fixture
def silent() -> Any:
    """The port of a listener that accepts nobody and whose queue is full."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@pytest.mark.parametrize("connect", [connect_first, connect_in_turn])
async def test_an_address_that_refuses_is_passed_over(connect: Any, listener: int) -> None:
    connected = await connect([row(refusing_port()), row(1, "not an address"), row(listener)])
    assert connected.getpeername() == ("127.0.0.1", listener)
    assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    connected.close()


@pytest.mark.parametrize("connect", [connect_first, connect_in_turn])
async def test_an_address_that_is_silent_delays_the_next_one_only_a_little(
    connect: Any, silent: int, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_racing, "_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(wire_racing, "_PATIENCE_SECONDS", 0.01)
    connected = await connect([row(silent), row(listener)])
    assert connected.getpeername()[1] == listener
    connected.close()


@pytest.mark.parametrize("connect", [connect_first, connect_in_turn])
async def test_where_nobody_answers_the_reason_is_told(connect: Any) -> None:
    with pytest.raises(NoConnection, match="Connection refused") as caught:
        await connect([row(refusing_port()), row(refusing_port())])
    assert caught.value.errno
    with pytest.raises(NoConnection, match="refused") as caught:
        await connect([row(refusing_port()), row(1, "not an address")])
    assert caught.value.errno is None


@pytest.mark.parametrize("connect", [connect_first, connect_in_turn])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_race_can_be_cancelled(connect: Any, turns: int, silent: int, listener: int) -> None:
    for rows in ([row(silent), row(listener)], [row(listener)]):
        racing = asyncio.ensure_future(connect(rows))
        for _ in range(turns):
            await asyncio.sleep(0)
        racing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await racing).close()


async def test_connections_begin_with_one_address_after_the_other(faulty: FaultyOrigin) -> None:
    ports = [int(url.rpartition(":")[2]) for url in (faulty.url, faulty.other_url)]

    async def both(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        return [row(port) for port in ports]

    transport = WireTransport(both, max_idle=0)
    for _ in range(4):
        await fetch(transport, "http://flags.test/ok")
    assert len(faulty.other_requests) == 2
    await transport.aclose()


# TLS.


@pytest.fixture
async def tls_origin(server_tls: ssl.SSLContext) -> AsyncIterator[Origin]:
    async with Origin(ssl=server_tls) as running:
        running.add("/flag", b"flag")
        yield running


def test_the_context_of_our_own_verifies() -> None:
    context = default_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def test_a_session_is_taken_up_again_and_the_context_left_as_it_is(
    tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    transport = WireTransport(resolve, ssl_context=client_tls, max_idle=1)
    reused = []
    for _ in range(3):
        stream = await transport.open(ExchangeRequest(tls_origin.url + "/flag"))
        tls = next(iter(transport._pool._open)).transport
        assert tls is not None
        reused.append(tls.get_extra_info("ssl_object").session_reused)
        assert await read(stream) == b"flag"
        await stream.aclose()
        await transport._pool.aclose()
    assert reused == [False, True, True]
    assert transport._connector._context is client_tls


async def test_a_session_serves_no_other_origin(tls_origin: Origin, client_tls: ssl.SSLContext) -> None:
    transport = WireTransport(resolve, ssl_context=client_tls)
    await fetch(transport, tls_origin.url + "/flag")
    with pytest.raises(errors.TlsError):
        await fetch(transport, tls_origin.url.replace("127.0.0.1", "other.test") + "/flag")
    await transport.aclose()


@pytest.mark.parametrize("notified", [True, False])
async def test_a_body_that_ends_by_closing_needs_the_closing_of_tls(
    notified: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nflag")
        await writer.drain()
        await gone.wait()
        if notified:
            writer.close()
        else:
            writer.transport.abort()

    gone = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_tls)
    transport = WireTransport(resolve, ssl_context=client_tls)
    stream = await transport.open(ExchangeRequest(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    gone.set()
    async with asyncio.timeout(5):
        if notified:
            assert await read(stream) == b"flag"
        else:
            with pytest.raises(errors.ReadError):
                await read(stream)
    await stream.aclose()
    await transport.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 8, 10, 15, 20])
async def test_a_handshake_can_be_cancelled(
    turns: int, tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    transport = WireTransport(resolve, ssl_context=client_tls)
    fetching = asyncio.ensure_future(fetch(transport, tls_origin.url + "/flag"))
    for _ in range(turns):
        await asyncio.sleep(0)
    fetching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await fetching
    assert await fetch(transport, tls_origin.url + "/flag") == b"flag"
    await transport.aclose()


async def test_a_handshake_without_end_is_a_connect_timeout(faulty: FaultyOrigin) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    transport = WireTransport(resolve)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(errors.ConnectTimeout, match=r"127\.0\.0\.1 within 0\.05 seconds"):
        await transport.open(ExchangeRequest(url, connect_timeout=0.05))
    await transport.aclose()
    server.close()
    await server.wait_closed()


async def test_a_large_body_comes_whole_over_tls_and_leaves_its_connection(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    body = bytes(range(256)) * 16384
    async with Origin(ssl=server_tls) as origin:
        origin.add("/large", body)
        transport = WireTransport(resolve, ssl_context=client_tls)
        for _ in range(2):
            assert await fetch(transport, origin.url + "/large") == body
        assert len(transport._pool._order) == 1
        await transport.aclose()
