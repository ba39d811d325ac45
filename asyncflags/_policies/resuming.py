"""What the answer to a request for the rest of a file means.

Source: RFC 9110 sections 13.1.1, 13.1.5, 14.2, 15.3.7 and 15.5.17.
"""

from __future__ import annotations

from enum import Enum

from asyncflags.errors import (
    ClosedError,
    DownloadError,
    StorageError,
    TotalTimeout,
    TransportError,
)

__all__ = ["Asked", "Next", "keeps_part", "next_step", "overlap_before"]

_OVERLAP = 1024


class Asked(Enum):
    """How a file was asked for."""

    WHOLE = "without a range"
    IF_RANGE = "for a range, under If-Range"
    IF_MATCH = "for a range, under If-Match"
    UNPROVEN = "for a range that only the checksum of the whole can prove"


class Next(Enum):
    """What to do with an answer."""

    TAKE = "its body is the file, from the first byte on"
    CONTINUE = "its body is a part that continues ours, if it fulfils what a part must"
    ASK_BY_MATCH = "ask for the same range under If-Match"
    ASK_WHOLE = "drop the part and ask for the whole"
    REFUSE = "it is an error or nothing at all"


def next_step(status: int, *, asked: Asked, same_etag: bool) -> Next:
    """Decide from the head of an answer.

    Args:
        status: Of the final answer, redirects that are followed left out.
        asked: How the file was asked for.
        same_etag: Whether the answer carries the strong entity tag of the part at hand.
    """
    if asked is Asked.WHOLE:
        return Next.TAKE if 200 <= status < 300 and status != 206 else Next.REFUSE
    if status == 206:
        return Next.CONTINUE
    if status in (412, 416):
        return Next.ASK_WHOLE
    if 200 <= status < 300:
        # The version is still ours, so the server does not know If-Range. Some that serve from caches know
        # If-Match all the same.
        return Next.ASK_BY_MATCH if asked is Asked.IF_RANGE and same_etag else Next.TAKE
    return Next.REFUSE


def overlap_before(position: int) -> int:
    """How many bytes before *position* are asked for once more, to be compared with those at hand.

    Never more than half of what is there, so that a server which cuts every answer short cannot keep a
    small file from growing.
    """
    return min(_OVERLAP, (position + 1) // 2)


def keeps_part(error: BaseException) -> bool:
    """Whether bytes that came before *error* may be relied on.

    The network, the disk and the caller end a transfer without a word on the bytes before; an answer that
    is malformed or does not fit them condemns them.
    """
    if isinstance(error, DownloadError):
        return isinstance(error, TransportError | StorageError | TotalTimeout | ClosedError)
    return True
