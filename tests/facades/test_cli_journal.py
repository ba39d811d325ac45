"""The journal at the prompt: kept by lists, gone on with, told of, and tried again."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from asyncflags import Request
from asyncflags._cli.journal_options import default_journal
from asyncflags.testing import Origin
from tests.storage.journals import done, failed, open_journal

from .shell import ended, shell, started

HIDDEN = ".asyncflags.journal"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        for name in ("a", "b", "c"):
            running.add(f"/{name}", name.encode())
        yield running


def listed(folder: Path, origin: Origin, *names: str) -> str:
    """A list of URLs, by its name."""
    (folder / "urls.txt").write_text("".join(f"{origin.url}/{name}\n" for name in names))
    return "urls.txt"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_list_keeps_a_journal_beside_its_folder(origin: Origin, tmp_path: Path) -> None:
    ran = await shell("get", "-i", listed(tmp_path, origin, "a"), "-d", "out/", folder=tmp_path)
    assert ran.code == 0
    assert files(tmp_path) == ["out.journal", "out/a", "urls.txt"]


async def test_a_list_into_the_current_folder_keeps_its_journal_there(origin: Origin, tmp_path: Path) -> None:
    await shell("get", "-i", listed(tmp_path, origin, "a"), folder=tmp_path)
    assert files(tmp_path) == [HIDDEN, "a", "urls.txt"]


@pytest.mark.parametrize(
    "arguments",
    [["-i", "urls.txt", "--no-journal"], ["{url}"], ["{url}", "-o", "x"], ["-i", "urls.txt", "--dry-run"]],
)
async def test_otherwise_there_is_no_journal(arguments: list[str], origin: Origin, tmp_path: Path) -> None:
    listed(tmp_path, origin, "a")
    arguments = [each.format(url=f"{origin.url}/a") for each in arguments]
    assert (await shell("get", *arguments, folder=tmp_path)).code == 0
    assert not [name for name in files(tmp_path) if "journal" in name]


async def test_urls_keep_the_journal_that_is_named(origin: Origin, tmp_path: Path) -> None:
    for skipped in (0, 1):
        ran = await shell("get", f"{origin.url}/a", "--journal", "my.db", "--json", folder=tmp_path)
        assert [each["skipped"] for each in ran.objects] == [bool(skipped)]
    assert files(tmp_path) == ["a", "my.db"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--journal", "x", "-o", "y"], "--journal takes a folder"),
        (["--journal", "x", "--no-journal"], "exclude each other"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    arguments: list[str], reason: str, tmp_path: Path
) -> None:
    ran = await shell("get", "http://h/a", *arguments, folder=tmp_path)
    assert ran.code == 2
    assert reason in ran.err


async def test_the_same_command_goes_on_where_it_stopped(origin: Origin, tmp_path: Path) -> None:
    command = ["get", "-i", listed(tmp_path, origin, "a", "missing", "b"), "-d", "out"]
    ran = await shell(*command, folder=tmp_path)
    assert ran.code == 8
    (tmp_path / "out" / "b").unlink()
    ran = await shell(*command, folder=tmp_path)
    assert "1 downloaded, 1 failed, 1 skipped" in ran.err
    assert [each.path for each in origin.requests].count("/a") == 1


async def test_an_interrupted_list_goes_on(origin: Origin, tmp_path: Path) -> None:
    listed(tmp_path, origin, "a", "b")
    async with started("get", "-i", "-", "-d", "out", folder=tmp_path, stdin=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{origin.url}/a\n".encode())
        await process.stdin.drain()
        assert await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).code == 130
    ran = await shell("get", "-i", "urls.txt", "-d", "out", folder=tmp_path)
    assert (ran.code, files(tmp_path / "out")) == (0, ["a", "b"])
    assert [each.path for each in origin.requests] == ["/a", "/b"]


async def test_a_journal_in_use_is_refused_by_name(origin: Origin, tmp_path: Path) -> None:
    async with started("get", "-i", "-", "-d", "out", folder=tmp_path, stdin=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{origin.url}/a\n".encode())
        await process.stdin.drain()
        assert await process.stdout.readline()
        ran = await shell("get", "-i", listed(tmp_path, origin, "b"), "-d", "out", folder=tmp_path)
        assert ran.code == 3
        assert f"out.journal is in use by process {process.pid} on" in ran.err
        assert "--no-journal" in ran.err
        report = await shell("report", "out.journal", "--format", "json", folder=tmp_path)
        assert [each["state"] for each in report.objects] == ["done"]
        await ended(process, b"")
    assert files(tmp_path / "out") == ["a"]


async def test_damage_is_told_to_everybody_and_the_path_to_the_curious(
    origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "out.journal").write_text("no journal")
    ran = await shell("get", "-q", "-i", listed(tmp_path, origin, "a"), "-d", "out", folder=tmp_path)
    assert ran.code == 0
    assert "out.journal was damaged" in ran.err
    assert "out.journal.damaged-1" in ran.err
    assert "[]" not in ran.err
    ran = await shell("get", "-qv", "-i", "urls.txt", "-d", "out", folder=tmp_path)
    assert ran.err == f"asyncflags: the journal is {tmp_path / 'out.journal'}\n"


async def test_a_journal_of_another_version_is_refused(origin: Origin, tmp_path: Path) -> None:
    command = ["get", "-i", listed(tmp_path, origin, "a"), "-d", "out"]
    await shell(*command, folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / "out.journal")) as connection:
        connection.execute("pragma user_version = 99")
    ran = await shell(*command, folder=tmp_path)
    assert ran.code == 3
    assert "has format 99" in ran.err


async def test_retry_downloads_what_failed_into_the_same_folder(origin: Origin, tmp_path: Path) -> None:
    await shell("get", "-i", listed(tmp_path, origin, "a", "late", "never"), "-d", "out", folder=tmp_path)
    origin.add("/late", b"late")
    away = tmp_path / "away"
    away.mkdir()
    ran = await shell("retry", "../out.journal", "--retries", "0", folder=away)
    assert ran.code == 8
    assert ran.lines == [str(tmp_path / "out" / "late")]
    assert "1 downloaded, 1 failed, 0 skipped" in ran.err
    assert [each.path for each in origin.requests].count("/a") == 1
    assert files(tmp_path / "out") == ["a", "late"]
    assert files(away) == []


async def test_retry_tells_what_it_cannot_do_without_the_list(origin: Origin, tmp_path: Path) -> None:
    secret = f"{origin.url.replace('//', '//me:s3cret@')}/late"
    (tmp_path / "urls.txt").write_text(secret)
    await shell("get", "-i", "urls.txt", "-d", "out", folder=tmp_path)
    origin.add("/late", b"late")
    ran = await shell("retry", "out.journal", folder=tmp_path)
    assert (ran.code, ran.lines) == (0, [])
    assert "1 of the downloads need credentials" in ran.err
    report = await shell("report", "out.journal", folder=tmp_path)
    assert b"s3cret" not in report.out + (tmp_path / "out.journal").read_bytes()
    ran = await shell("get", "-i", "urls.txt", "-d", "out", folder=tmp_path)
    assert ran.code == 0


@pytest.mark.parametrize("command", ["retry", "report"])
async def test_what_is_no_journal_is_refused(command: str, tmp_path: Path) -> None:
    ran = await shell(command, "x.journal", folder=tmp_path)
    assert (ran.code, ran.err) == (3, "asyncflags: there is no journal x.journal\n")
    (tmp_path / "x.journal").write_text("no journal")
    ran = await shell(command, "x.journal", folder=tmp_path)
    assert ran.code == 3
    assert "cannot be read: file is not a database" in ran.err


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder with the journal ``flags.journal`` of one download in each state."""
    with closing(open_journal(tmp_path / "flags")) as journal:
        journal.admit(
            [Request(f"http://h/{name}?token=s3cret") for name in ("done", "failed", "going", "waiting")]
        )
        journal.record([3], [done(1, size=2048, digest="md5:00"), failed(2)], now=1.0)
        # As a process leaves it that is killed.
        journal._holding.drop()
    return tmp_path


async def test_a_report_in_json_tells_of_each_url(told: Path) -> None:
    ran = await shell("report", "flags.journal", "--format", "json", folder=told)
    assert [each["state"] for each in ran.objects] == ["done", "failed", "under way", "queued"]
    assert ran.objects[0] == {
        "url": "http://h/done?token=***",
        "state": "done",
        "path": str(told / "flags" / "done?token=s3cret"),
        "size": 2048,
        "status": 200,
        "attempts": 1,
        "checksum": "md5:00",
        "etag": '"v"',
        "last_modified": None,
        "error": None,
        "message": None,
        "started": "1970-01-01T00:00:01.000+00:00",
        "finished": "1970-01-01T00:00:02.000+00:00",
    }
    assert (ran.objects[1]["error"], ran.objects[1]["message"]) == ("StatusError", "not found")


async def test_a_report_in_csv_has_the_same_columns(told: Path) -> None:
    ran = await shell("report", "flags.journal", "--format", "csv", "-o", "x.csv", folder=told)
    assert (ran.code, ran.out) == (0, b"")
    rows = list(csv.DictReader(io.StringIO((told / "x.csv").read_text())))
    objects = (await shell("report", "flags.journal", "--format", "json", folder=told)).objects
    assert rows == [
        {name: "" if value is None else str(value) for name, value in each.items()} for each in objects
    ]


async def test_a_report_as_a_table_ends_with_the_counts(told: Path) -> None:
    ran = await shell("report", "flags.journal", folder=told)
    head, first, second, *_, last = ran.lines
    assert head.split() == ["state", "status", "attempts", "size", "what"]
    assert first.split()[:3] == ["done", "200", "1"]
    assert "StatusError: not found" in second
    assert last == "1 queued, 1 under way, 1 done, 1 failed; 2.0 KiB"


async def test_a_report_in_parquet_has_the_same_rows(told: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    more = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])}
    ran = await shell("report", "flags.journal", "--format", "parquet", folder=told, more=more)
    objects = (await shell("report", "flags.journal", "--format", "json", folder=told)).objects
    assert parquet.read_table(io.BytesIO(ran.out)).to_pylist() == objects


async def test_parquet_without_its_library_is_refused_with_the_way_out(told: Path) -> None:
    (told / "pyarrow.py").write_text("raise ImportError")
    more = {"PYTHONPATH": os.pathsep.join([str(told), str(Path(__file__).parents[2])])}
    ran = await shell("report", "flags.journal", "--format", "parquet", "-o", "x", folder=told, more=more)
    assert ran.code == 2
    assert "pip install 'asyncflags[parquet]'" in ran.err


@pytest.fixture
def long(told: Path) -> Path:
    """A folder with a journal of many downloads."""
    with closing(open_journal(told / "flags")) as journal:
        journal.admit([Request(f"http://h/{number}") for number in range(5000)])
    return told


async def test_a_report_whose_reader_leaves_says_nothing(long: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with started("report", "flags.journal", "--format", "json", folder=long, stdout=writing) as process:
        os.close(writing)
        ran = await ended(process)
    assert (ran.code, ran.err) == (141, "")


@pytest.mark.parametrize(
    ("made", "folder", "journal"),
    [
        ([], "out", "out.journal"),
        ([], "new/out", "new/out.journal"),
        ([], ".", HIDDEN),
        (["out/", f"out/{HIDDEN}"], "out", f"out/{HIDDEN}"),
        (["out/", f"out/{HIDDEN}", "out.journal"], "out", "out.journal"),
    ],
)
def test_the_journal_lies_where_it_is_or_has_its_place(
    made: list[str], folder: str, journal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for each in made:
        Path(each).mkdir() if each.endswith("/") else Path(each).touch()
    assert default_journal(folder) == str(tmp_path / journal)


def test_a_folder_in_one_that_cannot_be_written_keeps_its_journal_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    assert default_journal(str(tmp_path / "out")) == str(tmp_path / "out" / HIDDEN)


def test_a_root_keeps_its_journal_inside() -> None:
    assert default_journal("/") == f"/{HIDDEN}"


def test_records_are_plain_values(told: Path) -> None:
    from asyncflags._cli.report_formats import as_record
    from asyncflags._storage.journal_reading import JournalReader

    with JournalReader(str(told / "flags.journal")) as reader:
        assert all(
            json.loads(json.dumps(record)) == record
            for record in (as_record(row, None) for row in reader.rows())
        )
