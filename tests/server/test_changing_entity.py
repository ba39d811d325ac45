"""An entity that changes is answered for as a true origin would, version by version and cut by cut."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.testing.entity import ChangingEntity, IfRange, Validators
from asyncflags.testing.faulty import FaultyOrigin

from .careful_client import Careful, ask
from .raw_client import connected, is_silent

OLD, NEW = b"abcdefgh", b"ABCDEFGHIJ"
VALIDATORS: tuple[Validators, ...] = ("strong", "weak", "date", "none")
IF_RANGES: tuple[IfRange, ...] = ("honoured", "unmatched", "ignored")


async def test_each_request_finds_its_version_and_its_cut(faulty: FaultyOrigin) -> None:
    entity = ChangingEntity([OLD, NEW], [3, None, 0])
    faulty.script("/file", entity)
    got = [await ask(faulty.url, "/file", {}) for _ in range(4)]
    assert [each.body for each in got] == [OLD[:3], NEW, b"", NEW]
    assert [each.is_whole for each in got] == [False, True, False, True]
    assert [each.headers["content-length"] for each in got] == ["8", "10", "10", "10"]
    assert [each.etag for each in got] == ['"v1"', '"v2"', '"v2"', '"v2"']
    assert entity.requests == faulty.requests


async def test_the_same_bytes_have_the_same_validator(faulty: FaultyOrigin) -> None:
    faulty.script("/file", ChangingEntity([OLD, NEW, OLD]))
    tags = [(await ask(faulty.url, "/file", {})).etag for _ in range(3)]
    assert tags == ['"v1"', '"v2"', '"v1"']


@pytest.mark.parametrize(
    ("if_range", "fields", "status"),
    [
        ("honoured", {"If-Range": '"v1"'}, 206),
        ("honoured", {"If-Range": '"v2"'}, 200),
        ("honoured", {"If-Match": '"v2"'}, 412),
        ("honoured", {}, 206),
        ("unmatched", {"If-Range": '"v1"'}, 200),
        ("unmatched", {"If-Match": '"v1"'}, 206),
        ("unmatched", {"If-Match": '"v2"'}, 412),
        ("unmatched", {}, 206),
        ("ignored", {"If-Range": '"v2"'}, 206),
        ("ignored", {"If-Match": '"v2"'}, 412),
    ],
)
async def test_conditions_are_taken_as_was_said(
    faulty: FaultyOrigin, if_range: IfRange, fields: dict[str, str], status: int
) -> None:
    faulty.script("/file", ChangingEntity([OLD], if_range=if_range))
    got = await ask(faulty.url, "/file", {"Range": "bytes=5-", **fields})
    assert got.status == status
    assert got.body == {200: OLD, 206: OLD[5:], 412: b""}[status]


@pytest.mark.parametrize(
    ("validators", "fields"),
    [
        ("strong", [('"v1"', None), ('"v2"', None)]),
        ("weak", [('W/"v"', None), ('W/"v"', None)]),
        ("date", [(None, "Thu, 29 Feb 2024 12:00:00 GMT"), (None, "Fri, 01 Mar 2024 12:00:00 GMT")]),
        ("none", [(None, None), (None, None)]),
    ],
)
async def test_versions_have_the_validators_asked_for(
    faulty: FaultyOrigin, validators: Validators, fields: list[tuple[str | None, str | None]]
) -> None:
    faulty.script("/file", ChangingEntity([OLD, NEW], validators=validators))
    got = [await ask(faulty.url, "/file", {}) for _ in range(2)]
    assert [(each.etag, each.headers.get("last-modified")) for each in got] == fields
    assert all("date" in each.headers for each in got)


async def test_a_part_is_cut_after_bytes_of_its_own(faulty: FaultyOrigin) -> None:
    faulty.script("/file", ChangingEntity([OLD], [2]))
    got = await ask(faulty.url, "/file", {"Range": "bytes=4-"})
    assert (got.headers["content-range"], got.headers["content-length"]) == ("bytes 4-7/8", "4")
    assert (got.body, got.is_whole) == (OLD[4:6], False)


async def test_a_cut_at_the_end_ends_the_connection_alone(faulty: FaultyOrigin) -> None:
    faulty.script("/file", ChangingEntity([OLD], [len(OLD), None]))
    async with connected(faulty.url) as client:
        client.ask("/file")
        assert (await client.everything()).endswith(OLD)
    async with connected(faulty.url) as client:
        client.ask("/file")
        assert (await client.answer())[1] == OLD
        client.ask("/file", method="HEAD")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 8\r\n" in head
        assert await is_silent(faulty, client)


async def test_a_cut_may_be_a_reset_or_silence(faulty: FaultyOrigin) -> None:
    faulty.script("/reset", ChangingEntity([OLD], [3], ending="reset"))
    faulty.script("/silent", ChangingEntity([OLD], [3], ending="stall"))
    async with connected(faulty.url) as client:
        client.ask("/reset")
        with pytest.raises(ConnectionResetError):
            await client.everything()
    async with connected(faulty.url) as client:
        client.ask("/silent")
        await client.reader.readuntil(b"\r\n\r\n" + OLD[:3])
        assert await is_silent(faulty, client)


async def test_a_version_that_is_held_is_not_modified(faulty: FaultyOrigin) -> None:
    faulty.script("/file", ChangingEntity([OLD, NEW]))
    statuses = [(await ask(faulty.url, "/file", {"If-None-Match": '"v2"'})).status for _ in range(2)]
    assert statuses == [200, 304]


@pytest.mark.parametrize(("versions", "cuts"), [([], []), ([OLD], [-1])])
def test_what_cannot_be_served_is_refused(versions: list[bytes], cuts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"at least one version|number of bytes"):
        ChangingEntity(versions, cuts)


@pytest.mark.parametrize("if_range", IF_RANGES)
@pytest.mark.parametrize("validators", VALIDATORS)
async def test_cut_at_every_two_bytes_the_result_is_one_version_whole(
    faulty: FaultyOrigin, validators: Validators, if_range: IfRange
) -> None:
    for cuts in itertools.product(range(len(OLD)), range(len(NEW))):
        entity = ChangingEntity([OLD, NEW], cuts, validators=validators, if_range=if_range)
        faulty.script("/file", entity)
        assert await Careful(faulty, "/file", tail=2).download() == NEW


@settings(max_examples=50, deadline=None)
@given(
    versions=st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=3),
    cuts=st.lists(st.none() | st.integers(0, 12), max_size=3),
    validators=st.sampled_from(VALIDATORS),
    if_range=st.sampled_from(IF_RANGES),
    tail=st.integers(0, 4),
)
def test_whatever_changes_the_result_is_one_version_whole(
    versions: list[bytes], cuts: list[int | None], validators: Validators, if_range: IfRange, tail: int
) -> None:
    async def download() -> bytes:
        async with FaultyOrigin() as origin:
            origin.script("/file", ChangingEntity(versions, cuts, validators=validators, if_range=if_range))
            return await Careful(origin, "/file", tail=tail).download()

    assert asyncio.run(download()) in versions
