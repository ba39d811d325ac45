"""TLS, the same through every transport to a network."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest

from asyncflags import errors
from asyncflags.testing.origin import Origin

from .exchanges import Network, fetch, resolve


@pytest.fixture
async def tls_origin(server_tls: ssl.SSLContext) -> AsyncIterator[Origin]:
    async with Origin(ssl=server_tls) as running:
        running.add("/flag", b"flag")
        yield running


async def with_context(network: Network, context: ssl.SSLContext | None, url: str) -> bytes:
    transport = network(resolve, ssl_context=context)
    try:
        return await fetch(transport, url)
    finally:
        await transport.aclose()


async def test_a_certificate_of_a_trusted_authority_is_taken(
    network: Network, tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    assert await with_context(network, client_tls, tls_origin.url + "/flag") == b"flag"


async def test_a_certificate_of_an_unknown_authority_is_a_tls_error(
    network: Network, tls_origin: Origin
) -> None:
    with pytest.raises(errors.TlsError, match="no trusted TLS connection to 127.0.0.1") as caught:
        await with_context(network, None, tls_origin.url + "/flag")
    assert "--cacert" in caught.value.message


async def test_a_certificate_for_another_name_is_a_tls_error(
    network: Network, tls_origin: Origin, client_tls: ssl.SSLContext
) -> None:
    with pytest.raises(errors.TlsError):
        await with_context(network, client_tls, tls_origin.url.replace("127.0.0.1", "other.test") + "/flag")


async def test_a_server_that_speaks_no_tls_is_a_tls_error(network: Network, origin: Origin) -> None:
    with pytest.raises(errors.TlsError):
        await with_context(network, None, origin.url.replace("http:", "https:") + "/flag")
