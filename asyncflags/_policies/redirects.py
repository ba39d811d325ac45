"""Where a redirect leads, and what may travel along (RFC 9110 sections 10.2.2 and 15.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from asyncflags._policies.urls import Target, parse_url, resolve_location
from asyncflags.errors import BlockedUrl, InvalidUrl, ProtocolError, TooManyRedirects, redact_url

__all__ = ["REDIRECT_STATUSES", "headers_for_hop", "next_hop"]

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location is followed."""

_HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "range",
        "user-agent",
        "want-repr-digest",
    }
)


def next_hop(
    *,
    status: int,
    location: str | None,
    current: Target,
    seen: Collection[str],
    max_redirects: int,
    hops: int,
    allow_downgrade: bool,
) -> Target:
    """Decide where a redirect leads.

    Args:
        status: Status of the answer, one of `REDIRECT_STATUSES`.
        location: Its Location field; ``None``: it has none.
        current: What answered.
        seen: ``Target.url`` of every hop of this attempt so far.
        max_redirects: How many redirects are followed; 0: none is.
        hops: Redirects followed so far.
        allow_downgrade: Whether https may lead to http.

    Returns:
        The next target. User information inside the location is ignored.

    Raises:
        TooManyRedirects: The limit is reached, or the location was visited before.
        ProtocolError: There is no location.
        InvalidUrl: The location is no http or https URL.
        BlockedUrl: The location leaves https and that is not allowed.
    """
    if location is None:
        raise ProtocolError(
            f"the server redirects with status {status} and does not say where", url=current.url
        )
    if hops >= max_redirects:
        raise TooManyRedirects(_limit_message(status, max_redirects), url=current.url)
    target = _located(current, location)
    if target.url == current.url or target.url in seen:
        raise TooManyRedirects(
            f"the server redirects in a circle, back to {redact_url(target.url)}", url=current.url
        )
    if current.origin[0] == "https" and target.origin[0] == "http" and not allow_downgrade:
        raise BlockedUrl(
            f"the server redirects from https to http, to {redact_url(target.url)}, "
            "which gives up encryption: allow the downgrade or ask for that URL",
            url=current.url,
            reason="downgrade",
        )
    return target


def _limit_message(status: int, max_redirects: int) -> str:
    if max_redirects <= 0:
        return f"the server redirects with status {status} and no redirect is followed: raise max_redirects"
    return (
        f"the server redirects more than {max_redirects} times: ask for the final URL or raise max_redirects"
    )


def _located(current: Target, location: str) -> Target:
    try:
        target = parse_url(resolve_location(current.url, location))
    except InvalidUrl as error:
        raise InvalidUrl(
            f"the server redirects to a place that cannot be followed: {error}", url=current.url
        ) from None
    return target if target.username is None else replace(target, username=None, password=None)


def headers_for_hop(headers: Mapping[str, str], *, same_origin: bool) -> dict[str, str]:
    """Choose the request fields that travel to the next hop.

    Args:
        headers: Those sent to the hop before; what was dropped once stays dropped.
        same_origin: Whether scheme, host and port stay the same.

    Returns:
        All of them within one origin; else only Accept, Accept-Encoding, Accept-Language, User-Agent,
        Range, the conditions of RFC 9110 section 13 and Want-Repr-Digest, which hold no credentials.
    """
    if same_origin:
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
