"""The fixtures ``origin`` and ``faulty_origin``, for every pytest run where asyncflags is installed.

Nothing is imported here until a test asks for one of them. They are async fixtures: pytest-asyncio in its automatic
mode, or another plugin that runs such fixtures, is needed to use them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncflags.testing.faulty import FaultyOrigin
    from asyncflags.testing.origin import Origin


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """A running `asyncflags.testing.Origin` with nothing in it yet."""
    # Imported at the first use, so that installing asyncflags does not slow every pytest run down.
    from asyncflags.testing.origin import Origin

    async with Origin() as running:
        yield running


@pytest.fixture
async def faulty_origin() -> AsyncIterator[FaultyOrigin]:
    """A running `asyncflags.testing.FaultyOrigin`."""
    from asyncflags.testing.faulty import FaultyOrigin

    async with FaultyOrigin() as running:
        yield running
