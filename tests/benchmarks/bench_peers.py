"""Measure asyncflags beside its peers: the same files from one nginx, every client in turn, every byte checked.

``python -m tests.benchmarks.bench_peers [WORK] [--runs N] [--peers NAME,NAME] [--files N] [--size BYTES]
[--folder PATH] [--patience SECONDS] [--json FILE]``

A round runs each client once; the next round begins with the next one, so that what the machine does meanwhile hits
all alike. A first round warms caches and counts for nothing. A run counts only if the folder then holds the files
asked for, to the byte, and nothing else; who fails twice is out. The figures to quote are the ratios of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from tests.benchmarks.peers_figures import Usage, orders, peers_table
from tests.benchmarks.peers_machine import Elsewhere, describe, loopback_only, scratch_folder, show
from tests.benchmarks.peers_measure import measure
from tests.benchmarks.peers_origin import Origin, OriginFailed, serving
from tests.benchmarks.peers_table import OURS, Errand, Peer, chosen
from tests.benchmarks.peers_works import WORKS, Work, contents, difference, make_files

FAULTS_UNTIL_OUT = 2


class Race:
    """The runs of one work.

    Args:
        errand: What each client is asked for.
        wanted: The SHA-256 of each file by its name.
        environment: Variables of the clients' processes.
        patience: Seconds after which a run is ended and its client is out.
    """

    def __init__(
        self, errand: Errand, wanted: dict[str, str], environment: Mapping[str, str], patience: float
    ) -> None:
        self.measured: dict[str, list[Usage]] = {}
        self.faults: dict[str, list[str]] = {}
        self._errand = errand
        self._wanted = wanted
        self._environment = environment
        self._patience = patience

    def run(self, peers: Sequence[Peer], runs: int) -> None:
        by_name = {peer.name: peer for peer in peers}
        self.measured = {name: [] for name in by_name}
        for turn, names in enumerate(orders(list(by_name), runs + 1)):
            for name in names:
                if len(self.faults.get(name, ())) < FAULTS_UNTIL_OUT:
                    show(f"round {turn} of {runs}: {name}")
                    self._run_one(by_name[name], counts=turn > 0)
        show("")

    def _run_one(self, peer: Peer, *, counts: bool) -> None:
        folder = self._errand.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        usage = measure(
            peer.asked(self._errand), self._errand.notes / "log", self._patience, self._environment
        )
        trouble = difference(self._wanted, contents(folder))
        if usage.exit_code:
            trouble = f"exit code {usage.exit_code} after {usage.wall:.1f} s; {trouble or 'all files right'}"
        if trouble:
            self.faults.setdefault(peer.name, []).append(f"{trouble}; it said: {usage.said.strip()!r}")
        elif counts:
            self.measured[peer.name].append(usage)
        shutil.rmtree(folder, ignore_errors=True)


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("work", nargs="?", default="small", choices=list(WORKS), help="what to download")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument("--peers", default="", help="names with commas; asyncflags is always among them")
    parser.add_argument("--files", type=int, help="files, instead of those of the work")
    parser.add_argument("--size", type=int, help="bytes of a file, instead of those of the work")
    parser.add_argument(
        "--folder", type=Path, help="where files are written (default: memory, if there is any)"
    )
    parser.add_argument(
        "--patience", type=float, default=300.0, help="seconds of the longest run (default: 300)"
    )
    parser.add_argument("--json", type=Path, help="also write every single run there")
    options = parser.parse_args(words)
    if options.runs < 1:
        parser.error("--runs takes 1 or more")
    try:
        options.peers = chosen(options.peers, options.work)
    except ValueError as error:
        parser.error(str(error))
    return options


def work_of(options: argparse.Namespace) -> Work:
    work = WORKS[options.work]
    return replace(work, files=options.files or work.files, size=options.size or work.size)


def errand_for(
    work: Work, names: Sequence[str], wanted: Mapping[str, str], origin: Origin, room: Path
) -> Errand:
    base = origin.secure if work.tls else origin.plain
    notes = room / "notes"
    notes.mkdir()
    return Errand(
        urls=[f"{base}/{name}" for name in names],
        folder=room / "out",
        notes=notes,
        authority=origin.authority if work.tls else None,
        checksum=wanted[names[0]] if work.hashed else None,
    )


def split_by_presence(
    peers: Sequence[Peer], errand: Errand
) -> tuple[list[Peer], dict[str, str], dict[str, str]]:
    """Those that run, their versions, and why the others do not."""
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    for peer in peers:
        version = peer.version()
        if version is None:
            absent[peer.name] = f"not installed: {peer.install}"
        elif not peer.can(errand):
            absent[peer.name] = "cannot check a SHA-256 by itself"
        else:
            versions[peer.name] = version
    return [peer for peer in peers if peer.name in versions], versions, absent


def report(work: Work, race: Race, versions: Mapping[str, str], peers: Sequence[Peer]) -> None:
    print(peers_table(race.measured, ours=OURS, versions=versions, files=work.files, total=work.total))
    print()
    if parted := [peer.name for peer in peers if not peer.whole]:
        print(f"Written under the final name from the first byte: {', '.join(parted)}.")
    for name, troubles in race.faults.items():
        out = ", and was out" if len(troubles) == FAULTS_UNTIL_OUT else ""
        print(f"FAULT {name} failed {len(troubles)} times{out}: {troubles[0]}")


def bench(work: Work, options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)))
        store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        names = make_files(work, store / "files")
        wanted = contents(store / "files")
        origin = stack.enter_context(serving(store / "files", store / "nginx"))
        errand = errand_for(work, names, wanted, origin, room)
        present, versions, absent = split_by_presence(options.peers, errand)
        print(
            f"{work.name}: {work.files:,} files of {work.size:,} bytes, {options.runs} rounds, to {options.folder}"
        )
        print(f"{describe()}, nginx {origin.version}\n", flush=True)
        elsewhere = Elsewhere()
        race = Race(errand, wanted, loopback_only(os.environ, errand.authority), options.patience)
        race.run(present, options.runs)
        report(work, race, versions, present)
        for name, reason in absent.items():
            print(f"absent {name}: {reason}")
        if options.json:
            runs = {name: [asdict(usage) for usage in usages] for name, usages in race.measured.items()}
            text = {"work": asdict(work), "machine": describe(), "versions": versions, "runs": runs}
            options.json.write_text(json.dumps(text | {"faults": race.faults, "absent": absent}, indent=1))
    # After the server's end, because its time counts as ours only then.
    print(elsewhere.told())
    return 1 if OURS in race.faults else 0


def main(words: Sequence[str] | None = None) -> int:
    options = options_of(words)
    # Ended from outside, it still ends the server and removes its folders.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    work = work_of(options)
    options.folder = scratch_folder(work.total * 2) if options.folder is None else options.folder
    try:
        return bench(work, options)
    except OriginFailed as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    if platform.system() == "Windows":
        sys.exit("this benchmark needs a POSIX system")
    sys.exit(main())
