from __future__ import annotations

import pytest

from asyncflags._policies.proxies import proxy_for, split_proxy_credentials
from asyncflags._policies.urls import parse_url
from asyncflags.errors import InvalidUrl

PROXY = "http://proxy.example:3128"


def choose(url: str, **environment: str) -> str | None:
    return proxy_for(parse_url(url).origin, environment=environment)


def test_no_variable_means_a_direct_connection() -> None:
    assert choose("http://h.example/", no_proxy="other.example") is None


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("http://h.example/", "http_proxy"),
        ("http://h.example/", "HTTP_PROXY"),
        ("https://h.example/", "https_proxy"),
        ("https://h.example/", "HTTPS_PROXY"),
        ("http://h.example/", "all_proxy"),
        ("https://h.example/", "ALL_PROXY"),
    ],
)
def test_each_variable_serves_its_scheme(url: str, variable: str) -> None:
    assert choose(url, **{variable: PROXY}) == PROXY


@pytest.mark.parametrize(
    ("url", "variable"), [("http://h.example/", "https_proxy"), ("https://h.example/", "http_proxy")]
)
def test_a_variable_does_not_serve_the_other_scheme(url: str, variable: str) -> None:
    assert choose(url, **{variable: PROXY}) is None


def test_lower_case_goes_before_upper_case_and_the_scheme_before_all() -> None:
    assert (
        choose("https://h.example/", https_proxy=PROXY, HTTPS_PROXY="http://b/", all_proxy="http://c/")
        == PROXY
    )
    assert choose("https://h.example/", HTTPS_PROXY=PROXY, all_proxy="http://c/") == PROXY


def test_an_empty_variable_counts_as_unset() -> None:
    assert choose("http://h.example/", http_proxy=" ", all_proxy=PROXY) == PROXY
    assert choose("http://h.example/", http_proxy="") is None


def test_a_cgi_script_does_not_take_its_proxy_from_the_client() -> None:
    assert choose("http://h.example/", HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None
    assert choose("http://h.example/", http_proxy=PROXY, REQUEST_METHOD="GET") == PROXY
    assert choose("https://h.example/", HTTPS_PROXY=PROXY, REQUEST_METHOD="GET") == PROXY


def test_a_proxy_without_scheme_speaks_http() -> None:
    assert choose("http://h.example/", http_proxy="proxy.example:3128") == PROXY


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("h.example", "*"),
        ("h.example", "h.example"),
        ("h.example", "H.Example."),
        ("h.example", "other.test, h.example"),
        ("h.example", "other.test h.example"),
        ("h.example", ".h.example"),
        ("a.h.example", "h.example"),
        ("a.h.example", ".h.example"),
        ("a.h.example", "*.h.example"),
        ("h.example:8080", "h.example:8080"),
        ("h.example:8080", "h.example"),
        ("h.example", "h.example:80"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.9.9.9/8"),
        ("[::1]", "::1"),
        ("[::1]", "[::1]"),
        ("[::1]:8080", "[::1]:8080"),
        ("[2001:db8::5]", "2001:db8::/32"),
        ("[2001:db8::5]", "2001:DB8:0::5"),
    ],
)
def test_no_proxy_excepts_a_host(host: str, no_proxy: str) -> None:
    assert choose(f"http://{host}/", http_proxy=PROXY, no_proxy=no_proxy) is None
    assert choose(f"http://{host}/", http_proxy=PROXY, NO_PROXY=no_proxy) is None


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("bath.example", "h.example"),
        ("h.example.test", "h.example"),
        ("h.example", "a.h.example"),
        ("h.example:8080", "h.example:8081"),
        ("h.example", "h.example:x"),
        ("h.example", ", ."),
        ("h.example", "10.0.0.0/8"),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "2.3"),
        ("10.1.2.3", "10.1.2.3:8080"),
        ("[::2]", "::1"),
        ("[::1]", "10.0.0.0/8"),
    ],
)
def test_no_proxy_leaves_other_hosts_alone(host: str, no_proxy: str) -> None:
    assert choose(f"http://{host}/", http_proxy=PROXY, no_proxy=no_proxy) == PROXY


@pytest.mark.parametrize(
    ("proxy", "address", "credentials"),
    [
        (PROXY, PROXY, None),
        ("proxy.example:3128", PROXY, None),
        ("http://proxy.example:3128/ignored?x", PROXY, None),
        ("http://me:p%40w@proxy.example:3128", PROXY, ("me", "p@w")),
        ("me:pw@proxy.example:3128", PROXY, ("me", "pw")),
        ("http://me@proxy.example:3128", PROXY, ("me", "")),
        ("https://proxy.example", "https://proxy.example:443", None),
        ("http://proxy.example", "http://proxy.example:80", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
    ],
)
def test_credentials_are_separated_from_the_address(
    proxy: str, address: str, credentials: tuple[str, str] | None
) -> None:
    assert split_proxy_credentials(proxy) == (address, credentials)


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "http://", "http://proxy.example:x", ""])
def test_what_is_no_http_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(InvalidUrl, match="the proxy cannot be used"):
        split_proxy_credentials(proxy)


def test_a_refused_proxy_does_not_show_its_password() -> None:
    with pytest.raises(InvalidUrl) as caught:
        split_proxy_credentials("socks5://me:hunter2@proxy.example:1080")
    assert "hunter2" not in f"{caught.value} {caught.value.url}"
