from __future__ import annotations

import calendar
import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import errors
from asyncflags._policies.retry import (
    RETRY_AFTER_CAP,
    RETRYABLE_STATUSES,
    http_date,
    is_retryable,
    parse_http_date,
    parse_retry_after,
)

# Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 section 5.6.7.
EXAMPLE = 784111777.0
NOW = float(calendar.timegm((2025, 6, 1, 0, 0, 0)))


@pytest.mark.parametrize(
    "kind",
    [
        errors.TransportError,
        errors.ConnectError,
        errors.DnsError,
        errors.ReadError,
        errors.TruncatedBody,
        errors.ConnectTimeout,
        errors.ReadTimeout,
        errors.TooSlow,
    ],
)
def test_errors_of_the_network_are_retried(kind: type[errors.DownloadError]) -> None:
    assert is_retryable(kind("x"))


@pytest.mark.parametrize(
    "kind",
    [
        errors.TotalTimeout,
        errors.TlsError,
        errors.ProtocolError,
        errors.InvalidUrl,
        errors.RangeError,
        errors.TooManyRedirects,
        errors.BodyTooLarge,
        errors.BlockedUrl,
        errors.StorageError,
        errors.ClosedError,
    ],
)
def test_errors_that_come_again_are_not_retried(kind: type[errors.DownloadError]) -> None:
    assert not is_retryable(kind("x"))


@given(st.integers(100, 599))
def test_a_status_is_retried_if_it_may_go_away(status: int) -> None:
    error = errors.StatusError("x", status=status)
    assert is_retryable(error) == (status in {408, 425, 429, 500, 502, 503, 504})


def test_the_constants_are_those_of_the_contract() -> None:
    assert {408, 425, 429, 500, 502, 503, 504} == RETRYABLE_STATUSES
    assert RETRY_AFTER_CAP == 300.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("007", 7.0), ("9" * 10_000, 2.0**31), (None, None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.5", "1e3", "soon", "٣", "1, 2", "2025-06-01T00:00:00Z"])
def test_a_malformed_retry_after_counts_as_absent(value: str) -> None:
    assert parse_retry_after(value, now=NOW) is None


def test_retry_after_as_a_date_counts_from_now() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now=EXAMPLE - 90.5) == 90.5


def test_retry_after_in_the_past_means_now() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now=NOW) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt",
    ],
)
def test_all_three_forms_of_a_date_are_read(text: str) -> None:
    assert parse_http_date(text, now=NOW) == EXAMPLE


@given(st.integers(0, 4_000_000_000))
def test_any_date_is_read_back(moment: int) -> None:
    assert parse_http_date(email.utils.formatdate(moment, usegmt=True), now=NOW) == moment
    assert parse_http_date(time.asctime(time.gmtime(moment)), now=NOW) == moment


@pytest.mark.parametrize(
    ("digits", "year"), [("25", 2025), ("75", 2075), ("76", 1976), ("99", 1999), ("00", 2000)]
)
def test_a_year_of_two_digits_is_at_most_50_years_ahead(digits: str, year: int) -> None:
    moment = parse_http_date(f"Monday, 01-Jan-{digits} 00:00:00 GMT", now=NOW)
    assert moment == calendar.timegm((year, 1, 1, 0, 0, 0))


def test_a_leap_second_is_a_legal_second() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", now=NOW) == calendar.timegm((2017, 1, 1, 0, 0, 0))


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT and more",
        "",
    ],
)
def test_what_is_no_date_is_not_guessed_at(text: str) -> None:
    assert parse_http_date(text, now=NOW) is None


@given(st.text(max_size=40))
def test_no_text_makes_a_negative_pause_or_an_error(text: str) -> None:
    pause = parse_retry_after(text, now=NOW)
    assert pause is None or pause >= 0


@given(st.integers(0, 253402300799))
def test_a_date_is_written_in_the_one_form_that_senders_use(moment: int) -> None:
    assert http_date(moment) == email.utils.formatdate(moment, usegmt=True)
    assert parse_http_date(http_date(moment), now=NOW) == moment


@given(st.floats(0, 4_000_000_000))
def test_a_written_date_is_never_later_than_the_moment(moment: float) -> None:
    read = parse_http_date(http_date(moment), now=NOW)
    assert read is not None
    assert 0 <= moment - read < 1


def test_a_written_date_does_not_depend_on_where_the_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert http_date(EXAMPLE) == "Sun, 06 Nov 1994 08:49:37 GMT"
    finally:
        monkeypatch.undo()
        time.tzset()
