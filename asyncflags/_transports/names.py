"""What the errors of a resolver say: that there is no such name, or that it could not tell just now."""

from __future__ import annotations

import socket

from asyncflags.errors import DnsError

__all__ = ["dns_error", "is_temporary"]

# Not every system knows all of them (RFC 3493 section 6.1, and EAI_NODATA and EAI_ADDRFAMILY before it).
_DEFINITE = frozenset(
    getattr(socket, name)
    for name in (
        "EAI_ADDRFAMILY",
        "EAI_BADFLAGS",
        "EAI_FAMILY",
        "EAI_NODATA",
        "EAI_NONAME",
        "EAI_SERVICE",
        "EAI_SOCKTYPE",
    )
    if hasattr(socket, name)
)


def is_temporary(error: OSError) -> bool:
    """Whether the same look-up may succeed a little later.

    Args:
        error: As `socket.getaddrinfo` raises it. One that is no `socket.gaierror` speaks of this machine, such as
            of too many open files, and passes as well.
    """
    return not (isinstance(error, socket.gaierror) and error.errno in _DEFINITE)


def dns_error(host: str | None, error: OSError) -> DnsError:
    """What a look-up of *host* that failed with *error* is to the caller."""
    reason = error.strerror or str(error) or type(error).__name__
    if is_temporary(error):
        message = f"the host name {host} could not be looked up: {reason}; the network may know it later"
    else:
        message = f"the host name {host} does not resolve: {reason}; check its spelling and the network"
    return DnsError(message, temporary=is_temporary(error))
