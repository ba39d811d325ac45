"""What the errors of a resolver say: that there is no such name, or that it could not tell just now."""

from __future__ import annotations

import socket

__all__ = ["is_temporary"]

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
