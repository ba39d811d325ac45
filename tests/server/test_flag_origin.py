from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from asyncflags.testing.flags.countries import COUNTRIES, most_populous
from asyncflags.testing.flags.faults import Fault, planned_faults
from asyncflags.testing.flags.origin import FlagOrigin, flag_origin, picture

CODES = [country.code for country in COUNTRIES]
BY_CODE = {country.code: country for country in COUNTRIES}


def flag(code: str) -> bytes:
    """The picture as the origin serves it, which draws each only once."""
    return picture(code.lower()).body


def test_about_a_quarter_of_the_flags_misbehave_in_all_three_ways() -> None:
    plans = [planned_faults(3, f"/flags/{code.lower()}.png") for code in CODES]
    faulty = [plan for plan in plans if plan]
    assert 0.15 < len(faulty) / len(plans) < 0.35
    assert {plan[0] for plan in faulty} == set(Fault)
    assert {len(plan) for plan in faulty} == {1, 2}


def test_another_seed_chooses_other_flags() -> None:
    chosen = {seed: [bool(planned_faults(seed, f"/flags/{code}.png")) for code in CODES] for seed in (1, 2)}
    assert chosen[1] != chosen[2]


def test_the_plan_of_a_seed_is_pinned() -> None:
    faulty = [code for code in CODES if planned_faults(0, f"/flags/{code.lower()}.png")]
    assert len(faulty) == 63
    assert faulty[:5] == ["AL", "AQ", "AW", "AZ", "BB"]


@contextlib.asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        yield client


async def try_to_get(client: aiohttp.ClientSession, url: str) -> bytes | None:
    """The body, or None if the answer went wrong in whatever way."""
    with contextlib.suppress(aiohttp.ClientError):
        async with client.get(url) as response:
            response.raise_for_status()
            return await response.read()
    return None


async def test_every_flag_has_the_bytes_that_the_index_promises() -> None:
    async with flag_origin() as origin, session() as client:
        async with client.get(origin.url + "/index.json") as response:
            rows = (await response.json())["flags"]
        bodies = await asyncio.gather(*(try_to_get(client, origin.url + row["path"]) for row in rows))
    assert [row["code"] for row in rows] == [country.code for country in most_populous(249)]
    for row, body in zip(rows, bodies, strict=True):
        assert body is not None
        assert (len(body), hashlib.sha256(body).hexdigest()) == (row["size"], row["sha256"])
        assert (row["name"], row["population"]) == (
            BY_CODE[row["code"]].name,
            BY_CODE[row["code"]].population,
        )


async def test_a_flag_comes_with_length_and_strong_validators() -> None:
    async with flag_origin() as origin, session() as client:
        async with client.get(origin.url + "/flags/fr.png") as response:
            assert await response.read() == flag("FR")
            assert response.headers["Content-Length"] == str(len(flag("FR")))
            assert response.headers["Content-Type"] == "image/png"
            assert response.headers["Last-Modified"] == "Wed, 01 Jan 2025 00:00:00 GMT"
            etag = response.headers["ETag"]
            assert etag.startswith('"')
        async with client.get(origin.url + "/flags/fr.png", headers={"If-None-Match": etag}) as response:
            assert (response.status, response.headers["ETag"]) == (304, etag)
        assert origin.requests["/flags/fr.png"] == 2


async def test_an_unknown_code_is_not_found() -> None:
    async with flag_origin(faulty=True) as origin, session() as client:
        answer = await client.get(origin.url + "/flags/zz.png")
        assert answer.status == 404
        assert "/index.json" in await answer.text()


async def outcomes(
    origin: FlagOrigin, client: aiohttp.ClientSession, query: str = ""
) -> dict[str, list[bool]]:
    """For each of many flags which of three requests, one after another, brought it whole."""
    paths = [f"/flags/{country.code.lower()}.png" for country in most_populous(60)]

    async def three(path: str) -> list[bool]:
        url = origin.url + path + query
        return [await try_to_get(client, url) is not None for _ in range(3)]

    return dict(zip(paths, await asyncio.gather(*map(three, paths)), strict=True))


async def test_a_faulty_origin_fails_as_planned_and_recovers() -> None:
    async with flag_origin(faulty=True, seed=7) as origin, session() as client:
        seen = await outcomes(origin, client)
    assert any(not good[0] for good in seen.values())
    for path, good in seen.items():
        failures = len(planned_faults(7, path))
        assert good == [attempt >= failures for attempt in range(3)]


async def test_faults_happen_afresh_under_another_query() -> None:
    async with flag_origin(faulty=True, seed=7) as origin, session() as client:
        assert await outcomes(origin, client) == await outcomes(origin, client, "?run=2")


@pytest.mark.parametrize("fault", list(Fault))
async def test_each_fault_shows_on_the_wire(fault: Fault) -> None:
    path = next(
        path
        for path in (f"/flags/{code.lower()}.png" for code in CODES)
        if planned_faults(0, path)[:1] == (fault,)
    )
    async with flag_origin(faulty=True) as origin:
        answer, reset = await raw_get(origin.url, path)
    assert reset == (fault is Fault.RESET)
    if fault is Fault.UNAVAILABLE:
        assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after" not in answer.lower()
    if fault is Fault.TRUNCATED:
        whole = flag(path[7:9].upper())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(whole)}".encode() in head
        assert body == whole[: len(whole) // 2]


async def raw_get(url: str, path: str) -> tuple[bytes, bool]:
    """All bytes of an answer, and whether a reset ended it."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer, reset = b"", False
    try:
        while piece := await reader.read(65536):
            answer += piece
    except ConnectionResetError:
        reset = True
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()
    return answer, reset


async def test_latency_does_not_add_up_over_64_requests() -> None:
    """Most of the 64 have arrived before the first is answered; one after another it would be one."""
    paths = [f"/flags/{country.code.lower()}.png" for country in most_populous(64)]
    async with flag_origin(latency=0.05) as origin, session() as client:
        first_answered: list[int] = []

        async def get(path: str) -> None:
            assert await try_to_get(client, origin.url + path) is not None
            first_answered.append(origin.requests.total())

        await asyncio.gather(*map(get, paths))
    assert first_answered[0] > 16


async def test_each_flag_waits_for_the_latency_and_the_index_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def recorded(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    async with flag_origin(latency=7.5) as origin, session() as client:
        monkeypatch.setattr(asyncio, "sleep", recorded)
        for path in ("/index.json", "/flags/fr.png", "/flags/de.png"):
            assert await try_to_get(client, origin.url + path) is not None
        monkeypatch.undo()
    assert waited.count(7.5) == 2


def test_a_negative_latency_is_refused() -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        FlagOrigin(latency=-1)


@contextlib.asynccontextmanager
async def origin_process(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "asyncflags.testing.flags.origin", *options)
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().removesuffix("\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_prints_its_url_alone_and_ends_on_a_signal(number: signal.Signals) -> None:
    async with origin_process("--latency", "0") as process, session() as client:
        url = await ready_url(process)
        assert await try_to_get(client, url + "/flags/jp.png") == flag("JP")
        process.send_signal(number)
        rest = await asyncio.wait_for(process.communicate(), 10)
    assert url.startswith("http://127.0.0.1:")
    assert (rest, process.returncode) == ((b"", b""), 0)


async def test_the_process_ends_with_its_parents_pipe() -> None:
    async with origin_process("--parent-pipe") as process:
        await ready_url(process)
        rest = await asyncio.wait_for(process.communicate(b""), 10)  # closes standard input
    assert (rest, process.returncode) == ((b"", b""), 0)


async def test_the_process_stays_silent_while_flags_fail_and_clients_leave() -> None:
    async with origin_process("--faulty", "--seed", "7", "--latency", "0.01") as process, session() as client:
        url = await ready_url(process)
        path = "/flags/fr.png"
        host, _, port = url.removeprefix("http://").partition(":")
        for _ in range(3):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: flags\r\n\r\n".encode())
            writer.close()
        await asyncio.gather(*(try_to_get(client, f"{url}/flags/{code.lower()}.png") for code in CODES[:60]))
        process.terminate()
        rest = await asyncio.wait_for(process.communicate(), 10)
    assert (rest, process.returncode) == ((b"", b""), 0)


async def test_the_process_ends_although_a_request_waits() -> None:
    async with origin_process("--latency", "60") as process:
        url = await ready_url(process)
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /flags/jp.png HTTP/1.1\r\nHost: flags\r\n\r\n")
        await writer.drain()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_the_process_says_that_a_port_is_taken() -> None:
    async with flag_origin() as origin:
        port = origin.url.rpartition(":")[2]
        async with origin_process("--port", port) as process:
            out, complaint = await asyncio.wait_for(process.communicate(), 10)
    assert (out, process.returncode) == (b"", 1)
    assert f"port {port}".encode() in complaint and b"--port" in complaint
    assert b"Traceback" not in complaint


async def test_an_index_is_plain_utf_8() -> None:
    async with flag_origin() as origin, session() as client:
        body = await try_to_get(client, origin.url + "/index.json")
    assert body is not None
    names = {row["code"]: row["name"] for row in json.loads(body.decode())["flags"]}
    assert names["TR"] == "Türkiye"


async def test_a_client_that_leaves_before_its_faulty_answer_is_no_error_of_the_origin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = next(
        f"/flags/{country.code.lower()}.png"
        for country in COUNTRIES
        if Fault.RESET in planned_faults(0, f"/flags/{country.code.lower()}.png")[:1]
    )
    async with flag_origin(latency=0.02, faulty=True) as origin:
        host, port = origin.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await writer.drain()
        while not origin.requests[path]:
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.04)
    assert caplog.records == []
