"""robots.txt, asked for once for each origin before the first request to it (RFC 9309)."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from asyncflags._engine.intake import Decoder
from asyncflags._policies.answers import refusal
from asyncflags._policies.framing import check_content_coding
from asyncflags._policies.redirects import REDIRECT_STATUSES, next_hop
from asyncflags._policies.retry import parse_retry_after
from asyncflags._policies.robots import (
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    RobotsAnswer,
    RobotsMemory,
    RobotsRules,
    answer_of,
    origin_text,
    product_token,
    request_rate,
    rules_text,
)
from asyncflags._policies.urls import parse_url
from asyncflags._transports.base import ExchangeRequest
from asyncflags.errors import BlockedUrl, DownloadError, ReadTimeout

if TYPE_CHECKING:
    from protego import Protego

    from asyncflags._engine.credentials import Credentials
    from asyncflags._engine.options import Options
    from asyncflags._policies.urls import Origin, Target
    from asyncflags._transports.base import ResponseStream, Transport

__all__ = ["OffLoop", "Robots", "RobotsFetch", "RobotsFile", "require_parser"]

_PATIENCE_SECONDS = 30.0
_ROOM_BYTES = 1 << 15
# Rules of this size are compared with a URL in some 100 microseconds; more of them are a thread's work.
_SMALL_BYTES = 1 << 14


class OffLoop(Protocol):
    """Runs a blocking call in a thread, as `ThreadBridge.run` does."""

    async def __call__(self, function: Callable[[], object], /) -> object: ...


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """An answer to a request for robots.txt.

    Attributes:
        data: The rules as they came, `MAX_ROBOTS_BYTES` and one more at most.
        coding: Their content coding, or ``None``.
    """

    data: bytes
    coding: str | None = None


class RobotsFetch:
    """Asks for robots.txt.

    It takes no slot of its own: the request stands in for that of the download that is the first to ask, whose
    slot it is made in.

    Args:
        transport: Makes the exchanges.
        credentials: Knows the proxies; no credentials are sent.
    """

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials

    async def __call__(self, target: Target, options: Options) -> RobotsFile | None:
        """Fetch the rules of the origin of *target*.

        Returns:
            ``None``: there are none (RFC 9309 section 2.3.1.3).

        Raises:
            DownloadError: They cannot be read just now (section 2.3.1.4).
        """
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS) as patience:
                return await self._follow(parse_url(_robots_url(target)), options)
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise ReadTimeout(f"it did not come within {_PATIENCE_SECONDS:g} s") from error

    async def _follow(self, target: Target, options: Options) -> RobotsFile | None:
        seen: list[str] = []
        while True:
            stream = await self._transport.open(self._request(target, options))
            try:
                if stream.status not in REDIRECT_STATUSES:
                    return await _read(stream)
                hop = _next(target, stream, seen, allow_downgrade=options.allow_downgrade)
            finally:
                await stream.aclose()
            if hop is None:
                return None
            seen.append(target.url)
            target = hop

    def _request(self, target: Target, options: Options) -> ExchangeRequest:
        proxy, proxy_headers = self._credentials.proxy(target, options)
        return ExchangeRequest(
            url=target.url,
            headers={
                "Accept": "text/plain, */*",
                "Accept-Encoding": "identity",
                "User-Agent": _agent(options),
            },
            proxy=proxy,
            proxy_headers=proxy_headers,
            connect_timeout=options.effective_timeout.connect,
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one origin; without a parser and an error everything is allowed.

    Attributes:
        parser: Its rules.
        size: Their bytes.
        error: Why they could not be read.
    """

    parser: Protego | None = None
    size: int = 0
    error: DownloadError | None = None


class Robots:
    """Holds downloads to the robots.txt of each origin.

    Args:
        fetch: Asks for it; see `RobotsFetch`.
        set_rate: Told the requests a second that an origin's rules allow, each time that it is asked for
            anything; has to take the same again and again.
        off_loop: Runs what takes long, such as reading large rules.
        clock: Tells the seconds that rules live for.
        rules: How long, and of how many origins.

    Raises:
        ValueError: The parser is not installed.
    """

    def __init__(
        self,
        fetch: Callable[[Target, Options], Awaitable[RobotsFile | None]],
        set_rate: Callable[[Origin, float], None],
        off_loop: OffLoop,
        *,
        clock: Callable[[], float] = time.monotonic,
        rules: RobotsRules | None = None,
    ) -> None:
        self._parser = require_parser()
        self._fetch = fetch
        self._set_rate = set_rate
        self._off_loop = off_loop
        self._clock = clock
        self._memory: RobotsMemory[_Known] = RobotsMemory(rules)
        self._fetching: dict[Origin, asyncio.Event] = {}

    async def check(self, target: Target, options: Options) -> bool:
        """Return once *target* may be asked for.

        Those who ask for one origin together wait for the same rules. If the one who fetches them is cancelled,
        the next one does.

        Args:
            target: What is about to be asked for.
            options: Of the download. Its User-Agent is whom the rules speak to.

        Returns:
            Whether the rules came only now and ask for a rate, so that a slot which was given before does not obey
            it and has to be asked for anew.

        Raises:
            BlockedUrl: The rules disallow it.
            DownloadError: The rules cannot be read just now, so nothing may be asked for (RFC 9309 section
                2.3.1.4); the error that was in the way, worth another attempt if it is.
        """
        if _is_robots_url(target):
            return False
        known = self._memory.find(target.origin, self._clock())
        is_new = known is None
        if known is None:
            known = await self._known_of(target, options)
        if known.error is not None:
            raise _without_rules(known.error, target)
        parser = known.parser
        if parser is None:
            return False
        token = product_token(_agent(options))
        if known.size <= _SMALL_BYTES:
            is_allowed = parser.can_fetch(target.url, token)
        else:
            is_allowed = bool(await self._off_loop(lambda: parser.can_fetch(target.url, token)))
        if not is_allowed:
            reason = f"robots.txt of {origin_text(target.origin)} disallows it for {token}"
            raise BlockedUrl(
                f"{reason}; ask its owner, or leave respect_robots (--robots) out",
                url=target.url,
                reason=reason,
            )
        allowed = parser.request_rate(token)
        rate = request_rate(
            parser.crawl_delay(token), (allowed.requests, allowed.seconds) if allowed is not None else None
        )
        if rate is None:
            return False
        self._set_rate(target.origin, rate)
        return is_new

    async def _known_of(self, target: Target, options: Options) -> _Known:
        origin = target.origin
        while (known := self._memory.find(origin, self._clock())) is None:
            fetched = self._fetching.get(origin)
            if fetched is not None:
                await fetched.wait()
                continue
            fetched = self._fetching[origin] = asyncio.Event()
            try:
                known = await self._load(target, options)
                break
            finally:
                del self._fetching[origin]
                fetched.set()
        return known

    async def _load(self, target: Target, options: Options) -> _Known:
        known = _Known()
        try:
            file = await self._fetch(target, options)
            if file is not None and file.data:
                known = await self._parsed(file)
        except DownloadError as error:
            # A copy, without the traceback that would keep the attempt alive.
            known = _Known(error=copy.copy(error))
        self._memory.keep(
            target.origin, known, self._clock(), size=known.size, is_readable=known.error is None
        )
        return known

    async def _parsed(self, file: RobotsFile) -> _Known:
        def parse() -> _Known:
            data = file.data if file.coding is None else _decoded(file.data, file.coding)
            return _Known(self._parser.parse(rules_text(data)), min(len(data), MAX_ROBOTS_BYTES))

        known = await self._off_loop(parse)
        assert isinstance(known, _Known)
        return known


def require_parser() -> type[Protego]:
    """The parser of robots.txt.

    Raises:
        ValueError: It is not installed.
    """
    try:
        from protego import Protego
    except ImportError:
        raise ValueError(
            "respect_robots needs the package protego to read robots.txt: pip install asyncflags[robots]"
        ) from None
    parser: type[Protego] = Protego
    return parser


def _robots_url(target: Target) -> str:
    # The path of a target begins with a slash, and the shortest host is one letter behind "http://".
    return target.url[: target.url.index("/", len("http://x"))] + "/robots.txt"


def _is_robots_url(target: Target) -> bool:
    """Whether *target* is the rules themselves, which are always allowed (RFC 9309 section 2.2.2)."""
    return target.url.endswith("/robots.txt") and target.url == _robots_url(target)


def _agent(options: Options) -> str:
    fields = options.base_headers
    return fields.get("User-Agent") or next(
        (value for name, value in fields.items() if name.lower() == "user-agent"), ""
    )


def _next(target: Target, stream: ResponseStream, seen: list[str], *, allow_downgrade: bool) -> Target | None:
    """Where a redirect leads; ``None``: nowhere that could be followed, so that there are no rules."""
    try:
        return next_hop(
            status=stream.status,
            location=stream.header("Location") or None,
            current=target,
            seen=seen,
            max_redirects=MAX_ROBOTS_REDIRECTS,
            hops=len(seen),
            allow_downgrade=allow_downgrade,
        )
    except DownloadError:
        return None


async def _read(stream: ResponseStream) -> RobotsFile | None:
    answer = answer_of(stream.status)
    if answer is RobotsAnswer.NO_RULES:
        return None
    if answer is RobotsAnswer.UNREADABLE:
        wait = parse_retry_after(stream.header("Retry-After"), now=time.time())
        error = refusal(stream.status, retry_after=wait)
        assert error is not None
        raise error
    coding = check_content_coding(stream.headers)
    memory = memoryview(bytearray(_ROOM_BYTES))
    data = bytearray()
    while len(data) <= MAX_ROBOTS_BYTES and (piece := await stream.receive(lambda: memory)):
        data += piece
    return RobotsFile(bytes(data[: MAX_ROBOTS_BYTES + 1]), coding)


def _decoded(data: bytes, coding: str) -> bytes:
    """The rules that *data* codes, as many as are read of any; what is cut off behind them is not missed."""
    decoded = bytearray()
    for piece in Decoder(coding).decode(data):
        decoded += piece
        if len(decoded) > MAX_ROBOTS_BYTES:
            break
    return bytes(decoded[: MAX_ROBOTS_BYTES + 1])


def _without_rules(error: DownloadError, target: Target) -> DownloadError:
    """A new error for each who hears of it, of the same kind, so that it is retried as it deserves."""
    told = copy.copy(error)
    whose = f"robots.txt of {origin_text(target.origin)}"
    told.args = (f"{whose} cannot be read, and without it nothing may be asked for: {error.message}",)
    told.__cause__ = error
    return told
