"""What a client opens for its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from asyncflags._transports.base import Resolve, Transport

__all__ = ["new_transport", "refuse_doubles"]


def refuse_doubles(
    transport: Transport | None,
    session: aiohttp.ClientSession | None,
    ssl_context: ssl.SSLContext | None,
    family: int,
) -> None:
    """Refuse arguments of a client of which one would be ignored.

    Raises:
        ValueError: There are such.
    """
    if transport is not None and (session is not None or ssl_context is not None or family):
        raise ValueError("transport replaces session, ssl_context and family: give either it or them")
    if session is not None and (ssl_context is not None or family):
        raise ValueError("session brings its own connections: set ssl_context and family on its connector")


def new_transport(
    resolve: Resolve,
    ssl_context: ssl.SSLContext | None,
    family: int,
    session: aiohttp.ClientSession | None,
) -> Transport:
    """The transport of a client that was given none."""
    # Imported here, so that a client with a transport of its own, and the package, load no aiohttp.
    from asyncflags._transports.aiohttp import AiohttpTransport

    return AiohttpTransport(resolve, ssl_context=ssl_context, family=family, session=session)
