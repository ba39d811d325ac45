"""A file that becomes another one between any two attempts, wherever the first was cut: one version, whole."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncflags import AsyncDownloader, Limits
from asyncflags.testing import ChangingEntity, FaultyOrigin

from .interrupted import eager, names

SIZE = 24
BOUNDARIES = range(SIZE + 1)
VALIDATORS = ("strong", "weak", "date", "none")
IF_RANGE = ("honoured", "unmatched", "ignored")
SERVERS = list(itertools.product(VALIDATORS, IF_RANGE))

ALL_OTHER = [letter.encode() * SIZE for letter in "ABCDE"]
"""Versions with no byte in common."""
SAME_BUT_FIRST = [letter.encode() + b"-" * (SIZE - 1) for letter in "ABCDE"]
"""Versions whose ends are the same, so that no comparison of tails tells them apart."""
KINDS = {"all other": ALL_OTHER, "same end": SAME_BUT_FIRST}


def many() -> AsyncDownloader:
    return eager(retries=12, limits=Limits(max_downloads=32, max_connections_per_host=32))


async def assert_one_version_each(
    entities: Sequence[ChangingEntity], versions: Sequence[bytes], faulty: FaultyOrigin, folder: Path
) -> None:
    """Download what each entity serves; every file is one of *versions*, and nothing else is left."""
    urls = [f"{faulty.url}/{number}" for number in range(len(entities))]
    for number, entity in enumerate(entities):
        faulty.script(f"/{number}", entity)
    async with many() as dl:
        await asyncio.gather(*(dl.download(url, folder) for url in urls))
    for number, entity in enumerate(entities):
        asked = [request.headers for request in entity.requests]
        assert (folder / str(number)).read_bytes() in versions, asked
    assert names(folder) == sorted(str(number) for number in range(len(entities)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("validators", "if_range"), SERVERS)
async def test_cut_at_every_boundary_and_changed_then_the_file_is_one_version(
    validators: Any, if_range: Any, kind: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    versions = KINDS[kind][:2]
    entities = [
        ChangingEntity(versions, [cut], validators=validators, if_range=if_range) for cut in BOUNDARIES
    ]
    await assert_one_version_each(entities, versions, faulty, tmp_path)


@pytest.mark.parametrize("if_range", IF_RANGE)
async def test_cut_at_every_pair_of_boundaries_and_changed_each_time_the_file_is_one_version(
    if_range: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    # Every fifth pair, since each costs three requests; all boundaries are among them on both sides.
    pairs = [pair for pair in itertools.product(BOUNDARIES, repeat=2) if sum(pair) % 5 == 0]
    entities = [ChangingEntity(SAME_BUT_FIRST[:3], pair, if_range=if_range) for pair in pairs]
    await assert_one_version_each(entities, SAME_BUT_FIRST[:3], faulty, tmp_path)


@pytest.mark.parametrize(("validators", "if_range"), SERVERS)
async def test_cut_at_every_boundary_and_changed_back_the_file_is_one_version(
    validators: Any, if_range: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    first, second = SAME_BUT_FIRST[:2]
    entities = [
        ChangingEntity([first, second, first], [cut, SIZE // 2], validators=validators, if_range=if_range)
        for cut in BOUNDARIES
    ]
    await assert_one_version_each(entities, [first, second], faulty, tmp_path)


cuts = st.lists(st.integers(0, 40) | st.none(), max_size=6)
bodies = st.lists(st.text("ab", min_size=1, max_size=40).map(str.encode), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    versions=bodies,
    cuts=cuts,
    validators=st.sampled_from(VALIDATORS),
    if_range=st.sampled_from(IF_RANGE),
    ending=st.sampled_from(["close", "reset"]),
)
async def test_whatever_changes_and_is_cut_the_result_is_one_version(
    versions: list[bytes], cuts: list[int | None], validators: Any, if_range: Any, ending: Any, tmp_path: Path
) -> None:
    async with FaultyOrigin() as faulty, eager(retries=12) as dl:
        entity = ChangingEntity(versions, cuts, validators=validators, if_range=if_range, ending=ending)
        faulty.script("/file", entity)
        result = await dl.download(faulty.url + "/file", tmp_path)
    assert result.path is not None
    assert result.path.read_bytes() in versions
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("validators", ["strong", "date"])
async def test_a_file_that_stays_the_same_is_never_sent_twice(
    validators: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    body = bytes(range(SIZE))
    entities = [ChangingEntity([body], [cut], validators=validators) for cut in BOUNDARIES]
    await assert_one_version_each(entities, [body], faulty, tmp_path)
    for cut, entity in zip(BOUNDARIES, entities, strict=True):
        if 0 < cut < SIZE:
            # What is asked for again is compared, and is never more than half of what is there.
            assert entity.requests[1].headers["range"] == f"bytes={cut - (cut + 1) // 2}-"
            assert "if-range" in entity.requests[1].headers


@pytest.mark.parametrize("validators", ["weak", "none"])
async def test_what_proves_nothing_is_never_asked_for_in_part(
    validators: Any, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    entities = [ChangingEntity([b"x" * SIZE], [cut], validators=validators) for cut in BOUNDARIES]
    await assert_one_version_each(entities, [b"x" * SIZE], faulty, tmp_path)
    assert not any("range" in request.headers for entity in entities for request in entity.requests)
