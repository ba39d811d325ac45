"""What is worth another attempt, and how long the server asks to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from asyncflags.errors import DownloadError, StatusError, TransportError

__all__ = [
    "RETRYABLE_STATUSES",
    "RETRY_AFTER_CAP",
    "http_date",
    "is_refusal",
    "is_retryable",
    "parse_http_date",
    "parse_retry_after",
]

RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may go away by themselves (RFC 9110 section 15, RFC 8470, RFC 6585)."""

RETRY_AFTER_CAP = 300.0
"""Seconds of the longest pause that is granted to a server; one that asks for more has failed."""

# A pause that does not fit an integer of 31 bits counts as that (RFC 9111 section 1.2.2).
_LONGEST_DELAY = 2.0**31

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"[a-z]{{3}}, (?P<day>[0-9]{{2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def is_retryable(error: DownloadError) -> bool:
    """Tell whether another attempt may succeed.

    Args:
        error: Why the attempt failed.

    Returns:
        ``True`` for every `TransportError` and for a `StatusError` of `RETRYABLE_STATUSES`.
    """
    if isinstance(error, StatusError):
        return error.status in RETRYABLE_STATUSES
    return isinstance(error, TransportError)


def is_refusal(status: int, retry_after: float | None) -> bool:
    """Tell whether an answer says by itself that its host wants to be left in peace.

    Args:
        status: Of the answer; 429 says so (RFC 6585 section 4). A 503 alone may be about its URL, see
            RFC 9110 section 15.6.4, and only who knows of others of that host can tell.
        retry_after: Seconds that it asks to wait; with any passing error they are meant for the host.
    """
    return status == 429 or (retry_after is not None and status in RETRYABLE_STATUSES)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Read a Retry-After field (RFC 9110 section 10.2.3).

    Args:
        value: Seconds or a date, as sent; ``None``: the field is absent.
        now: Seconds since the epoch.

    Returns:
        Seconds to wait, uncapped; 0.0 for now or a date that has passed; ``None``: absent or malformed.
    """
    if value is None:
        return None
    text = value.strip(" \t")
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_DELAY)
    moment = parse_http_date(text, now=now)
    return None if moment is None else max(0.0, moment - now)


def parse_http_date(value: str, *, now: float) -> float | None:
    """Read a date in any of the three forms that HTTP knows (RFC 9110 section 5.6.7).

    Args:
        value: The date as sent.
        now: Seconds since the epoch; it decides the century of a year of two digits.

    Returns:
        Seconds since the epoch; ``None``: it is not such a date.
    """
    text = value.strip(" \t")
    for form in _DATES:
        matched = form.fullmatch(text)
        if matched is not None:
            return _moment(matched.groupdict(), now)
    return None


def http_date(moment: float) -> str:
    """Write a date in the form that senders must use (RFC 9110 section 5.6.7).

    Args:
        moment: Seconds since the epoch; fractions are dropped.
    """
    at = datetime.fromtimestamp(int(moment), tz=UTC)
    # The names are HTTP's and not those of the user's language, which strftime would take.
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1].capitalize()
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} GMT"


def _moment(fields: dict[str, str], now: float) -> float | None:
    month = fields["month"].lower()
    second = int(fields["second"])
    if month not in _MONTHS or second > 60:
        return None
    year = int(fields["year"])
    if len(fields["year"]) == 2:
        year = _full_year(year, now)
    try:
        day = datetime(year, _MONTHS.index(month) + 1, int(fields["day"]), tzinfo=UTC)
        minute = day.replace(hour=int(fields["hour"]), minute=int(fields["minute"]))
    except ValueError:
        return None
    # The second is added apart because a leap second is legal in a date and not in datetime.
    return minute.timestamp() + second


def _full_year(two_digits: int, now: float) -> int:
    this_year = datetime.fromtimestamp(now, tz=UTC).year
    year = this_year - this_year % 100 + two_digits
    # What would lie more than 50 years ahead is the latest past year with these digits.
    return year - 100 if year > this_year + 50 else year
