"""``kill -9`` at any instant, and the same command again: the same tree, and only what was in flight comes twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kills.harness import JOBS, bring_home

KILLS = 25
IN_FLIGHT = 2 * (256 << 10)
"""Bytes of one download that may be under way: the batch that gathers and the one that is being written."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (1, ["--durability", "rename"]),
        (2, ["--durability", "fsync"]),
        (3, ["--durability", "rename", "--segments", "4"]),
        (4, ["--durability", "fsync", "--segments", "4"]),
    ],
)
def test_a_list_that_is_killed_again_and_again_ends_with_the_same_tree(
    tmp_path: Path, seed: int, options: list[str]
) -> None:
    tally = bring_home(tmp_path, seed=seed, kills=KILLS, options=options)
    assert not tally.faults
    assert tally.kills == KILLS, "it was done before it was killed often enough: slow the origin down"
    assert tally.fetched_twice <= tally.kills * JOBS * IN_FLIGHT
