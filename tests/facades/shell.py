"""Runs the shell command as its users do, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; from asyncflags._cli.main import main; sys.exit(main())"
)
PATIENCE_SECONDS = 30.0
"""A run that takes longer than this hangs."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended.

    Attributes:
        code: The exit code.
        out: Standard output.
        err: Standard error, as text.
    """

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables for a run: nothing of the user's own that would change it."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "80"} | more


@asynccontextmanager
async def started(
    *arguments: str, folder: Path, more: Mapping[str, str] | None = None, **streams: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start ``asyncflags`` in *folder*; whatever happens, it has ended afterwards.

    It runs on the kind of loop that the test runs on, so that its signals and pipes are tried on both.
    """
    has_uvloop = "uvloop" in type(asyncio.get_running_loop()).__module__
    program = ["-m", "asyncflags"] if has_uvloop else ["-c", _WITHOUT_UVLOOP]
    given = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE} | streams
    given.setdefault("stderr", asyncio.subprocess.PIPE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *program, *arguments, cwd=folder, env=environment(folder, **(more or {})),
        preexec_fn=_take_signals, **given,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        # The pipes close with the process; their transports notice it on the loop.
        for _ in range(3):
            await asyncio.sleep(0)


def _take_signals() -> None:
    # A test run in the background of a script hands its ignored SIGINT down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def ended(process: asyncio.subprocess.Process, data: bytes | None = None) -> Ran:
    """Wait for the end of *process*, with *data* on its standard input."""
    out, err = await process.communicate(data)
    assert process.returncode is not None
    return Ran(process.returncode, out or b"", (err or b"").decode())


async def shell(
    *arguments: str, folder: Path, data: bytes | None = None, more: Mapping[str, str] | None = None
) -> Ran:
    """Run ``asyncflags`` to its end."""
    stdin = asyncio.subprocess.DEVNULL if data is None else asyncio.subprocess.PIPE
    async with started(*arguments, folder=folder, more=more, stdin=stdin) as process:
        ran = await ended(process, data)
    assert "Traceback" not in ran.err, ran.err
    return ran
