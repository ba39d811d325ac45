"""Heads: what is taken, what is refused and what is said of it (RFC 9112 sections 2 to 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.framing import Framing
from asyncflags._transports.wire_heads import MAX_FIELDS, Head, HeadReader, HeadWriter, decoded
from asyncflags.errors import InvalidUrl, ProtocolError

OK = "HTTP/1.1 200 OK\r\n"


def read(text: str) -> Head:
    return HeadReader().read(text)


def test_a_head_is_read() -> None:
    head = read(OK + 'Content-Length: 7\r\nX-A:  b c \t\r\nETag: "v"\r\nX-E:')
    assert (head.status, head.http_version, head.framing, head.length) == (200, (1, 1), Framing.LENGTH, 7)
    assert head.fields == [("Content-Length", "7"), ("X-A", "b c"), ("ETag", '"v"'), ("X-E", "")]


def test_lines_that_were_read_before_are_read_the_same_way() -> None:
    reader = HeadReader()
    first = reader.read(OK + "Content-Length: 7\r\nConnection: close")
    assert reader.read(OK + "Content-Length: 7\r\nConnection: close") == first
    assert not first.is_persistent


def test_lines_without_end_are_not_remembered_for_ever() -> None:
    reader = HeadReader()
    for number in range(5000):
        reader.read(f"HTTP/1.1 200 {number}\r\nX-Number: {number}")
    assert len(reader._field_lines) <= 1024
    assert len(reader._status_lines) <= 64


def test_bytes_that_are_no_utf_8_can_be_had_back() -> None:
    value = read(decoded(OK.encode() + b"X-A: \xff\xc3\xa9")).fields[0][1]
    assert value.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"


@pytest.mark.parametrize(
    ("fields", "framing", "length"),
    [
        ("Content-Length: 0", Framing.LENGTH, 0),
        ("Content-Length: 0010", Framing.LENGTH, 10),
        (f"Content-Length: {2**63 - 1}", Framing.LENGTH, 2**63 - 1),
        ("Transfer-Encoding: Chunked", Framing.CHUNKED, None),
        ("X: y", Framing.CLOSE, None),
    ],
)
def test_the_fields_tell_how_the_body_ends(fields: str, framing: Framing, length: int | None) -> None:
    head = read(OK + fields)
    assert (head.framing, head.length) == (framing, length)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"])
def test_some_answers_never_have_a_body(status: int, field: str) -> None:
    head = read(f"HTTP/1.1 {status} Reason\r\n{field}")
    assert (head.framing, head.length, head.is_persistent) == (Framing.NONE, 0, True)


@pytest.mark.parametrize(
    ("version", "connection", "persistent"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: x, Close", False),
        ("1.1", "Connection: keep-alive\r\nConnection: close", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive", True),
        ("1.0", "Connection: keep-alive, close", False),
    ],
)
def test_a_connection_goes_on_as_its_version_and_options_say(
    version: str, connection: str, persistent: bool
) -> None:
    lines = [f"HTTP/{version} 200 OK", "Content-Length: 1", *([connection] if connection else [])]
    assert read("\r\n".join(lines)).is_persistent is persistent


def test_a_connection_whose_end_is_the_end_of_the_body_does_not_go_on() -> None:
    assert not read(OK + "Connection: keep-alive").is_persistent


@pytest.mark.parametrize(
    "line",
    ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 Not a\tword \u00e9", "HTTP/1.0 999 Odd"],
)
def test_a_status_line_is_taken(line: str) -> None:
    assert read(line + "\r\nX: y").fields == [("X", "y")]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "HTTP/1.1 OK 200",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 \u0662\u0660\u0660 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/01.1 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200 O\x00K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 OK\n",
    ],
)
def test_a_malformed_status_line_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError, match="status line"):
        read(line + "\r\nContent-Length: 1")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("X-A : b", "malformed"),
        ("X A: b", "malformed"),
        ("No colon", "malformed"),
        (": b", "malformed"),
        ("", "malformed"),
        ("X\u00e9: b", "malformed"),
        (" folded", "folded"),
        ("\tfolded", "folded"),
        ("X: a\rb", "CR stands alone"),
        ("X: a\nY: b", "LF alone"),
        ("X: a\x00b", "control character"),
        ("X: a\x0bb", "control character"),
        ("X: a\x7fb", "control character"),
    ],
)
def test_a_malformed_field_is_refused_and_the_reason_named(line: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        read(OK + "Content-Length: 1\r\n" + line)
    assert "\n" not in caught.value.message
    assert "\r" not in caught.value.message


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\ncontent-length: 2",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length: 1_0",
        "Content-Length: \u0661",
        "Content-Length:",
        f"Content-Length: {2**63}",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x85chunked",
        "Transfer-Encoding:",
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(fields: str, status: int) -> None:
    with pytest.raises(ProtocolError):
        read(f"HTTP/1.1 {status} Reason\r\n{fields}")


def test_chunked_is_refused_in_a_version_that_has_it_not() -> None:
    with pytest.raises(ProtocolError, match=r"HTTP/1\.0"):
        read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked")


def test_fields_are_bounded() -> None:
    fields = [f"X-{number}: y" for number in range(MAX_FIELDS)]
    assert len(read("\r\n".join([OK[:-2], *fields])).fields) == MAX_FIELDS
    with pytest.raises(ProtocolError, match="more than 256"):
        read("\r\n".join([OK[:-2], *fields, "One: more"]))


VALID = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-A:  b c \t\r\nX-E: \xff\r\n"


@pytest.mark.parametrize("size", range(len(VALID) + 1))
def test_the_beginning_of_a_valid_head_is_waited_for(size: int) -> None:
    reader, checked = HeadReader(), 0
    for end in range(size + 1):
        checked = reader.check_beginning(bytearray(VALID[:end]), checked)
    assert checked == VALID[:size].rfind(b"\n") + 1


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b"HTTQ",
        b"\r\n",
        b"HTTP/2",
        b"HTTP/1.1  ",
        b"HTTP/1.1 2x",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\rX",
        b"HTTP/1.1 200 O\x00",
        b"HTTP/1.1 200 OK\r\n ",
        b"HTTP/1.1 200 OK\r\nX Y",
        b"HTTP/1.1 200 OK\r\nX: y\n",
        b"HTTP/1.1 200 OK\r\nX: y\x00",
        b"HTTP/1.1 200 OK\r\nX: y\r\r",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_a_head_that_cannot_become_valid_is_refused_before_its_end(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        HeadReader().check_beginning(bytearray(raw), 0)


@given(st.binary(max_size=60), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n"]))
def test_what_is_refused_as_a_beginning_is_refused_as_a_whole(rest: bytes, before: bytes) -> None:
    raw = before + rest.replace(b"\r\n\r\n", b"") + b"\r\n\r\n"
    raw = raw[: raw.find(b"\r\n\r\n")]
    try:
        HeadReader().read(decoded(raw))
    except ProtocolError:
        return
    HeadReader().check_beginning(bytearray(raw), 0)


def test_a_request_is_written_to_the_byte() -> None:
    written = HeadWriter().write("/a%2F?b=c", "flags.example:81", {"Accept": "*/*", "X-E": "\u00e9"})
    assert written == (
        b"GET /a%2F?b=c HTTP/1.1\r\nHost: flags.example:81\r\nAccept: */*\r\nX-E: \xc3\xa9\r\n\r\n"
    )


def test_fields_that_were_written_before_are_written_the_same_way() -> None:
    writer = HeadWriter()
    fields = {"Accept": "*/*"}
    first = writer.write("/", "a", fields)
    fields["X"] = "y"
    assert writer.write("/", "a", fields) == first[:-2] + b"X: y\r\n\r\n"
    assert writer.write("/", "a", {"Accept": "*/*"}) == first


def test_fields_without_end_are_not_remembered_for_ever() -> None:
    writer = HeadWriter()
    for number in range(1000):
        writer.write("/", "a", {"Range": f"bytes={number}-"})
    assert len(writer._blocks) <= 64


def test_a_host_of_the_callers_counts_and_still_comes_first() -> None:
    written = HeadWriter().write("/", "a", {"Accept": "*/*", "host": "b"})
    assert written == b"GET / HTTP/1.1\r\nHost: b\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        {"X": "a\r\nY: b"},
        {"X": "a\nb"},
        {"X": "a\rb"},
        {"X": "a\0b"},
        {"X\r\nY": "b"},
        {"X: y\r\nZ": "b"},
        {"X Y": "b"},
        {"": "b"},
        {"Host": "a", "host": "b"},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_a_field_that_would_change_the_request_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidUrl, match="cannot be sent") as caught:
        HeadWriter().write("/", "a", fields)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\x00", "/\u00e9", ""])
def test_a_target_that_would_change_the_request_is_refused(target: str) -> None:
    with pytest.raises(InvalidUrl, match="cannot be sent"):
        HeadWriter().write(target, "a", {})
