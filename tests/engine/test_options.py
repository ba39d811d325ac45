"""What the options do to a request, and which values are refused before anything happens."""

from __future__ import annotations

import asyncio
import base64
import pickle
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import asyncflags
from asyncflags import AsyncDownloader, Limits, Request, Timeout, errors
from asyncflags._engine.options import Options
from asyncflags._transports.mock import MockTransport
from asyncflags.testing.faulty import FaultyOrigin, body_for
from asyncflags.testing.origin import Origin

from .waiting import serving

URL = "https://flags.example/fr.gif"


async def sent(url: str | Request = URL, **options: Any) -> dict[str, str]:
    """The fields that go out with one request, names in lower case."""
    transport = serving()
    async with AsyncDownloader(transport=transport, **options) as dl:
        await dl.fetch(url)
    return {name.lower(): value for name, value in transport.requests[0].headers.items()}


async def test_the_usual_fields() -> None:
    assert await sent() == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": f"asyncflags/{asyncflags.__version__}",
    }


async def test_fields_of_the_caller_go_over_the_usual_ones_in_any_case() -> None:
    fields = await sent(headers={"ACCEPT": "image/gif", "x-flag": "1"}, user_agent="me/1")
    assert fields == {
        "accept": "image/gif",
        "accept-encoding": "identity",
        "user-agent": "me/1",
        "x-flag": "1",
    }


async def test_fields_of_a_request_go_over_those_of_the_client() -> None:
    fields = await sent(Request(URL, headers={"X-Flag": "2"}), headers={"x-flag": "1", "X-Other": "3"})
    assert (fields["x-flag"], fields["x-other"]) == ("2", "3")


async def test_options_of_a_call_go_over_those_of_the_client() -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport, user_agent="client", auth=("a", "b")) as dl:
        await dl.fetch(URL, user_agent="call", auth=None)
        await dl.fetch(URL)
    first, second = transport.requests
    assert (first.headers["User-Agent"], first.headers.get("Authorization")) == ("call", None)
    assert (second.headers["User-Agent"], second.headers.get("Authorization")) == ("client", "Basic YTpi")


async def test_credentials_are_basic_in_utf_8() -> None:
    fields = await sent(auth=("n\u00e4me", "p:w"))
    assert base64.b64decode(fields["authorization"].removeprefix("Basic ")).decode() == "n\u00e4me:p:w"


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("https://u:p@flags.example/", {"auth": ("a", "b")}, "Basic dTpw"),
        ("https://u@flags.example/", {}, "Basic dTo="),
        (URL, {"auth": ("a", "b"), "headers": {"authorization": "Bearer x"}}, "Bearer x"),
    ],
)
async def test_of_several_credentials_the_closest_counts(url: str, options: Any, expected: str) -> None:
    assert (await sent(url, **options))["authorization"] == expected


async def test_cookies_of_a_mapping_are_sent() -> None:
    assert (await sent(cookies={"a": "1", "b": "2"}))["cookie"] == "a=1; b=2"
    assert "cookie" not in await sent(cookies={})
    assert "cookie" not in await sent(cookies=CookieJar())


# The password file.


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    path.write_text("machine flags.example login name password word\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


async def test_passwords_come_from_the_password_file_when_that_is_asked_for(netrc: Path) -> None:
    assert (await sent(netrc=True))["authorization"] == "Basic bmFtZTp3b3Jk"
    assert (await sent(netrc=True, auth=("a", "b")))["authorization"] == "Basic YTpi"
    assert "authorization" not in await sent()
    assert "authorization" not in await sent("https://other.example/", netrc=True)


async def test_downloads_that_start_together_all_get_their_password(netrc: Path) -> None:
    transport = serving()
    dl = AsyncDownloader(transport=transport, netrc=True)
    await asyncio.gather(*(dl.fetch(f"{URL}?{number}") for number in range(4)))
    await dl.aclose()
    assert all("Authorization" in request.headers for request in transport.requests)


async def test_a_broken_password_file_is_an_error_for_every_download(netrc: Path) -> None:
    netrc.write_text("nonsense here\n")
    dl = AsyncDownloader(transport=serving(), netrc=True)
    for _ in range(2):
        with pytest.raises(errors.StorageError, match="password file") as caught:
            await dl.fetch(URL)
        assert caught.value.path == str(netrc)
    await dl.aclose()


async def test_a_downloader_that_cannot_be_entered_leaves_nothing_behind(netrc: Path) -> None:
    netrc.write_text("nonsense here\n")
    with pytest.raises(errors.StorageError, match="password file"):
        async with AsyncDownloader(transport=serving(), netrc=True):
            pass


async def test_without_a_password_file_there_are_no_passwords(netrc: Path) -> None:
    netrc.unlink()
    assert "authorization" not in await sent(netrc=True)


# Proxies.


@pytest.fixture
async def proxy() -> AsyncIterator[Origin]:
    """Answers for every host, as a proxy that has the file cached."""
    async with Origin() as running:
        running.add("/flag", b"by proxy")
        yield running


async def test_a_proxy_is_asked_for_the_whole_url_and_gets_its_credentials(proxy: Origin) -> None:
    address = proxy.url.replace("://", "://name:word@")
    async with AsyncDownloader(proxy=address) as dl:
        result = await dl.fetch("http://flags.example/flag?x=%2F")
    assert result.content == b"by proxy"
    (request,) = proxy.requests
    assert request.target == "http://flags.example/flag?x=%2F"
    assert request.headers["Proxy-Authorization"] == "Basic bmFtZTp3b3Jk"


async def test_the_environment_names_the_proxy_when_it_is_trusted(
    proxy: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with AsyncDownloader(trust_env=True) as dl:
        assert (await dl.fetch("http://flags.example/flag")).content == b"by proxy"
        assert (await dl.fetch(origin.add("/flag", b"direct"))).content == b"direct"
    assert len(proxy.requests) == 1


async def test_the_environment_is_not_looked_at_otherwise(
    proxy: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    async with AsyncDownloader() as dl:
        assert (await dl.fetch(origin.add("/flag", b"direct"))).content == b"direct"
    assert proxy.requests == []


async def test_credentials_of_the_proxy_do_not_reach_the_origin() -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport, proxy="http://name:word@proxy.example:3128") as dl:
        await dl.fetch(URL)
    (request,) = transport.requests
    assert request.proxy == "http://proxy.example:3128"
    assert request.proxy_headers == {"Proxy-Authorization": "Basic bmFtZTp3b3Jk"}
    assert "Proxy-Authorization" not in request.headers


# Wrong values.


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"max_size": -1},
        {"max_redirects": -1},
        {"min_speed": -0.1},
        {"min_speed": float("nan")},
        {"if_exists": "maybe"},
        {"durability": "disk"},
        {"name_from": "me"},
        {"mtime": "then"},
        {"layout": "tree"},
        {"headers": {"X Y": "z"}},
        {"headers": {"": "z"}},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X\n": "a"}},
        {"user_agent": "me\r\nX-Evil: 1"},
        {"cookies": {"a": "b\r\nX-Evil: 1"}},
        {"proxy": "socks5://127.0.0.1"},
        {"proxy": "not a url"},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_a_value_error_at_once(options: Any) -> None:
    with pytest.raises(ValueError):
        AsyncDownloader(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"timeout": 5},
        {"retries": "5"},
        {"headers": {"X": 1}},
        {"auth": "name:word"},
        {"auth": ("a",)},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_a_type_error_at_once(options: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        AsyncDownloader(**options)


def test_the_message_names_the_option_and_what_it_takes() -> None:
    with pytest.raises(ValueError, match="if_exists must be one of 'overwrite', 'skip', 'rename', 'error'"):
        Options(if_exists="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no option is named 'a', 'b'"):
        Options().override({"b": 1, "a": 2})


@pytest.mark.parametrize("method", ["download", "fetch", "download_many", "as_completed"])
async def test_every_method_refuses_an_unknown_option(method: str) -> None:
    async with AsyncDownloader(transport=serving()) as dl:
        with pytest.raises(TypeError, match="no option is named 'unknown'"):
            outcome = getattr(dl, method)(URL, unknown=1)
            await outcome


@pytest.mark.parametrize(
    "url",
    ["flags.example/fr.gif", "ftp://flags.example/", "http://", "", "http://[::1", "x" * 70000],
    ids=lambda url: url[:20],
)
async def test_what_is_no_url_is_an_invalid_url(url: str, tmp_path: Path) -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises(errors.InvalidUrl) as caught:
            await dl.download(url, tmp_path)
        assert dl.progress().failed == 1
    assert isinstance(caught.value, ValueError)
    assert caught.value.request == Request(url)
    assert caught.value.attempts == 0
    assert transport.requests == []


@pytest.mark.parametrize("url", [None, 5, b"http://x/", ["http://x/"]], ids=repr)
async def test_what_is_no_text_is_a_type_error(url: Any) -> None:
    async with AsyncDownloader(transport=serving()) as dl:
        with pytest.raises(TypeError):
            await dl.fetch(url)


async def test_transport_and_session_exclude_what_they_replace() -> None:
    transport = MockTransport({})
    with pytest.raises(ValueError, match="transport replaces"):
        AsyncDownloader(transport=transport, family=2)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="transport replaces"):
            AsyncDownloader(transport=transport, session=session)
        with pytest.raises(ValueError, match="session brings"):
            AsyncDownloader(session=session, family=2)


# Around the options.


async def test_a_session_of_the_caller_is_used_and_stays_open(faulty: FaultyOrigin) -> None:
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
        async with AsyncDownloader(session=session) as dl:
            assert (await dl.fetch(faulty.url + "/ok")).content == body_for("/ok")
        assert not session.closed
    assert faulty.requests[0].headers["x-mine"] == "1"


async def test_a_closed_downloader_takes_no_more_work(tmp_path: Path) -> None:
    dl = AsyncDownloader(transport=serving())
    await dl.fetch(URL)
    await dl.aclose()
    await dl.aclose()
    for work in (dl.fetch(URL), dl.download(URL, tmp_path), dl.download_many([URL], tmp_path)):
        with pytest.raises(errors.ClosedError):
            await work
    with pytest.raises(errors.ClosedError):
        dl.as_completed([URL], tmp_path)


async def test_a_downloader_that_was_never_used_closes() -> None:
    transport = MockTransport({})
    await AsyncDownloader(transport=transport).aclose()
    assert transport.closed
    async with AsyncDownloader():
        pass


async def test_results_survive_pickle(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(headers={"ETag": '"v1"', "Content-Length": "4"})) as dl:
        result = await dl.download(URL, tmp_path)
    assert pickle.loads(pickle.dumps(result)) == result
    assert (result.etag, result.status, result.attempts) == ('"v1"', 200, 1)


async def test_progress_tells_what_is_under_way(tmp_path: Path) -> None:
    gate = asyncio.Event()
    transport = serving([b"fl", gate.wait, b"ag"], headers={"Content-Length": "4"})
    async with AsyncDownloader(transport=transport) as dl:
        task = asyncio.ensure_future(dl.download(URL, tmp_path))
        while not (dl.progress().active and dl.progress().active[0].received):
            await asyncio.sleep(0)
        (active,) = dl.progress().active
        assert (active.name, active.received, active.expected) == ("fr.gif", 2, 4)
        gate.set()
        await task
        progress = dl.progress()
    assert (progress.completed, progress.failed, progress.size, progress.attempts) == (1, 0, 4, 1)
    assert progress.active == ()


async def test_blocking_work_has_threads_and_processes_of_its_own() -> None:
    async with AsyncDownloader(limits=Limits(max_processes=1)) as dl:
        assert await dl.to_thread(divmod, 7, 2) == (3, 1)
        assert await dl.to_process(divmod, 7, 2) == (3, 1)


def test_a_timeout_of_nothing_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        Timeout(read=0)
