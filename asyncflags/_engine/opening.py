"""What a client opens for its engine, and the order in which it is closed."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from asyncflags._engine.bandwidth import Bandwidth
from asyncflags._engine.credentials import Credentials, read_netrc
from asyncflags._engine.engine import Engine
from asyncflags._engine.lookups import Lookups
from asyncflags._engine.ownership import OwnedCalls, close_in_order
from asyncflags._engine.progress import Tally
from asyncflags._engine.robots import require_parser
from asyncflags._models import Stats
from asyncflags._policies.limits import Limits
from asyncflags._policies.urls import parse_url
from asyncflags.bridges.processes import ProcessBridge
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import ClosedError, redact_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    import aiohttp

    from asyncflags._models import Event
    from asyncflags._policies.urls import Origin
    from asyncflags._transports.base import Resolve, Transport

__all__ = ["Opening", "Plans", "origin_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What a client was given beyond the options of its downloads; see `AsyncDownloader`.

    Raises:
        ValueError: Two of them exclude each other, or what one of them needs is not installed.
    """

    limits: Limits | None
    transport: Transport | Literal["aiohttp"] | None
    session: aiohttp.ClientSession | None
    ssl_context: ssl.SSLContext | None
    family: int
    trust_env: bool
    netrc: bool
    respect_robots: bool
    rate_limit: float | None
    host_rate_limit: float | None
    on_event: Callable[[Event], None] | None = field(repr=False)

    def __post_init__(self) -> None:
        other = self.ssl_context is not None or self.family
        if isinstance(self.transport, str):
            if self.transport != "aiohttp":
                raise ValueError(f'transport is a Transport, "aiohttp" or None, not {self.transport!r}')
        elif self.transport is not None and (self.session is not None or other):
            raise ValueError("transport replaces session, ssl_context and family: give either it or them")
        if self.session is not None and other:
            raise ValueError(
                "session brings its own connections: set ssl_context and family on its connector"
            )
        if self.respect_robots:
            require_parser()


class Opening:
    """Everything underneath a client. Its engine is made on first use, in the loop that it then belongs to.

    Args:
        plans: What the client was given.

    Raises:
        TypeError, ValueError: A rate is out of range.
    """

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._engine: Engine | None = None
        self._needs_netrc = plans.netrc
        self._reading = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._is_closed = False
        self.bandwidth = Bandwidth(plans.rate_limit, plans.host_rate_limit)
        self.limits = limits = plans.limits if plans.limits is not None else Limits()
        self.tally = Tally(plans.on_event)
        self.calls = OwnedCalls()
        self.disk = ThreadBridge(limits.max_threads, name="asyncflags-disk")
        self.lookups = Lookups()
        self.threads = ThreadBridge(limits.max_threads, name="asyncflags-thread")
        self.processes = ProcessBridge(limits.max_processes)

    def ready(self) -> Engine:
        """The engine.

        Raises:
            ClosedError: It is closed.
        """
        if self._is_closed:
            raise ClosedError("this downloader is closed and takes no more work: make a new one")
        if self._engine is None:
            plans = self._plans
            self.bandwidth.start(asyncio.get_running_loop())
            self._engine = Engine(
                self._transport(),
                self.disk,
                self.limits,
                self.tally,
                Credentials(os.environ if plans.trust_env else None),
                self.bandwidth,
                robots=plans.respect_robots,
            )
        return self._engine

    async def open(self) -> Engine:
        """The engine, with all that its downloads need.

        Raises:
            ClosedError: It is closed.
            StorageError: The netrc file cannot be read.
        """
        engine = self.ready()
        if self._needs_netrc:
            # Downloads that start together all wait for the passwords, and none goes out without them.
            async with self._reading:
                if self._needs_netrc:
                    engine.credentials.netrc = await self.disk.run(read_netrc)
                    self._needs_netrc = False
        return engine

    def _transport(self) -> Transport:
        """What the client was given, or the fast lane wherever that is enough."""
        plans, resolve = self._plans, self.lookups.resolve
        if plans.transport is not None and not isinstance(plans.transport, str):
            return plans.transport
        other = partial(_on_aiohttp, resolve, plans)
        if plans.transport is not None or plans.session is not None:
            return other()
        from asyncflags._transports.choosing import ChoosingTransport
        from asyncflags._transports.wire import WireTransport
        from asyncflags._transports.wire_connecting import default_context

        plain = WireTransport(
            resolve,
            ssl_context=plans.ssl_context,
            make_context=partial(self.disk.run, default_context),
            family=plans.family,
        )
        return ChoosingTransport(plain, other)

    def stats(self) -> Stats:
        """How the hosts stand; nothing before the first use and after the end."""
        engine = self._engine
        return Stats() if engine is None else engine.hosts.stats()

    def close(self) -> asyncio.Task[None]:
        """Take no more work, and close in the order in which things rest on each other.

        Returns:
            What is to be waited for; the same for all who close.
        """
        self._is_closed = True
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(asyncio.current_task()))
        return self._closing

    async def _close(self, closer: asyncio.Task[Any] | None) -> None:
        engine, self._engine = self._engine, None
        closers: list[Callable[[], Awaitable[None]]] = [lambda: self.calls.stop(but=closer)]
        if engine is not None:
            closers += [run.stop for run in engine.runs]
        transport = engine.transport if engine is not None else self._plans.transport
        if transport is not None and not isinstance(transport, str):
            closers.append(transport.aclose)
        closers += [self.disk.aclose, self.lookups.aclose, self.threads.aclose, self.processes.aclose]
        await close_in_order(closers)


def _on_aiohttp(resolve: Resolve, plans: Plans) -> Transport:
    # Imported here, so that who does not need it loads no aiohttp.
    from asyncflags._transports.aiohttp import AiohttpTransport

    return AiohttpTransport(
        resolve, ssl_context=plans.ssl_context, family=plans.family, session=plans.session
    )


def origin_of(host: str) -> Origin:
    """The origin that *host* names, such as ``"https://flags.example"``; a path is left out of account.

    Raises:
        TypeError: It is no text.
        ValueError: It names none.
    """
    if not isinstance(host, str):
        raise TypeError(f"host must be text such as 'https://flags.example', not {host!r}")
    if "://" not in host:
        raise ValueError(f"host must be an origin such as 'https://flags.example', not {redact_url(host)!r}")
    return parse_url(host).origin
