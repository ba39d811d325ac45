"""How downloads are done: the options that a client sets as defaults and a call overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from asyncflags._policies.proxies import split_proxy_credentials
from asyncflags._policies.timeouts import Timeout
from asyncflags._version import __version__

if TYPE_CHECKING:
    import ssl
    from http.cookiejar import CookieJar

    import aiohttp

    from asyncflags._models import Event
    from asyncflags._policies.limits import Limits
    from asyncflags._transports.base import Transport

__all__ = [
    "ClientOptions",
    "DownloadOptions",
    "Durability",
    "IfExists",
    "Layout",
    "Modified",
    "NameFrom",
    "Options",
]

IfExists = Literal["overwrite", "skip", "rename", "error", "update"]
Durability = Literal["fsync", "rename"]
NameFrom = Literal["url", "server"]
Modified = Literal["now", "server"]
Layout = Literal["flat", "url"]


class DownloadOptions(TypedDict, total=False):
    """The options of a download, each a keyword of every method that downloads.

    Given to a client they are defaults; given to a call they override the client's; ``None`` switches
    off what can be off.

    Attributes:
        headers: Request header fields, on top of the usual ones. Dropped when a redirect leads to another
            origin, but for those that say nothing about you.
        auth: ``(name, password)`` for HTTP Basic authentication (RFC 7617), sent to the origin of the URL
            alone. User information inside a URL does the same.
        cookies: Name to value, sent to the origin of the URL alone; or a `http.cookiejar.CookieJar`,
            whose own rules then decide.
        user_agent: The ``User-Agent`` field.
        proxy: URL of an HTTP proxy; may hold credentials. ``None``: direct.
        timeout: A `Timeout`; ``None``: none at all.
        min_speed: Bytes a second, on the average of a minute, below which an attempt is given up and
            retried. ``None`` or 0: never.
        retries: Attempts after the first one; 0 or ``None``: none.
        max_size: Largest body in bytes, as written; ``None``: no limit (`fetch`: 64 MiB).
        max_redirects: How many redirects are followed; 0 or ``None``: none.
        allow_downgrade: Follow a redirect from https to http.
        compressed: Ask for gzip or deflate and undo it. Off, the bytes are kept as the server sends them.
        require_length: Refuse a body whose end cannot be proven because it is delimited by the closing
            of the connection.
        require_digest: Refuse an answer without a ``Repr-Digest``, ``Content-Digest`` (RFC 9530) or
            ``Digest`` (RFC 3230) of sha-256 or sha-512. One that is there is always checked.
        checksums: Name of a file, relative to the destination folder, to its ``"algorithm:hex"``, for
            downloads that have no checksum of their own; ``None``: no list.
        resume: Go on where an earlier attempt or run stopped, if the server proves that the file is still the
            same version. Off, every attempt begins anew and nothing is left to go on with.
        if_exists: What to do when the destination is a file: ``"overwrite"`` it, ``"skip"`` the download
            (unless ``checksum`` or ``size`` tell that the file is not the one), ``"rename"`` (take the
            next free number), ``"update"`` (ask for it only if the server has another one, RFC 9110 section
            13.1, and give it the server's time), or ``"error"``.
        durability: ``"fsync"`` waits until file and name are on the disk and so survives a power cut,
            ``"rename"`` survives the death of the process.
        name_from: ``"url"`` names the file after the URL asked for; ``"server"`` prefers the name in the
            answer's ``Content-Disposition`` (RFC 6266).
        mtime: Time of last modification to give the file: ``"now"`` or the ``"server"``'s.
        layout: ``"flat"`` puts all files into the destination folder; ``"url"`` makes host and path
            folders in it.
    """

    headers: Mapping[str, str] | None
    auth: tuple[str, str] | None
    cookies: Mapping[str, str] | CookieJar | None
    user_agent: str
    proxy: str | None
    timeout: Timeout | None
    min_speed: float | None
    retries: int | None
    max_size: int | None
    max_redirects: int | None
    allow_downgrade: bool
    compressed: bool
    require_length: bool
    require_digest: bool
    checksums: Mapping[str, str] | None
    resume: bool
    if_exists: IfExists
    durability: Durability
    name_from: NameFrom
    mtime: Modified
    layout: Layout


class ClientOptions(DownloadOptions, total=False):
    """The keywords of `AsyncDownloader`, for what makes one: its own, and the defaults of every download."""

    limits: Limits | None
    transport: Transport | Literal["aiohttp"] | None
    session: aiohttp.ClientSession | None
    ssl_context: ssl.SSLContext | None
    family: int
    trust_env: bool
    netrc: bool
    respect_robots: bool
    rate_limit: float | None
    host_rate_limit: float | None
    on_event: Callable[[Event], None] | None


_DEFAULT_TIMEOUT = Timeout()
_NO_TIMEOUT = Timeout(connect=None, read=None, total=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`DownloadOptions` complete and checked, with the defaults of the house."""

    headers: Mapping[str, str] | None = field(default=None, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    cookies: Mapping[str, str] | CookieJar | None = field(default=None, repr=False)
    user_agent: str = f"asyncflags/{__version__}"
    proxy: str | None = field(default=None, repr=False)
    timeout: Timeout | None = _DEFAULT_TIMEOUT
    min_speed: float | None = 1.0
    retries: int | None = 5
    max_size: int | None = None
    max_redirects: int | None = 20
    allow_downgrade: bool = False
    compressed: bool = False
    require_length: bool = False
    require_digest: bool = False
    checksums: Mapping[str, str] | None = None
    resume: bool = True
    if_exists: IfExists = "overwrite"
    durability: Durability = "fsync"
    name_from: NameFrom = "url"
    mtime: Modified = "now"
    layout: Layout = "flat"
    base_headers: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("retries", "max_size", "max_redirects", "min_speed"):
            _check_not_negative(name, getattr(self, name))
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        if self.timeout is not None and not isinstance(self.timeout, Timeout):
            raise TypeError(f"timeout must be a Timeout or None, not {self.timeout!r}: Timeout(total=...)")
        if self.auth is not None and not _is_pair_of_text(self.auth):
            raise TypeError("auth must be a tuple of two texts, (name, password), or None")
        if self.proxy is not None:
            split_proxy_credentials(self.proxy)
        object.__setattr__(self, "base_headers", self._base_headers())

    def override(self, options: Mapping[str, Any]) -> Options:
        """These options with *options* put over them.

        Raises:
            TypeError: An option of that name does not exist.
            ValueError: A value is out of range.
        """
        if not options:
            return self
        unknown = options.keys() - _NAMES
        if unknown:
            raise TypeError(f"no option is named {', '.join(map(repr, sorted(unknown)))}")
        return replace(self, **options)

    @property
    def effective_timeout(self) -> Timeout:
        """The timeout, with ``None`` spelled out."""
        return self.timeout if self.timeout is not None else _NO_TIMEOUT

    def _base_headers(self) -> dict[str, str]:
        _check_field("User-Agent", self.user_agent)
        if isinstance(self.cookies, Mapping):
            for name, value in self.cookies.items():
                _check_field("Cookie", f"{name}={value}")
        base = {
            "Accept": "*/*",
            "Accept-Encoding": "gzip, deflate" if self.compressed else "identity",
            "User-Agent": self.user_agent,
        }
        return merged(base, self.headers)


def merged(base: Mapping[str, str], more: Mapping[str, str] | None) -> dict[str, str]:
    """*base* with *more* over it; field names are compared without their case (RFC 9110 section 5.1)."""
    result = dict(base)
    if more:
        spelled = {name.lower(): name for name in result}
        for name, value in more.items():
            _check_field(name, value)
            result.pop(spelled.get(name.lower(), ""), None)
            result[name] = value
    return result


_NAMES = frozenset(each.name for each in fields(Options) if each.init)
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "if_exists": get_args(IfExists),
    "durability": get_args(Durability),
    "name_from": get_args(NameFrom),
    "mtime": get_args(Modified),
    "layout": get_args(Layout),
}


def _is_pair_of_text(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _check_not_negative(name: str, value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{name} must be 0 or more, or None, not {value!r}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _check_field(name: str, value: str) -> None:
    """Refuse what would end the field early and start another one (RFC 9110 section 5.5)."""
    if not name or any(character in "\r\n\0: " for character in name):
        raise ValueError(f"{name!r} is not the name of a header field")
    if any(character in "\r\n\0" for character in value):
        raise ValueError(f"the value of the header field {name!r} holds a line break or NUL")
