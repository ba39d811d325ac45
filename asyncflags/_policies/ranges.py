"""Byte ranges: what is asked for, what a part must fulfil, and which bytes are there (RFC 9110 section 14).

Inside, a range is half-open: ``(0, 10)`` is the first ten bytes. Only at the wire does the last byte count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from asyncflags._policies.framing import MAX_LENGTH, body_framing, check_content_coding
from asyncflags._policies.validators import Validator
from asyncflags.errors import ProtocolError, RangeError

__all__ = [
    "ContentRange",
    "Ranges",
    "check_partial",
    "parse_content_range",
    "parse_unsatisfied",
    "range_field",
]

# More digits than 19 are never needed for 63 bits, and counting them first keeps a long field from costing time.
_NUMBER = "([0-9]{1,19})"
_UNIT = "[Bb][Yy][Tt][Ee][Ss]"
_CONTENT_RANGE = re.compile(rf"{_UNIT} {_NUMBER}-{_NUMBER}/(?:{_NUMBER}|\*)")
_UNSATISFIED = re.compile(rf"{_UNIT} \*/{_NUMBER}")
_WHITESPACE = " \t"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of the file a part holds.

    Attributes:
        start: Offset of the first byte.
        stop: Offset after the last byte.
        total: Bytes of the whole file; ``None``: the server does not say (``*``).
    """

    start: int
    stop: int
    total: int | None


def parse_content_range(value: str | None) -> ContentRange:
    """Read the Content-Range of a part (RFC 9110 section 14.4).

    Args:
        value: The field as sent; ``None``: absent.

    Raises:
        RangeError: It is absent, malformed, in another unit than bytes, holds several values, contradicts itself,
            or goes beyond 2**63 - 1 bytes.
    """
    if value is None:
        raise RangeError("the server sent a part (206) without a Content-Range, so its place is unknown")
    text = value.strip(_WHITESPACE)
    matched = _CONTENT_RANGE.fullmatch(text)
    if matched is None:
        raise RangeError(f"the server sent a part with the Content-Range {_shown(text)}, {_fault(text)}")
    first, last = int(matched[1]), int(matched[2])
    total = None if matched[3] is None else int(matched[3])
    if last < first or (total is not None and total <= last):
        raise RangeError(
            f"the server sent a part with the Content-Range {_shown(text)}, which contradicts itself"
        )
    if max(last + 1, total or 0) > MAX_LENGTH:
        raise RangeError(f"the server sent a part that lies beyond {MAX_LENGTH} bytes")
    return ContentRange(first, last + 1, total)


def _fault(text: str) -> str:
    if "," in text:
        return "which names several ranges where one was asked for"
    unit, space, rest = text.partition(" ")
    if space and unit.lower() != "bytes":
        return "whose unit is not bytes"
    if rest.startswith("*"):
        return "which names no range"
    return "which is malformed"


def parse_unsatisfied(value: str | None) -> int | None:
    """Read how long the file is from the Content-Range of a 416 (RFC 9110 sections 14.4 and 15.5.17).

    Args:
        value: The field as sent, such as ``bytes */1000``; ``None``: absent.

    Returns:
        Bytes of the whole file; ``None``: absent or malformed.
    """
    matched = _UNSATISFIED.fullmatch((value or "").strip(_WHITESPACE))
    if matched is None:
        return None
    total = int(matched[1])
    return total if total <= MAX_LENGTH else None


def range_field(start: int, stop: int | None = None) -> str:
    """Write the value of a Range field for one range (RFC 9110 section 14.1.2).

    Args:
        start: Offset of the first byte.
        stop: Offset after the last byte; ``None``: to the end of the file.

    Raises:
        ValueError: The range is empty or starts before the file.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"there is no range from {start} to {stop}: it must hold at least one byte")
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def check_partial(
    headers: Sequence[tuple[str, str]],
    *,
    start: int,
    stop: int | None,
    total: int | None,
    validator: Validator,
) -> ContentRange:
    """Check that a 206 is the part that was asked for, of the version at hand (RFC 9110 section 15.3.7).

    Args:
        headers: Every field of the answer in order, repeated ones included; names in any case.
        start: Offset of the first byte asked for.
        stop: Offset after the last byte asked for; ``None``: to the end of the file.
        total: Bytes of the whole file; ``None``: not known so far.
        validator: Of the version at hand. Without a `Validator.condition` nothing proves that the part belongs
            to that version, only that it does not contradict it.

    Returns:
        Which bytes the part holds: from *start*, and maybe fewer than were asked for.

    Raises:
        RangeError: Not one byte of the part may be used; the message tells why.
    """
    # RFC 9110 section 15.3.7.2: several parts are no answer to one range.
    if _media_type(headers) == "multipart/byteranges":
        raise RangeError("the server sent several parts (multipart/byteranges) where one was asked for")
    field = _one_value(headers, "Content-Range")
    given = parse_content_range(field)
    _check_place(given, start, stop, total)
    _check_body(headers, given)
    reason = validator.contradiction(
        etag=_one_value(headers, "ETag"), last_modified=_one_value(headers, "Last-Modified")
    )
    if reason is not None:
        raise RangeError(f"the server sent a part of another version: {reason}")
    return given


def _check_place(given: ContentRange, start: int, stop: int | None, total: int | None) -> None:
    if given.start != start:
        raise RangeError(
            f"the server sent a part from byte {given.start} where one from byte {start} was asked for"
        )
    if total is not None and given.total is not None and given.total != total:
        raise RangeError(f"the server sent a part of {given.total} bytes in all, and the file has {total}")
    ends = [end for end in (stop, total) if end is not None]
    if ends and given.stop > min(ends):
        raise RangeError(
            f"the server sent a part up to byte {given.stop}, and it was asked for up to byte {min(ends)}"
        )


def _check_body(headers: Sequence[tuple[str, str]], given: ContentRange) -> None:
    try:
        coding = check_content_coding(headers)
        _, length = body_framing(method="GET", status=206, headers=headers, http_version=(1, 1))
    except ProtocolError as error:
        raise RangeError(error.message) from None
    if coding is not None:
        raise RangeError(
            f"the server sent a part in the content coding {_shown(coding)}, and none was allowed"
        )
    if length is not None and length != given.stop - given.start:
        raise RangeError(
            f"the server announces a part of {length} bytes, and its Content-Range holds "
            f"{given.stop - given.start}"
        )


def _values(headers: Sequence[tuple[str, str]], name: str) -> list[str]:
    lowered = name.lower()
    return [value for each, value in headers if each.lower() == lowered]


def _one_value(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    values = _values(headers, name)
    if len(values) > 1:
        raise RangeError(f"the server sent a part with {len(values)} {name} fields, where one is allowed")
    return values[0] if values else None


def _media_type(headers: Sequence[tuple[str, str]]) -> str:
    return ", ".join(_values(headers, "Content-Type")).partition(";")[0].strip(_WHITESPACE).lower()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Ranges:
    """An immutable set of bytes as half-open ranges, always merged and in order.

    Attributes:
        parts: The ranges; none is empty and no two of them touch.
    """

    parts: tuple[tuple[int, int], ...]

    def __init__(self, parts: Iterable[tuple[int, int]] = ()) -> None:
        """Make the set of all bytes of *parts*, which may overlap, touch, be empty and be in any order.

        Raises:
            ValueError: A range starts before byte 0 or ends before it starts.
        """
        object.__setattr__(self, "parts", _merged(parts))

    @classmethod
    def parse(cls, value: object) -> Ranges:
        """Read ranges from decoded JSON, such as ``[[0, 10], [20, 30]]``; overlapping ones are merged.

        Raises:
            ValueError: It is anything else than a list of pairs of integers, 0 <= start < stop < 2**63.
        """
        if not isinstance(value, list):
            raise ValueError("the ranges are not a list")
        return cls(_parsed_pair(pair) for pair in value)

    def add(self, start: int, stop: int) -> Ranges:
        """Return the set with the bytes from *start* to before *stop* in it, too.

        Raises:
            ValueError: *start* is negative, or *stop* lies before it.
        """
        return Ranges((*self.parts, (start, stop)))

    def gaps(self, total: int) -> tuple[tuple[int, int], ...]:
        """Return the ranges that are missing in a file of *total* bytes, in order."""
        edges = [0, *(min(edge, total) for part in self.parts for edge in part), total]
        return tuple(
            (start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop
        )

    def covers(self, total: int) -> bool:
        """Tell whether every byte of a file of *total* bytes is there."""
        return self.prefix >= total

    @property
    def prefix(self) -> int:
        """How many bytes are there in one run from byte 0."""
        return self.parts[0][1] if self.parts and self.parts[0][0] == 0 else 0

    @property
    def size(self) -> int:
        """How many bytes are there in all."""
        return sum(stop - start for start, stop in self.parts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.parts)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __repr__(self) -> str:
        return f"Ranges({self.parts!r})"


def _merged(parts: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(parts):
        if not 0 <= start <= stop:
            raise ValueError(f"there is no range from {start} to {stop}")
        if start == stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)


def _parsed_pair(pair: object) -> tuple[int, int]:
    # A bool is an int to Python and not to JSON.
    if not isinstance(pair, list) or len(pair) != 2 or any(type(edge) is not int for edge in pair):
        raise ValueError("a range is not a pair of integers")
    start, stop = pair
    if not 0 <= start < stop <= MAX_LENGTH:
        raise ValueError("a range is empty, starts before byte 0 or ends beyond 63 bits")
    return start, stop
