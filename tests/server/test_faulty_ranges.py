"""The misbehaving origin's answers to ranges are the ones that are promised, byte by byte."""

from __future__ import annotations

import asyncio

import pytest

from asyncflags.testing._faults.liars import LIARS
from asyncflags.testing.faulty import FAULTS, FaultyOrigin, body_for

from .careful_client import Got, ask
from .raw_client import connected, is_silent

PROMISED = """
resume resume-reset resume-batch resume-large byte-by-byte cut-many cut-many-large cut-each unavailable-between stall
total-star short-206 chunked chunked-206 chunked-206-short redirected ignored accept-ranges-none never-whole
never-further 206-to-plain-get 206-whole-to-plain-get length-too-large length-too-small surplus-206 wrong-offset
offset-earlier offset-zero overlapping beyond-206 wrong-total total-smaller multipart no-content-range
content-range-malformed content-range-unit content-range-reversed content-range-twice content-range-unsatisfied
length-disagrees length-disagrees-longer chunked-206-longer gzip-206 shifted-206 other-bytes-206 etag-changed-206
etag-missing-206 etag-weak-206 etag-appears-206 date-changed-206 etag-changed etag-changed-shorter
etag-changed-large changed-between-all no-validator etag-weak etag-weak-with-date etag-malformed date-only-weak
rotating-etag rotating-etag-never-whole date-only-strong date-left-out-206 if-range-date-ignored if-range-ignored
412-to-if-match if-match-refused 416-with-total 416-without-total 416-always
"""
REST = {"Range": "bytes=2000-", "If-Range": '"v1"'}
TWICE = sorted(f"/range/{liar.name}" for liar in LIARS)


async def after_a_cut(origin: FaultyOrigin, path: str, fields: dict[str, str]) -> Got:
    """Ask for the whole and then with *fields*."""
    first = await ask(origin.url, path, {})
    assert not first.is_whole
    return await ask(origin.url, path, fields)


def test_every_promised_case_is_in_the_table() -> None:
    promised = {f"/range/{name}" for name in PROMISED.split()} | {f"{path}-always" for path in TWICE}
    assert promised == {path for path in FAULTS if path.startswith("/range/")}


@pytest.mark.parametrize(
    ("path", "size", "cut"),
    [
        ("/range/resume", 5000, 3000),
        ("/range/resume-reset", 5000, 3000),
        ("/range/resume-batch", 307_200, 262_145),
        ("/range/resume-large", 1_500_000, 700_000),
        ("/range/unavailable-between", 5000, 3000),
        ("/range/if-range-ignored", 5000, 3000),
    ],
)
async def test_the_whole_is_announced_and_cut(faulty: FaultyOrigin, path: str, size: int, cut: int) -> None:
    got = await ask(faulty.url, path, {})
    assert (got.status, got.headers["content-length"], got.etag) == (200, str(size), '"v1"')
    assert got.body == body_for(path)[:cut]
    assert len(body_for(path)) == size


@pytest.mark.parametrize("path", ["/range/resume", "/range/resume-reset", "/range/resume-large"])
async def test_ranges_are_right_where_only_the_whole_is_cut(faulty: FaultyOrigin, path: str) -> None:
    got = await after_a_cut(faulty, path, REST)
    size = len(body_for(path))
    assert (got.status, got.etag) == (206, '"v1"')
    assert got.headers["content-range"] == f"bytes 2000-{size - 1}/{size}"
    assert got.body == body_for(path)[2000:]
    other = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Range": '"v2"'})
    assert other.status == 200


async def test_a_true_range_keeps_the_connection(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        for _ in range(2):
            client.ask("/range/resume", "Range: bytes=4990-")
            assert (await client.answer())[1] == body_for("/range/resume")[4990:]


@pytest.mark.parametrize(
    ("path", "positions"),
    [
        ("/range/byte-by-byte", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("/range/cut-many", [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000]),
        ("/range/cut-many-large", [1, 65_536, 262_144, 262_145, 700_000, 1_048_576, 1_499_999, 1_500_000]),
    ],
)
async def test_each_answer_ends_further_on(faulty: FaultyOrigin, path: str, positions: list[int]) -> None:
    before = 0
    for position in positions:
        start = max(0, before - 5)
        got = await ask(faulty.url, path, {"Range": f"bytes={start}-"} if before else {})
        assert got.body == body_for(path)[start:position]
        before = position


async def test_no_answer_brings_more_than_a_step(faulty: FaultyOrigin) -> None:
    whole = body_for("/range/cut-each")
    assert (await ask(faulty.url, "/range/cut-each", {})).body == whole[:100_000]
    middle = await ask(faulty.url, "/range/cut-each", {"Range": "bytes=500000-999999"})
    assert (middle.body, middle.is_whole) == (whole[500_000:600_000], False)
    small = await ask(faulty.url, "/range/cut-each", {"Range": "bytes=500000-500099"})
    assert (small.body, small.is_whole) == (whole[500_000:500_100], True)


async def test_a_503_stands_between(faulty: FaultyOrigin) -> None:
    statuses = [(await ask(faulty.url, "/range/unavailable-between", REST)).status for _ in range(3)]
    assert statuses == [206, 503, 206]


async def test_a_stalled_body_stays_silent_and_its_rest_can_be_had(faulty: FaultyOrigin) -> None:
    async with connected(faulty.url) as client:
        client.ask("/range/stall")
        await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(3000) == body_for("/range/stall")[:3000]
        assert await is_silent(faulty, client)
    assert (await ask(faulty.url, "/range/stall", REST)).body == body_for("/range/stall")[2000:]


async def test_a_total_may_be_a_star(faulty: FaultyOrigin) -> None:
    got = await after_a_cut(faulty, "/range/total-star", REST)
    assert (got.status, got.headers["content-range"]) == (206, "bytes 2000-4999/*")


async def test_parts_may_end_earlier_than_asked(faulty: FaultyOrigin) -> None:
    got = await after_a_cut(faulty, "/range/short-206", REST)
    assert got.headers["content-range"] == "bytes 2000-3699/5000"
    assert (got.body, got.is_whole) == (body_for("/range/short-206")[2000:3700], True)
    narrow = await ask(faulty.url, "/range/short-206", {"Range": "bytes=4900-4999"})
    assert narrow.headers["content-range"] == "bytes 4900-4900/5000"


async def test_chunked_answers_have_no_length(faulty: FaultyOrigin) -> None:
    first = await ask(faulty.url, "/range/chunked", {})
    part = await after_a_cut(faulty, "/range/chunked-206", REST)
    short = await after_a_cut(faulty, "/range/chunked-206-short", REST)
    for got in (first, part, short):
        assert got.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in got.headers
    assert (first.body, first.is_whole) == (body_for("/range/chunked")[:3000], False)
    assert (part.body, part.is_whole) == (body_for("/range/chunked-206")[2000:], True)
    assert (short.body, short.is_whole) == (body_for("/range/chunked-206-short")[2000:4500], True)
    assert short.headers["content-range"] == "bytes 2000-4999/5000"


async def test_a_redirect_leads_to_another_url_each_time(faulty: FaultyOrigin) -> None:
    places = [(await ask(faulty.url, "/range/redirected", {})).headers["location"] for _ in range(2)]
    assert places == ["/range/resume?token=1", "/range/resume?token=2"]
    assert body_for("/range/redirected") == body_for("/range/resume")


@pytest.mark.parametrize("path", ["/range/ignored", "/range/accept-ranges-none"])
async def test_a_range_that_is_ignored_gets_the_whole(faulty: FaultyOrigin, path: str) -> None:
    got = await after_a_cut(faulty, path, REST)
    assert (got.status, got.body, got.etag) == (200, body_for(path), '"v1"')
    told = "none" if path == "/range/accept-ranges-none" else "bytes"
    assert got.headers["accept-ranges"] == told


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/range/never-whole", 200, slice(0, 3000)), ("/range/never-further", 206, slice(2000, 3000))],
)
async def test_what_never_comes_never_comes(
    faulty: FaultyOrigin, path: str, status: int, body: slice
) -> None:
    for _ in range(3):
        got = await ask(faulty.url, path, REST)
        assert (got.status, got.body, got.is_whole) == (status, body_for(path)[body], False)


async def test_parts_come_to_those_who_asked_for_the_whole(faulty: FaultyOrigin) -> None:
    half = await ask(faulty.url, "/range/206-to-plain-get", {})
    assert (half.status, half.headers["content-range"]) == (206, "bytes 2500-4999/5000")
    whole = await ask(faulty.url, "/range/206-whole-to-plain-get", {})
    assert (whole.status, whole.headers["content-range"]) == (206, "bytes 0-4999/5000")
    assert whole.body == body_for("/range/206-whole-to-plain-get")


async def test_lengths_lie_both_ways(faulty: FaultyOrigin) -> None:
    large = await ask(faulty.url, "/range/length-too-large", {})
    assert (large.headers["content-length"], len(large.body)) == ("5100", 5000)
    rest = await ask(faulty.url, "/range/length-too-large", REST)
    assert (rest.headers["content-range"], len(rest.body)) == ("bytes 2000-5099/5100", 3000)
    for path, fields in {"/range/length-too-small": {}, "/range/surplus-206": REST}.items():
        await ask(faulty.url, path, {})
        async with connected(faulty.url) as client:
            client.ask(path, *(f"{name}: {value}" for name, value in fields.items()))
            _, body = await client.answer()
            assert body == body_for(path)[2000 if fields else 0 :]
            assert await client.reader.readexactly(100) == b"EVIL!" * 20


@pytest.mark.parametrize("path", TWICE)
async def test_a_liar_sends_the_whole_at_the_second_time_or_never(faulty: FaultyOrigin, path: str) -> None:
    again = await after_a_cut(faulty, path, {})
    assert (again.status, again.body, again.is_whole) == (200, body_for(path), True)
    never = await after_a_cut(faulty, f"{path}-always", {})
    assert (never.status, len(never.body), never.is_whole) == (200, 3000, False)


@pytest.mark.parametrize("always", ["", "-always"])
@pytest.mark.parametrize(
    ("name", "content_range", "size"),
    [
        ("wrong-offset", "bytes 2001-4999/5000", 2999),
        ("offset-earlier", "bytes 1999-4999/5000", 3001),
        ("offset-zero", "bytes 0-4999/5000", 5000),
        ("overlapping", "bytes 1900-4999/5000", 3100),
        ("beyond-206", "bytes 2000-5099/5000", 3100),
        ("wrong-total", "bytes 2000-4999/50000", 3000),
        ("total-smaller", "bytes 2000-4992/4993", 2993),
        ("no-content-range", None, 3000),
        ("content-range-malformed", "bytes 2000-/5000", 3000),
        ("content-range-unit", "items 2000-4999/5000", 3000),
        ("content-range-reversed", "bytes 4999-2000/5000", 3000),
        ("content-range-twice", "bytes 2000-4999/5000, bytes 0-4999/5000", 3000),
        ("content-range-unsatisfied", "bytes */5000", 3000),
        ("length-disagrees", "bytes 2000-4999/5000", 2990),
        ("length-disagrees-longer", "bytes 2000-4999/5000", 3100),
        ("chunked-206-longer", "bytes 2000-4999/5000", 3100),
        ("gzip-206", "bytes 2000-4999/5000", 3000),
        ("shifted-206", "bytes 2000-4999/5000", 3000),
        ("other-bytes-206", "bytes 2000-4999/5000", 3000),
        ("etag-changed-206", "bytes 2000-4999/5000", 3000),
        ("etag-missing-206", "bytes 2000-4999/5000", 3000),
        ("etag-weak-206", "bytes 2000-4999/5000", 3000),
        ("etag-appears-206", "bytes 2000-4999/5000", 3000),
        ("date-changed-206", "bytes 2000-4999/5000", 3000),
    ],
)
async def test_a_liar_lies_about_its_part(
    faulty: FaultyOrigin, name: str, content_range: str | None, size: int, always: str
) -> None:
    got = await after_a_cut(faulty, f"/range/{name}{always}", REST)
    assert got.status == 206
    assert got.headers.get("content-range") == content_range
    assert (len(got.body), got.is_whole) == (size, True)


@pytest.mark.parametrize(
    ("name", "content_range"),
    [
        ("wrong-offset", "bytes 2001-2999/5000"),
        ("offset-earlier", "bytes 1999-2999/5000"),
        ("overlapping", "bytes 1900-3099/5000"),
        ("beyond-206", "bytes 2000-3099/5000"),
    ],
)
async def test_a_liar_lies_about_a_range_with_an_end(
    faulty: FaultyOrigin, name: str, content_range: str
) -> None:
    got = await ask(faulty.url, f"/range/{name}", {"Range": "bytes=2000-2999"})
    assert got.headers["content-range"] == content_range


@pytest.mark.parametrize("name", ["wrong-offset", "offset-earlier", "offset-zero", "overlapping"])
async def test_no_first_position_is_right_even_at_the_start(faulty: FaultyOrigin, name: str) -> None:
    got = await ask(faulty.url, f"/range/{name}", {"Range": "bytes=0-"})
    assert got.headers["content-range"] == "bytes 1-4999/5000"


async def test_one_range_may_be_answered_with_several_parts(faulty: FaultyOrigin) -> None:
    got = await after_a_cut(faulty, "/range/multipart", REST)
    kind = got.headers["content-type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    boundary = kind.partition("=")[2].encode()
    assert got.body.startswith(b"--" + boundary + b"\r\n")
    assert got.body.endswith(b"\r\n--" + boundary + b"--\r\n")
    assert b"Content-Range: bytes 2000-4999/5000\r\n\r\n" + body_for("/range/multipart")[2000:] in got.body
    assert "content-range" not in got.headers


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("gzip-206", "content-encoding", "gzip"),
        ("etag-changed-206", "etag", '"v2"'),
        ("etag-missing-206", "etag", None),
        ("etag-weak-206", "etag", 'W/"v1"'),
        ("etag-appears-206", "etag", '"v1"'),
        ("date-changed-206", "last-modified", "Fri, 01 Mar 2024 12:00:00 GMT"),
    ],
)
async def test_a_liar_lies_about_what_its_part_is_of(
    faulty: FaultyOrigin, name: str, field: str, value: str | None
) -> None:
    got = await after_a_cut(faulty, f"/range/{name}", REST)
    assert got.headers.get(field) == value


@pytest.mark.parametrize("name", ["wrong-total", "no-content-range", "etag-missing-206", "etag-changed-206"])
async def test_the_bytes_before_a_cut_do_not_give_a_liar_away(faulty: FaultyOrigin, name: str) -> None:
    path = f"/range/{name}"
    first = await ask(faulty.url, path, {})
    part = await ask(faulty.url, path, REST)
    assert part.body[:1000] == first.body[2000:]
    assert first.body + part.body[1000:] != body_for(path)


async def test_many_clients_may_ask_at_the_same_time(faulty: FaultyOrigin) -> None:
    """Each of many segments gets its own bytes."""
    ranges = [(start, min(start + 50_000, 1_500_000)) for start in range(0, 1_500_000, 50_000)]
    got = await asyncio.gather(
        *(ask(faulty.url, "/range/cut-each", {"Range": f"bytes={a}-{b - 1}"}) for a, b in ranges)
    )
    assert b"".join(each.body for each in got) == body_for("/range/cut-each")
