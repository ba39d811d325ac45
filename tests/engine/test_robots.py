"""robots.txt: asked for once for each origin, before anything else, and obeyed."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from asyncflags import errors
from asyncflags._engine.credentials import Credentials
from asyncflags._engine.options import Options
from asyncflags._engine.robots import Robots, RobotsFetch, RobotsFile
from asyncflags._policies.robots import MAX_ROBOTS_BYTES
from asyncflags._policies.urls import Origin, parse_url
from asyncflags._transports.aiohttp import AiohttpTransport
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.testing.faulty import FaultyOrigin
from tests.transports.exchanges import resolve

protego = pytest.importorskip("protego")

PRIVATE = b"User-agent: *\nDisallow: /private\n"
OPTIONS = Options()


class Crawl:
    """Asks whether URLs of an origin may be downloaded, as an engine does, with a clock that is set by hand."""

    def __init__(self, origin: FaultyOrigin, bridge: ThreadBridge) -> None:
        self.origin = origin
        self.now = 0.0
        self.rates: list[tuple[Origin, float]] = []
        self.off_loop = 0
        self._bridge = bridge
        self.transport = AiohttpTransport(resolve)
        self.robots = self.made()

    def made(self) -> Robots:
        fetch = RobotsFetch(self.transport, Credentials())
        return Robots(fetch, self.rated, self.run, clock=lambda: self.now)

    def rated(self, origin: Origin, rate: float) -> None:
        self.rates.append((origin, rate))

    async def run(self, function: Callable[[], object], /) -> object:
        self.off_loop += 1
        return await self._bridge.run(function)

    def serve(self, body: bytes, status: str = "200 OK", *fields: str) -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.origin.raw("/robots.txt", "\r\n".join(head).encode() + b"\r\n\r\n" + body, then="keep")

    def redirect(self, path: str, location: str) -> None:
        self.origin.raw(
            path,
            f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(),
            then="keep",
        )

    async def check(self, path: str = "/private/flag", options: Options = OPTIONS, *, base: str = "") -> bool:
        return await self.robots.check(parse_url((base or self.origin.url) + path), options)

    async def refusal(self, path: str = "/private/flag", options: Options = OPTIONS) -> errors.DownloadError:
        with pytest.raises(errors.DownloadError) as caught:
            await self.check(path, options)
        return caught.value

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.origin.requests]


@pytest.fixture
async def crawl(faulty: FaultyOrigin) -> AsyncIterator[Crawl]:
    async with ThreadBridge(1) as bridge:
        running = Crawl(faulty, bridge)
        yield running
        await running.transport.aclose()


async def test_what_the_rules_disallow_is_blocked_and_all_else_is_not(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    error = await crawl.refusal()
    assert isinstance(error, errors.BlockedUrl)
    assert error.reason == f"robots.txt of {crawl.origin.url} disallows it for asyncflags"
    assert error.reason in error.message
    assert error.url == crawl.origin.url + "/private/flag"
    await crawl.check("/public/flag")
    assert crawl.asked == ["/robots.txt"]


async def test_the_rules_themselves_may_be_downloaded_without_being_asked_for_first(crawl: Crawl) -> None:
    crawl.serve(b"User-agent: *\nDisallow: /\n")
    await crawl.check("/robots.txt")
    assert crawl.asked == []
    await crawl.refusal("/deeper/robots.txt")


async def test_the_request_names_us_and_carries_no_secret(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    secrets = Options(auth=("name", "word"), cookies={"session": "s"}, headers={"X-Key": "k"})
    await crawl.check("/public", secrets)
    fields = {name.lower(): value for name, value in crawl.origin.requests[0].headers.items()}
    assert fields["user-agent"].startswith("asyncflags/")
    assert not fields.keys() & {"authorization", "cookie", "x-key"}


@pytest.mark.parametrize("spelling", ["user_agent", "field"])
async def test_rules_for_the_name_in_use_hold_and_those_for_others_do_not(
    crawl: Crawl, spelling: str
) -> None:
    crawl.serve(b"User-agent: FlagBot\nDisallow: /flags\n\nUser-agent: *\nDisallow: /private\n")
    named = (
        Options(user_agent="FlagBot/2.0")
        if spelling == "user_agent"
        else Options(headers={"user-agent": "flagbot/2"})
    )
    await crawl.check("/private", named)
    assert "for flagbot" in (await crawl.refusal("/flags/fr.gif", named)).message.lower()
    await crawl.check("/flags/fr.gif")
    assert crawl.asked == ["/robots.txt"]


async def test_many_who_ask_together_wait_for_one_fetch(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    results = await asyncio.gather(
        *(crawl.check(path) for path in ["/private/a", "/public/b"] * 8), return_exceptions=True
    )
    assert [type(result) for result in results] == [errors.BlockedUrl, bool] * 8
    assert crawl.asked == ["/robots.txt"]
    assert not crawl.robots._fetching


async def test_one_who_is_cancelled_while_fetching_leaves_it_to_the_next(crawl: Crawl) -> None:
    crawl.origin.raw("/robots.txt", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nUser", then="stall")
    first = asyncio.ensure_future(crawl.check())
    second = asyncio.ensure_future(crawl.check())
    async with asyncio.timeout(5):
        while not crawl.asked:
            await asyncio.sleep(0.001)
    crawl.serve(PRIVATE)
    first.cancel()
    with pytest.raises(errors.BlockedUrl):
        await second
    assert first.cancelled()
    assert crawl.asked == ["/robots.txt"] * 2


async def test_one_who_is_cancelled_while_waiting_ends_nobody_else_s_fetch(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    tasks = [asyncio.ensure_future(crawl.check("/public")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False, True, False]
    assert crawl.asked == ["/robots.txt"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"])
async def test_an_origin_without_rules_allows_everything_and_is_asked_once(crawl: Crawl, status: str) -> None:
    crawl.serve(PRIVATE, status)
    await crawl.check()
    await crawl.check()
    assert crawl.asked == ["/robots.txt"]


@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Slow"])
async def test_rules_that_cannot_be_read_allow_nothing_until_they_can(crawl: Crawl, status: str) -> None:
    crawl.serve(b"", status, "Retry-After: 7")
    first, second = await crawl.refusal("/public"), await crawl.refusal("/public")
    assert isinstance(first, errors.StatusError)
    assert (str(first.status), first.retry_after) == (status[:3], 7.0)
    assert f"robots.txt of {crawl.origin.url} cannot be read" in first.message
    assert first is not second
    assert pickle.loads(pickle.dumps(first)).args == first.args
    assert crawl.asked == ["/robots.txt"]
    crawl.serve(PRIVATE)
    crawl.now = 2.0
    await crawl.check("/public")
    assert crawl.asked == ["/robots.txt"] * 2


async def test_an_origin_that_does_not_answer_is_an_error_of_the_network_and_tried_again_later(
    crawl: Crawl,
) -> None:
    crawl.origin.raw("/robots.txt", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nUser", then="close")
    error = await crawl.refusal("/public")
    assert isinstance(error, errors.TransportError)
    assert "robots.txt" in error.message
    crawl.serve(PRIVATE)
    await crawl.refusal("/public")
    crawl.now = 2.0
    await crawl.check("/public")


async def test_an_origin_that_stays_silent_is_given_up(crawl: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncflags._engine.robots._PATIENCE_SECONDS", 0.02)
    crawl.origin.raw("/robots.txt", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", then="stall")
    error = await crawl.refusal("/public")
    assert isinstance(error, errors.ReadTimeout)


async def test_rules_hold_for_a_day_and_no_longer(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    await crawl.refusal()
    crawl.serve(b"")
    crawl.now = 86399.0
    await crawl.refusal()
    crawl.now = 86400.0
    await crawl.check()


@pytest.mark.parametrize(("hops", "is_found"), [(1, True), (5, True), (6, False)])
async def test_five_redirects_are_followed_also_to_another_origin(
    crawl: Crawl, hops: int, is_found: bool
) -> None:
    for hop in range(hops):
        path = "/robots.txt" if not hop else f"/hop-{hop}"
        last = hop == hops - 1
        crawl.redirect(path, f"{crawl.origin.other_url}/found" if last else f"/hop-{hop + 1}")
    crawl.origin.raw(
        "/found", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PRIVATE), PRIVATE), then="keep"
    )
    if is_found:
        assert isinstance(await crawl.refusal(), errors.BlockedUrl)
    else:
        await crawl.check()


@pytest.mark.parametrize("location", ["", "/robots.txt", "ftp://flags.test/robots.txt"])
async def test_a_redirect_that_leads_nowhere_means_that_there_are_no_rules(
    crawl: Crawl, location: str
) -> None:
    crawl.redirect("/robots.txt", location)
    await crawl.check()


async def test_each_origin_has_its_own_rules(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    await crawl.check("/public")
    await crawl.check("/public", base=crawl.origin.other_url)
    assert crawl.asked == ["/robots.txt"] * 2


@pytest.mark.parametrize(
    ("rules", "rate"),
    [(b"Crawl-delay: 4", 0.25), (b"Request-rate: 6/1m", 0.1), (b"Crawl-delay: never", None)],
)
async def test_the_rate_that_the_rules_ask_for_becomes_that_of_the_host(
    crawl: Crawl, rules: bytes, rate: float | None
) -> None:
    crawl.serve(b"User-agent: *\n" + rules + b"\n")
    await crawl.check("/public")
    await crawl.check("/public")
    origin = parse_url(crawl.origin.url).origin
    assert crawl.rates == ([] if rate is None else [(origin, rate)] * 2)


async def test_those_who_waited_for_rules_with_a_rate_are_told_that_their_slots_do_not_obey_it(
    crawl: Crawl,
) -> None:
    crawl.serve(b"User-agent: *\nCrawl-delay: 4\n")
    assert await asyncio.gather(*(crawl.check("/public") for _ in range(3))) == [True] * 3
    assert not await crawl.check("/public")
    crawl.now = 90_000.0
    crawl.serve(PRIVATE)
    assert not await crawl.check("/public")


async def test_no_more_than_500_kib_are_read_however_much_comes(crawl: Crawl) -> None:
    line = b"# a comment that says little\n"
    crawl.serve(PRIVATE + line * (3 * MAX_ROBOTS_BYTES // len(line)) + b"Disallow: /beyond\n")
    await crawl.refusal()
    await crawl.check("/beyond")
    assert crawl.robots._memory.size == MAX_ROBOTS_BYTES


async def test_large_rules_are_read_and_compared_in_a_thread(crawl: Crawl) -> None:
    crawl.serve(PRIVATE)
    await crawl.check("/public")
    assert crawl.off_loop == 1
    crawl.now = 90_000.0
    crawl.serve(PRIVATE + b"Disallow: /*private*flag\n" * 2000)
    await crawl.refusal("/deep/private/fr/flag")
    assert crawl.off_loop == 3


async def test_rules_that_come_compressed_without_being_asked_to_are_read_all_the_same(crawl: Crawl) -> None:
    crawl.serve(gzip.compress(PRIVATE), "200 OK", "Content-Encoding: gzip")
    assert isinstance(await crawl.refusal(), errors.BlockedUrl)


async def test_nobody_waits_for_what_comes_behind_the_bytes_that_count(crawl: Crawl) -> None:
    body = PRIVATE + b"#\n" * (MAX_ROBOTS_BYTES // 2)
    crawl.origin.raw(
        "/robots.txt", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", body, then="stall"
    )
    assert isinstance(await crawl.refusal(), errors.BlockedUrl)


async def test_rules_that_decode_to_far_too_much_are_cut_off_without_a_look_at_the_rest(crawl: Crawl) -> None:
    coded = gzip.compress(PRIVATE + b"#\n" * 2_000_000)
    crawl.serve(coded[:-8] + bytes(8), "200 OK", "Content-Encoding: gzip")
    assert isinstance(await crawl.refusal(), errors.BlockedUrl)
    assert crawl.robots._memory.size == MAX_ROBOTS_BYTES


async def test_rules_in_a_coding_that_cannot_be_read_allow_nothing(crawl: Crawl) -> None:
    crawl.serve(b"?", "200 OK", "Content-Encoding: br")
    assert isinstance(await crawl.refusal("/public"), errors.ProtocolError)


async def test_without_the_parser_the_option_is_refused_with_the_way_out(
    crawl: Crawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "protego", None)
    with pytest.raises(ValueError, match=r"pip install asyncflags\[robots\]"):
        crawl.made()


async def test_a_fetch_that_fails_in_a_way_of_its_own_wakes_those_who_wait() -> None:
    fetched = 0

    async def fetch(target: object, options: object) -> RobotsFile | None:
        nonlocal fetched
        fetched += 1
        await asyncio.sleep(0)
        if fetched == 1:
            raise RuntimeError("a fault of ours")
        return None

    async def run(function: Callable[[], object], /) -> object:
        return function()

    robots = Robots(fetch, lambda origin, rate: None, run)
    target = parse_url("http://flags.test/flag")
    results = await asyncio.gather(*(robots.check(target, OPTIONS) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError, bool, bool]
    assert fetched == 2
