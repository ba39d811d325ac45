"""What the status of an answer to a plain ``GET`` means for a download (RFC 9110 section 15)."""

from __future__ import annotations

from http import HTTPStatus

from asyncflags.errors import DownloadError, RangeError, StatusError

__all__ = ["refusal"]

_WAY_OUT = {
    401: "give credentials (auth, --user or --netrc)",
    403: "the server forbids it, with these credentials at least",
    407: "give the proxy's credentials in its URL",
    429: "lower max_connections_per_host (--per-host) or try later",
}
_EMPTY = frozenset({204, 205})


def refusal(status: int, *, retry_after: float | None) -> DownloadError | None:
    """The error that an answer's status stands for; ``None``: the body is the file.

    Args:
        status: Status of the final answer, redirects that are followed left out.
        retry_after: Seconds the server asks to wait, or ``None``.
    """
    if status == 206:
        return RangeError("the server sent a part (206) although the whole was asked for")
    if 200 <= status < 300 and status not in _EMPTY:
        return None
    phrase = _phrase(status)
    if status in _EMPTY:
        message = f"the server answered {phrase}: there is nothing to download"
    elif status == 304:
        message = f"the server answered {phrase} although nothing was asked under a condition"
    else:
        message = f"the server answered {phrase}"
        if way_out := _WAY_OUT.get(status):
            message += f": {way_out}"
    return StatusError(message, status=status, retry_after=retry_after)


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
