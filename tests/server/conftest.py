"""The origins under test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncflags.testing.faulty import FaultyOrigin
from asyncflags.testing.origin import Origin


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyOrigin]:
    async with FaultyOrigin(interval=0.001) as running:
        yield running


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        yield running
