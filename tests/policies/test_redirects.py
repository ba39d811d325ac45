from __future__ import annotations

from collections.abc import Collection

import pytest

from asyncflags._policies.redirects import REDIRECT_STATUSES, headers_for_hop, next_hop
from asyncflags._policies.urls import Target, parse_url
from asyncflags.errors import BlockedUrl, InvalidUrl, ProtocolError, TooManyRedirects

HERE = "https://a.example/dir/x?q=1"


def hop(
    location: str | None,
    *,
    current: str = HERE,
    seen: Collection[str] = (),
    max_redirects: int = 20,
    hops: int = 0,
    allow_downgrade: bool = False,
) -> Target:
    return next_hop(
        status=302,
        location=location,
        current=parse_url(current),
        seen=seen,
        max_redirects=max_redirects,
        hops=hops,
        allow_downgrade=allow_downgrade,
    )


def test_the_followed_statuses_are_those_with_one_location() -> None:
    assert {301, 302, 303, 307, 308} == REDIRECT_STATUSES


def test_a_relative_location_is_resolved_and_its_bytes_are_kept() -> None:
    assert hop("../y?sig=a%2Fb&c=%2C").url == "https://a.example/y?sig=a%2Fb&c=%2C"


def test_an_absolute_location_leads_to_its_own_origin() -> None:
    assert hop("https://b.example:8443/y#z").origin == ("https", "b.example", 8443)


def test_user_information_in_a_location_is_ignored() -> None:
    target = hop("https://me:secret@b.example/y")
    assert target == Target("https://b.example/y", ("https", "b.example", 443), "b.example")


def test_credentials_of_the_first_url_are_not_carried_to_the_next() -> None:
    target = hop("/y", current="https://me:secret@a.example/x")
    assert (target.url, target.username, target.password) == ("https://a.example/y", None, None)


def test_a_missing_location_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="302"):
        hop(None)


def test_the_last_allowed_redirect_is_followed_and_the_next_is_not() -> None:
    assert hop("/y", max_redirects=2, hops=1).url == "https://a.example/y"
    with pytest.raises(TooManyRedirects, match="more than 2 times"):
        hop("/y", max_redirects=2, hops=2)


def test_zero_means_that_no_redirect_is_followed() -> None:
    with pytest.raises(TooManyRedirects, match="no redirect is followed"):
        hop("/y", max_redirects=0)


@pytest.mark.parametrize("location", ["", "#top", HERE, "HTTPS://A.Example:443/dir/x?q=1#top"])
def test_a_redirect_to_itself_is_a_loop(location: str) -> None:
    with pytest.raises(TooManyRedirects, match="circle"):
        hop(location)


def test_a_redirect_to_an_earlier_hop_is_a_loop() -> None:
    with pytest.raises(TooManyRedirects, match="circle"):
        hop("/first", seen={"https://a.example/first"})


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://b.example/", "//", "http:y", "https://b:x/"]
)
def test_a_location_that_is_no_web_address_is_refused(location: str) -> None:
    with pytest.raises(InvalidUrl, match="cannot be followed"):
        hop(location)


def test_leaving_https_is_refused_unless_allowed() -> None:
    with pytest.raises(BlockedUrl) as caught:
        hop("http://a.example/y")
    assert caught.value.reason == "downgrade"
    assert hop("http://a.example/y", allow_downgrade=True).url == "http://a.example/y"


def test_entering_https_needs_no_permission() -> None:
    assert hop("https://a.example/y", current="http://a.example/x").origin[0] == "https"


def test_errors_redact_the_secrets_of_a_location() -> None:
    for location in ("http://me:hunter2@b.example/?token=hunter2", "ftp://me:hunter2@b.example/"):
        with pytest.raises((BlockedUrl, InvalidUrl)) as caught:
            hop(location)
        assert "hunter2" not in str(caught.value)


SENT = {
    "AUTHORIZATION": "Basic x",
    "Cookie": "a=b",
    "Proxy-Authorization": "Basic y",
    "Host": "a.example",
    "Referer": "https://a.example/",
    "X-Api-Key": "z",
    "accept": "image/gif",
    "Accept-Encoding": "identity",
    "ACCEPT-LANGUAGE": "fr",
    "User-Agent": "flags",
    "Range": "bytes=5-",
    "If-Range": '"e"',
}


def test_within_an_origin_all_fields_travel() -> None:
    kept = headers_for_hop(SENT, same_origin=True)
    assert kept == SENT and kept is not SENT


def test_to_another_origin_only_harmless_fields_travel() -> None:
    kept = headers_for_hop(SENT, same_origin=False)
    assert list(kept) == ["accept", "Accept-Encoding", "ACCEPT-LANGUAGE", "User-Agent", "Range", "If-Range"]


def test_dropped_fields_stay_dropped_on_the_way_back() -> None:
    away = headers_for_hop(SENT, same_origin=False)
    assert headers_for_hop(away, same_origin=True) == away
