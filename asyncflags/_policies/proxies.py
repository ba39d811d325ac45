"""Proxies by environment variables, as curl understands them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TypeAlias

from asyncflags._policies.urls import Origin, parse_url
from asyncflags.errors import InvalidUrl

__all__ = ["proxy_for", "split_proxy_credentials"]

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?")


def proxy_for(origin: Origin, *, environment: Mapping[str, str]) -> str | None:
    """Choose the proxy for an origin.

    ``http_proxy`` or ``https_proxy`` by the scheme, else ``all_proxy``; the lower-case name goes before the
    upper-case one, and an empty value counts as unset. ``HTTP_PROXY`` is ignored where ``REQUEST_METHOD`` is
    set, since in a CGI script any client can set it by sending a ``Proxy`` field.

    Args:
        origin: Where the request goes.
        environment: The variables.

    Returns:
        The proxy's URL as written, ``http://`` before it where no scheme stands; it may hold credentials.
        ``None``: connect directly.
    """
    scheme, host, port = origin
    proxy = _variable(f"{scheme}_proxy", environment) or _variable("all_proxy", environment)
    if proxy is None or _is_excepted(host, port, _variable("no_proxy", environment) or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(name: str, environment: Mapping[str, str]) -> str | None:
    value = environment.get(name, "").strip()
    if not value and not (name == "http_proxy" and "REQUEST_METHOD" in environment):
        value = environment.get(name.upper(), "").strip()
    return value or None


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    address = _address(host)
    return any(_matches(entry, host, port, address) for entry in re.split(r"[\s,]+", exceptions) if entry)


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        return address is not None and address in network
    parts = _PORT.fullmatch(entry)
    if parts is None or (parts["port"] and int(parts["port"]) != port):
        return False
    name = parts["host"].strip("[]")
    if address is not None:
        return _address(name) == address
    domain = name.lower().removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def split_proxy_credentials(proxy_url: str) -> tuple[str, tuple[str, str] | None]:
    """Separate a proxy's address from the name and password for it.

    Args:
        proxy_url: ``http://`` or ``https://`` URL; ``http://`` is assumed where no scheme stands.

    Returns:
        ``scheme://host:port`` with the port always named, and user name and password, percent-decoded; a
        missing password is empty. ``None``: no credentials.

    Raises:
        InvalidUrl: It is not a URL, or another kind of proxy, such as SOCKS.
    """
    text = proxy_url.strip()
    try:
        target = parse_url(text if "://" in text else f"http://{text}")
    except InvalidUrl as error:
        raise InvalidUrl(
            f"the proxy cannot be used, give http://host:port: {error.message}", url=error.url
        ) from None
    scheme, host, port = target.origin
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    return address, None if target.username is None else (target.username, target.password or "")
