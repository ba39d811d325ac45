"""The transport under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncflags._transports.base import Transport

from .exchanges import TRANSPORTS, Network, resolve


@pytest.fixture(params=[*TRANSPORTS])
def network(request: pytest.FixtureRequest) -> Network:
    """Each class of transport that speaks to a network."""
    return TRANSPORTS[request.param]


@pytest.fixture
async def transport(network: Network) -> AsyncIterator[Transport]:
    running = network(resolve)
    yield running
    await running.aclose()
