"""Host names, looked up on threads that do nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from asyncflags.bridges.threads import ThreadBridge

if TYPE_CHECKING:
    from asyncflags._transports.base import AddressInfo

__all__ = ["Lookups"]

_THREADS = 4


class Lookups:
    """Asks the system for the addresses of host names.

    On threads of its own: behind other blocking work a look-up would wait for what has nothing to do with it.
    """

    def __init__(self) -> None:
        self._threads = ThreadBridge(_THREADS, name="asyncflags-dns")
        self._pending = 0

    async def resolve(self, host: str, port: int, family: int) -> Sequence[AddressInfo]:
        """`socket.getaddrinfo`, awaited; a cancelled caller does not wait for it.

        Raises:
            OSError: As getaddrinfo does.
        """
        self._pending += 1
        try:
            # Not `run`, which would wait for the end of a look-up that nobody waits for any more.
            return await asyncio.wrap_future(self._threads.submit(_getaddrinfo, host, port, family))
        finally:
            self._pending -= 1

    async def aclose(self) -> None:
        """End the threads; those that the system holds up end when it lets go of them."""
        if self._pending:
            # A look-up in flight can take the system half a minute and holds nothing of ours.
            self._threads.shutdown(wait=False, cancel_futures=True)
        else:
            await self._threads.aclose()


def _getaddrinfo(host: str, port: int, family: int) -> list[AddressInfo]:
    return cast("list[AddressInfo]", socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
