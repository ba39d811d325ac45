"""The cookies that ``-b`` names."""

from __future__ import annotations

import http.cookiejar
import os
from collections.abc import Mapping, Sequence

from asyncflags._cli.complaints import Refusal
from asyncflags._cli.exit_codes import STORAGE, USAGE

__all__ = ["read_cookies"]


def read_cookies(values: Sequence[str]) -> Mapping[str, str] | http.cookiejar.CookieJar | None:
    """Read the values of ``-b``, each ``NAME=VALUE``, several of them with ``;`` between, or a file.

    Args:
        values: As given; a value with ``=`` is cookies, any other is a file in Netscape's format.

    Returns:
        Name to value, or what the files hold; ``None``: there is nothing.

    Raises:
        Refusal: A value is neither, a file cannot be read, or both kinds are mixed.
    """
    files = [value for value in values if "=" not in value]
    if not values:
        return None
    if not files:
        return dict(pair for value in values for pair in _pairs(value))
    if len(files) != len(values):
        raise Refusal("-b/--cookie: give NAME=VALUE or files, not both", USAGE)
    jar = http.cookiejar.MozillaCookieJar()
    for file in files:
        _load(jar, file)
    return jar


def _pairs(value: str) -> list[tuple[str, str]]:
    pairs = []
    for part in value.split(";"):
        name, equals, content = part.strip().partition("=")
        if name and equals and not any(each in "\r\n\0," or each.isspace() for each in name):
            pairs.append((name, content.strip()))
        elif part.strip():
            # The value may be a secret, so only what stands for the name is shown.
            raise Refusal(f"-b/--cookie: {name!r} is no cookie: write NAME=VALUE", USAGE)
    return pairs


def _load(jar: http.cookiejar.MozillaCookieJar, file: str) -> None:
    try:
        jar.load(os.fspath(file), ignore_discard=True, ignore_expires=True)
    except http.cookiejar.LoadError:
        raise Refusal(
            f"-b/--cookie: {file} is not a cookie file: its first line must be # Netscape HTTP Cookie File",
            USAGE,
        ) from None
    except FileNotFoundError:
        raise Refusal(f"-b/--cookie: {file!r} is neither NAME=VALUE nor a file that exists", USAGE) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "it is not UTF-8"
        raise Refusal(f"-b/--cookie: {file} cannot be read: {reason}", STORAGE) from None
    for cookie in jar:
        # Browsers and curl write 0 for a cookie of the session, which is not one that expired in 1970.
        if cookie.expires == 0:
            cookie.expires, cookie.discard = None, True
    jar.clear_expired_cookies()
