"""Run one command, and say what it took."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.peers_figures import Usage

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = Path(__file__).with_name("peers_launch.py")
GRACE_SECONDS = 30.0
"""What the launcher gets beyond the command's own patience to end it and to report."""


def measure(command: Sequence[str], log: Path, patience: float, environment: Mapping[str, str]) -> Usage:
    """Run *command* for at most *patience* seconds; then it and its group are killed.

    Args:
        command: The program and its arguments, run in the root of the checkout.
        log: Where what it prints is kept.
        patience: Seconds.
        environment: All of its environment variables.
    """
    words = [sys.executable, "-I", "-S", str(LAUNCH), str(log), str(patience), *command]
    with subprocess.Popen(words, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE) as process:
        try:
            told, _ = process.communicate(timeout=patience + GRACE_SECONDS)
        except BaseException:
            # The launcher ends the command's whole group before it goes.
            process.terminate()
            raise
    figures = json.loads(told)
    said = log.read_bytes()[-300:].decode(errors="replace") if log.exists() else ""
    return Usage(figures["wall"], figures["cpu"], figures["peak"], figures["exit_code"], said)
