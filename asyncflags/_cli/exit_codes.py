"""Exit codes: those of wget, which people know, and a few beyond them."""

from __future__ import annotations

from collections.abc import Iterable

from asyncflags import errors

__all__ = [
    "BROKEN_PIPE",
    "COMPLETE",
    "INTERRUPTED",
    "NETWORK",
    "OTHER",
    "STORAGE",
    "TERMINATED",
    "USAGE",
    "code_of",
    "exit_code",
    "lowest",
]

COMPLETE = 0
OTHER = 1
USAGE = 2
STORAGE = 3
NETWORK = 4
TLS = 5
AUTHENTICATION = 6
PROTOCOL = 7
STATUS = 8
CHECKSUM = 9
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells report it."""
BROKEN_PIPE = 141
"""128 and the number of SIGPIPE: the reader of standard output left."""
TERMINATED = 143
"""128 and the number of SIGTERM."""

_UNAUTHORIZED = (401, 407)
# The first class that fits decides, so TruncatedBody stands before TransportError, its base.
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.TruncatedBody, PROTOCOL),
    (errors.TransportError, NETWORK),
    (errors.TotalTimeout, NETWORK),
    (errors.InvalidUrl, USAGE),
    (errors.StorageError, STORAGE),
    (errors.UnsafePath, STORAGE),
    (errors.TlsError, TLS),
    (errors.StatusError, STATUS),
    (errors.ProtocolError, PROTOCOL),
    (errors.RangeError, PROTOCOL),
    (errors.TooManyRedirects, PROTOCOL),
    (errors.ChecksumMismatch, CHECKSUM),
    (errors.DigestMissing, CHECKSUM),
)


def code_of(error: BaseException) -> int:
    """The exit code for one error: 1 for every kind that has none of its own."""
    if isinstance(error, errors.StatusError) and error.status in _UNAUTHORIZED:
        return AUTHENTICATION
    return next((code for kind, code in _CODES if isinstance(error, kind)), OTHER)


def lowest(codes: Iterable[int]) -> int:
    """The one code for many: 0 for none, else the lowest above 1, else 1."""
    failures = {code for code in codes if code}
    return min(failures - {OTHER}, default=OTHER if failures else COMPLETE)


def exit_code(errors: Iterable[BaseException]) -> int:
    """The exit code of a run with these errors.

    Args:
        errors: Any number of them; none: everything is complete.

    Returns:
        0 for none, else the lowest above 1 of their codes, else 1.
    """
    return lowest(map(code_of, errors))
