"""Which transport an exchange goes over."""

from __future__ import annotations

import pytest

from asyncflags._transports.base import ExchangeRequest, ResponseStream, Transport
from asyncflags._transports.choosing import ChoosingTransport
from asyncflags._transports.mock import MockResponse, MockTransport

PROXY = "http://proxy.example:3128"


class Closing(Transport):
    """Tells that it is closed, and fails to."""

    def __init__(self) -> None:
        self.closed = 0

    async def open(self, request: ExchangeRequest) -> ResponseStream:
        raise AssertionError

    async def aclose(self) -> None:
        self.closed += 1
        raise OSError("broken")


async def test_only_what_goes_through_a_proxy_takes_the_other_way() -> None:
    made: list[MockTransport] = []

    def make() -> MockTransport:
        made.append(MockTransport(lambda _: MockResponse(body=b"other")))
        return made[-1]

    choosing = ChoosingTransport(MockTransport(lambda _: MockResponse(status=203)), make)
    assert (await choosing.open(ExchangeRequest("http://flags.example/"))).status == 203
    assert not made
    for _ in range(2):
        through = await choosing.open(ExchangeRequest("http://flags.example/", proxy=PROXY))
        assert through.status == 200
    assert len(made) == 1
    await choosing.aclose()


async def test_both_are_closed_even_if_one_cannot_be() -> None:
    plain, other = Closing(), Closing()
    choosing = ChoosingTransport(plain, lambda: other)
    with pytest.raises(AssertionError):
        await choosing.open(ExchangeRequest("http://flags.example/", proxy=PROXY))
    with pytest.raises(OSError, match="broken"):
        await choosing.aclose()
    assert (plain.closed, other.closed) == (1, 1)
