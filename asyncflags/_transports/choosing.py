"""The fast lane where it is enough, and for what needs more the transport that can do it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from asyncflags._transports.base import ExchangeRequest, ResponseStream, Transport

__all__ = ["ChoosingTransport"]


class ChoosingTransport(Transport):
    """Sends what goes through a proxy over one transport, and everything else over another.

    Args:
        plain: Knows no proxies.
        make_other: Makes the one that does, when it is needed first.
    """

    def __init__(self, plain: Transport, make_other: Callable[[], Transport]) -> None:
        self._plain = plain
        self._make_other = make_other
        self._other: Transport | None = None

    def open(self, request: ExchangeRequest) -> Coroutine[Any, Any, ResponseStream]:
        if request.proxy is None:
            return self._plain.open(request)
        if self._other is None:
            self._other = self._make_other()
        return self._other.open(request)

    async def aclose(self) -> None:
        try:
            await self._plain.aclose()
        finally:
            if self._other is not None:
                await self._other.aclose()
