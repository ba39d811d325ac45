"""Heads of HTTP/1.1 messages: requests made, answers read (RFC 9112 sections 2 to 6, RFC 9110 section 5).

An answer is read by the grammar and by nothing else. What two readers could understand differently is refused, also
where a client may repair it: line ends without CR, bare CR, folded lines, a space before a colon, control characters,
a length that is repeated. The one leniency is a status line that ends after the code, without the space that the
grammar wants before an empty reason: it is common and means one thing only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from asyncflags._policies.framing import Framing, body_framing
from asyncflags.errors import InvalidUrl, ProtocolError

__all__ = ["MAX_FIELDS", "MAX_HEAD_BYTES", "Head", "HeadReader", "HeadWriter", "decoded"]

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of the longest head that is read, status line and final empty line included."""

MAX_FIELDS = 256
"""Fields of one head."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]"
_STATUS_LINE = re.compile(rf"HTTP/1\.([01]) ([1-9][0-9]{{2}})(?: {_TEXT}*+)?")
_FIELD_LINE = re.compile(rf"({_TOKEN}):[ \t]*+({_TEXT}*+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_STATUS_BEGINNING = re.compile(rf"HTTP/1\.(?:[01](?: (?:[1-9](?:[0-9](?:[0-9](?: {_TEXT}*+)?\r?)?)?)?)?)?\Z")
_FIELD_BEGINNING = re.compile(rf"(?:{_TOKEN}(?::{_TEXT}*+)?)?\r?\Z")
_BEGINNING = "HTTP/1."
_TARGET = re.compile(r"[!-~]++")
_NAME = re.compile(_TOKEN)

_WITHOUT_BODY = frozenset({204, 304})
_FRAMING_NAMES = frozenset({"content-length", "transfer-encoding", "connection"})
_OWN_NAMES = frozenset({"content-length", "transfer-encoding"})

_HOST = "\r\nHost: "
_MOST_KNOWN_LINES = 1024
_LONGEST_KNOWN_LINE = 128
_MOST_KNOWN_BLOCKS = 64
_SHOWN = 60

_Field: TypeAlias = "tuple[tuple[str, str], str]"
"""Name and value, and the name in lower case if it belongs to the framing, else empty."""


class Head(NamedTuple):
    """The head of an answer.

    Attributes:
        status: The HTTP status code.
        http_version: ``(1, 1)`` or ``(1, 0)``.
        fields: Names and values in the order in which they came.
        framing: What ends the body.
        length: Bytes of the body for `Framing.LENGTH`, 0 for `Framing.NONE`; ``None``: not known.
        is_persistent: Whether the connection may take another request (RFC 9112 section 9.3).
    """

    status: int
    http_version: tuple[int, int]
    fields: list[tuple[str, str]]
    framing: Framing
    length: int | None
    is_persistent: bool


def decoded(raw: bytes | bytearray | memoryview) -> str:
    """Decode a head; bytes that are no UTF-8 become lone surrogates and can be had back."""
    return str(raw, "utf-8", "surrogateescape")


class HeadReader:
    """Reads heads, and remembers lines that are repeated from answer to answer."""

    def __init__(self) -> None:
        self._status_lines: dict[str, tuple[tuple[int, int], int]] = {}
        self._field_lines: dict[str, _Field] = {}

    def read(self, text: str) -> Head:
        """Read a head that is whole.

        Args:
            text: As by `decoded`, without the two line ends at its end.

        Raises:
            ProtocolError: It is not valid, or a field says what must not be.
        """
        lines = text.split("\r\n")
        if len(lines) > MAX_FIELDS + 1:
            raise ProtocolError(f"the answer has more than {MAX_FIELDS} header fields")
        first = lines[0]
        version, status = self._status_lines.get(first) or self._read_status(first)
        del lines[0]
        known = self._field_lines.get
        fields: list[tuple[str, str]] = []
        framing: list[tuple[str, str]] = []
        for line in lines:
            field = known(line) or self._read_field(line)
            fields.append(field[0])
            if field[1]:
                framing.append((field[1], field[0][1]))
        return Head(status, version, fields, *_frame(status, version, framing))

    def check_beginning(self, raw: bytearray, checked: int) -> int:
        """Refuse a head that cannot become valid any more, so that nobody waits for its end.

        Args:
            raw: What came of it.
            checked: What this function returned for a shorter piece, at first 0.

        Returns:
            How far it was checked.

        Raises:
            ProtocolError: It is not valid as far as it came.
        """
        while (end := raw.find(b"\n", checked)) >= 0:
            line = decoded(raw[checked : end + 1])
            if not line.endswith("\r\n"):
                raise ProtocolError(_line_complaint(line))
            if checked:
                self._read_field(line[:-2])
            else:
                self._read_status(line[:-2])
            checked = end + 1
        rest = decoded(raw[checked:])
        if checked:
            if _FIELD_BEGINNING.match(rest) is None:
                raise ProtocolError(_line_complaint(rest))
        elif _STATUS_BEGINNING.match(rest) is None and not _BEGINNING.startswith(rest):
            raise ProtocolError(_status_complaint(rest))
        if len(raw) > MAX_HEAD_BYTES:
            raise ProtocolError(f"the head of the answer is larger than {MAX_HEAD_BYTES} bytes")
        return checked

    def _read_status(self, line: str) -> tuple[tuple[int, int], int]:
        matched = _STATUS_LINE.fullmatch(line)
        if matched is None:
            raise ProtocolError(_status_complaint(line))
        read = (1, int(matched[1])), int(matched[2])
        if len(self._status_lines) < _MOST_KNOWN_BLOCKS and len(line) < _LONGEST_KNOWN_LINE:
            self._status_lines[line] = read
        return read

    def _read_field(self, line: str) -> _Field:
        matched = _FIELD_LINE.fullmatch(line)
        if matched is None:
            raise ProtocolError(_line_complaint(line))
        name, value = matched[1], matched[2].rstrip(" \t")
        lowered = name.lower()
        field = ((name, value), lowered if lowered in _FRAMING_NAMES else "")
        if len(line) < _LONGEST_KNOWN_LINE:
            if len(self._field_lines) >= _MOST_KNOWN_LINES:
                self._field_lines.clear()
            self._field_lines[line] = field
        return field


def _status_complaint(line: str) -> str:
    return f"the answer is not valid HTTP: its status line is {line.encode(errors='replace')[:_SHOWN]!r}"


def _line_complaint(line: str) -> str:
    """Say what is wrong with a line of a head that is not valid."""
    bare = line.removesuffix("\r\n")
    if bare.startswith((" ", "\t")):
        reason = "a header field is folded over two lines"
    elif "\r" in bare.removesuffix("\r"):
        reason = "a CR stands alone in its head"
    elif "\n" in bare:
        reason = "a line of its head ends with LF alone"
    elif _CONTROL.search(bare):
        reason = "its head holds a control character"
    else:
        reason = "a header field is malformed"
    return f"the answer is not valid HTTP: {reason}: {line.encode(errors='replace')[:_SHOWN]!r}"


def _frame(
    status: int, version: tuple[int, int], fields: list[tuple[str, str]]
) -> tuple[Framing, int | None, bool]:
    """Decide how the body ends and whether the connection goes on, of the fields that say so."""
    length: str | None = None
    options, is_coded = "", False
    for name, value in fields:
        if name == "connection":
            options = f"{options},{value}" if options else value
        elif name == "transfer-encoding":
            is_coded = True
        elif length is None and "," not in value:
            length = value
        else:
            raise ProtocolError("the server announces the length of the body more than once")
    size: int | None
    if length is not None and not is_coded and len(length) < 19 and length.isascii() and length.isdigit():
        framing, size = Framing.LENGTH, int(length)
    else:
        # Fields that contradict each other are refused also where there is no body.
        framing, size = body_framing(method="GET", status=200, headers=fields, http_version=version)
    # By far most answers say one of these two, and mean the same by them.
    if version == (1, 1) and (not options or options == "keep-alive"):
        persistent = True
    else:
        persistent = _is_persistent(version, options)
    if status < 200 or status in _WITHOUT_BODY:
        return Framing.NONE, 0, persistent
    return framing, size, persistent and framing is not Framing.CLOSE


def _is_persistent(version: tuple[int, int], options: str) -> bool:
    tokens = {token.strip(" \t").lower() for token in options.split(",")}
    return "close" not in tokens and (version == (1, 1) or "keep-alive" in tokens)


class HeadWriter:
    """Makes request heads, and remembers fields that are repeated from request to request."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[tuple[str, str], ...], str] = {}

    def write(self, target: str, host: str, fields: Mapping[str, str]) -> bytes:
        """The head of a ``GET`` (RFC 9112 section 3).

        Args:
            target: In origin form, to the byte.
            host: Value of the field ``Host``, which comes first (RFC 9110 section 7.2).
            fields: All others; a ``Host`` among them counts instead.

        Raises:
            InvalidUrl: Something of it would end its line early or is framing that a ``GET`` does not have; also
                a `ValueError`.
        """
        if _TARGET.fullmatch(target) is None:
            raise InvalidUrl("the request cannot be sent: the URL holds a space, a line break or the like")
        key = tuple(fields.items())
        block = self._blocks.get(key)
        if block is None:
            block = self._write_fields(key)
        own = "" if block.startswith(_HOST) else f"{_HOST}{host}"
        return f"GET {target} HTTP/1.1{own}{block}".encode("utf-8", "surrogateescape")

    def _write_fields(self, fields: tuple[tuple[str, str], ...]) -> str:
        hosts, others = [], []
        for name, value in fields:
            _check_field(name, value)
            if name.lower() == "host":
                hosts.append(f"{_HOST}{value}")
            else:
                others.append(f"\r\n{name}: {value}")
        if len(hosts) > 1:
            raise InvalidUrl("the request cannot be sent: it has more than one header field Host")
        block = "".join([*hosts, *others, "\r\n\r\n"])
        if len(self._blocks) >= _MOST_KNOWN_BLOCKS:
            self._blocks.clear()
        self._blocks[fields] = block
        return block


def _check_field(name: str, value: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidUrl(f"the request cannot be sent: {name[:_SHOWN]!r} is no name of a header field")
    if _CONTROL.search(value) or "\r" in value or "\n" in value:
        raise InvalidUrl(
            f"the request cannot be sent: the header field {name} holds a line break or control character"
        )
    if name.lower() in _OWN_NAMES:
        raise InvalidUrl(
            f"the request cannot be sent: it has no body, and the header field {name} frames one"
        )
