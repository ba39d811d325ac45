"""Where a file goes, what happens when something is there already, and names that somebody hostile chose."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Request, Timeout, errors
from asyncflags._engine.planning import existing_size
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.testing.faulty import HOSTILE_DISPOSITIONS, HOSTILE_PATHS, FaultyOrigin, body_for

from .waiting import parts, serving, until

URL = "https://flags.example/fr.gif"
FORBIDDEN = set('<>:"/\\|?*') | {chr(number) for number in range(32)} | {"\u202e", "\u200b", "\x7f"}
SHA256 = "sha256:" + hashlib.sha256(b"flag").hexdigest()


@pytest.fixture
async def dl() -> AsyncIterator[AsyncDownloader]:
    async with AsyncDownloader(transport=serving(), durability="rename") as running:
        yield running


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_file_destination_is_that_file(dl: AsyncDownloader, tmp_path: Path) -> None:
    result = await dl.download(URL, tmp_path / "tricolore")
    assert result.path == tmp_path / "tricolore"
    assert names(tmp_path) == ["tricolore"]


async def test_a_folder_receives_the_file_under_the_name_in_the_url(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    assert (await dl.download(URL + "?size=1#top", tmp_path)).path == tmp_path / "fr.gif"


async def test_a_url_without_a_name_becomes_index_html(dl: AsyncDownloader, tmp_path: Path) -> None:
    assert (await dl.download("https://flags.example/", tmp_path)).path == tmp_path / "index.html"


async def test_a_path_with_a_slash_at_its_end_is_made_a_folder(dl: AsyncDownloader, tmp_path: Path) -> None:
    await dl.download(URL, f"{tmp_path}/a/b/")
    assert names(tmp_path) == ["a/b/fr.gif"]


async def test_the_destination_may_be_relative(
    dl: AsyncDownloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = await dl.download(URL)
    assert result.path == tmp_path / "fr.gif"


async def test_a_missing_parent_is_an_error_that_tells_the_way_out(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    with pytest.raises(
        errors.StorageError, match="create the folder first, or end the destination with a slash"
    ):
        await dl.download(URL, tmp_path / "missing" / "fr.gif")
    assert names(tmp_path) == []


async def test_a_file_in_place_of_a_folder_is_an_error(dl: AsyncDownloader, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for dest in ("file/fr.gif", "file/", "file/a/"):
        with pytest.raises(errors.StorageError):
            await dl.download(URL, f"{tmp_path}/{dest}")


@pytest.mark.parametrize("dest", ["", None, 5, b"bytes", object()], ids=lambda dest: type(dest).__name__)
async def test_what_is_no_destination_is_refused_before_anything_is_sent(dest: Any) -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises((TypeError, ValueError)):
            await dl.download(URL, dest)
    assert transport.requests == []


async def test_a_symbolic_link_is_written_through(dl: AsyncDownloader, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    await dl.download(URL, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"flag"


async def test_a_binary_stream_receives_the_bytes_and_stays_open(dl: AsyncDownloader) -> None:
    stream = io.BytesIO()
    result = await dl.download(URL, stream)
    assert (stream.getvalue(), result.path, result.size) == (b"flag", None, 4)


async def test_a_stream_is_not_written_a_second_time_after_a_failure() -> None:
    stream, body = io.BytesIO(), [*[b"x" * 65536] * 40, errors.ReadError("the connection broke")]
    async with AsyncDownloader(transport=serving(body, headers={"Content-Length": "4000000"})) as dl:
        dl._ready().jitter = lambda: 0.0
        with pytest.raises(errors.ReadError) as caught:
            await dl.download(URL, stream)
    assert caught.value.attempts == 1
    assert set(stream.getvalue()) == {ord("x")}


async def test_devices_are_opened_and_not_replaced(dl: AsyncDownloader) -> None:
    await dl.download(URL, "/dev/null")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(errors.StorageError, match="no space left on device"):
        await dl.download(URL, "/dev/full")
    assert not os.path.isfile("/dev/full")


async def test_a_full_device_fails_also_an_answer_of_many_batches() -> None:
    async with AsyncDownloader(transport=serving([b"x" * 200_000] * 20)) as dl:
        with pytest.raises(errors.StorageError, match="no space left on device"):
            await dl.download(URL, "/dev/full")


# Request.path and the layout.


async def test_a_request_names_its_path_with_folders(dl: AsyncDownloader, tmp_path: Path) -> None:
    await dl.download(Request(URL, path="europe/fr/tricolore"), tmp_path)
    assert names(tmp_path) == ["europe/fr/tricolore"]


@pytest.mark.parametrize(
    "path", ["../evil", "/evil", "a/../../evil", "", "a//b", "C:evil", "a\0b", ".", "\ud800"]
)
async def test_a_path_out_of_the_destination_is_unsafe(
    path: str, dl: AsyncDownloader, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises((errors.UnsafePath, errors.StorageError)):
        await dl.download(Request(URL, path=path), tmp_path / "in")
    assert names(tmp_path) == []


async def test_the_layout_of_the_url_makes_host_and_path_folders(dl: AsyncDownloader, tmp_path: Path) -> None:
    for url in (
        "https://flags.example/eu/fr.gif?x",
        "http://flags.example:81/eu/",
        "https://flags.example/%2e%2e/x",
    ):
        await dl.download(url, tmp_path, layout="url")
    found = names(tmp_path)
    assert found[:2] == ["flags.example/_/x", "flags.example/eu/fr.gif"]
    assert found[2:] == ["flags.example_81/eu/index.html"]


# A name that is taken.


async def test_a_file_that_is_there_is_overwritten_by_default(dl: AsyncDownloader, tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old")
    await dl.download(URL, tmp_path)
    assert (tmp_path / "fr.gif").read_bytes() == b"flag"


async def test_a_file_that_is_there_is_kept_and_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old!")
    transport = serving()
    async with AsyncDownloader(transport=transport, if_exists="skip") as dl:
        result = await dl.download(URL, tmp_path, size=4)
    assert (result.skipped, result.size, result.status, result.attempts) == (True, 4, 0, 0)
    assert result.path == tmp_path / "fr.gif"
    assert transport.requests == []
    assert (tmp_path / "fr.gif").read_bytes() == b"old!"


@pytest.mark.parametrize("expected", [{"checksum": SHA256}, {"size": 4}], ids=str)
async def test_a_file_that_is_not_the_expected_one_is_not_skipped(
    expected: Any, dl: AsyncDownloader, tmp_path: Path
) -> None:
    (tmp_path / "fr.gif").write_bytes(b"older")
    result = await dl.download(URL, tmp_path, if_exists="skip", **expected)
    assert not result.skipped
    assert (tmp_path / "fr.gif").read_bytes() == b"flag"
    assert (await dl.download(URL, tmp_path, if_exists="skip", **expected)).skipped


async def test_a_large_file_that_is_checked_does_not_count_as_the_server_s_silence(tmp_path: Path) -> None:
    # The file's name comes with the answer, so that it is checked while the answer waits.
    disposition = {"Content-Disposition": 'attachment; filename="big"', "Content-Length": "4"}
    with open(tmp_path / "big", "wb") as big:
        big.truncate(600 << 20)
    timeout = Timeout(connect=0.05, read=0.05)
    async with AsyncDownloader(transport=serving(headers=disposition), timeout=timeout, retries=0) as dl:
        result = await dl.download(URL, tmp_path, if_exists="skip", name_from="server", checksum=SHA256)
    assert result.size == 4


def test_a_pipe_at_the_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fr.gif")
    found: list[object] = []

    def look() -> None:
        try:
            found.append(existing_size(str(tmp_path / "fr.gif"), None, None))
        except errors.StorageError as error:
            found.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(0.5)
    if thread.is_alive():
        # Opening the other end lets the thread go on, to its end.
        os.close(os.open(tmp_path / "fr.gif", os.O_RDWR))
        thread.join()
        pytest.fail("the look waited for a writer")
    assert found


async def test_a_taken_name_gets_the_next_free_number(dl: AsyncDownloader, tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old")
    (tmp_path / "fr-2.gif").symlink_to("nowhere")
    assert (await dl.download(URL, tmp_path, if_exists="rename")).path == tmp_path / "fr-3.gif"
    assert (await dl.download(URL, tmp_path / "fr.gif", if_exists="rename")).path == tmp_path / "fr-4.gif"
    assert (tmp_path / "fr.gif").read_bytes() == b"old"


async def test_a_taken_name_can_be_an_error(dl: AsyncDownloader, tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old")
    with pytest.raises(errors.StorageError, match="exists already") as caught:
        await dl.download(URL, tmp_path, if_exists="error")
    assert caught.value.path == str(tmp_path / "fr.gif")
    assert (tmp_path / "fr.gif").read_bytes() == b"old"


@pytest.mark.parametrize("if_exists", ["error", "rename"])
async def test_a_name_taken_meanwhile_is_never_replaced(if_exists: Any, tmp_path: Path) -> None:
    gate = asyncio.Event()
    transport = serving([b"fl", gate.wait, b"ag"])
    async with AsyncDownloader(transport=transport, if_exists=if_exists) as dl:
        task = asyncio.ensure_future(dl.download(URL, tmp_path))
        await until(lambda: bool(transport.requests))
        (tmp_path / "fr.gif").write_bytes(b"mine")
        gate.set()
        with pytest.raises(errors.StorageError):
            await task
    assert (tmp_path / "fr.gif").read_bytes() == b"mine"
    assert parts(tmp_path) == []


# Two downloads that want the same path.


async def test_two_downloads_at_once_into_one_folder_get_two_names(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with AsyncDownloader(transport=serving([gate.wait, b"flag"])) as dl:
        tasks = [asyncio.ensure_future(dl.download(URL, tmp_path)) for _ in range(3)]
        await until(lambda: dl.progress().attempts == 3)
        gate.set()
        await asyncio.gather(*tasks)
    assert names(tmp_path) == ["fr-2.gif", "fr-3.gif", "fr.gif"]


@pytest.mark.parametrize("second", ["x", "X"])
async def test_two_downloads_at_once_to_one_file_are_told_apart(second: str, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with AsyncDownloader(transport=serving([gate.wait, b"flag"])) as dl:
        first = asyncio.ensure_future(dl.download(URL, tmp_path / "x"))
        await until(lambda: dl.progress().attempts == 1)
        with pytest.raises(errors.StorageError, match="the same path"):
            await dl.download(URL, tmp_path / second)
        gate.set()
        await first
    assert names(tmp_path) == ["x"]


async def test_a_download_to_the_part_name_of_another_one_is_refused(tmp_path: Path) -> None:
    gate = asyncio.Event()
    answers = {
        "https://flags.example/a": MockResponse(body=[b"of ", gate.wait, b"a"]),
        "https://flags.example/b": MockResponse(body=b"of b"),
    }
    async with AsyncDownloader(transport=MockTransport(answers)) as dl:
        first = asyncio.ensure_future(dl.download("https://flags.example/a", tmp_path / "x"))
        await until(lambda: dl.progress().attempts == 1)
        with pytest.raises(errors.StorageError):
            await dl.download("https://flags.example/b", tmp_path / "x.part")
        gate.set()
        await first
    assert (tmp_path / "x").read_bytes() == b"of a"


async def test_a_name_is_free_again_when_its_download_has_ended(dl: AsyncDownloader, tmp_path: Path) -> None:
    for _ in range(2):
        assert (await dl.download(URL, tmp_path)).path == tmp_path / "fr.gif"
    assert names(tmp_path) == ["fr.gif"]


# Hostile names.


def assert_safe(folder: Path) -> Path:
    """The one file in *folder*, whose name is safe everywhere."""
    (path,) = folder.rglob("*")
    assert path.parent == folder
    name = path.name
    assert not FORBIDDEN & set(name), ascii(name)
    assert len(name.encode()) <= 245
    assert not name.startswith(("-", ".", "~/"))
    assert not name.endswith((".", " ", ".part", ".part.json"))
    assert name.partition(".")[0].rstrip().lower() not in {"con", "nul", "com1", "com\u00b9", "aux", "prn"}
    return path


@pytest.mark.parametrize("case", HOSTILE_DISPOSITIONS)
async def test_a_name_of_the_server_is_one_safe_component(
    case: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with AsyncDownloader(durability="rename") as dl:
        result = await dl.download(f"{faulty.url}/cd/{case}", tmp_path, name_from="server")
    assert assert_safe(tmp_path) == result.path
    assert result.path.read_bytes() == body_for(f"/cd/{case}")


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=lambda path: ascii(path)[:40])
async def test_a_name_in_a_url_is_one_safe_component(path: str, faulty: FaultyOrigin, tmp_path: Path) -> None:
    async with AsyncDownloader(durability="rename") as dl:
        await dl.download(faulty.url + path, tmp_path)
    assert_safe(tmp_path)


async def test_the_server_s_name_counts_only_when_asked_for(dl: AsyncDownloader, tmp_path: Path) -> None:
    headers = {"Content-Disposition": 'attachment; filename="theirs"', "Content-Length": "4"}
    async with AsyncDownloader(transport=serving(headers=headers)) as dl:
        await dl.download(URL, tmp_path)
        await dl.download(URL, tmp_path, name_from="server")
    assert names(tmp_path) == ["fr.gif", "theirs"]


async def test_the_name_is_that_of_the_url_asked_for_and_not_of_the_redirect(tmp_path: Path) -> None:
    def answer(request: Any) -> MockResponse:
        moved = request.url == URL
        return MockResponse(status=302, headers={"Location": "/x/y"}) if moved else MockResponse(body=b"flag")

    async with AsyncDownloader(transport=MockTransport(answer)) as dl:
        result = await dl.download(URL, tmp_path)
    assert result.path == tmp_path / "fr.gif"
    assert result.final_url == "https://flags.example/x/y"


@pytest.mark.parametrize("durability", ["fsync", "rename"])
async def test_the_server_s_time_is_kept_when_asked_for(durability: Any, tmp_path: Path) -> None:
    headers = {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT", "Content-Length": "4"}
    async with AsyncDownloader(transport=serving(headers=headers), durability=durability) as dl:
        result = await dl.download(URL, tmp_path, mtime="server")
        await dl.download_many([URL], tmp_path / "list", mtime="server")
        now = await dl.download(URL, tmp_path / "now")
    assert result.path is not None
    assert now.path is not None
    assert result.path.stat().st_mtime == 1_000_000_000
    assert (tmp_path / "list" / "fr.gif").stat().st_mtime == 1_000_000_000
    assert now.path.stat().st_mtime > 1_700_000_000
