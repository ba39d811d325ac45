"""Entities of the misbehaving origin change, and its validators fail to tell so, as promised."""

from __future__ import annotations

import pytest

from asyncflags.testing.faulty import FaultyOrigin, body_for

from .careful_client import ask

LONG_AGO = "Thu, 29 Feb 2024 12:00:00 GMT"
REST = {"Range": "bytes=2000-", "If-Range": '"v1"'}


@pytest.mark.parametrize(
    ("path", "cut", "size"),
    [
        ("/range/etag-changed", 3000, 5000),
        ("/range/etag-changed-shorter", 3000, 500),
        ("/range/etag-changed-large", 700_000, 307_200),
    ],
)
async def test_the_entity_is_another_one_from_the_second_request_on(
    faulty: FaultyOrigin, path: str, cut: int, size: int
) -> None:
    first = await ask(faulty.url, path, {})
    assert (first.etag, len(first.body), first.is_whole) == ('"v1"', cut, False)
    for fields in (REST, {}):
        again = await ask(faulty.url, path, fields)
        assert (again.status, again.etag, len(again.body)) == (200, '"v2"', size)
        assert again.body == body_for(path)
    assert first.body[:500] != body_for(path)[:500]


async def test_the_entity_changes_with_every_request(faulty: FaultyOrigin) -> None:
    got = [await ask(faulty.url, "/range/changed-between-all", REST if visit else {}) for visit in range(5)]
    assert [each.etag for each in got] == [f'"v{visit}"' for visit in (1, 2, 3, 4, 5)]
    assert [each.is_whole for each in got] == [False, False, False, True, False]
    assert got[3].body == body_for("/range/changed-between-all")
    assert len({each.body for each in got}) == 5


@pytest.mark.parametrize(
    ("path", "etag", "modified"),
    [
        ("/range/no-validator", None, None),
        ("/range/etag-weak", 'W/"v"', None),
        ("/range/etag-weak-with-date", 'W/"v"', LONG_AGO),
        ("/range/etag-malformed", "v", LONG_AGO),
        ("/range/date-only-weak", None, LONG_AGO),
    ],
)
async def test_two_versions_that_nothing_tells_apart(
    faulty: FaultyOrigin, path: str, etag: str | None, modified: str | None
) -> None:
    first = await ask(faulty.url, path, {})
    fields = {"Range": "bytes=2000-", "If-Range": etag or modified or '"none"'}
    part = await ask(faulty.url, path, fields)
    for got in (first, part):
        assert (got.etag, got.headers.get("last-modified")) == (etag, modified)
    assert (first.status, part.status) == (200, 206)
    assert part.headers["content-range"] == "bytes 2000-4999/5000"
    assert first.body[2000:] == part.body[:1000]
    assert first.body + part.body[1000:] != body_for(path) == (await ask(faulty.url, path, {})).body


async def test_a_weak_date_is_of_the_second_of_its_answer(faulty: FaultyOrigin) -> None:
    got = await ask(faulty.url, "/range/date-only-weak", {})
    assert got.headers["date"] == got.headers["last-modified"]


@pytest.mark.parametrize("path", ["/range/rotating-etag", "/range/rotating-etag-never-whole"])
async def test_an_entity_tag_rotates_over_the_same_bytes(faulty: FaultyOrigin, path: str) -> None:
    first = await ask(faulty.url, path, {})
    again = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Range": first.etag or ""})
    assert (first.etag, again.etag, again.status) == ('"answer-1"', '"answer-2"', 200)
    assert again.is_whole is (path == "/range/rotating-etag")
    assert first.body == again.body[:3000]


@pytest.mark.parametrize("path", ["/range/date-only-strong", "/range/date-left-out-206"])
async def test_an_old_date_alone_is_taken_by_if_range(faulty: FaultyOrigin, path: str) -> None:
    first = await ask(faulty.url, path, {})
    assert (first.etag, first.headers["last-modified"], first.is_whole) == (None, LONG_AGO, False)
    part = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Range": LONG_AGO})
    assert (part.status, part.body) == (206, body_for(path)[2000:])
    assert part.headers.get("last-modified") == (LONG_AGO if path == "/range/date-only-strong" else None)


async def test_a_date_in_if_range_is_ignored(faulty: FaultyOrigin) -> None:
    await ask(faulty.url, "/range/if-range-date-ignored", {})
    got = await ask(
        faulty.url, "/range/if-range-date-ignored", {"Range": "bytes=2000-", "If-Range": LONG_AGO}
    )
    assert (got.status, got.body) == (200, body_for("/range/if-range-date-ignored"))


async def test_if_range_is_ignored_and_if_match_is_not(faulty: FaultyOrigin) -> None:
    path = "/range/if-range-ignored"
    whole = await ask(faulty.url, path, REST)
    assert (whole.status, whole.etag, len(whole.body)) == (200, '"v1"', 3000)
    part = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Match": '"v1"'})
    assert (part.status, part.etag, part.body) == (206, '"v1"', body_for(path)[2000:])
    other = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Match": '"v2"'})
    assert other.status == 412


async def test_the_entity_changes_before_if_match(faulty: FaultyOrigin) -> None:
    path = "/range/412-to-if-match"
    first = await ask(faulty.url, path, {})
    second = await ask(faulty.url, path, REST)
    third = await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Match": '"v1"'})
    last = await ask(faulty.url, path, {})
    assert [got.status for got in (first, second, third, last)] == [200, 200, 412, 200]
    assert (first.etag, second.etag, last.etag) == ('"v1"', '"v1"', '"v2"')
    assert (first.is_whole, second.is_whole, last.body) == (False, False, body_for(path))


async def test_if_match_is_refused_for_the_right_entity_tag(faulty: FaultyOrigin) -> None:
    path = "/range/if-match-refused"
    assert (await ask(faulty.url, path, {})).is_whole is False
    assert (await ask(faulty.url, path, REST)).is_whole is False
    assert (await ask(faulty.url, path, {"Range": "bytes=2000-", "If-Match": '"v1"'})).status == 412
    assert (await ask(faulty.url, path, {})).body == body_for(path)


@pytest.mark.parametrize(
    ("path", "told", "is_whole"),
    [
        ("/range/416-with-total", "bytes */500", True),
        ("/range/416-without-total", None, True),
        ("/range/416-always", "bytes */500", False),
    ],
)
async def test_a_range_cannot_be_satisfied_and_the_whole_is_shorter(
    faulty: FaultyOrigin, path: str, told: str | None, is_whole: bool
) -> None:
    assert len((await ask(faulty.url, path, {})).body) == 3000
    refused = await ask(faulty.url, path, REST)
    assert (refused.status, refused.headers.get("content-range")) == (416, told)
    again = await ask(faulty.url, path, {})
    assert (again.etag, again.is_whole) == ('"v2"', is_whole)
    assert body_for(path).startswith(again.body)
