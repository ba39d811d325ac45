"""URLs, read once and made ready to send (RFC 3986).

Signed URLs break when a single byte of them changes, so whatever is legal stays as it was written. Only what
no URL may hold is percent-encoded, and only what never travels in a request line is removed: the fragment and
the user information.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from asyncflags.errors import InvalidUrl, redact_url

__all__ = ["DEFAULT_PORTS", "MAX_URL_SIZE", "Origin", "Target", "parse_url", "resolve_location"]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host in lower case without trailing dot, port (RFC 6454 section 4)."""

MAX_URL_SIZE = 64 * 1024
"""Bytes of the longest URL that is taken."""

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The schemes that are spoken, and the port of each."""

_LEGAL = r"A-Za-z0-9\-._~!$&'()*+,;=:@/?"
_LABEL = r"[a-z0-9_-]{1,63}+"
_PLAIN = re.compile(
    rf"(https?)://((?:{_LABEL}\.)*+{_LABEL})(?::([1-9][0-9]{{0,4}}))?/[{_LEGAL}]*+(?:%[0-9A-Fa-f]{{2}}[{_LEGAL}]*+)*+"
)
_ILLEGAL = re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^{_LEGAL}%]")
_HOST = re.compile(rf"(?:{_LABEL}\.)*+{_LABEL}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_NAME = r"[^\s/?#@:]"
_SCHEMELESS = re.compile(
    rf"(?://)?((?:{_NAME}*+@)?(?:(?={_NAME}*\.){_NAME}++(?::[0-9]++)?|{_NAME}++:[0-9]{{1,5}}|localhost)(?:[/?#].*)?)"
)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)(?:%25([A-Za-z0-9._~-]+))?\]")
_REFERENCE = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL
)
_WHITESPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        url: The URL as it is sent: no fragment, no user information, host in lower case, no default port.
        origin: Scheme, host and port; credentials stay within one origin.
        host: Host name or address in lower case; an IPv6 address without its brackets.
        username: From the user information, percent-decoded; ``None``: there is none.
        password: From the user information, percent-decoded; ``None``: there is none.
    """

    url: str
    origin: Origin
    host: str
    username: str | None = None
    password: str | None = None


def parse_url(text: str) -> Target:
    """Read an absolute http or https URL (RFC 3986 section 3, RFC 9110 section 4.2).

    Args:
        text: The URL as it was written; white space around it is ignored.

    Returns:
        The target. What is legal in its path and query is untouched to the byte.

    Raises:
        InvalidUrl: It is not a URL, has another scheme, no host or a bad port, or is over 64 KiB.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len(text) <= MAX_URL_SIZE:
        scheme, host, digits = plain.groups()
        port = int(digits) if digits else DEFAULT_PORTS[scheme]
        if port <= 65535 and len(host) <= 253 and not (digits and port == DEFAULT_PORTS[scheme]):
            return Target(text, (scheme, host, port), host)
    return _parse_any(text)


def _parse_any(text: str) -> Target:
    text = text.strip(_WHITESPACE)
    _check_size(text)
    scheme, rest = _split_scheme(text)
    authority, resource = _split_authority(rest)
    _check_authority(authority, text)
    user_information, _, host_and_port = authority.rpartition("@")
    name, port_text = _split_port(host_and_port, text)
    host = _parse_host(name, text)
    port = _parse_port(port_text, scheme, text)
    shown_host = f"[{host.replace('%', '%25')}]" if ":" in host else host
    shown_port = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    url = f"{scheme}://{shown_host}{shown_port}{_encode(resource, text)}"
    # What is encoded grows, and what is sent is what counts.
    _check_size(url)
    username, password = _credentials(user_information, text)
    return Target(url, (scheme, host, port), host, username, password)


def _check_size(url: str) -> None:
    if len(url) > MAX_URL_SIZE:
        raise InvalidUrl(f"the URL is longer than {MAX_URL_SIZE} bytes, the most that is sent")


def _refusal(reason: str, text: str) -> InvalidUrl:
    # A password with a slash in it ends the authority early, so nothing before the last @ is ever shown.
    before, at, after = text.rpartition("@")
    scheme = before.partition("//")[0] + "//" if "//" in before else ""
    return InvalidUrl(reason, url=f"{scheme}***@{after}" if at else text)


def _split_scheme(text: str) -> tuple[str, str]:
    matched = _SCHEME.match(text)
    schemeless = _SCHEMELESS.fullmatch(text)
    if matched is None or (schemeless and not text.startswith("//", matched.end())):
        if schemeless is None:
            raise _refusal("this is not a URL: write it in full, such as https://example.com/file", text)
        suggestion = redact_url(f"https://{schemeless[1]}")
        raise InvalidUrl(f"the URL has no scheme: write {suggestion}", url=suggestion)
    scheme = matched[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise _refusal(f"URLs of the scheme {scheme!r} cannot be downloaded, only http and https", text)
    if not text.startswith("//", matched.end()):
        raise _refusal(f"the URL lacks the two slashes after {scheme}: write {scheme}://host/path", text)
    return scheme, text[matched.end() + 2 :]


def _split_authority(rest: str) -> tuple[str, str]:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    resource = rest[end:].partition("#")[0]
    return rest[:end], resource if resource.startswith("/") else f"/{resource}"


def _check_authority(authority: str, text: str) -> None:
    if "\\" in authority:
        raise _refusal("the URL has a backslash before its path: write forward slashes", text)
    if any(character.isspace() or not character.isprintable() for character in authority):
        raise _refusal("the URL has a space, a line break or a control character before its path", text)


def _split_port(host_and_port: str, text: str) -> tuple[str, str]:
    if host_and_port.startswith("["):
        name, bracket, port = host_and_port.partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _refusal(
                "the IPv6 address in the URL must stand in brackets: write http://[::1]:8080/", text
            )
        return name + bracket, port[1:]
    name, _, port = host_and_port.partition(":")
    if ":" in port:
        raise _refusal(
            "the host has several colons: an IPv6 address stands in brackets, as in http://[::1]/", text
        )
    return name, port


def _parse_port(digits: str, scheme: str, text: str) -> int:
    if not digits:
        return DEFAULT_PORTS[scheme]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) <= 65535):
        raise _refusal("the port of the URL is not a number from 1 to 65535", text)
    return int(digits)


def _parse_host(name: str, text: str) -> str:
    if name.startswith("["):
        return _parse_address(name, text)
    host = _ascii_host(name, text).lower().removesuffix(".")
    if not host:
        raise _refusal("the URL has no host: write https://host/path", text)
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _refusal("the host of the URL is not a valid host name", text)
    return host


def _parse_address(name: str, text: str) -> str:
    matched = _BRACKETED.fullmatch(name)
    try:
        address = str(ipaddress.IPv6Address(matched[1] if matched else ""))
    except ValueError:
        raise _refusal("the URL has no valid IPv6 address between its brackets", text) from None
    # A zone is written after %25 in a URL and after % everywhere else (RFC 6874 section 2).
    return f"{address}%{matched[2]}" if matched and matched[2] else address


def _ascii_host(name: str, text: str) -> str:
    try:
        decoded = unquote(name, errors="strict") if "%" in name else name
        if decoded.isascii():
            return decoded
        # Imported here because few hosts need it and its tables take milliseconds to load.
        import idna

        return idna.encode(decoded, uts46=True).decode("ascii")
    except UnicodeError:
        raise _refusal("the host of the URL is not a valid international name", text) from None


def _encode(resource: str, text: str) -> str:
    try:
        return _ILLEGAL.sub(_percent_encoded, resource)
    except UnicodeEncodeError:
        raise _refusal("the URL holds half a character and cannot be sent", text) from None


def _percent_encoded(illegal: re.Match[str]) -> str:
    # Bytes of a header that were not UTF-8 come back as the bytes they were.
    return "".join(f"%{byte:02X}" for byte in illegal[0].encode("utf-8", "surrogateescape"))


def _credentials(user_information: str, text: str) -> tuple[str | None, str | None]:
    if not user_information:
        return None, None
    username, colon, password = user_information.partition(":")
    try:
        return unquote(username, errors="strict"), unquote(password, errors="strict") if colon else None
    except UnicodeDecodeError:
        raise _refusal("the user name or password in the URL is not percent-encoded UTF-8", text) from None


def resolve_location(base: str, location: str) -> str:
    """Resolve the Location of a redirect against the URL that answered (RFC 3986 section 5.2).

    The bytes of the location stay as they are, empty path segments included; dot segments are resolved.

    Args:
        base: The URL that answered.
        location: The field's value: an absolute URL or a reference of any kind.

    Returns:
        The URL it means, not yet checked: pass it to `parse_url`.
    """
    scheme, authority, path, query, fragment = _split_reference(location.strip(_WHITESPACE))
    base_scheme, base_authority, base_path, base_query, _ = _split_reference(base)
    if scheme is None and authority is None:
        authority = base_authority
        if not path:
            path, query = base_path, base_query if query is None else query
        else:
            path = _merged(base_path, path)
    else:
        path = _without_dot_segments(path)
    before = f"{scheme or base_scheme}:" + ("" if authority is None else f"//{authority}")
    return f"{before}{path}{query or ''}{fragment or ''}"


def _merged(base_path: str, path: str) -> str:
    return _without_dot_segments(path if path.startswith("/") else base_path.rpartition("/")[0] + "/" + path)


def _split_reference(text: str) -> tuple[str | None, str | None, str, str | None, str | None]:
    matched = _REFERENCE.fullmatch(text)
    assert matched is not None  # Every part is optional, so every text matches (RFC 3986 appendix B).
    return matched[1], matched[2], matched[3], matched[4], matched[5]


def _without_dot_segments(path: str) -> str:
    if "." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            # The first element is what stands before the leading slash, and nothing climbs above it.
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept)
