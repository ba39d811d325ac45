from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.framing import MAX_LENGTH, Framing, body_framing, check_content_coding
from asyncflags.errors import ProtocolError


def framing(
    *fields: tuple[str, str], method: str = "GET", status: int = 200, http_version: tuple[int, int] = (1, 1)
) -> tuple[Framing, int | None]:
    return body_framing(method=method, status=status, headers=fields, http_version=http_version)


LENGTH = ("Content-Length", "5")
CHUNKED = ("Transfer-Encoding", "chunked")


@given(st.integers(0, MAX_LENGTH))
def test_a_length_frames_the_body(length: int) -> None:
    assert framing(("content-LENGTH", f" {length}\t")) == (Framing.LENGTH, length)


@pytest.mark.parametrize("value", ["chunked", "Chunked", " CHUNKED "])
def test_chunked_frames_the_body(value: str) -> None:
    assert framing(("transfer-encoding", value)) == (Framing.CHUNKED, None)


def test_without_length_or_chunks_the_connection_ends_the_body() -> None:
    assert framing(("Content-Type", "image/gif")) == (Framing.CLOSE, None)


@pytest.mark.parametrize("status", [100, 103, 199, 204, 304])
def test_some_statuses_have_no_body_whatever_they_announce(status: int) -> None:
    assert framing(LENGTH, CHUNKED, status=status) == (Framing.NONE, None)


def test_the_answer_to_head_has_no_body() -> None:
    assert framing(LENGTH, method="HEAD") == (Framing.NONE, None)


@pytest.mark.parametrize("status", [200, 206, 205, 301, 404, 416, 503])
def test_every_other_status_has_a_body(status: int) -> None:
    assert framing(LENGTH, status=status) == (Framing.LENGTH, 5)


@pytest.mark.parametrize(
    "fields", [[("Content-Length", "5, 5")], [LENGTH, LENGTH], [LENGTH, ("content-length", "05")]]
)
def test_a_repeated_equal_length_is_one_length(fields: list[tuple[str, str]]) -> None:
    assert framing(*fields) == (Framing.LENGTH, 5)


@pytest.mark.parametrize("fields", [[("Content-Length", "5, 6")], [LENGTH, ("content-length", "6")]])
def test_different_lengths_are_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(ProtocolError, match="different lengths: 5, 6"):
        framing(*fields)


@pytest.mark.parametrize(
    "value", ["", "-5", "+5", "5.0", "0x5", "1_0", "12abc", "5 5", "5,", ",5", "٥", "²", "5;q=1", "\x0b5"]
)
def test_a_length_that_is_not_digits_alone_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match="not a number"):
        framing(("Content-Length", value))


@pytest.mark.parametrize("value", [str(MAX_LENGTH + 1), "9" * 50_000])
def test_a_length_beyond_63_bits_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match="beyond"):
        framing(("Content-Length", value))


@pytest.mark.parametrize(
    "value", ["", "identity", "gzip, chunked", "chunked, chunked", "chunked, gzip", "xchunked", "chunked;q=1"]
)
def test_a_transfer_coding_other_than_chunked_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match="transfer coding"):
        framing(("Transfer-Encoding", value))


def test_chunked_in_two_fields_is_refused() -> None:
    with pytest.raises(ProtocolError, match="transfer coding"):
        framing(CHUNKED, CHUNKED)


@pytest.mark.parametrize("fields", [[LENGTH, CHUNKED], [CHUNKED, LENGTH]])
def test_a_length_beside_chunked_is_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(ProtocolError, match="contradict"):
        framing(*fields)


def test_chunked_in_http_1_0_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"HTTP/1\.0"):
        framing(CHUNKED, http_version=(1, 0))


def test_a_refusal_shows_little_of_a_hostile_value() -> None:
    with pytest.raises(ProtocolError) as caught:
        framing(("Transfer-Encoding", "\x1b" + "x" * 10_000))
    assert len(str(caught.value)) < 200 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([], None),
        ([""], None),
        (["identity"], None),
        (["gzip"], "gzip"),
        ([" GZip "], "gzip"),
        (["x-gzip"], "gzip"),
        (["deflate"], "deflate"),
        (["identity, gzip"], "gzip"),
        (["gzip", "identity"], "gzip"),
        (["br"], "br"),
        (["x-flag"], "x-flag"),
    ],
)
def test_the_single_content_coding_is_named(values: list[str], coding: str | None) -> None:
    assert check_content_coding([("content-ENCODING", value) for value in values]) == coding


@pytest.mark.parametrize("values", [["gzip, gzip"], ["gzip", "br"], ["gzip, identity, deflate"]])
def test_a_chain_of_content_codings_is_refused(values: list[str]) -> None:
    with pytest.raises(ProtocolError, match="2 times over"):
        check_content_coding([("Content-Encoding", value) for value in values])
