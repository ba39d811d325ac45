"""How the end of a body is known, and how it is coded (RFC 9112 section 6, RFC 9110 section 8).

Whatever two readers could understand differently is refused: a length that is not digits alone, lengths that
differ, a length beside chunked, a transfer coding other than chunked.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from asyncflags.errors import ProtocolError

__all__ = ["MAX_LENGTH", "Framing", "body_framing", "check_content_coding"]

MAX_LENGTH = 2**63 - 1
"""Bytes of the longest body that can be announced."""

_SHOWN = 60


class Framing(enum.Enum):
    """What ends a body."""

    LENGTH = "length"
    """A number of bytes announced up front."""

    CHUNKED = "chunked"
    """The last chunk."""

    CLOSE = "close"
    """The end of the connection, which proves nothing about the body."""

    NONE = "none"
    """There is no body."""


def body_framing(
    *, method: str, status: int, headers: Sequence[tuple[str, str]], http_version: tuple[int, int]
) -> tuple[Framing, int | None]:
    """Decide how the body of an answer ends (RFC 9112 section 6.3).

    Args:
        method: Method of the request.
        status: Status of the answer.
        headers: Every field of the answer in order, repeated ones included; names in any case.
        http_version: Of the answer, such as ``(1, 1)``.

    Returns:
        The framing, with the length in bytes for `Framing.LENGTH` and ``None`` for all else.

    Raises:
        ProtocolError: The fields contradict each other or are malformed.
    """
    if method == "HEAD" or status < 200 or status in {204, 304}:
        return Framing.NONE, None
    lengths: list[str] = []
    codings: list[str] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == "content-length":
            lengths.append(value)
        elif lowered == "transfer-encoding":
            codings.append(value)
    if codings:
        _check_chunked(codings, lengths, http_version)
        return Framing.CHUNKED, None
    if lengths:
        return Framing.LENGTH, _agreed_length(lengths)
    return Framing.CLOSE, None


def _check_chunked(codings: list[str], lengths: list[str], http_version: tuple[int, int]) -> None:
    coding = ", ".join(codings).strip(" \t")
    if coding.lower() != "chunked":
        raise ProtocolError(
            f"the server sends the transfer coding {coding[:_SHOWN]!r}, and only chunked is defined"
        )
    if lengths:
        raise ProtocolError(
            "the server announces both a length and a chunked body, which contradict each other"
        )
    if http_version < (1, 1):
        raise ProtocolError("the server sends a chunked body in HTTP/1.0, which does not have them")


def _agreed_length(fields: list[str]) -> int:
    if len(fields) == 1 and "," not in fields[0]:
        return _parse_length(fields[0])
    # A repeated field and a list of values mean the same (RFC 9110 section 8.6).
    lengths = {_parse_length(value) for field in fields for value in field.split(",")}
    if len(lengths) > 1:
        raise ProtocolError(
            f"the server announces different lengths: {', '.join(map(str, sorted(lengths)))[:_SHOWN]}"
        )
    return lengths.pop()


def _parse_length(text: str) -> int:
    digits = text.strip(" \t")
    if not (digits.isascii() and digits.isdigit()):
        raise ProtocolError(f"the server announces the length {digits[:_SHOWN]!r}, which is not a number")
    # Counting digits first keeps a field of thousands of them from costing time.
    if len(digits.lstrip("0")) > 19 or int(digits) > MAX_LENGTH:
        raise ProtocolError(f"the server announces a length beyond {MAX_LENGTH} bytes")
    return int(digits)


def check_content_coding(headers: Sequence[tuple[str, str]]) -> str | None:
    """Return the content coding of an answer (RFC 9110 section 8.4).

    Args:
        headers: Every field of the answer in order; names in any case.

    Returns:
        The coding in lower case, ``x-gzip`` as ``gzip``; an unknown one as it is named; ``None``: the body
        is not coded.

    Raises:
        ProtocolError: Several codings are applied one upon the other, as bombs are built.
    """
    fields = [value for name, value in headers if name.lower() == "content-encoding"]
    if not fields:
        return None
    codings = [coding.strip(" \t").lower() for field in fields for coding in field.split(",")]
    applied = [coding for coding in codings if coding not in {"", "identity"}]
    if len(applied) > 1:
        raise ProtocolError(
            f"the server codes the body {len(applied)} times over, and one content coding is accepted"
        )
    if not applied:
        return None
    return "gzip" if applied[0] == "x-gzip" else applied[0]
