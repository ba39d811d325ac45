"""Each example does what it says, with the origin of the flags."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
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

BRIDGES = ("hash_while_downloading.py", "thumbnails.py", "parse_large_json.py")
REAL_FLAGS = Path("/usr/share/iso-flags-png-320x240")
"""The pictures of Debian's package of that name."""

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


def example(name: str, origin: str, folder: Path) -> str:
    return run([sys.executable, str(EXAMPLES / name), origin], folder)


def test_hashing_example_prints_what_sha256sum_would(origin: FlagsServer, tmp_path: Path) -> None:
    lines = example("hash_while_downloading.py", origin.url, tmp_path).splitlines()
    assert sorted(lines) == sorted(
        f"{row['sha256']}  {row['path'].rpartition('/')[2]}" for row in origin.rows
    )


def test_json_example_counts_what_it_parsed(origin: FlagsServer, tmp_path: Path) -> None:
    printed = example("parse_large_json.py", origin.url, tmp_path).split()
    rows = json.loads((tmp_path / "flags" / "large.json").read_bytes())["flags"]
    assert int(printed[0]) == len(rows)
    assert int(printed[3]) == sum(row["size"] for row in rows)
    assert int(printed[6]) > 5_000_000


@contextmanager
def serving_pictures(pictures: Sequence[Path], folder: Path) -> Iterator[str]:
    """Serve *pictures* with an index of them, as the origin does with the flags it draws."""
    folder.mkdir()
    for picture in pictures:
        shutil.copy(picture, folder)
    index = {"flags": [{"path": f"/{picture.name}"} for picture in pictures]}
    (folder / "index.json").write_text(json.dumps(index))
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """The tests' output is no place for an access log."""


def assert_thumbnails(folder: Path, printed: str, names: Sequence[str]) -> None:
    from PIL import Image

    small = [folder / f"{Path(name).stem}.thumb.png" for name in names]
    assert sorted(printed.splitlines()) == sorted(str(path.relative_to(folder.parent)) for path in small)
    for path in small:
        with Image.open(path) as picture:
            assert 0 < picture.width <= 64
            assert 0 < picture.height <= 48


needs_pillow = pytest.mark.skipif(
    importlib.util.find_spec("PIL") is None, reason="Pillow is missing: pip install pillow"
)


@needs_pillow
def test_thumbnail_example_shrinks_the_flags_of_the_origin(origin: FlagsServer, tmp_path: Path) -> None:
    printed = example("thumbnails.py", origin.url, tmp_path)
    assert_thumbnails(tmp_path / "flags", printed, [row["path"].rpartition("/")[2] for row in origin.rows])


@needs_pillow
@pytest.mark.skipif(not REAL_FLAGS.is_dir(), reason="Debian's iso-flags-png-320x240 is not installed")
def test_thumbnail_example_shrinks_real_flag_pictures(tmp_path: Path) -> None:
    pictures = sorted(REAL_FLAGS.glob("*.png"))
    with serving_pictures(pictures, tmp_path / "origin") as url:
        printed = example("thumbnails.py", url, tmp_path)
    assert_thumbnails(tmp_path / "flags", printed, [picture.name for picture in pictures])


@needs_pillow
def test_thumbnail_example_names_a_picture_it_cannot_read_and_makes_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    good = sorted(REAL_FLAGS.glob("*.png"))[:2]
    with serving_pictures([tmp_path / "broken.png", *good], tmp_path / "origin") as url:
        command = [sys.executable, str(EXAMPLES / "thumbnails.py"), url]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("broken.png: ")
    assert_thumbnails(tmp_path / "flags", done.stdout, [picture.name for picture in good])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_example_is_short_and_tested(path: Path) -> None:
    assert path.name in {*CLIENTS, *BRIDGES, "aiohttp_server.py", "shell.sh"}
    assert len(path.read_text().splitlines()) <= LONGEST
