"""What a request says about who asks, and through which proxy: for whom, and for nobody else."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from asyncflags._engine.options import merged
from asyncflags._policies.proxies import proxy_for, split_proxy_credentials
from asyncflags.errors import StorageError

if TYPE_CHECKING:
    from netrc import netrc

    from asyncflags._engine.options import Options
    from asyncflags._models import Request
    from asyncflags._policies.urls import Target

__all__ = ["Credentials", "basic", "read_netrc"]


_NO_PROXY_BY_ITSELF = {"no_proxy", "NO_PROXY", "request_method", "REQUEST_METHOD"}
_PROXY_VARIABLES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"}


def basic(name: str, password: str) -> str:
    """The value of an ``Authorization`` field for HTTP Basic authentication (RFC 7617 section 2)."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


class Credentials:
    """Finds the credentials and the proxy of each request.

    Args:
        environment: Where the proxy variables stand; ``None``: no proxy but the one in the options.
        netrc: Passwords by host, as `netrc.netrc` parsed them; ``None``: none.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, netrc: netrc | None = None) -> None:
        # Only what speaks of proxies, read once: a look into the process's environment is not cheap.
        variables = {
            name: value for name, value in (environment or {}).items() if name.lower() in _PROXY_VARIABLES
        }
        self._environment = variables if variables.keys() - _NO_PROXY_BY_ITSELF else None
        self.netrc = netrc
        self._proxies: dict[str, tuple[str, dict[str, str] | None]] = {}

    def headers(self, target: Target, request: Request, options: Options) -> dict[str, str]:
        """The header fields of a download's first request; those of a redirect derive from them."""
        headers = options.base_headers
        authorization = self._authorization(target, options)
        cookies = options.cookies
        if authorization is not None:
            headers = merged({"Authorization": authorization}, headers)
        if isinstance(cookies, Mapping) and cookies:
            headers = merged(headers, {"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())})
        return merged(headers, request.headers) if request.headers else headers

    def _authorization(self, target: Target, options: Options) -> str | None:
        if target.username is not None:
            return basic(target.username, target.password or "")
        if options.auth is not None:
            return basic(*options.auth)
        if self.netrc is not None and (entry := self.netrc.authenticators(target.host)) is not None:
            login, account, password = entry
            return basic(login or account or "", password or "")
        return None

    def with_cookies(self, target: Target, headers: Mapping[str, str], options: Options) -> Mapping[str, str]:
        """*headers* with the cookies that a jar holds for *target*, by the jar's own rules (RFC 6265)."""
        jar = options.cookies
        if jar is None or isinstance(jar, Mapping):
            return headers
        # The jar's rules speak of this class, whose module costs more to import than all of ours.
        from urllib.request import Request as Asking

        asking = Asking(target.url)  # noqa: S310 - nothing is opened, and the scheme is http or https
        jar.add_cookie_header(asking)
        cookie = asking.get_header("Cookie")
        return merged(headers, {"Cookie": cookie}) if cookie else headers

    def proxy(self, target: Target, options: Options) -> tuple[str | None, dict[str, str] | None]:
        """The proxy for *target*, without its credentials, and the fields that carry them."""
        url = options.proxy
        if url is None:
            if self._environment is None:
                return None, None
            url = proxy_for(target.origin, environment=self._environment)
        if url is None:
            return None, None
        known = self._proxies.get(url)
        if known is None:
            address, credentials = split_proxy_credentials(url)
            fields = {"Proxy-Authorization": basic(*credentials)} if credentials else None
            known = self._proxies[url] = (address, fields)
        return known


def read_netrc() -> netrc | None:
    """The passwords by host; ``None`` when there is no such file."""
    from netrc import NetrcParseError, netrc

    path = os.environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
    try:
        return netrc(path)
    except FileNotFoundError:
        return None
    except (NetrcParseError, OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"the password file {path} cannot be read: {error}; mend it, or leave netrc out", path=path
        ) from error
