from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.lists import ListLine, parse_list_line

URL = "https://flags.example/fr.gif"


@pytest.mark.parametrize("raw", [URL.encode(), f"{URL}\n".encode(), f"\t {URL} \r\n".encode()])
def test_white_space_around_a_url_is_ignored(raw: bytes) -> None:
    assert parse_list_line(raw, 7) == ListLine(7, URL)


@pytest.mark.parametrize("raw", [b"", b"\n", b" \t\r\n", b"# flags\n", b"  # flags", b"#\xc3\xa9"])
def test_empty_lines_and_comments_hold_no_url(raw: bytes) -> None:
    assert parse_list_line(raw, 7) is None


def test_a_fragment_is_no_comment() -> None:
    assert parse_list_line(b"https://flags.example/#x", 1) == ListLine(1, "https://flags.example/#x")


def test_the_url_stays_as_written() -> None:
    written = "HTTPS://me:pw@Flags.Example/é"
    assert parse_list_line(written.encode(), 1) == ListLine(1, written)


def test_a_byte_order_mark_is_ignored_on_the_first_line_alone() -> None:
    marked = b"\xef\xbb\xbf" + URL.encode()
    assert parse_list_line(marked, 1) == ListLine(1, URL)
    assert parse_list_line(b"\xef\xbb\xbf\n", 1) is None
    with pytest.raises(ValueError, match="line 2"):
        parse_list_line(marked, 2)


def test_a_line_that_is_not_utf_8_is_named() -> None:
    with pytest.raises(ValueError, match="line 12 is not UTF-8"):
        parse_list_line(b"https://flags.example/\xff", 12)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_named(encoding: str) -> None:
    with pytest.raises(ValueError, match="UTF-16"):
        parse_list_line(f"\ufeff{URL}".encode(encoding), 1)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"flags.example/fr.gif", "line 3: .*write https://flags.example/fr.gif"),
        (b"ftp://flags.example/", "line 3: .*'ftp'"),
        (b"https://flags.example:x/", "line 3: .*port"),
    ],
)
def test_a_bad_url_is_named_with_its_line_and_reason(raw: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_list_line(raw, 3)


def test_a_bad_line_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="line 1") as caught:
        parse_list_line(b"https://me:hunter2@h:x/", 1)
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=40), st.integers(1, 5))
def test_no_bytes_raise_anything_but_value_error(raw: bytes, number: int) -> None:
    try:
        parse_list_line(raw, number)
    except ValueError as error:
        assert f"line {number}" in str(error)
