"""The origin of the flags in a process of its own, for tests that start processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 50.0
"""A process that takes longer than this hangs."""


@dataclass(frozen=True, slots=True)
class FlagsServer:
    """A running origin.

    Attributes:
        url: Its base URL, without a trailing slash.
        rows: The flags of its index.
    """

    url: str
    rows: list[dict[str, Any]]


@contextmanager
def serving_flags() -> Iterator[FlagsServer]:
    """Serve the flags until the block ends; the origin also ends when this process does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncflags.testing.flags.origin", "--latency", "0", "--parent-pipe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/index.json", timeout=PATIENCE_SECONDS) as answer:
            rows = json.load(answer)["flags"]
        yield FlagsServer(url, rows)
    finally:
        process.stdin.close()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def environment(commands: Path | None = None) -> dict[str, str]:
    """The variables for a process: nothing of the user's own that would change what it does.

    Args:
        commands: A folder to find commands in first; ``asyncflags`` is put there.
    """
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    kept |= {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHON": sys.executable, "NO_PROXY": "*"}
    if commands is not None:
        command = commands / "asyncflags"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m asyncflags "$@"\n')
        command.chmod(0o755)
        kept["PATH"] = f"{commands}{os.pathsep}{kept['PATH']}"
    return kept
