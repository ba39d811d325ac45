"""The list of URLs that ``-i`` names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import Request
from asyncflags._cli.input_list import LineSplitter, OpenList, UrlList, count_urls, read_all
from asyncflags.testing import Origin

from .shell import shell, started


class Pieces:
    """A file that comes in given pieces and counts how often it was read."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.reads = 0
        self._pieces = list(pieces)

    def read(self, size: int, /) -> bytes:
        self.reads += 1
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        for name in ("a", "b", "c"):
            running.add(f"/{name}", name.encode())
        yield running


async def taken(urls: UrlList) -> list[str | Request]:
    return [url async for url in urls]


def cut(data: bytes, sizes: Sequence[int]) -> list[tuple[int, bytes | None]]:
    splitter = LineSplitter()
    lines = []
    for size in sizes:
        piece, data = data[:size], data[size:]
        lines += splitter.feed(piece)
    return lines + splitter.feed(data) + splitter.finish()


@given(st.binary(max_size=200).map(lambda data: data.replace(b"x", b"\n")), st.lists(st.integers(0, 9)))
def test_lines_do_not_depend_on_how_the_bytes_come(data: bytes, sizes: list[int]) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert cut(data, sizes) == list(enumerate(expected, 1))


def test_a_line_without_end_takes_no_memory_and_does_not_hide_the_next() -> None:
    splitter = LineSplitter()
    lines = []
    for _ in range(64):
        lines += splitter.feed(b"x" * 65536)
        assert len(splitter._rest) <= 5 * 65536
    lines += splitter.feed(b"\nhttp://h/\n")
    assert lines == [(1, None), (2, b"http://h/")]


async def test_the_list_is_read_on_only_when_its_urls_were_taken() -> None:
    file = Pieces(b"http://h/1\nhttp://h/2\n", b"http://h/3\n")
    async with aclosing(aiter(UrlList(OpenList(file, "list"), print))) as urls:
        assert [await anext(urls), await anext(urls)] == ["http://h/1", "http://h/2"]
        assert file.reads == 1
        assert await anext(urls) == "http://h/3"


async def test_bad_lines_are_named_by_their_number_and_the_rest_is_handed_out() -> None:
    reasons: list[str] = []
    file = Pieces(b"# flags\n\nnonsense\nhttp://h/1\nht", b"tp://h/2\n\xff\nftp://h/3")
    urls = UrlList(OpenList(file, "flags.txt"), reasons.append)
    assert await taken(urls) == ["http://h/1", "http://h/2"]
    assert [reason.split(":")[0] for reason in reasons] == [
        "flags.txt, line 3",
        "flags.txt, line 6 is not UTF-8",
        "flags.txt, line 7",
    ]
    assert (urls.urls, urls.refused, urls.is_empty) == (2, 3, False)


async def test_a_list_that_breaks_off_hands_out_what_it_has_and_tells_why() -> None:
    urls = UrlList(OpenList(Pieces(b"http://h/1\n", OSError(5, "broken")), "flags.txt"), print)
    assert await taken(urls) == ["http://h/1"]
    assert urls.failure is not None
    assert urls.failure.startswith("the list flags.txt cannot be read: input/output error")


async def test_comments_alone_are_an_empty_list() -> None:
    urls = UrlList(OpenList(Pieces(b"# nothing\n\n"), "flags.txt"), print)
    assert await taken(urls) == []
    assert urls.is_empty


async def test_a_waiting_read_does_not_hold_up_a_cancelled_taker() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as file, open(writing, "wb", buffering=0) as writer:
        task = asyncio.create_task(taken(UrlList(OpenList(file, "pipe"), print)))
        await asyncio.sleep(0.01)
        task.cancel()
        # Nothing was written yet: an end here can only be the cancellation.
        await asyncio.wait([task])
        assert task.cancelled()
        writer.write(b"\n")


def test_reading_at_once_finds_the_same() -> None:
    batches = list(read_all(OpenList(Pieces(b"http://h/1\nbad\n"), "list")))
    assert [url for batch in batches for url in batch.urls] == ["http://h/1"]
    assert len([reason for batch in batches for reason in batch.refusals]) == 1


def test_only_lines_that_should_hold_a_url_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"http://h/1\n\n  # no\nhttp://h/2")
    assert count_urls(str(path)) == 2
    assert count_urls(os.devnull) is None
    assert count_urls(str(tmp_path / "missing")) is None


async def test_a_list_is_downloaded_and_a_bad_line_is_exit_code_2(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(f"# three\n{origin.url}/a\nbad\n\n{origin.url}/b")
    ran = await shell("get", "-i", "urls.txt", "-d", "new/files", f"{origin.url}/c", folder=tmp_path)
    files = tmp_path / "new" / "files"
    assert sorted(ran.lines) == [str(files / name) for name in "abc"]
    assert sorted(os.listdir(files)) == ["a", "b", "c"]
    assert "asyncflags: urls.txt, line 3: this is not a URL" in ran.err
    assert "3 downloaded, 0 failed, 0 skipped" in ran.err
    assert ran.code == 2


async def test_a_url_is_downloaded_while_standard_input_stays_open(origin: Origin, tmp_path: Path) -> None:
    async with started("get", "-i", "-", folder=tmp_path, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a", "b"):
            process.stdin.write(f"{origin.url}/{name}\n".encode())
            # The next line is written only after the file of this one was reported.
            assert await process.stdout.readline() == f"{tmp_path / name}\n".encode()
        process.stdin.close()
        assert await process.wait() == 0


async def test_ctrl_c_ends_a_run_that_waits_for_standard_input(origin: Origin, tmp_path: Path) -> None:
    async with started("get", "-i", "-", folder=tmp_path, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{origin.url}/a\n".encode())
        await process.stdout.readline()
        process.send_signal(2)
        assert await process.wait() == 130


async def test_an_empty_list_is_told_and_exit_code_2(tmp_path: Path) -> None:
    ran = await shell("get", "-i", "-", folder=tmp_path, data=b"# nothing\n")
    assert ran.err == "asyncflags: standard input holds no URL: put one on each line\n"
    assert (ran.code, ran.out) == (2, b"")
