"""Chunked bodies, in whatever pieces they come (RFC 9112 section 7.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._transports.wire_chunks import ChunkReader
from asyncflags.errors import ProtocolError


def feed(raw: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    """The body, what was not taken, and whether the body has ended, of bytes that come in pieces."""
    reader, body, waiting = ChunkReader(), b"", b""
    ends = [*sorted(cuts), len(raw)]
    for start, end in zip([0, *ends], ends, strict=False):
        waiting += raw[start:end]
        while waiting and not reader.is_finished:
            pieces, taken = reader.feed(memoryview(waiting))
            body += b"".join(pieces)
            waiting = waiting[taken:]
            if not taken:
                break
    return body, waiting, reader.is_finished


BODY = b'5;a=b ; c="d;\\""\r\nhello\r\n0A\r\n0123456789\r\n000;x\r\nT: u\r\nV:\r\n\r\n'


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
def test_a_body_is_taken_apart_in_pieces_of_any_size(step: int) -> None:
    body, rest, finished = feed(BODY + b"NEXT", list(range(0, len(BODY), step)))
    assert (body, finished) == (b"hello0123456789", True)
    assert b"NEXT".endswith(rest)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_chunks_of_any_bytes_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert feed(raw, [min(cut, len(raw)) for cut in cuts]) == (b"".join(chunks), b"", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"zz\r\n",
        b"\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5_0\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\rhello\r\n",
        b"5\r\nhello\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello5\r\n",
        b"5\r\nhello\r\r\n",
        b"fffffffffffffffff\r\n",
        b"ffffffffffffffff\r\n",
        b"5;\r\nhello\r\n",
        b"5;a=\r\nhello\r\n",
        b'5;a="b\r\nhello\r\n',
        b"5;a\nb\r\nhello\r\n",
        b"5;a\x00\r\nhello\r\n",
        b"5 a\r\nhello\r\n",
        b"0\r\nT : u\r\n\r\n",
        b"0\r\n T: u\r\n\r\n",
        b"0\r\nT: u\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nT: \x00\r\n\r\n",
        b"0\n\n",
    ],
)
@pytest.mark.parametrize("torn", [False, True])
def test_malformed_framing_is_refused(raw: bytes, torn: bool) -> None:
    with pytest.raises(ProtocolError):
        feed(b"1\r\nx\r\n" + raw, list(range(len(raw) + 6)) if torn else [])


@pytest.mark.parametrize("raw", [b"5;a=" + b"b" * 10_000, b"0\r\nT: " + b"u" * 10_000])
def test_a_line_without_end_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="longer than 4096"):
        feed(raw, [])


@pytest.mark.parametrize(
    "raw", [b"1;" + b"a" * 100 + b"\r\nx\r\n", b"0\r\n" + (b"T: " + b"u" * 100 + b"\r\n")]
)
def test_what_comes_beside_the_body_is_bounded(raw: bytes) -> None:
    first, second = (b"", raw) if raw.startswith(b"1") else (raw[:3], raw[3:])
    with pytest.raises(ProtocolError, match="more chunk extensions|more than 16384"):
        feed(first + second * 1000, [])


def test_large_chunks_may_carry_extensions_for_ever() -> None:
    raw = (b"1000;signature=" + b"a" * 64 + b"\r\n" + b"x" * 4096 + b"\r\n") * 1000
    body, _, finished = feed(raw, [])
    assert (len(body), finished) == (4096 * 1000, False)


def test_tiny_chunks_are_taken_some_at_a_time() -> None:
    pieces, taken = ChunkReader().feed(memoryview(b"1\r\nx\r\n" * 10_000))
    assert len(pieces) <= 1024
    assert taken < 6 * 1025


def test_bytes_of_a_chunk_that_others_read_count() -> None:
    reader = ChunkReader()
    reader.feed(memoryview(b"A\r\n012"))
    assert reader.left == 7
    reader.skip(7)
    assert reader.feed(memoryview(b"\r\n0\r\n\r\n")) == ([], 7)
    assert reader.is_finished
