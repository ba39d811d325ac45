"""Opening a journal: whose it is, whether it is one, and whether it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncflags import Request
from asyncflags._storage import journal_opening
from asyncflags._storage.journal import Journal
from asyncflags._storage.journal_reading import JournalReader
from asyncflags._storage.journal_rows import State, Verdict
from asyncflags._storage.liveness import SILENCE_SECONDS, Owner, this_process
from asyncflags.errors import StorageError
from tests.storage.journals import PlainNames, done, finish, open_journal, select

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys
from pathlib import Path
from tests.storage.journals import open_journal
from asyncflags import Request
journal = open_journal(Path(sys.argv[1]))
journal.admit([Request("http://h/a")])
journal.record([1], [], now=1.0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "flags"


@pytest.fixture
def path(folder: Path) -> str:
    return f"{folder}.journal"


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the journal."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def own(path: str, owner: Owner, *, heard: float) -> None:
    """Write *owner* into the journal at *path*."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "insert or replace into owner values (1, ?, ?, ?)", (json.dumps(owner.to_json()), heard, heard)
        )
    connection.close()


def damaged(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.parent.glob("flags.journal.damaged-*"))


def test_a_second_process_is_refused_by_name(holder: subprocess.Popen[str], folder: Path, path: str) -> None:
    with pytest.raises(StorageError) as refusal:
        open_journal(folder)
    assert f"{path} is in use by process {holder.pid} on {this_process().host} since " in str(refusal.value)
    assert refusal.value.path == path


def test_a_process_that_was_killed_has_it_no_longer(holder: subprocess.Popen[str], folder: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with contextlib.closing(open_journal(folder)) as journal:
        assert [(row.url, row.state) for row in journal.take_up(0, 9)] == [("http://h/a", State.QUEUED)]


def test_it_can_be_read_while_another_process_has_it(holder: subprocess.Popen[str], path: str) -> None:
    with JournalReader(path) as reader:
        assert [(row.url, row.state) for row in reader.rows()] == [("http://h/a", State.UNDER_WAY)]


def test_two_runs_of_one_process_do_not_share_it(folder: Path) -> None:
    with contextlib.closing(open_journal(folder)):
        with pytest.raises(StorageError, match=f"in use by process {os.getpid()} "):
            open_journal(folder)
    open_journal(folder).close()


def test_a_later_process_with_the_same_id_does_not_hold_it(folder: Path, path: str) -> None:
    open_journal(folder).close()
    me = this_process()
    own(path, replace(me, pid=os.getppid(), started=1), heard=time.time())
    open_journal(folder).close()


@pytest.mark.parametrize(
    ("silent_for", "refused"), [(SILENCE_SECONDS - 30, True), (SILENCE_SECONDS + 1, False)]
)
def test_a_process_of_another_machine_holds_it_while_it_is_heard(
    folder: Path, path: str, silent_for: float, refused: bool
) -> None:
    open_journal(folder).close()
    own(path, replace(this_process(), host="far", boot="another"), heard=time.time() - silent_for)
    expected: Any = pytest.raises(StorageError, match="on far") if refused else contextlib.nullcontext()
    with expected:
        open_journal(folder).close()


def test_one_that_was_taken_over_is_written_no_more(folder: Path, path: str) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        journal.admit([Request("http://h/a")])
        journal.record((), (), now=1.0)
        own(path, replace(this_process(), host="far"), heard=1.0)
        journal.record((), [done(1)], now=2.0)
        assert [kind for kind, _ in journal.notes] == ["journal_lost"]
        assert journal.admit([Request("http://h/b")])[0].row == 0
    assert select(path, "select state from downloads") == [(State.QUEUED,)]
    assert select(path, "select record like '%far%' from owner") == [(1,)]


def text(path: Path) -> None:
    path.write_text("http://h/a\n" * 10)


def cut_off_at_the_start(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def cut_off_in_the_middle(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def first_page_lost(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


def owner_lost(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("insert or replace into owner values (1, '{}', 1, 1)")
    connection.close()


@pytest.mark.parametrize(
    "harm", [text, cut_off_at_the_start, cut_off_in_the_middle, first_page_lost, owner_lost]
)
def test_a_damaged_journal_is_set_aside_and_a_new_one_begun(
    harm: Callable[[Path], None], folder: Path, path: str
) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        finish(journal, folder, *(f"http://h/{number}" for number in range(300)))
    harm(Path(path))
    left = Path(path).read_bytes()
    with contextlib.closing(open_journal(folder)) as journal:
        ((kind, sentence),) = journal.notes
        assert kind == "journal_damaged"
        assert f"{path}.damaged-1" in sentence
        assert journal.admit([Request("http://h/0")])[0].verdict is Verdict.DOWNLOAD
    assert Path(f"{path}.damaged-1").read_bytes() == left


def test_each_damaged_journal_is_set_aside_under_a_name_of_its_own(folder: Path, path: str) -> None:
    for _ in range(2):
        text(Path(path))
        open_journal(folder).close()
    assert damaged(folder) == ["flags.journal.damaged-1", "flags.journal.damaged-2"]


def test_an_empty_file_becomes_a_journal(folder: Path, path: str) -> None:
    Path(path).touch()
    with contextlib.closing(open_journal(folder)) as journal:
        assert journal.notes == []
        assert journal.admit([Request("http://h/a")])[0].row == 1


def test_damage_that_shows_later_ends_the_journal_and_not_the_run(folder: Path, path: str) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        answers = journal.admit([Request(f"http://h/{number}") for number in range(2000)])
        journal.record((), [done(answer.row) for answer in answers], now=1.0)
    pages = os.path.getsize(path) // 4096
    with open(path, "r+b") as file:
        for page in range(8, pages // 2):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with contextlib.closing(open_journal(folder)) as journal:
        answers = journal.admit([Request(f"http://h/{number}") for number in range(2000)])
        assert {(answer.verdict, answer.row) for answer in answers} == {(Verdict.DOWNLOAD, 0)}
        journal.record((), [done(1)], now=1.0)
        ((kind, sentence),) = journal.notes
        assert kind == "journal_damaged"
        assert "go on without" in sentence
    assert damaged(folder) == ["flags.journal.damaged-1"]
    with contextlib.closing(open_journal(folder)) as journal:
        assert journal.notes == []


@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_journal_of_another_version_is_refused_and_left_alone(
    folder: Path, path: str, version: int
) -> None:
    open_journal(folder).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {version}")
    connection.close()
    before = Path(path).read_bytes()
    with pytest.raises(StorageError, match=f"has format {version}, and this version of asyncflags reads"):
        open_journal(folder)
    assert Path(path).read_bytes() == before
    assert damaged(folder) == []


def test_the_database_of_another_program_is_refused_and_left_alone(folder: Path, path: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table songs (title text)")
    connection.close()
    with pytest.raises(StorageError, match="database of another program"):
        open_journal(folder)
    assert damaged(folder) == []


def test_a_folder_is_no_journal(folder: Path, path: str) -> None:
    os.mkdir(path)
    with pytest.raises(StorageError, match="no regular file"):
        open_journal(folder)


def test_a_journal_in_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        open_journal(tmp_path / "missing" / "flags")


def modes(journal: Journal) -> tuple[str, int]:
    connection = journal._connection
    mode, wait = (
        connection.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    )
    return mode, wait


NORMAL, FULL = 1, 2


def test_a_near_journal_logs_ahead_and_waits_for_no_disk(folder: Path) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        assert modes(journal) == ("wal", NORMAL)


def test_on_a_network_file_system_every_commit_is_whole_by_itself(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = open_journal(folder)
    finish(near, folder, "http://h/a")
    near._holding.drop()
    monkeypatch.setattr(journal_opening, "is_remote", lambda path: True)
    with contextlib.closing(open_journal(folder)) as journal:
        assert modes(journal) == ("delete", FULL)
        assert journal.admit([Request("http://h/a")])[0].verdict is Verdict.KEEP
        assert not os.path.exists(f"{path}-wal")
        with JournalReader(path) as reader:
            assert [row.url for row in reader.rows()] == ["http://h/a"]


def test_where_a_log_ahead_is_refused_a_rollback_journal_does(folder: Path, path: str) -> None:
    open_journal(folder).close()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from meta").fetchall()
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Another connection that reads keeps SQLite from changing the mode; it lets go before the first commit.
            logs_ahead = journal_opening._logs_ahead

            def then_release(connection: sqlite3.Connection) -> bool:
                try:
                    return logs_ahead(connection)
                finally:
                    reader.execute("commit")

            patch.setattr(journal_opening, "_logs_ahead", then_release)
            patch.setattr(journal_opening, "_take", lambda connection, path: ("", 0.0))
            journal = open_journal(folder)
    finally:
        reader.close()
    assert modes(journal) == ("delete", FULL)
    journal.close()


def test_a_journal_that_cannot_be_written_costs_rows_and_no_download(folder: Path, path: str) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        finish(journal, folder, "http://h/a", "http://h/b")
    with contextlib.closing(open_journal(folder)) as journal:
        full = int(journal._connection.execute("pragma page_count").fetchone()[0])
        journal._connection.execute(f"pragma max_page_count = {full}")
        urls = [Request(f"http://h/{number}/" + "x" * 500) for number in range(200)]
        answers = journal.admit([Request("http://h/a"), *urls])
        assert answers[0].verdict is Verdict.KEEP
        assert {(answer.verdict, answer.row) for answer in answers[1:]} == {(Verdict.DOWNLOAD, 0)}
        assert len({answer.path for answer in answers}) == 201
        journal.admit(urls)
        assert [kind for kind, _ in journal.notes] == ["journal_unwritable"]
        journal._connection.execute("pragma max_page_count = 100000")
        assert journal.admit([Request("http://h/new")])[0].row > 0
        journal.record((), (), now=1.0)
    assert select(path, "select count(*) from downloads") == [(3,)]


def test_a_reader_refuses_what_is_no_journal(tmp_path: Path, folder: Path, path: str) -> None:
    with pytest.raises(StorageError, match="there is no journal"):
        JournalReader(path)
    text(Path(path))
    with pytest.raises(StorageError, match="cannot be read: file is not a database"):
        JournalReader(path)
    os.unlink(path)
    sqlite3.connect(path).close()
    with pytest.raises(StorageError, match="is no journal"):
        JournalReader(path)


def test_a_reader_leaves_nothing_beside_a_closed_journal(folder: Path, path: str) -> None:
    with contextlib.closing(open_journal(folder)) as journal:
        finish(journal, folder, "http://h/a")
    with JournalReader(path) as reader:
        assert reader.folder == str(folder)
        assert [row.state for row in reader.rows()] == [State.DONE]
    assert [found.name for found in folder.parent.iterdir() if found.is_file()] == ["flags.journal"]


def test_names_are_asked_for_no_request_that_is_known(folder: Path) -> None:
    class Counting(PlainNames):
        asked = 0

        def wanted(self, request: Request) -> tuple[str, bool] | None:
            self.asked += 1
            return super().wanted(request)

    with contextlib.closing(open_journal(folder)) as journal:
        finish(journal, folder, "http://h/a")
    names = Counting()
    with contextlib.closing(open_journal(folder, names=names)) as journal:
        journal.admit([Request("http://h/a"), Request("http://h/b")])
    assert names.asked == 1
