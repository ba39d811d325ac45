"""Each example does what it says, with the origin of the flags."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .flags_server import PATIENCE_SECONDS, ROOT, FlagsServer, environment, serving_flags

EXAMPLES = ROOT / "examples"
LONGEST = 60
CLIENTS = {
    "async_app.py": None,
    "script.py": None,
    "flags_sequential.py": 20,
    "flags_threadpool.py": 20,
    "flags_asyncio.py": 20,
}
"""Name to the number of flags it downloads; ``None``: all of them."""

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell and its signals")


@pytest.fixture(scope="module")
def origin() -> Iterator[FlagsServer]:
    with serving_flags() as server:
        yield server


def run(command: Sequence[str], folder: Path, commands: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(commands),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_holds(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The folder holds the flags of *rows* and no other picture, byte for byte."""
    expected = {row["path"].rpartition("/")[2]: row["sha256"] for row in rows}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.p*")}
    assert found == expected


@pytest.mark.parametrize("name", CLIENTS)
def test_example_downloads_the_flags(name: str, origin: FlagsServer, tmp_path: Path) -> None:
    printed = run([sys.executable, str(EXAMPLES / name), origin.url], tmp_path)
    assert_holds(tmp_path / "flags", origin.rows[: CLIENTS[name]])
    assert printed


def test_example_takes_the_folder_as_second_argument(origin: FlagsServer, tmp_path: Path) -> None:
    run([sys.executable, str(EXAMPLES / "flags_sequential.py"), origin.url, "elsewhere"], tmp_path)
    assert_holds(tmp_path / "elsewhere", origin.rows[:20])


def test_script_example_keeps_what_is_there(origin: FlagsServer, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "script.py"), origin.url]
    run(command, tmp_path)
    assert run(command, tmp_path).startswith(f"0 downloaded, {len(origin.rows)} kept")


@posix_only
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_shell_example_downloads_the_flags(origin: FlagsServer, tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    commands.mkdir()
    printed = run(["sh", str(EXAMPLES / "shell.sh"), origin.url], tmp_path, commands)
    assert_holds(tmp_path / "flags", origin.rows)
    assert len(printed.splitlines()) == len(origin.rows) + 1


@contextmanager
def running_server(base: str, folder: Path) -> Iterator[str]:
    """The server of the example on a free port; it ends with the block."""
    command = [sys.executable, "-u", str(EXAMPLES / "aiohttp_server.py"), base, "flags", "0"]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[3]
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_SECONDS) as answer:
        body: bytes = answer.read()
        return body


@posix_only
def test_server_example_serves_a_flag_from_its_folder(origin: FlagsServer, tmp_path: Path) -> None:
    row = next(row for row in origin.rows if row["code"] == "FR")
    with running_server(origin.url, tmp_path) as url:
        for _ in range(2):
            assert hashlib.sha256(get(f"{url}/fr.png")).hexdigest() == row["sha256"]
        with pytest.raises(urllib.error.HTTPError, match="404") as unknown:
            get(f"{url}/zz.png")
        unknown.value.close()
    assert_holds(tmp_path / "flags", [row])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_example_is_short_and_tested(path: Path) -> None:
    assert path.name in {*CLIENTS, "aiohttp_server.py", "shell.sh"}
    assert len(path.read_text().splitlines()) <= LONGEST
