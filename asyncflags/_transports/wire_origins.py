"""Where a connection of the fast lane leads, read from the beginning of a URL."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from asyncflags.errors import InvalidUrl

__all__ = ["Origin", "read_origin"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(https?)://(?:\[([0-9A-Fa-f:.]+)(?:%25([A-Za-z0-9._~-]+))?\]|([A-Za-z0-9._~-]+))(?::([0-9]{1,5}))?"
)


class Origin(NamedTuple):
    """Scheme, host and port.

    Attributes:
        name: As it is written in a URL, which is what connections are known by.
        host: Name or address, an IPv6 address without brackets and with its zone.
        port: From 1 to 65535.
        is_secure: Whether TLS is spoken.
        family: Of the address, if the host is one that needs no look-up; else 0.
        host_field: What the field ``Host`` says (RFC 9110 section 7.2).
    """

    name: str
    host: str
    port: int
    is_secure: bool
    family: int
    host_field: str


def read_origin(name: str, family: int) -> Origin:
    """Read what stands before the path of a URL that is ready to send.

    Args:
        name: Such as ``"https://flags.example:8443"``.
        family: Of the addresses that are wanted; 0: any.

    Raises:
        InvalidUrl: It is none, or an address of another family.
    """
    matched = _ORIGIN.fullmatch(name)
    if matched is None:
        raise InvalidUrl("the request cannot be sent: its URL is not ready to be requested", url=name)
    scheme, address, zone, host, digits = matched.groups()
    host = host or address
    default = _DEFAULT_PORTS[scheme]
    port = int(digits) if digits else default
    if not 0 < port < 65536:
        raise InvalidUrl("the request cannot be sent: its port is not from 1 to 65535", url=name)
    literal = _family_of(host)
    if literal and family and literal != family:
        raise InvalidUrl(f"{host} is no address of the family asked for; leave family (-4, -6) out", url=name)
    # A zone means something on this machine only, and is not sent (RFC 6874 section 1).
    shown = f"[{host}]" if address else host
    return Origin(
        name=name,
        host=f"{host}%{zone}" if zone else host,
        port=port,
        is_secure=scheme == "https",
        family=0 if zone else literal,
        host_field=shown if port == default else f"{shown}:{port}",
    )


def _family_of(host: str) -> int:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return 0
