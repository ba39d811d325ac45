"""Kills ``asyncflags get`` with ``SIGKILL`` at random times, and starts the same command again, until it is done.

``python -m tests.kills.harness [SEED] [KILLS] [OPTION...]`` does so for as many kills as are wanted, and prints what
each tree cost.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.origin import make_tree

ROOT = Path(__file__).parents[2]
JOBS = 16
LONGEST = 120.0
"""Seconds that one run without a kill may take."""


@dataclass
class Tally:
    """What bringing one tree home took."""

    kills: int = 0
    runs: int = 0
    size: int = 0
    sent: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def fetched_twice(self) -> int:
        """Bytes that the origin sent beyond one copy of everything."""
        return self.sent - self.size


@contextmanager
def origin(seed: int, log: Path) -> Iterator[str]:
    """The slow origin in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "tests.kills.origin", str(seed), str(log)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def bring_home(folder: Path, *, seed: int, kills: int, options: Sequence[str] = ()) -> Tally:
    """Download one tree, killed at most *kills* times.

    Args:
        folder: An empty folder to work in.
        seed: Of the tree and of the moments of the kills.
        kills: After so many the command is left alone.
        options: Further ones of ``asyncflags get``.
    """
    tree = make_tree(seed)
    tally = Tally(size=sum(map(len, tree.values())))
    log, urls, out = folder / "origin.log", folder / "urls.txt", folder / "out"
    moments = random.Random(seed)
    with origin(seed, log) as url:
        urls.write_text("".join(f"{url}/{name}\n" for name in tree))
        command = [
            *(sys.executable, "-m", "asyncflags", "get", "-q", "-j", str(JOBS), "--per-host", str(JOBS)),
            *("-i", str(urls), "-d", str(out), *options),
        ]
        while True:
            done = finished(folder)
            before = len(entries(log))
            tally.runs += 1
            code = run(command, log, Moment.draw(moments) if tally.kills < kills else None)
            again = {str(entry.get("asked")) for entry in entries(log)[before:]} & done
            tally.faults += [f"{name} was finished and is asked for again" for name in sorted(again)]
            if code is not None:
                break
            tally.kills += 1
    if code != 0:
        tally.faults.append(f"the last run ended with {code}")
    tally.sent = sum(int(str(entry.get("sent", 0))) for entry in entries(log))
    tally.faults += differences(tree, out)
    return tally


@dataclass(frozen=True)
class Moment:
    """When a run is killed: *seconds* after its start, or after its first file came."""

    seconds: float
    after_first_file: bool

    @classmethod
    def draw(cls, source: random.Random) -> Moment:
        """One in five is early, so that the beginning of a run is hit as well."""
        return cls(source.uniform(0.0, 0.8), source.random() < 0.8)


def run(command: Sequence[str], log: Path, moment: Moment | None) -> int | None:
    """Run the command; killed at *moment* it gives ``None``, else its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    before = log.stat().st_size if log.exists() else 0
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            if moment is None:
                return process.wait(LONGEST)
            while moment.after_first_file and process.poll() is None and log.stat().st_size == before:
                time.sleep(0.005)
            return process.wait(moment.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None if moment is not None else -1


def finished(folder: Path) -> set[str]:
    """Names of the files that the journal calls done."""
    journal = folder / "out.journal"
    if not journal.exists():
        return set()
    with closing(sqlite3.connect(journal)) as database:
        try:
            rows = database.execute("select url from downloads where state = 2").fetchall()
        except sqlite3.OperationalError:
            # It was killed before the table was there.
            return set()
    return {url.rpartition("/")[2] for (url,) in rows}


def entries(log: Path) -> list[dict[str, object]]:
    """What the origin wrote down so far."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def differences(tree: dict[str, bytes], out: Path) -> list[str]:
    """What distinguishes the folder from the tree, byte for byte."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    faults = [f"{name} is missing" for name in tree.keys() - found.keys()]
    faults += [f"{name} is no file of the origin" for name in found.keys() - tree.keys()]
    return faults + [f"{name} differs" for name in tree.keys() & found.keys() if tree[name] != found[name]]


def main(seed: int = 1, kills: int = 100, *options: str) -> int:
    """Bring trees home until there were *kills*, and print what each took."""
    print("tree  runs  kills     bytes  fetched twice  a kill   seconds  faults")
    left, failed = kills, 0
    while left > 0:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            tally = bring_home(Path(folder), seed=seed, kills=left, options=options)
        failed += len(tally.faults)
        print(
            f"{seed:4} {tally.runs:5} {tally.kills:6} {tally.size:9} {tally.fetched_twice:14} "
            f"{tally.fetched_twice // max(1, tally.kills):7} {time.monotonic() - started:9.1f}  "
            f"{len(tally.faults)} {tally.faults[:3] or ''}",
            flush=True,
        )
        if tally.faults:
            break
        left -= tally.kills
        seed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    first, second, *others = [*sys.argv[1:], *("1", "100")[len(sys.argv[1:3]) :]]
    sys.exit(main(int(first), int(second), *others))
