"""The transport under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncflags._transports.aiohttp import AiohttpTransport

from .exchanges import resolve


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    running = AiohttpTransport(resolve)
    yield running
    await running.aclose()
