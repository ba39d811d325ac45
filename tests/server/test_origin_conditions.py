"""The true origin evaluates conditions and ranges as RFC 9110 sections 13 and 14 say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags.testing._resource import Representation, answer
from asyncflags.testing.origin import Origin

from .raw_client import exchange

BODY = b"0123456789"
MODIFIED = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
SAME = "Thu, 29 Feb 2024 12:00:00 GMT"
BEFORE = "Thu, 29 Feb 2024 11:59:59 GMT"
AFTER = "Thu, 29 Feb 2024 12:00:01 GMT"
RFC_850 = "Thursday, 29-Feb-24 12:00:00 GMT"
ASCTIME = "Thu Feb 29 12:00:00 2024"


def representation(
    body: bytes = BODY, etag: str | None = '"v1"', last_modified: datetime | None = MODIFIED
) -> Representation:
    return Representation(
        body=body, etag=etag, last_modified=last_modified, content_type="text/plain", headers={}
    )


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('If-None-Match: "v1"', 304),
        ('If-None-Match: W/"v1"', 304),
        ('If-None-Match: "v0", "v1"', 304),
        ('If-None-Match: "a,b",  "v1"', 304),
        ("If-None-Match: *", 304),
        ('If-None-Match: "v2"', 200),
        ("If-None-Match: v1", 200),
        (f"If-Modified-Since: {SAME}", 304),
        (f"If-Modified-Since: {AFTER}", 304),
        (f"If-Modified-Since: {RFC_850}", 304),
        (f"If-Modified-Since: {ASCTIME}", 304),
        (f"If-Modified-Since: {BEFORE}", 200),
        ("If-Modified-Since: yesterday", 200),
        ("If-Modified-Since: Thu, 99 Feb 2024 12:00:00 GMT", 200),
        ('If-Match: "v1"', 200),
        ("If-Match: *", 200),
        ('If-Match: "v0", "v1"', 200),
        ('If-Match: "v2"', 412),
        ('If-Match: W/"v1"', 412),
        (f"If-Unmodified-Since: {SAME}", 200),
        (f"If-Unmodified-Since: {BEFORE}", 412),
        ("If-Unmodified-Since: never", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_condition_decides_the_status(
    origin: Origin, condition: str, status: int, method: str
) -> None:
    origin.add("/file", BODY, etag='"v1"', last_modified=MODIFIED)
    reply = await exchange(origin, "/file", condition, method=method)
    assert reply.status == status
    assert reply.body == (BODY if status == 200 and method == "GET" else b"")


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        (('If-None-Match: "v2"', f"If-Modified-Since: {SAME}"), 200),
        (('If-Match: "v1"', f"If-Unmodified-Since: {BEFORE}"), 200),
        (('If-Match: "v2"', 'If-None-Match: "v1"'), 412),
        (('If-None-Match: "v1"', "Range: bytes=0-3"), 304),
        (('If-Match: "v2"', "Range: bytes=0-3"), 412),
        (('If-Match: "v1"', "Range: bytes=0-3"), 206),
        (('If-None-Match: "v0"', 'If-None-Match: "v1"'), 304),
    ],
)
async def test_conditions_are_evaluated_in_the_order_of_the_rfc(
    origin: Origin, conditions: tuple[str, ...], status: int
) -> None:
    origin.add("/file", BODY, etag='"v1"', last_modified=MODIFIED)
    assert (await exchange(origin, "/file", *conditions)).status == status


async def test_a_304_carries_the_etag_and_no_content(origin: Origin) -> None:
    origin.add(
        "/file",
        BODY,
        etag='"v1"',
        last_modified=MODIFIED,
        headers={"Cache-Control": "max-age=5", "X-Other": "1"},
    )
    reply = await exchange(origin, "/file", 'If-None-Match: "v1"')
    assert (reply.headers["etag"], reply.headers["cache-control"]) == ('"v1"', "max-age=5")
    assert "date" in reply.headers
    assert not {"x-other", "content-length", "content-type", "last-modified"} & set(reply.headers)


async def test_a_304_without_etag_carries_the_date_it_speaks_of(origin: Origin) -> None:
    origin.add("/file", BODY, etag=None, last_modified=MODIFIED)
    reply = await exchange(origin, "/file", f"If-Modified-Since: {SAME}")
    assert (reply.status, reply.headers["last-modified"]) == (304, SAME)


async def test_without_validators_conditions_that_need_them_change_nothing(origin: Origin) -> None:
    origin.add("/file", BODY, etag=None)
    dates = (f"If-Modified-Since: {SAME}", f"If-Unmodified-Since: {SAME}")
    assert (await exchange(origin, "/file", *dates)).status == 200
    assert (await exchange(origin, "/file", 'If-None-Match: "v1"')).status == 200
    assert (await exchange(origin, "/file", 'If-Match: "v1"')).status == 412


@pytest.mark.parametrize(
    ("value", "content_range", "body"),
    [
        ("bytes=0-0", "bytes 0-0/10", b"0"),
        ("bytes=2-4", "bytes 2-4/10", b"234"),
        ("bytes=5-", "bytes 5-9/10", b"56789"),
        ("bytes=9-", "bytes 9-9/10", b"9"),
        ("bytes=5-500", "bytes 5-9/10", b"56789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=-500", "bytes 0-9/10", BODY),
        ("BYTES=0-1", "bytes 0-1/10", b"01"),
        ("bytes= 0-1 ,", "bytes 0-1/10", b"01"),
    ],
)
async def test_one_range_is_a_206(origin: Origin, value: str, content_range: str, body: bytes) -> None:
    origin.add("/file", BODY, etag='"v1"', last_modified=MODIFIED)
    reply = await exchange(origin, "/file", f"Range: {value}")
    assert (reply.status, reply.body, reply.headers["content-range"]) == (206, body, content_range)
    assert reply.headers["content-length"] == str(len(body))
    assert (reply.headers["etag"], reply.headers["last-modified"]) == ('"v1"', SAME)


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"])
async def test_a_range_beyond_the_end_is_a_416_with_the_size(origin: Origin, value: str) -> None:
    origin.add("/file", BODY)
    reply = await exchange(origin, "/file", f"Range: {value}")
    assert (reply.status, reply.headers["content-range"], reply.body) == (416, "bytes */10", b"")


@pytest.mark.parametrize(
    "value",
    [
        "bytes=4-2",
        "bytes=20-10",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=--1",
        "bytes 0-1",
        "bytes=0-1;x",
        "lines=0-1",
        "bytes=0-1,3-4",
        "bytes=\u0661-2",
        "bytes=0-" + "9" * 5000,
    ],
)
async def test_a_malformed_or_multiple_range_is_ignored(origin: Origin, value: str) -> None:
    origin.add("/file", BODY)
    reply = await exchange(origin, "/file", f"Range: {value}")
    assert (reply.status, reply.body) == (200, BODY)
    assert "content-range" not in reply.headers


async def test_head_ignores_a_range(origin: Origin) -> None:
    origin.add("/file", BODY)
    reply = await exchange(origin, "/file", "Range: bytes=0-3", method="HEAD")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "10", b"")


@pytest.mark.parametrize(("value", "status"), [("bytes=0-", 416), ("bytes=-5", 200), ("bytes=-0", 416)])
async def test_ranges_of_an_empty_body(origin: Origin, value: str, status: int) -> None:
    origin.add("/empty", b"")
    assert (await exchange(origin, "/empty", f"Range: {value}")).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('"v1"', 206),
        ('"v2"', 200),
        ('W/"v1"', 200),
        ('"v1", "v2"', 200),
        ("*", 200),
        (SAME, 206),
        (RFC_850, 206),
        (BEFORE, 200),
        (AFTER, 200),
        ("rubbish", 200),
    ],
)
async def test_if_range_lets_the_range_through_only_for_the_same_version(
    origin: Origin, condition: str, status: int
) -> None:
    origin.add("/file", BODY, etag='"v1"', last_modified=MODIFIED)
    reply = await exchange(origin, "/file", "Range: bytes=5-", f"If-Range: {condition}")
    assert (reply.status, reply.body) == (status, BODY[5:] if status == 206 else BODY)


async def test_if_range_compares_strongly(origin: Origin) -> None:
    origin.add("/weak", BODY, etag='W/"v1"')
    assert (await exchange(origin, "/weak", "Range: bytes=5-", 'If-Range: W/"v1"')).status == 200
    assert (await exchange(origin, "/weak", "Range: bytes=5-", 'If-Range: "v1"')).status == 200


async def test_if_range_with_another_version_ignores_an_unsatisfiable_range(origin: Origin) -> None:
    origin.add("/file", BODY, etag='"v1"')
    assert (await exchange(origin, "/file", "Range: bytes=99-", 'If-Range: "v0"')).status == 200
    assert (await exchange(origin, "/file", "Range: bytes=99-", 'If-Range: "v1"')).status == 416


async def test_if_range_without_range_is_ignored(origin: Origin) -> None:
    origin.add("/file", BODY, etag='"v1"')
    assert (await exchange(origin, "/file", 'If-Range: "v1"')).status == 200


async def test_a_206_to_if_range_leaves_out_what_the_client_has(origin: Origin) -> None:
    origin.add("/file", BODY, etag='"v1"', last_modified=MODIFIED, headers={"X-Other": "1", "Vary": "Cookie"})
    reply = await exchange(origin, "/file", "Range: bytes=5-", 'If-Range: "v1"')
    assert (reply.headers["etag"], reply.headers["vary"]) == ('"v1"', "Cookie")
    assert not {"x-other", "last-modified"} & set(reply.headers)


@pytest.mark.parametrize(("age", "status"), [(0.0, 200), (0.999, 200), (1.0, 206), (3600.0, 206)])
def test_a_date_younger_than_a_second_is_no_strong_validator(age: float, status: int) -> None:
    headers = {"range": "bytes=5-", "if-range": format_datetime(MODIFIED, usegmt=True)}
    decided = answer(representation(etag=None), "GET", headers, MODIFIED + timedelta(seconds=age))
    assert decided.status == status


def test_a_date_in_if_range_needs_a_last_modified() -> None:
    headers = {"range": "bytes=5-", "if-range": SAME}
    decided = answer(representation(last_modified=None), "GET", headers, MODIFIED + timedelta(days=1))
    assert decided.status == 200


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 80))
def test_a_range_selects_what_slicing_selects(body: bytes, first: int, length: int) -> None:
    last = first + length
    decided = answer(representation(body), "GET", {"range": f"bytes={first}-{last}"}, MODIFIED)
    if first >= len(body):
        assert (decided.status, decided.headers["Content-Range"]) == (416, f"bytes */{len(body)}")
    else:
        assert (decided.status, decided.body) == (206, body[first : last + 1])


@given(st.text(alphabet='bytes=0123456789-, \t*W/"v1', max_size=40), st.text(max_size=20))
def test_no_field_value_breaks_the_decision(value: str, other: str) -> None:
    names = ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    for name in names:
        decided = answer(representation(), "GET", {"range": other, name: value}, MODIFIED)
        assert decided.status in (200, 206, 304, 412, 416)
