"""The order in which bytes and names reach the disk, as the kernel was asked for it, and disks that refuse."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncflags._policies.validators import Validator
from asyncflags._storage.liveness import this_process
from asyncflags._storage.records import PartRecord, RecordFile, identity_of
from asyncflags.testing import Origin

ROOT = Path(__file__).resolve().parents[2]
CALLS = "openat,write,pwrite64,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,ftruncate"
BODY = hashlib.shake_128(b"body").digest(1_000_000)
SYNCS = ("fsync", "fdatasync")


def _why_untraceable() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    ran = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace cannot trace here: {ran.stderr.strip()}" if ran.returncode else ""


UNTRACEABLE = _why_untraceable()
traced_only = pytest.mark.skipif(bool(UNTRACEABLE), reason=UNTRACEABLE)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the system.

    Attributes:
        name: As in its manual page.
        paths: Of its descriptor or its arguments, in order.
        result: What it returned.
        began, ended: Its place among the beginnings and ends of all calls.
        task: The thread that made it.
    """

    name: str
    paths: tuple[str, ...]
    result: int
    began: int
    ended: int
    task: str


LINE = re.compile(r"(?P<task>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)")
PATHS = re.compile(r'<(/[^>]*)>|"(/[^"]*)"')
RESULT = re.compile(r"= (-?\d+)")


def parsed(text: str) -> list[Call]:
    """The calls that a trace tells of, by when they began."""
    calls: list[Call] = []
    open_calls: dict[str, tuple[int, str, str]] = {}
    for number, line in enumerate(text.splitlines()):
        matched = LINE.match(line)
        if matched is None:
            continue
        if matched["resumed"]:
            began, name, before = open_calls.pop(matched["task"])
        else:
            began, name, before = number, matched["name"], ""
        rest = before + matched["rest"]
        if rest.endswith("<unfinished ...>"):
            open_calls[matched["task"]] = (began, name, rest.removesuffix("<unfinished ...>"))
            continue
        result = RESULT.search(rest.rpartition(")")[2])
        paths = tuple(first or second for first, second in PATHS.findall(rest))
        calls.append(Call(name, paths, int(result[1]) if result else 0, began, number, matched["task"]))
    return sorted(calls, key=lambda call: call.began)


async def traced(folder: Path, *arguments: str) -> list[Call]:
    """What the command asks of the disk in *folder*, and of its standard output."""
    trace = folder.parent / "trace"
    command = ["strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={CALLS}"]
    process = await asyncio.create_subprocess_exec(
        *command, sys.executable, "-m", "asyncflags", "get", "--quiet", *arguments,
        cwd=folder.parent, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode == 0, told
    calls = parsed(trace.read_text())
    return [call for call in calls if call.paths and is_below(call.paths[0], folder)] + [
        call for call in calls if call.name == "write" and not call.paths and call.result == len(told)
    ]


def is_below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")


def scenario(work: Callable[[Origin], Awaitable[list[Call]]]) -> list[Call]:
    """Run *work* with an origin; the traced process has a loop of its own, so one of ours is enough."""

    async def run() -> list[Call]:
        async with Origin() as origin:
            return await work(origin)

    return asyncio.run(run())


def of(calls: Sequence[Call], *names: str, path: Path | None = None) -> list[Call]:
    wanted = None if path is None else (str(path),)
    return [call for call in calls if call.name in names and wanted in (None, call.paths[:1])]


def renames(calls: Sequence[Call]) -> list[Call]:
    return of(calls, "rename", "renameat", "renameat2")


def assert_in_order(*groups: Sequence[Call]) -> None:
    """Every call of a group ended before any of the next one began; none is empty."""
    for earlier, later in itertools.pairwise(groups):
        assert earlier
        assert later
        assert max(call.ended for call in earlier) < min(call.began for call in later)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


@traced_only
@pytest.mark.parametrize("taken_up", [0, 400_000])
def test_one_file_is_written_synced_renamed_and_then_its_folder_is_synced(
    taken_up: int, folder: Path
) -> None:
    part = folder / "flag.part"

    async def work(origin: Origin) -> list[Call]:
        url = origin.add("/flag", BODY, etag='"v1"')
        if taken_up:
            part.write_bytes(BODY[:taken_up])
            RecordFile(f"{part}.json").write(known(url))
        return await traced(folder, url, "-d", str(folder), "--durability", "fsync")

    calls = scenario(work)
    writes = of(calls, "write", "pwrite64", path=part)
    syncs = of(calls, *SYNCS, path=part)
    assert sum(call.result for call in writes) == len(BODY) - taken_up
    assert_in_order(writes, syncs, renames(calls), of(calls, *SYNCS, path=folder))
    assert renames(calls)[0].paths == (str(part), str(folder / "flag"))
    assert all(call.result == 0 for call in (*syncs, *renames(calls), *of(calls, *SYNCS, path=folder)))
    assert (folder / "flag").read_bytes() == BODY
    assert [each.name for each in folder.iterdir()] == ["flag"]


def known(url: str) -> PartRecord:
    return PartRecord(
        url=url,
        identity=identity_of(url),
        source=identity_of(url),
        validator=Validator(etag='"v1"'),
        total=len(BODY),
        owner=this_process(),
    )


@traced_only
def test_the_record_goes_last_and_the_path_is_told_when_all_is_on_the_disk(folder: Path) -> None:
    async def work(origin: Origin) -> list[Call]:
        return await traced(folder, origin.add("/flag", BODY), "-d", str(folder))

    calls = scenario(work)
    removed = of(calls, "unlink", path=folder / "flag.part.json")
    told = [call for call in calls if call.name == "write" and not call.paths]
    assert_in_order(renames(calls), of(calls, *SYNCS, path=folder), removed)
    assert_in_order(of(calls, *SYNCS, path=folder), told)


@traced_only
def test_of_a_list_all_files_are_synced_before_any_is_renamed_and_each_folder_once(folder: Path) -> None:
    async def work(origin: Origin) -> list[Call]:
        urls = [origin.add(f"/{number}", BODY[: 1000 + number]) for number in range(12)]
        return await traced(folder, *urls, "-d", str(folder), "--durability", "fsync", "--no-journal")

    calls = scenario(work)
    synced = [call for call in of(calls, *SYNCS) if call.paths[0].endswith(".part")]
    assert len(synced) == len(renames(calls)) == 12
    assert sorted(call.paths[0] for call in synced) == sorted(call.paths[0] for call in renames(calls))
    renamed = set[str]()
    for checkpoint in of(calls, *SYNCS, path=folder):
        # A checkpoint renames and syncs the folder in one thread, while another one may do the same.
        group = [
            call
            for call in renames(calls)
            if call.task == checkpoint.task and call.began < checkpoint.began and call.paths[0] not in renamed
        ]
        names = {call.paths[0] for call in group}
        assert_in_order([call for call in synced if call.paths[0] in names], group, [checkpoint])
        renamed |= names
    assert renamed == {call.paths[0] for call in renames(calls)}
    assert len(of(calls, *SYNCS, path=folder)) <= 4
    for call in synced:
        assert_in_order(of(calls, "write", path=Path(call.paths[0])), [call])


@traced_only
@pytest.mark.parametrize("count", [1, 5])
def test_by_rename_alone_nothing_is_synced(count: int, folder: Path) -> None:
    async def work(origin: Origin) -> list[Call]:
        urls = [origin.add(f"/{number}", BODY) for number in range(count)]
        return await traced(folder, *urls, "-d", str(folder), "--durability", "rename", "--no-journal")

    calls = scenario(work)
    assert of(calls, *SYNCS, "sync_file_range") == []
    assert len(renames(calls)) == count
    for call in renames(calls):
        assert_in_order(of(calls, "write", path=Path(call.paths[0])), [call])


# Disks that refuse, in a mount of their own.


MOUNTED = """
import asyncio, hashlib, json, os, subprocess, sys
from asyncflags import AsyncDownloader, errors
from asyncflags.testing import Origin

folder = sys.argv[1]
BODY = hashlib.shake_128(b"body").digest(3_000_000)

def mount(options):
    subprocess.run(["mount", "-o", "remount," + options, folder], check=True)

def look():
    return sorted(os.listdir(folder))

async def attempt(dl, url, **options):
    try:
        return (await dl.download(url, folder, **options)).status
    except errors.DownloadError as error:
        return [type(error).__name__, str(error)]

def seen(report):
    return [report.completed, [type(each.error).__name__ for each in report.failures]]

async def main():
    async with Origin() as origin:
        small = [origin.add(f"/{n}", BODY[: 1000 + n]) for n in range(3)]
        large = origin.add("/large", BODY)
        print(json.dumps(await work(origin, small, large)))
"""

FULL = """
async def work(origin, small, large):
    async with AsyncDownloader(durability=sys.argv[2]) as dl:
        report = await dl.download_many([small[0], large, *small[1:]], folder)
        after, told = look(), await attempt(dl, large)
    sizes = [os.path.getsize(f"{folder}/{name}") for name in after if name in ("0", "1", "2")]
    kept = os.path.getsize(folder + "/large.part")
    same = open(folder + "/large.part", "rb").read() == BODY[:kept]
    mount("size=8m")
    async with AsyncDownloader(durability=sys.argv[2]) as dl:
        status, served = await attempt(dl, large), origin.requests[-1].served
        again = await dl.download_many(small, folder, if_exists="skip")
    whole = open(folder + "/large", "rb").read() == BODY
    return [seen(report), after, sizes, told, kept, same, status, served, whole, again.failed, look()]

asyncio.run(main())
"""

READ_ONLY = """
async def work(origin, small, large):
    origin.cut("/large", 2_000_000, times=1)
    outcomes = []
    async with AsyncDownloader(durability=sys.argv[2], retries=0) as dl:
        first = await attempt(dl, large)
        kept = os.path.getsize(folder + "/large.part")
        await dl.download(small[0], folder)
        mount("ro")
        report = await dl.download_many([small[1], large, small[2]], folder)
        after = look()
        mount("rw")
        again = await dl.download_many(small[1:], folder)
        status, served = await attempt(dl, large), origin.requests[-1].served
    whole = open(folder + "/large", "rb").read() == BODY
    return [first[0], kept, seen(report), after, again.completed, status, served, whole, look()]

asyncio.run(main())
"""

FEW_NAMES = """
async def work(origin, small, large):
    async with AsyncDownloader(durability=sys.argv[2], retries=0) as dl:
        report = await dl.download_many(small, folder)
    return [seen(report), look()]

asyncio.run(main())
"""

mounting = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a mount of one's own needs root and unshare"
)


def mounted(tmp_path: Path, options: str, script: str, durability: str) -> Any:
    """Run *script* with a file system of its own on *tmp_path*; what it tells."""
    (tmp_path / "script.py").write_text(MOUNTED + script)
    disk = tmp_path / "disk"
    disk.mkdir()
    run = f"mount -t tmpfs -o {options} tmpfs {disk} && exec {sys.executable} {tmp_path}/script.py {disk} {durability}"
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", run],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in ran.stderr:
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@mounting
@pytest.mark.parametrize("durability", ["fsync", "rename"])
def test_a_full_disk_fails_what_does_not_fit_and_keeps_its_part_for_later(
    durability: str, tmp_path: Path
) -> None:
    report, after, sizes, told, kept, same, status, served, whole, failed, last = mounted(
        tmp_path, "size=1m", FULL, durability
    )
    completed, failures = report
    # A small one may have come when there was no room for it either.
    assert completed + len(failures) == 4
    assert set(failures) == {"StorageError"}
    assert after[-2:] == ["large.part", "large.part.json"]
    assert len(sizes) == completed
    assert set(sizes) <= {1000, 1001, 1002}
    assert not any(name.startswith("large") and "part" not in name for name in after)
    assert told[0] == "StorageError"
    assert "no space left on device; free some space or choose another folder" in told[1]
    assert (kept > 500_000, same) == (True, True)
    assert (status, served, whole, failed) == (206, [kept - 1024, 3_000_000], True, 0)
    assert last == ["0", "1", "2", "large"]


@mounting
@pytest.mark.parametrize("durability", ["fsync", "rename"])
def test_a_disk_that_becomes_read_only_fails_the_rest_and_keeps_what_is_there(
    durability: str, tmp_path: Path
) -> None:
    first, kept, report, after, again, status, served, whole, last = mounted(
        tmp_path, "size=8m", READ_ONLY, durability
    )
    assert first == "TruncatedBody"
    assert report == [0, ["StorageError"] * 3]
    assert after == ["0", "large.part", "large.part.json"]
    assert again == 2
    assert (status, served, whole) == (206, [kept - 1024, 3_000_000], True)
    assert last == ["0", "1", "2", "large"]


@mounting
def test_a_disk_without_room_for_names_fails_and_leaves_none(tmp_path: Path) -> None:
    report, last = mounted(tmp_path, "size=8m,nr_inodes=2", FEW_NAMES, "rename")
    completed, failures = report
    assert completed + len(failures) == 3
    assert set(failures) == {"StorageError"}
    assert not any(name.endswith((".part", ".json")) for name in last)
