"""The kinds of values that options take; each refuses a wrong one in a sentence."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:
    # Only new releases of click can be subscripted at run time.
    Kind = click.ParamType

__all__ = [
    "CHECKSUM",
    "CREDENTIALS",
    "HEADER",
    "HEADER_TEXT",
    "PROXY",
    "RATE",
    "REQUEST_RATE",
    "SECONDS",
    "WEB_URL",
    "Bytes",
    "Whole",
    "WholeOrAuto",
]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_REQUESTS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:/([smhd]?))?", re.IGNORECASE)
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Whole(Kind):
    """A whole number of at least *least*."""

    name = "N"

    def __init__(self, *, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if number < self._least:
            self.fail(f"must be at least {self._least}, not {number}", param, ctx)
        return number


class WholeOrAuto(Kind):
    """A whole number of at least *least*, or ``auto``: what suits is found out."""

    name = "N|auto"

    def __init__(self, *, least: int) -> None:
        self._number = Whole(least=least)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["auto"]:
        if value == "auto":
            return "auto"
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor 'auto'", param, ctx)
        return self._number.convert(value, param, ctx)


class Seconds(Kind):
    """A duration in seconds; 0 becomes ``None``, no limit, as with curl and wget."""

    name = "S"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        if not math.isfinite(seconds) or seconds < 0:
            self.fail(f"must be a number of seconds, or 0 for no limit, not {value}", param, ctx)
        return seconds or None


class Bytes(Kind):
    """A number of bytes of at least *least*; k, M, G and T stand for powers of 1024."""

    name = "BYTES"

    def __init__(self, *, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        matched = _SIZE.fullmatch(value.strip())
        if matched is None:
            self.fail(f"{value!r} is not a number of bytes: write 500, 64k, 10M or 2G", param, ctx)
        size = int(float(matched[1]) * _FACTORS[matched[2].lower()])
        if size < self._least:
            self.fail(f"must be at least {self._least} byte, not {value}", param, ctx)
        return size


class Rate(Kind):
    """Bytes a second; k, M, G and T as for `Bytes`, and 0 becomes ``None``, no limit, as with curl and wget."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if not isinstance(value, str):
            return value or None
        return Bytes(least=0).convert(value.removesuffix("/s"), param, ctx) or None


class RequestRate(Kind):
    """Requests a second, spelled as for curl's ``--rate``: so many in a second, a minute, an hour or a day."""

    name = "N[/s|/m|/h]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        matched = _REQUESTS.fullmatch(str(value).strip())
        number = float(matched[1]) if matched is not None else 0.0
        if matched is None or matched[2] == "" or not number:
            self.fail(f"{value!r} is no rate of requests: write 5/s, 30/m or 100/h", param, ctx)
        return number / _PERIODS[(matched[2] or "s").lower()]


class Header(Kind):
    """A header field, ``Name: value`` (RFC 9110 section 5)."""

    name = "'NAME: VALUE'"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, content = value.partition(":")
        if not colon:
            # What has no colon may be a secret whose name was forgotten; it is not shown.
            self.fail("the header has no colon: write 'Name: value'", param, ctx)
        if not _TOKEN.fullmatch(name):
            self.fail(f"{name!r} is not the name of a header: write 'Name: value'", param, ctx)
        if _CONTROL.search(content):
            self.fail(f"the value of the header {name} holds a control character", param, ctx)
        return name, content.strip(" \t")


class HeaderText(Kind):
    """The value of a header field."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if _CONTROL.search(value):
            self.fail("holds a line break or another control character", param, ctx)
        return str(value)


class Credentials(Kind):
    """``NAME:PASSWORD``; the password is asked for at a terminal when it is missing."""

    name = "NAME:PASSWORD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, password = value.partition(":")
        if not colon:
            if not _is_terminal():
                self.fail("the password is missing: write NAME:PASSWORD, or use --netrc", param, ctx)
            password = click.prompt(
                f"Password of {name}", hide_input=True, err=True, default="", show_default=False
            )
        return name, password


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class ChecksumText(Kind):
    """``ALGORITHM:HEX``."""

    name = "ALG:HEX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from asyncflags._policies.checksums import Checksum

        try:
            return str(Checksum.parse(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Proxy(Kind):
    """The URL of an HTTP proxy; empty: none, whatever the environment says."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from asyncflags._policies.proxies import split_proxy_credentials

        try:
            if value:
                split_proxy_credentials(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class WebUrl(Kind):
    """An absolute http or https URL."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from asyncflags._policies.urls import parse_url

        try:
            parse_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


SECONDS = Seconds()
RATE = Rate()
REQUEST_RATE = RequestRate()
HEADER = Header()
HEADER_TEXT = HeaderText()
CREDENTIALS = Credentials()
CHECKSUM = ChecksumText()
PROXY = Proxy()
WEB_URL = WebUrl()
