"""The plain list of URLs: one a line, in UTF-8."""

from __future__ import annotations

from dataclasses import dataclass

from asyncflags._policies.urls import parse_url
from asyncflags.errors import InvalidUrl

__all__ = ["ListLine", "decoded_line", "parse_list_line"]

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class ListLine:
    """One URL of a list.

    Attributes:
        number: Of the line, from 1.
        url: The URL as written; it may hold credentials.
    """

    number: int
    url: str


def decoded_line(raw: bytes, number: int) -> str:
    """The text of one line of a list.

    Args:
        raw: The line.
        number: Of the line, from 1; a byte order mark before the first one is left out.

    Raises:
        ValueError: It is not UTF-8. The message names the line.
    """
    if number == 1:
        raw = raw.removeprefix(_UTF8_MARK)
        if raw.startswith(_UTF16_MARKS):
            raise ValueError("line 1: the list is UTF-16: save it as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"line {number} is not UTF-8: save the list as UTF-8") from None


def parse_list_line(raw: bytes, number: int) -> ListLine | None:
    """Read one line of a list.

    Args:
        raw: The line, with or without its line end.
        number: Of the line, from 1.

    Returns:
        The URL; ``None``: the line is empty or a comment, which starts with ``#``.

    Raises:
        ValueError: The line is not UTF-8 or not an http or https URL. The message names the line.
    """
    text = decoded_line(raw, number).strip()
    if not text or text.startswith("#"):
        return None
    try:
        parse_url(text)
    except InvalidUrl as error:
        raise ValueError(f"line {number}: {error}") from None
    return ListLine(number, text)
