"""The verdicts on ranges and digests hold: a careful client ends as they say, whatever it goes through."""

from __future__ import annotations

import pytest

from asyncflags.testing._faults.liars import LIARS
from asyncflags.testing.faulty import FAULTS, FaultyOrigin, Verdict, body_for, encoded_for

from .careful_client import Careful, NotToBeHadError, joined, restarted

PATHS = sorted(path for path in FAULTS if path.startswith(("/range/", "/digest/")))
DELIVERED = [
    path
    for path in PATHS
    # Silence is told from slowness by a clock, which the careful client has none of.
    if FAULTS[path].verdict in (Verdict.WHOLE, Verdict.RECOVERS) and path != "/range/stall"
]
BROKEN = [path for path in PATHS if FAULTS[path].broken]
TOLERABLE = [path for path in PATHS if FAULTS[path].verdict is Verdict.TOLERABLE]


def test_every_verdict_is_looked_at() -> None:
    assert {*DELIVERED, *BROKEN, *TOLERABLE} == {*PATHS} - {"/range/stall"}


@pytest.mark.parametrize("path", DELIVERED)
async def test_a_careful_client_gets_the_body(faulty: FaultyOrigin, path: str) -> None:
    assert await Careful(faulty, path).download() == encoded_for(path)


@pytest.mark.parametrize("path", BROKEN)
async def test_a_careful_client_delivers_nothing_that_is_broken(faulty: FaultyOrigin, path: str) -> None:
    with pytest.raises(NotToBeHadError):
        await Careful(faulty, path).download()


@pytest.mark.parametrize("path", TOLERABLE)
async def test_what_may_be_refused_is_never_another_body(faulty: FaultyOrigin, path: str) -> None:
    try:
        assert await Careful(faulty, path).download() == body_for(path)
    except NotToBeHadError:
        pass


@pytest.mark.parametrize("path", DELIVERED)
async def test_only_what_needs_parts_is_not_had_by_beginning_anew(faulty: FaultyOrigin, path: str) -> None:
    if FAULTS[path].needs_resume:
        with pytest.raises(NotToBeHadError):
            await restarted(faulty, path)
    else:
        assert await restarted(faulty, path) == encoded_for(path)


FOOLED = {
    *(path for path in PATHS if path.startswith(tuple(f"/range/{liar.name}" for liar in LIARS))),
    "/digest/resumed-spliced",
    "/range/206-to-plain-get",
    "/range/412-to-if-match",
    "/range/accept-ranges-none",
    "/range/changed-between-all",
    "/range/chunked-206-short",
    "/range/date-only-weak",
    "/range/etag-changed",
    "/range/etag-malformed",
    "/range/etag-weak",
    "/range/etag-weak-with-date",
    "/range/ignored",
    "/range/no-validator",
    "/range/short-206",
}
"""Where a client that joins whatever comes ends with bytes that no version has."""


@pytest.mark.parametrize("path", sorted(FOOLED))
async def test_a_careless_client_is_fooled(faulty: FaultyOrigin, path: str) -> None:
    assert await joined(faulty, path) != body_for(path)
