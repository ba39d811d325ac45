from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.urls import MAX_URL_SIZE, Target, parse_url, resolve_location
from asyncflags.errors import InvalidUrl

BASE = "http://a/b/c/d;p?q"

LEGAL = st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=30)


@pytest.mark.parametrize(
    "url",
    [
        "https://flags.example/fr.gif",
        "https://flags.example/x?sig=a%2Fb&c=%2C%3A",
        "https://flags.example/c%7Ed",
        "https://flags.example/a//b/../c/./d",
        "https://flags.example/%e2%82%ac?%E2%82%ac",
        "http://127.0.0.1:8080/x;v=1?a=b?c=/d",
        "http://[2001:db8::1]:8080/x",
    ],
)
def test_a_legal_url_is_untouched_to_the_byte(url: str) -> None:
    assert parse_url(url).url == url


@given(path=LEGAL, query=LEGAL)
def test_any_legal_path_and_query_is_untouched(path: str, query: str) -> None:
    url = f"https://flags.example/{path}?{query}"
    assert parse_url(url).url == url
    assert parse_url(url.replace("https", "HTTPS")).url == url


@given(st.text(max_size=40))
def test_what_is_sent_is_legal_and_is_read_back_as_itself(path: str) -> None:
    try:
        target = parse_url(f"https://flags.example/{path}")
    except InvalidUrl:
        return
    assert (
        target.url.isascii() and target.url.isprintable() and " " not in target.url and "#" not in target.url
    )
    assert parse_url(target.url) == target


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://h.example/a b", "https://h.example/a%20b"),
        ("https://h.example/a\nb", "https://h.example/a%0Ab"),
        ("https://h.example/é?ü", "https://h.example/%C3%A9?%C3%BC"),
        ("https://h.example/100%", "https://h.example/100%25"),
        ("https://h.example/%zz%2F", "https://h.example/%25zz%2F"),
        ('https://h.example/"<>\\^`{|}[]', "https://h.example/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"),
        ("https://h.example/\udcff", "https://h.example/%FF"),
        ("https://h.example/a#part?x", "https://h.example/a"),
        ("https://h.example", "https://h.example/"),
        ("https://h.example?x=1", "https://h.example/?x=1"),
        ("https://h.example#x", "https://h.example/"),
        ("HTTPS://H.Example.:443/A", "https://h.example/A"),
        ("http://h.example:0080/", "http://h.example/"),
        ("http://h.example:/", "http://h.example/"),
        ("  https://h.example/a\r\n", "https://h.example/a"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
    ],
)
def test_only_what_is_illegal_or_equivalent_changes(written: str, sent: str) -> None:
    assert parse_url(written).url == sent


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Flags.Example./x", ("https", "flags.example", 443)),
        ("http://flags.example:8080/x", ("http", "flags.example", 8080)),
        ("https://flags.example:443/x", ("https", "flags.example", 443)),
        ("http://[::1]:8080/", ("http", "::1", 8080)),
        ("http://[fe80::1%25eth0]/", ("http", "fe80::1%eth0", 80)),
        ("http://Bücher.example/", ("http", "xn--bcher-kva.example", 80)),
        ("http://a_b.example/", ("http", "a_b.example", 80)),
    ],
)
def test_the_origin_has_one_spelling(url: str, origin: tuple[str, str, int]) -> None:
    target = parse_url(url)
    assert (target.origin, target.host) == (origin, origin[1])


@pytest.mark.parametrize(
    ("authority", "username", "password"),
    [
        ("h.example", None, None),
        ("@h.example", None, None),
        ("me@h.example", "me", None),
        ("me:@h.example", "me", ""),
        ("m%40e:p%3Aw%2F@h.example", "m@e", "p:w/"),
        ("me:a:b@h.example", "me", "a:b"),
        ("me:p@ss@h.example", "me", "p@ss"),
        ("mé:pé@h.example", "mé", "pé"),
    ],
)
def test_credentials_leave_the_url(authority: str, username: str | None, password: str | None) -> None:
    target = parse_url(f"https://{authority}/x")
    assert target == Target(
        "https://h.example/x", ("https", "h.example", 443), "h.example", username, password
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("example.com/x", "write https://example.com/x"),
        ("//example.com/x", "write https://example.com/x"),
        ("example.com:8080/x", "write https://example.com:8080/x"),
        ("localhost:8080", "write https://localhost:8080"),
        ("fr.gif", "write https://fr.gif"),
        ("", "not a URL"),
        ("/etc/passwd", "not a URL"),
        ("hello world", "not a URL"),
        ("file:///etc/passwd", "'file'"),
        ("FTP://h.example/", "'ftp'"),
        ("mailto:me@h.example", "'mailto'"),
        ("http:/h.example/", "two slashes"),
        ("http:h.example", "two slashes"),
        ("http:///x", "no host"),
        ("http://me@/x", "no host"),
        ("http://:80/x", "no host"),
        ("http://./x", "no host"),
        ("http://h.example:x/", "port"),
        ("http://h.example:0/", "port"),
        ("http://h.example:65536/", "port"),
        ("http://h.example:-1/", "port"),
        ("http://h.example:١/", "port"),
        ("http://h.example:" + "9" * 5000, "port"),
        ("http://::1/", "brackets"),
        ("http://[::1/", "brackets"),
        ("http://[::1]x/", "brackets"),
        ("http://[::g]/", "IPv6"),
        ("http://[v1.x]/", "IPv6"),
        ("http://[fe80::1%25]/", "IPv6"),
        ("http://[fe80::1%25a<b]/", "IPv6"),
        ("http://h\\.example/", "backslash"),
        ("http://evil.example\\@h.example/", "backslash"),
        ("http:\\\\h.example/", "two slashes"),
        ("http://h .example/", "space"),
        ("http://h\n.example/", "line break"),
        ("http://h\x00.example/", "control character"),
        ("http://h\u202e.example/", "control character"),
        ("http://me:p w@h.example/", "space"),
        ("http://a..b/", "host name"),
        ("http://a<b/", "host name"),
        ("http://a%2fb/", "host name"),
        ("http://" + "a" * 64 + ".example/", "host name"),
        ("http://" + "a." * 127 + "example/", "host name"),
        ("http://a%ff/", "international name"),
        ("http://ü" + "a" * 64 + "/", "international name"),
        ("http://%ff@h.example/", "UTF-8"),
        ("http://h.example/\ud800", "half a character"),
        ("http://h.example/" + "a" * MAX_URL_SIZE, "longer than"),
        ("http://h.example/" + "é" * (MAX_URL_SIZE // 4), "longer than"),
    ],
)
def test_what_is_no_download_url_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(InvalidUrl, match=says.replace("\\", "\\\\")):
        parse_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "me:hunter2@h.example/x",
        "me:hun/ter2@h.example:x/",
        "http://me:hunter2@h.example:x/",
        "http://me:hunter2/@h.example/",
        "http://me:hunter2\\@h.example/",
        "http:me:hunter2@h.example",
        "ftp://me:hunter2@h.example/",
    ],
)
def test_a_refusal_never_shows_a_password(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_url(text)
    assert "hun" not in f"{caught.value} {caught.value.url}"


def test_the_longest_url_is_taken() -> None:
    url = "http://h.example/".ljust(MAX_URL_SIZE, "a")
    assert parse_url(url).url == url


@given(st.text(st.sampled_from("htps:/.@[]%#?\\ \n\x00é1a\ud800"), max_size=20))
def test_no_text_raises_anything_but_invalid_url(text: str) -> None:
    for url in (text, f"http://{text}"):
        try:
            parse_url(url)
        except InvalidUrl as error:
            assert str(error).isprintable()


@pytest.mark.parametrize(
    ("reference", "resolved"),
    [
        ("g:h", "g:h"),
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        (";x", "http://a/b/c/;x"),
        ("g;x=1?y", "http://a/b/c/g;x=1?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/../h", "http://a/b/c/h"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g#s/./x"),
        ("http:g", "http:g"),
    ],
)
def test_references_resolve_as_in_the_examples_of_rfc_3986_section_5_4(reference: str, resolved: str) -> None:
    assert resolve_location(BASE, reference) == resolved


@pytest.mark.parametrize(
    ("location", "resolved"),
    [
        ("a//b%2Fc%7e?x=%2c", "http://a/b/c/a//b%2Fc%7e?x=%2c"),
        ("https://o.example/x//y?z", "https://o.example/x//y?z"),
        ("https://o.example/x/../y", "https://o.example/y"),
        (" /g\r\n", "http://a/g"),
        ("/é", "http://a/é"),
    ],
)
def test_a_location_keeps_its_bytes(location: str, resolved: str) -> None:
    assert resolve_location(BASE, location) == resolved


def test_a_base_without_a_path_takes_a_relative_location() -> None:
    assert resolve_location("http://a?q", "g") == "http://a/g"


@given(st.text(st.sampled_from("./ab:?#@\n"), max_size=20))
def test_a_resolved_location_is_absolute(location: str) -> None:
    assert ":" in resolve_location(BASE, location)
