"""What a large download does to the aiohttp server it runs in: stalls of the loop, requests a second, memory.

``python -m tests.benchmarks.bench_embedded [--runs N] [--size BYTES] [--connections N] [--folder PATH]``

One file of 1 GiB comes from nginx, which sends no more than 100 MB/s, while a load generator asks the server for
something small over and over. The cases take turns: the server alone; the transfer inside the server, by asyncflags,
its SHA-256 checked; the same transfer beside the server, by ``curl --limit-rate``, alone and piped through
``sha256sum``. Each case of each round has a fresh server. The figures to quote are the ratios of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers_figures import MIB, orders, ratio, table
from tests.benchmarks.peers_host import Watched
from tests.benchmarks.peers_machine import Elsewhere, describe, loopback_only, scratch_folder, show
from tests.benchmarks.peers_measure import ROOT
from tests.benchmarks.peers_origin import LIMIT_BYTES_PER_SECOND, OriginFailed, serving
from tests.benchmarks.peers_works import Work, contents, difference, make_files

WARM_UP_SECONDS = 0.5
PATIENCE_SECONDS = 600.0
CURL = ["curl", "-q", "-sS", "--fail", "--limit-rate", str(LIMIT_BYTES_PER_SECOND)]
OURS, BESIDE = "asyncflags, sha256", "curl"


class DoesNotCount(Exception):
    """What was measured is not what was to be measured."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What is transferred.

    Attributes:
        url: Where from, at the limited rate.
        small: Where a small file is, for imports and the like to be done before anything is measured.
        checksum: SHA-256 in hexadecimal digits.
        size: Bytes.
        folder: Where to.
        connections: Of the load generator.
    """

    url: str
    small: str
    checksum: str
    size: int
    folder: Path
    connections: int

    @property
    def path(self) -> Path:
        return self.folder / self.url.rpartition("/")[2]


Carry = Callable[[Transfer, str], None]


def nothing(transfer: Transfer, host: str) -> None:
    time.sleep(transfer.size / LIMIT_BYTES_PER_SECOND)


def inside(transfer: Transfer, host: str) -> None:
    ask(host, "/download", url=transfer.url, checksum=transfer.checksum)


def carry_out(command: Sequence[str]) -> None:
    """Run a command that may be several processes; none of them outlives an interrupt."""
    environment = loopback_only(os.environ, None)
    with subprocess.Popen(command, env=environment, process_group=0) as process:
        try:
            code = process.wait(PATIENCE_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def beside(transfer: Transfer, host: str) -> None:
    carry_out([*CURL, "-o", str(transfer.path), transfer.url])


def beside_checked(transfer: Transfer, host: str) -> None:
    script = 'path=$1 sum=$2; shift 2; "$@" | tee "$path" | sha256sum | grep -q "$sum"'
    carry_out(["sh", "-c", script, "sh", str(transfer.path), transfer.checksum, *CURL, transfer.url])


CASES: Mapping[str, Carry] = {
    "no transfer": nothing,
    OURS: inside,
    BESIDE: beside,
    "curl piped to sha256sum": beside_checked,
}


def ask(host: str, path: str, **query: str) -> bytes:
    """Ask the server for something, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{host}{path}?{urllib.parse.urlencode(query)}"
    with opener.open(url, timeout=PATIENCE_SECONDS) as answer:
        return bytes(answer.read())


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A module of ours as a process that is ended in the end."""
    command = [sys.executable, "-m", *words]
    environment = loopback_only(os.environ, None)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def watch(carry: Carry, transfer: Transfer) -> Watched:
    """One case: a fresh server under load, and what became of both during the transfer."""
    folder = [str(transfer.folder)] if carry is inside else []
    with ExitStack() as stack:
        server = stack.enter_context(running("tests.benchmarks.peers_host", *folder))
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        host = f"http://127.0.0.1:{port}"
        if carry is inside:
            ask(host, "/download", url=transfer.small)
        load = stack.enter_context(running("tests.benchmarks.peers_load", port, str(transfer.connections)))
        time.sleep(WARM_UP_SECONDS)
        ask(host, "/begin")
        carry(transfer, host)
        watched = Watched(**json.loads(ask(host, "/end")))
        if load.poll() is not None or not watched.requests:
            raise DoesNotCount("the load generator ended early, or nothing was answered")
        return watched


def run(transfer: Transfer, wanted: Mapping[str, str], rounds: int) -> dict[str, list[Watched]]:
    found: dict[str, list[Watched]] = {name: [] for name in CASES}
    name_of_file = transfer.path.name
    for turn, names in enumerate(orders(list(CASES), rounds), 1):
        for name in names:
            shutil.rmtree(transfer.folder, ignore_errors=True)
            transfer.folder.mkdir()
            show(f"round {turn} of {rounds}: {name}")
            found[name].append(watch(CASES[name], transfer))
            there = {path: digest for path, digest in contents(transfer.folder).items() if path in wanted}
            expected = {} if CASES[name] is nothing else {name_of_file: wanted[name_of_file]}
            there.pop(transfer.small.rpartition("/")[2], None)
            if trouble := difference(expected, there):
                raise DoesNotCount(f"{name}: {trouble}")
    show("")
    return found


def embedded_table(found: Mapping[str, Sequence[Watched]]) -> str:
    """A Markdown table of medians; ratios are those of the requests a second to the ones beside curl."""

    def middle(name: str, figure: Callable[[Watched], float]) -> float:
        return statistics.median(figure(each) for each in found[name])

    def speed(each: Watched) -> float:
        return each.requests / each.seconds

    heads = [
        "transfer",
        "seconds",
        "requests/s",
        f"of that beside {BESIDE}",
        "stall p99 ms",
        "worst stall ms",
    ]
    rows = [
        [
            f"**{name}**" if name == OURS else name,
            f"{middle(name, lambda each: each.seconds):.1f}",
            f"{middle(name, speed):.0f}",
            ratio(middle(name, speed), middle(BESIDE, speed)),
            f"{middle(name, lambda each: each.stalls_p99) * 1e3:.1f}",
            f"{max(each.stalls_worst for each in found[name]) * 1e3:.1f}",
            f"{middle(name, lambda each: each.cpu):.1f}",
            f"{middle(name, lambda each: each.peak) / MIB:.0f}",
        ]
        for name in found
    ]
    return table([*heads, "server's CPU s", "server's peak MiB"], rows)


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the file (default: 1 GiB)")
    parser.add_argument("--connections", type=int, default=8, help="of the load generator (default: 8)")
    parser.add_argument(
        "--folder", type=Path, help="where the file is written (default: memory, if there is any)"
    )
    options = parser.parse_args(words)
    if min(options.runs, options.size, options.connections) < 1:
        parser.error("numbers are 1 or more")
    return options


def bench(options: argparse.Namespace) -> None:
    elsewhere = Elsewhere()
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)))
        store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (name,) = make_files(Work("large", 1, options.size), store / "files")
        (store / "files" / "small.bin").write_bytes(bytes(4096))
        wanted = contents(store / "files")
        origin = stack.enter_context(serving(store / "files", store / "nginx"))
        transfer = Transfer(
            f"{origin.limited}/{name}",
            f"{origin.limited}/small.bin",
            wanted[name],
            options.size,
            room / "out",
            options.connections,
        )
        print(
            f"{options.size:,} bytes at {LIMIT_BYTES_PER_SECOND:,} bytes/s, {options.connections} connections, "
            f"{options.runs} rounds, to {options.folder}\n{describe()}, nginx {origin.version}\n",
            flush=True,
        )
        print(embedded_table(run(transfer, wanted, options.runs)))
        print("\nMedians of the rounds; the worst stall is that of all rounds.")
    # After the server's end, because its time counts as ours only then.
    print(elsewhere.told())


def main(words: Sequence[str] | None = None) -> int:
    options = options_of(words)
    # Ended from outside, it still ends its processes and removes its folders.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if shutil.which("curl") is None:
        print("curl is not installed, and is what is compared with: apt-get install curl", file=sys.stderr)
        return 2
    options.folder = scratch_folder(options.size * 2) if options.folder is None else options.folder
    try:
        bench(options)
    except (OriginFailed, DoesNotCount, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
