"""The journal: which rows a list gets, and what becomes of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags import Request
from asyncflags._storage.journal import Journal
from asyncflags._storage.journal_bits import Bits
from asyncflags._storage.journal_rows import State, Verdict, bare_url, loaded, storable
from tests.storage.journals import PlainNames, done, failed, finish, open_journal, select

Again = Callable[..., Journal]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flags").mkdir()
    return tmp_path / "flags"


@pytest.fixture
def again(folder: Path) -> Iterator[Again]:
    """Opens the journal of `folder`, and closes the one before."""
    opened: list[Journal] = []

    def reopen(**options: bool | PlainNames) -> Journal:
        if opened:
            opened[-1].close()
        opened.append(open_journal(folder, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield reopen
    opened[-1].close()


def requests(*urls: str) -> list[Request]:
    return [Request(url) for url in urls]


def test_what_is_new_is_to_be_downloaded_under_a_row_and_a_name(again: Again) -> None:
    first, second = again().admit(requests("http://h/a", "http://h/b"))
    assert (first.verdict, first.row, first.path) == (Verdict.DOWNLOAD, 1, "a")
    assert (second.verdict, second.row, second.path) == (Verdict.DOWNLOAD, 2, "b")


def test_what_is_done_and_stands_is_kept_with_its_facts(again: Again, folder: Path) -> None:
    finish(again(), folder, "http://h/a")
    (answer,) = again().admit(requests("http://h/a"))
    assert (answer.verdict, answer.path, answer.size, answer.etag) == (Verdict.KEEP, "a", 4, '"v"')


@pytest.mark.parametrize("harm", [os.unlink, lambda path: Path(path).write_bytes(b"other")])
def test_what_is_done_and_does_not_stand_is_downloaded_again_to_the_same_path(
    again: Again, folder: Path, harm: Callable[[Path], object]
) -> None:
    finish(again(), folder, "http://h/a")
    harm(folder / "a")
    (answer,) = again().admit(requests("http://h/a"))
    assert (answer.verdict, answer.row, answer.path, answer.size) == (Verdict.DOWNLOAD, 1, "a", None)


@pytest.mark.parametrize("more", [{"size": 5}, {"checksum": "md5:" + "0" * 32}])
def test_what_is_done_and_not_what_is_expected_now_is_downloaded_again(
    again: Again, folder: Path, more: dict[str, object]
) -> None:
    finish(again(), folder, "http://h/a")
    (answer,) = again().admit([Request("http://h/a", **more)])  # type: ignore[arg-type]
    assert answer.verdict is Verdict.DOWNLOAD


def test_a_checksum_that_was_verified_is_not_verified_again(again: Again, folder: Path) -> None:
    digest = "md5:327a6c4304ad5938eaf0efb6cc3e53dc"
    finish(journal := again(), folder, "http://h/a")
    journal.record((), [done(1, digest=digest)], now=1.0)
    names = PlainNames(listed={"a": digest.upper().replace("MD5", "md5")})
    assert again(names=names).admit(requests("http://h/a"))[0].verdict is Verdict.KEEP
    names = PlainNames(listed={"a": "md5:" + "0" * 32})
    assert again(names=names).admit(requests("http://h/a"))[0].verdict is Verdict.DOWNLOAD


def test_without_keeping_what_is_done_comes_with_its_facts(again: Again, folder: Path) -> None:
    finish(again(), folder, "http://h/a")
    (answer,) = again(keeps=False).admit(requests("http://h/a"))
    assert (answer.verdict, answer.size, answer.etag) == (Verdict.DOWNLOAD, 4, '"v"')


def test_what_failed_is_tried_again_when_the_list_gives_it(again: Again) -> None:
    journal = again()
    journal.admit(requests("http://h/a"))
    journal.record((), [failed(1)], now=1.0)
    assert again().take_up(0, 10) == []
    (answer,) = again().admit(requests("http://h/a"))
    assert (answer.verdict, answer.row, answer.path) == (Verdict.DOWNLOAD, 1, "a")


def test_what_was_left_unfinished_is_taken_up_first_and_not_given_twice(again: Again) -> None:
    journal = again()
    journal.admit(requests("http://h/a", "http://h/b", "http://h/c"))
    journal.record([1], [done(3)], now=1.0)
    journal = again()
    assert [(row.id, row.path, row.request()) for row in journal.take_up(0, 10)] == [
        (1, "a", Request("http://h/a")),
        (2, "b", Request("http://h/b")),
    ]
    journal.record((), [failed(1)], now=1.0)
    answers = journal.admit(requests("http://h/b", "http://h/a"))
    assert {answer.verdict for answer in answers} == {Verdict.GIVEN}


def test_rows_are_taken_up_in_batches_of_those_that_were_there_at_the_start(again: Again) -> None:
    journal = again()
    journal.admit(requests(*(f"http://h/{number}" for number in range(5))))
    journal = again()
    journal.admit(requests("http://h/new"))
    assert [row.id for row in journal.take_up(0, 3)] == [1, 2, 3]
    assert [row.id for row in journal.take_up(3, 3)] == [4, 5]
    assert journal.take_up(5, 3) == []


def test_what_failed_is_taken_up_on_request(again: Again) -> None:
    journal = again()
    journal.admit(requests("http://h/a", "http://h/b"))
    journal.record((), [failed(1), done(2)], now=1.0)
    assert [row.id for row in again().take_up(0, 10, failed=True)] == [1]


def test_a_changed_list_adds_and_forgets_nothing(again: Again, folder: Path) -> None:
    finish(again(), folder, "http://h/a", "http://h/b")
    finish(again(), folder, "http://h/c")
    assert [url for (url,) in select(f"{folder}.journal", "select url from downloads order by id")] == [
        "http://h/a", "http://h/b", "http://h/c",
    ]  # fmt: skip
    answers = again().admit(requests("http://h/c", "http://h/a"))
    assert {answer.verdict for answer in answers} == {Verdict.KEEP}


def test_each_occurrence_in_one_list_is_a_row_of_its_own(again: Again, folder: Path) -> None:
    urls = ["http://h/a"] * 70
    finish(again(), folder, *urls)
    assert len(os.listdir(folder)) == 70
    journal = again()
    answers = [*journal.admit(requests(*urls[:3])), *journal.admit(requests(*urls))]
    assert [answer.row for answer in answers] == list(range(1, 74))
    assert [answer.verdict for answer in answers] == [Verdict.KEEP] * 70 + [Verdict.DOWNLOAD] * 3


def test_the_same_url_with_another_path_is_another_row(again: Again) -> None:
    answers = again().admit([Request("http://h/a"), Request("http://h/a", path="b"), Request("http://h/a#x")])
    assert [answer.row for answer in answers] == [1, 2, 3]


def test_no_two_rows_get_one_name_in_whatever_run(again: Again, folder: Path) -> None:
    finish(again(), folder, "http://h/x/index.html", "http://h/y/INDEX.html")
    journal = again()
    urls = [f"http://h/{number}/index.html" for number in range(100)]
    paths = [answer.path for answer in journal.admit(requests(*urls[:50]))]
    paths += [answer.path for answer in journal.admit(requests(*urls[50:]))]
    assert paths == [f"index-{number}.html" for number in range(3, 103)]
    assert sorted(os.listdir(folder)) == ["INDEX-2.html", "index.html"]


def test_a_name_under_which_a_part_of_another_download_lies_is_left_alone(again: Again) -> None:
    names = PlainNames(anothers=["a", "a-2"])
    assert again(names=names).admit(requests("http://h/a"))[0].path == "a-3"


def test_a_path_to_the_letter_is_taken_from_whoever_had_it(again: Again, folder: Path) -> None:
    finish(again(), folder, "http://h/a")
    journal = again()
    (answer,) = journal.admit([Request("http://h/b", path="a")])
    journal.record((), [done(answer.row, path="a")], now=1.0)
    (old,) = again().admit(requests("http://h/a"))
    assert (old.verdict, old.path) == (Verdict.DOWNLOAD, "a-2")


def test_a_row_that_could_not_be_named_is_named_when_it_is_taken_up(again: Again, folder: Path) -> None:
    class Late(PlainNames):
        def wanted(self, request: Request) -> None:
            return None

    finish(again(), folder, "http://h/x/a")
    assert again(names=Late()).admit(requests("http://h/y/a"))[0].path is None
    assert [row.path for row in again().take_up(0, 10)] == ["a-2"]


def test_states_are_noted_as_they_come(again: Again, folder: Path) -> None:
    journal = again()
    journal.admit(requests("http://h/a", "http://h/b", "http://h/c", "http://h/d"))
    journal.record([2, 3], [done(1)], now=5.0)
    journal.record([], [failed(3)], now=6.0)
    states = select(f"{folder}.journal", "select state from downloads order by id")
    assert [State(state) for (state,) in states] == [State.DONE, State.UNDER_WAY, State.FAILED, State.QUEUED]
    journal.close()
    states = select(f"{folder}.journal", "select state from downloads order by id")
    assert [State(state) for (state,) in states] == [State.DONE, State.QUEUED, State.FAILED, State.QUEUED]


def test_what_is_admitted_is_committed_with_the_next_record_or_at_the_end(again: Again, folder: Path) -> None:
    journal, path = again(), f"{folder}.journal"
    journal.admit(requests("http://h/a"))
    assert select(path, "select count(*) from downloads") == [(0,)]
    journal.record((), (), now=1.0)
    assert select(path, "select count(*) from downloads") == [(1,)]
    journal.admit(requests("http://h/b"))
    journal.close()
    assert select(path, "select count(*) from downloads") == [(2,)]


def test_credentials_and_fields_are_never_stored(again: Again, folder: Path) -> None:
    journal = again()
    journal.admit(
        [
            Request("http://me:s3cret@h/a"),
            Request("http://h/b", headers={"Authorization": "s3cret"}),
            Request("http://me:s3/cret@h/c"),
            Request("http://h/d", mirrors=("http://me:s3cret@m/d",)),
        ]
    )
    journal.record((), [failed(1)], now=1.0)
    held = b"".join(path.read_bytes() for path in folder.parent.glob("flags.journal*"))
    assert b"//h/a" in held
    assert b"s3cret" not in held
    assert b"cret@" not in held


def test_what_needs_credentials_goes_on_only_when_the_list_gives_it(again: Again) -> None:
    urls = requests("http://me:s3cret@h/a", "http://h/b")
    again().admit(urls)
    journal = again()
    assert [row.id for row in journal.take_up(0, 10)] == [2]
    assert [answer.verdict for answer in journal.admit(urls)] == [Verdict.DOWNLOAD, Verdict.GIVEN]


def test_only_the_owner_may_read_it(again: Again, folder: Path) -> None:
    again().admit(requests("http://h/a"))
    for path in folder.parent.glob("flags.journal*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_closed_journal_is_one_file_and_knows_its_folder(again: Again, folder: Path) -> None:
    again().close()
    assert [path.name for path in folder.parent.glob("flags.journal*")] == ["flags.journal"]
    assert select(f"{folder}.journal", "select value from meta where name = 'folder'") == [(str(folder),)]


def test_mirrors_are_kept(again: Again) -> None:
    request = Request("http://h/a", mirrors=("http://m/a", "http://n/a"), checksum="md5:" + "0" * 32, size=7)
    again().admit([request])
    assert [row.request() for row in again().take_up(0, 10)] == [request]


def test_a_size_beyond_any_file_is_the_downloads_business(again: Again) -> None:
    assert again().admit([Request("http://h/a", size=1 << 70)])[0].row == 1


@given(st.text())
def test_any_text_is_stored_and_read_as_it_is(text: str) -> None:
    assert loaded(storable(text)) == text


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("http://h/a", ("http://h/a", False)),
        ("http://h/a#b@c", ("http://h/a", False)),
        ("http://h/a@b?c@d", ("http://h/a@b?c@d", False)),
        ("http://me@h/a", ("http://h/a", True)),
        ("http://me:pw@h:80/a#f", ("http://h/a", True)),
        ("http://me:p/w@h/a", ("***@h/a", True)),
        ("nonsense", ("nonsense", False)),
    ],
)
def test_a_url_is_stripped_of_what_is_nobodys_business(url: str, bare: tuple[str, bool]) -> None:
    assert bare_url(url) == bare


@given(st.sets(st.integers(0, 100_000)), st.sets(st.integers(0, 100_000)))
@settings(max_examples=50)
def test_bits_are_a_set_of_numbers(added: set[int], asked: set[int]) -> None:
    bits = Bits()
    for number in added:
        bits.add(number)
    assert {number for number in added | asked if number in bits} == added
