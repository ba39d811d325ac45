"""Redirects: which are followed, and what travels along."""

from __future__ import annotations

from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, errors
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.testing.faulty import FaultyOrigin, body_for

from .waiting import decisions

SECRETS = {"headers": {"X-Token": "t", "Authorization": "Bearer b"}, "cookies": {"session": "s"}}
FIRST = "https://flags.example/fr.gif"


def redirecting(hops: dict[str, str], status: int = 302) -> MockTransport:
    def answer(request: ExchangeRequest) -> MockResponse:
        if request.url in hops:
            return MockResponse(status=status, headers={"Location": hops[request.url]})
        return MockResponse(body=b"flag")

    return MockTransport(answer)


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def test_credentials_stay_with_the_origin_they_are_for(faulty: FaultyOrigin) -> None:
    async with AsyncDownloader(**SECRETS) as dl:  # type: ignore[arg-type]
        await dl.fetch(faulty.url + "/redirect")
        await dl.fetch(faulty.url + "/redirect-other-port")
    first, second, third, fourth = faulty.requests
    for request in (first, second, third):
        assert request.headers["authorization"] == "Bearer b"
        assert request.headers["cookie"] == "session=s"
        assert request.headers["x-token"] == "t"
    assert fourth.base_url == faulty.other_url
    assert not {"authorization", "cookie", "x-token"} & fourth.headers.keys()
    assert fourth.headers["user-agent"].startswith("asyncflags/")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://flags.example:444/x", "https://www.flags.example/x", "https://flags.example.test/x"],
)
@pytest.mark.parametrize("auth", [{"auth": ("name", "password")}, SECRETS], ids=["auth", "headers"])
async def test_another_scheme_host_or_port_gets_no_credentials(elsewhere: str, auth: Any) -> None:
    transport = redirecting({FIRST: elsewhere})
    async with AsyncDownloader(transport=transport, **auth) as dl:
        await dl.fetch(FIRST)
    assert "authorization" in lowered(transport.requests[0].headers)
    assert not {"authorization", "cookie", "x-token"} & lowered(transport.requests[1].headers).keys()


async def test_what_was_dropped_stays_dropped_on_the_way_back() -> None:
    transport = redirecting(
        {FIRST: "https://other.example/x", "https://other.example/x": "https://flags.example/y"}
    )
    async with AsyncDownloader(transport=transport, **SECRETS) as dl:  # type: ignore[arg-type]
        await dl.fetch(FIRST)
    assert "authorization" not in lowered(transport.requests[2].headers)


async def test_user_information_becomes_authorization_at_that_origin_only() -> None:
    transport = redirecting({FIRST: "https://other.example/x"})
    async with AsyncDownloader(transport=transport) as dl:
        result = await dl.fetch("https://name:p%40ss@flags.example/fr.gif")
    assert [request.url for request in transport.requests] == [FIRST, "https://other.example/x"]
    assert transport.requests[0].headers["Authorization"] == "Basic bmFtZTpwQHNz"
    assert "Authorization" not in transport.requests[1].headers
    assert result.url == "https://***@flags.example/fr.gif"


async def test_user_information_of_a_location_is_ignored(faulty: FaultyOrigin) -> None:
    async with AsyncDownloader() as dl:
        assert (await dl.fetch(faulty.url + "/redirect-credentials")).content == body_for("/ok")
    assert "authorization" not in faulty.requests[1].headers


async def test_a_jar_decides_by_its_own_rules() -> None:
    jar = CookieJar()
    transport = redirecting({FIRST: "https://other.example/x"})
    from http.cookiejar import Cookie

    jar.set_cookie(
        Cookie(
            0,
            "a",
            "b",
            None,
            False,
            "other.example",
            False,
            False,
            "/",
            True,
            False,
            None,
            True,
            None,
            None,
            {},
        )
    )
    async with AsyncDownloader(transport=transport, cookies=jar) as dl:
        await dl.fetch(FIRST)
    assert [lowered(request.headers).get("cookie") for request in transport.requests] == [None, "a=b"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_every_redirect_is_followed(status: int) -> None:
    async with AsyncDownloader(transport=redirecting({FIRST: "/other"}, status)) as dl:
        result = await dl.fetch(FIRST)
    assert (result.content, result.final_url, result.url) == (b"flag", "https://flags.example/other", FIRST)
    assert result.attempts == 1


@pytest.mark.parametrize("status", [300, 304, 305, 306])
async def test_what_is_no_redirect_is_a_status_error(status: int) -> None:
    async with AsyncDownloader(transport=redirecting({FIRST: "/other"}, status)) as dl:
        with pytest.raises(errors.StatusError):
            await dl.fetch(FIRST)


@pytest.mark.parametrize(("allowed", "requests"), [(0, 1), (None, 1), (3, 4), (20, 21)])
async def test_no_more_redirects_are_followed_than_allowed(allowed: int | None, requests: int) -> None:
    hops = {f"https://flags.example/{hop}": f"/{hop + 1}" for hop in range(30)}
    transport = redirecting(hops)
    async with AsyncDownloader(transport=transport, max_redirects=allowed) as dl:
        with pytest.raises(errors.TooManyRedirects) as caught:
            await dl.fetch("https://flags.example/0")
    assert len(transport.requests) == requests
    assert caught.value.url == "https://flags.example/0"


async def test_as_many_as_allowed_are_followed() -> None:
    hops = {f"https://flags.example/{hop}": f"/{hop + 1}" for hop in range(20)}
    async with AsyncDownloader(transport=redirecting(hops)) as dl:
        assert (await dl.fetch("https://flags.example/0")).content == b"flag"


async def test_a_circle_is_noticed_at_once() -> None:
    transport = redirecting({FIRST: "/b", "https://flags.example/b": "/fr.gif"})
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises(errors.TooManyRedirects, match="circle"):
            await dl.fetch(FIRST)
    assert len(transport.requests) == 2


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://flags.example/x", "data:,x", "http://", "//"]
)
async def test_other_schemes_and_broken_locations_are_refused(location: str, tmp_path: Path) -> None:
    async with AsyncDownloader(transport=redirecting({FIRST: location})) as dl:
        with pytest.raises(errors.InvalidUrl):
            await dl.download(FIRST, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_downgrade_is_refused_unless_allowed() -> None:
    transport = redirecting({FIRST: "http://flags.example/fr.gif"})
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises(errors.BlockedUrl, match="from https to http") as caught:
            await dl.fetch(FIRST)
        assert caught.value.reason == "downgrade"
        result = await dl.fetch(FIRST, allow_downgrade=True, auth=("a", "b"))
    assert result.final_url == "http://flags.example/fr.gif"
    assert "Authorization" not in transport.requests[-1].headers


async def test_a_redirect_is_told_with_secrets_hidden() -> None:
    events: list[Any] = []
    transport = redirecting({FIRST + "?token=a": "/x?token=secret"})
    async with AsyncDownloader(transport=transport, on_event=events.append) as dl:
        await dl.fetch(FIRST + "?token=a")
    (event,) = decisions(events)
    assert (event.kind, event.url, event.detail) == (
        "redirected",
        FIRST + "?token=***",
        "to https://flags.example/x?token=***",
    )


async def test_each_attempt_starts_from_the_url_asked_for() -> None:
    visits: list[str] = []

    def answer(request: ExchangeRequest) -> MockResponse:
        visits.append(request.url)
        if request.url == FIRST:
            return MockResponse(status=302, headers={"Location": f"/{len(visits)}"})
        return MockResponse(status=503) if len(visits) == 2 else MockResponse(body=b"flag")

    async with AsyncDownloader(transport=MockTransport(answer), auth=("a", "b")) as dl:
        dl._ready().jitter = lambda: 0.0
        assert (await dl.fetch(FIRST)).final_url == "https://flags.example/3"
    assert visits == [FIRST, "https://flags.example/1", FIRST, "https://flags.example/3"]


async def test_the_body_of_a_redirect_is_not_waited_for(faulty: FaultyOrigin) -> None:
    async with AsyncDownloader() as dl:
        assert (await dl.fetch(faulty.url + "/redirect-body-stalls")).content == body_for("/ok")
