"""What a 206 must fulfil before a single byte of it is used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.ranges import ContentRange, check_partial
from asyncflags._policies.validators import Validator
from asyncflags.errors import RangeError

Fields = tuple[tuple[str, str], ...]

HELD = Validator(etag='"v1"', last_modified="Tue, 15 Nov 1994 12:45:26 GMT", is_strong_date=True)
PART: Fields = (
    ("Content-Range", "bytes 10-19/100"),
    ("Content-Length", "10"),
    ("ETag", '"v1"'),
    ("Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT"),
)


def check(
    fields: Fields,
    *,
    start: int = 10,
    stop: int | None = None,
    total: int | None = 100,
    validator: Validator = HELD,
) -> ContentRange:
    return check_partial(fields, start=start, stop=stop, total=total, validator=validator)


def changed(name: str, value: str | None) -> Fields:
    kept = tuple(field for field in PART if field[0] != name)
    return kept if value is None else (*kept, (name, value))


def test_the_part_that_was_asked_for_is_taken() -> None:
    assert check(PART, stop=20) == ContentRange(10, 20, 100)


def test_names_of_fields_are_read_in_any_case() -> None:
    assert check(tuple((name.upper(), value) for name, value in PART)) == ContentRange(10, 20, 100)
    with pytest.raises(RangeError, match="another version"):
        check((*changed("ETag", None), ("etag", '"v2"')))


@pytest.mark.parametrize("stop", [None, 20, 21, 100])
def test_a_part_may_end_earlier_than_asked(stop: int | None) -> None:
    assert check(PART, stop=stop).stop == 20


@pytest.mark.parametrize("value", ["bytes 9-19/100", "bytes 11-19/100", "bytes 0-19/100", "bytes 0-99/100"])
def test_a_part_that_starts_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(RangeError, match="one from byte 10 was asked for"):
        check(changed("Content-Range", value))


def test_a_part_that_goes_beyond_its_segment_is_refused() -> None:
    with pytest.raises(RangeError, match="up to byte 20, and it was asked for up to byte 19"):
        check(PART, stop=19)


def test_a_part_that_goes_beyond_the_known_total_is_refused_when_it_names_none() -> None:
    fields = changed("Content-Range", "bytes 10-19/*")
    assert check(fields, total=20) == ContentRange(10, 20, None)
    with pytest.raises(RangeError, match="up to byte 19"):
        check(fields, total=19)


@pytest.mark.parametrize("total", [99, 101])
def test_another_total_is_refused(total: int) -> None:
    with pytest.raises(RangeError, match="100 bytes in all"):
        check(PART, total=total)


@pytest.mark.parametrize("value", ["bytes 10-19/100", "bytes 10-19/*"])
def test_a_total_that_was_not_known_may_come_or_stay_away(value: str) -> None:
    assert check(changed("Content-Range", value), total=None).stop == 20


@pytest.mark.parametrize(
    "media_type", ["multipart/byteranges; boundary=x", "Multipart/ByteRanges ;boundary=x"]
)
def test_several_parts_are_refused(media_type: str) -> None:
    with pytest.raises(RangeError, match="several parts"):
        check((*PART, ("Content-Type", media_type)))


@pytest.mark.parametrize("value", ["bytes 10-19/100", "bytes 30-39/100"])
def test_a_second_content_range_is_refused(value: str) -> None:
    with pytest.raises(RangeError, match="2 Content-Range fields"):
        check((*PART, ("content-range", value)))


def test_a_part_without_a_content_range_is_refused() -> None:
    with pytest.raises(RangeError, match="without a Content-Range"):
        check(changed("Content-Range", None))


@pytest.mark.parametrize("length", ["9", "11", "0", "100"])
def test_a_length_other_than_the_range_is_refused(length: str) -> None:
    with pytest.raises(RangeError, match="Content-Range holds 10"):
        check(changed("Content-Length", length))


@pytest.mark.parametrize("length", ["-10", "ten", "10, 11", ""])
def test_a_malformed_length_is_a_range_error_too(length: str) -> None:
    with pytest.raises(RangeError, match="length"):
        check(changed("Content-Length", length))


def test_a_part_may_be_chunked() -> None:
    fields = (*changed("Content-Length", None), ("Transfer-Encoding", "chunked"))
    assert check(fields).stop == 20


@pytest.mark.parametrize("coding", ["gzip", "br", "x-flag", "gzip, gzip"])
def test_a_coded_part_is_refused(coding: str) -> None:
    with pytest.raises(RangeError, match="cod"):
        check((*PART, ("Content-Encoding", coding)))


@pytest.mark.parametrize("coding", ["", "identity"])
def test_a_part_in_no_coding_is_taken(coding: str) -> None:
    assert check((*PART, ("Content-Encoding", coding))).stop == 20


@pytest.mark.parametrize("etag", ['"v2"', 'W/"v1"', "v1", None])
def test_a_part_of_another_version_is_refused(etag: str | None) -> None:
    with pytest.raises(RangeError, match="another version: .*ETag"):
        check(changed("ETag", etag))


def test_a_second_etag_is_refused() -> None:
    with pytest.raises(RangeError, match="2 ETag fields"):
        check((*PART, ("ETag", '"v2"')))


def test_a_part_with_another_date_is_refused() -> None:
    with pytest.raises(RangeError, match="another version: .*Last-Modified"):
        check(changed("Last-Modified", "Tue, 15 Nov 1994 12:45:27 GMT"))


def test_a_part_held_by_its_date_may_not_come_with_an_etag() -> None:
    by_date = Validator(last_modified=HELD.last_modified, is_strong_date=True)
    assert check(changed("ETag", None), validator=by_date).stop == 20
    with pytest.raises(RangeError, match="there was none"):
        check(PART, validator=by_date)


NAMES = st.sampled_from(
    [name for name, _ in PART] + ["Content-Type", "Content-Encoding", "Transfer-Encoding"]
)
VALUES = st.sampled_from([value for _, value in PART] + ["bytes 10-29/*", "20", "chunked", "identity"])


@given(
    st.lists(st.tuples(NAMES, VALUES | st.text(max_size=20)), max_size=6).map(tuple),
    st.integers(0, 20),
    st.none() | st.integers(21, 40),
    st.none() | st.integers(15, 120),
)
def test_what_is_taken_is_always_what_was_asked_for(
    fields: Fields, start: int, stop: int | None, total: int | None
) -> None:
    for headers in (fields, (*PART, *fields)):
        try:
            given = check(headers, start=start, stop=stop, total=total)
        except RangeError:
            continue
        assert given.start == start < given.stop <= min(stop or given.stop, total or given.stop)
        assert None in (total, given.total) or total == given.total
        assert [value.strip(" \t") for name, value in headers if name == "ETag"] == ['"v1"']
