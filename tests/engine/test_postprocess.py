"""The caller's own function on every finished file."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Limits, errors

from .waiting import Gate, serving, until

URL = "https://flags.example/fr.gif"
ONE = Limits(max_processes=1, max_threads=2, max_downloads=4)


def process_number(path: Path) -> int:
    assert path.read_bytes() == b"flag"
    return os.getpid()


def fail(path: Path) -> None:
    raise LookupError("no such country")


def crash(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_the_function_runs_in_a_process_by_default(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(), limits=ONE) as dl:
        result = await dl.download(URL, tmp_path, postprocess=process_number)
        report = await dl.download_many([URL], tmp_path / "list", postprocess=process_number)
    assert isinstance(result.value, int)
    assert result.value != os.getpid()
    assert report.completed == 1


@pytest.mark.parametrize("durability", ["rename", "fsync"])
async def test_the_function_may_run_in_a_thread(durability: Any, tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(), durability=durability) as dl:
        options: Any = {
            "postprocess": lambda path: (path.read_bytes(), threading.current_thread().name),
            "postprocess_in": "thread",
        }
        values = [(await dl.download(URL, tmp_path, **options)).value]
        async with dl.as_completed([URL], tmp_path / "list", **options) as outcomes:
            values += [outcome.unwrap().value async for outcome in outcomes]
    for content, name in values:
        assert content == b"flag"
        assert name.startswith("asyncflags-thread")


async def test_the_function_may_run_in_any_executor(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        async with AsyncDownloader(transport=serving()) as dl:
            result = await dl.download(
                URL, tmp_path, postprocess=lambda _: threading.current_thread().name, postprocess_in=executor
            )
    assert result.value.startswith("mine")


@pytest.mark.parametrize("where", ["process", "thread"])
async def test_a_function_that_fails_is_that_download_s_failure_and_the_file_stays(
    where: Any, tmp_path: Path
) -> None:
    async with AsyncDownloader(transport=serving(), limits=ONE) as dl:
        with pytest.raises(errors.PostprocessError, match="no such country; the file is kept") as caught:
            await dl.download(URL, tmp_path, postprocess=fail, postprocess_in=where)
        report = await dl.download_many([URL], tmp_path / "list", postprocess=fail, postprocess_in=where)
        assert dl.progress().failed == 2
    assert isinstance(caught.value.__cause__, LookupError)
    assert (caught.value.url, caught.value.attempts) == (URL, 1)
    assert [type(each.error) for each in report.failures] == [errors.PostprocessError]
    assert (tmp_path / "fr.gif").read_bytes() == (tmp_path / "list" / "fr.gif").read_bytes() == b"flag"


async def test_a_process_that_dies_is_that_download_s_failure_alone(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(), limits=ONE) as dl:
        with pytest.raises(errors.PostprocessError) as caught:
            await dl.download(URL, tmp_path, postprocess=crash)
        assert isinstance(caught.value.__cause__, errors.WorkerCrashed)
        assert (await dl.download(URL, tmp_path, postprocess=process_number)).value


async def test_a_function_that_cannot_travel_is_a_failure_that_says_so(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(), limits=ONE) as dl:
        with pytest.raises(errors.PostprocessError, match=r"<lambda> cannot be|sent|import"):
            await dl.download(URL, tmp_path, postprocess=lambda path: path)


@pytest.mark.parametrize("where", ["loop", None, 5], ids=repr)
async def test_an_unknown_place_is_a_type_error_at_once(where: Any, tmp_path: Path) -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises(TypeError, match="postprocess_in"):
            await dl.download(URL, tmp_path, postprocess=str, postprocess_in=where)
    assert transport.requests == []


async def test_a_slow_function_does_not_hold_up_the_network(tmp_path: Path) -> None:
    gate = Gate()
    transport = serving()
    limits = Limits(max_downloads=2, max_threads=1)
    async with AsyncDownloader(transport=transport, limits=limits, durability="rename") as dl:
        urls = [f"https://flags.example/{number}" for number in range(12)]
        task = asyncio.ensure_future(
            dl.download_many(urls, tmp_path, postprocess=lambda _: gate.hold(), postprocess_in="thread")
        )
        await until(lambda: len(transport.requests) == 12)
        gate.opened.set()
        assert (await task).completed == 12


async def test_nothing_is_done_with_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old")
    async with AsyncDownloader(transport=serving()) as dl:
        skipped = await dl.download(
            URL, tmp_path, if_exists="skip", postprocess=fail, postprocess_in="thread"
        )
        streamed = await dl.download(URL, "/dev/null", postprocess=fail, postprocess_in="thread")
    assert (skipped.skipped, skipped.value, streamed.value) == (True, None, None)
