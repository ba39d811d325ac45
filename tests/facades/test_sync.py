"""The blocking face."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncflags
from asyncflags import Downloader, Limits, Request, errors
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.bridges import Portal
from asyncflags.testing.origin import Origin

from .shell import ROOT

PATIENCE_SECONDS = 5.0
FEW = Limits(max_downloads=3)


def url(number: object) -> str:
    return f"https://flags.example/{number}"


class Held:
    """A transport whose answers wait until they are let go, from any thread."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = threading.Event()
        self.transport = MockTransport(self._answer)

    async def _answer(self, request: ExchangeRequest) -> MockResponse:
        self.asked.set()
        while not self.let_go.is_set():
            await asyncio.sleep(0.001)
        return MockResponse(body=b"flag")


def by_url(request: ExchangeRequest) -> MockResponse:
    return (
        MockResponse(status=404) if request.url.endswith("bad") else MockResponse(body=request.url.encode())
    )


@pytest.fixture
def dl() -> Iterator[Downloader]:
    with Downloader(transport=MockTransport(by_url), limits=FEW, durability="rename") as running:
        yield running


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_file(dl: Downloader, tmp_path: Path) -> None:
    result = dl.download(url("fr.gif"), tmp_path)
    assert result.path == tmp_path / "fr.gif"
    assert result.path.read_bytes() == url("fr.gif").encode()


def test_into_memory(dl: Downloader) -> None:
    assert dl.fetch(url("fr.gif")).text() == url("fr.gif")


def test_an_error_is_raised_as_it_is(dl: Downloader, tmp_path: Path) -> None:
    with pytest.raises(errors.StatusError) as caught:
        dl.download(url("bad"), tmp_path)
    assert caught.value.url == url("bad")


def test_over_a_real_connection(tmp_path: Path) -> None:
    with Portal() as portal:
        origin = portal.call(Origin().__aenter__)
        try:
            address = origin.add("/fr.gif", b"flag")
            with Downloader() as dl:
                assert dl.download(address, tmp_path).size == 4
            assert asyncflags.download(address, tmp_path / "again").size == 4
            assert asyncflags.download_many([address], tmp_path / "many").completed == 1
        finally:
            portal.call(origin.aclose)


# Futures.


def test_futures_are_those_of_the_standard_library(dl: Downloader, tmp_path: Path) -> None:
    futures = [dl.submit(url(number), tmp_path) for number in range(8)]
    assert all(isinstance(future, concurrent.futures.Future) for future in futures)
    done = list(concurrent.futures.as_completed(futures, timeout=PATIENCE_SECONDS))
    assert len(done) == 8
    more = [dl.submit(url(number), tmp_path) for number in ("a", "bad")]
    finished, waiting = concurrent.futures.wait(more, timeout=PATIENCE_SECONDS)
    assert (len(finished), len(waiting)) == (2, 0)
    assert isinstance(more[1].exception(), errors.StatusError)


def test_cancelling_a_future_cancels_its_download(tmp_path: Path) -> None:
    held = Held()
    with Downloader(transport=held.transport) as dl:
        future = dl.submit(url(1), tmp_path)
        assert held.asked.wait(PATIENCE_SECONDS)
        assert future.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        # The future is cancelled at once, and the download on the loop's next turn.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while dl.progress().active and time.monotonic() < deadline:
            time.sleep(0.001)
        assert not dl.progress().active
        held.let_go.set()
    assert names(tmp_path) == []


def test_many_threads_may_use_one_downloader(dl: Downloader, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: dl.download(url(number), tmp_path), range(40)))
    assert len({result.path for result in results}) == 40
    assert dl.progress().completed == 40


# Many.


def test_results_come_in_the_order_of_the_list(dl: Downloader, tmp_path: Path) -> None:
    urls = [url(number) for number in range(20)]
    assert [result.url for result in dl.map(iter(urls), tmp_path)] == urls


def test_the_first_failure_reached_is_raised_and_the_rest_cancelled(dl: Downloader, tmp_path: Path) -> None:
    results = dl.map([url(1), url("bad"), url(2)], tmp_path)
    assert next(results).url == url(1)
    with pytest.raises(errors.StatusError):
        next(results)


def test_a_map_takes_its_list_lazily(dl: Downloader, tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(1)
            yield url(len(taken))

    results = dl.map(endless(), tmp_path)
    for read in range(1, 10):
        next(results)
        assert len(taken) <= read + 2 * FEW.max_downloads
    results.close()  # type: ignore[attr-defined]


def test_a_map_over_one_list_numbers_names_that_come_again(dl: Downloader, tmp_path: Path) -> None:
    list(dl.map([f"https://{host}.example/fr.gif" for host in "abc"], tmp_path))
    assert names(tmp_path) == ["fr-2.gif", "fr-3.gif", "fr.gif"]


@pytest.mark.parametrize("method", ["map", "as_completed", "download_many"])
@pytest.mark.parametrize("urls", ["https://flags.example/", Request("https://flags.example/")], ids=repr)
def test_one_url_is_no_list(method: str, urls: Any, dl: Downloader, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="URLs is expected"):
        found = getattr(dl, method)(urls, tmp_path)
        with found if method == "as_completed" else threading.Lock():
            list(found)


def test_outcomes_come_as_they_finish(dl: Downloader, tmp_path: Path) -> None:
    with dl.as_completed([url(1), url("bad"), url(2)], tmp_path) as outcomes:
        found = list(outcomes)
    assert sorted(outcome.error is None for outcome in found) == [False, True, True]


def test_outcomes_are_iterated_inside_their_context(dl: Downloader, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="with dl.as_completed"):
        next(dl.as_completed([url(1)], tmp_path))


def test_leaving_early_cancels_the_rest_and_closes_the_generator(dl: Downloader, tmp_path: Path) -> None:
    closed = threading.Event()

    def endless() -> Iterator[str]:
        try:
            for number in range(10**9):
                yield url(number)
        finally:
            closed.set()

    urls = endless()
    with dl.as_completed(urls, tmp_path) as outcomes:
        next(outcomes)
    # The test still holds the generator, so it was closed and not only forgotten.
    assert closed.wait(PATIENCE_SECONDS)
    assert urls.gi_frame is None  # type: ignore[attr-defined]
    assert [name for name in names(tmp_path) if name.endswith(".part")] == []


def test_a_list_may_block_without_holding_up_downloads(dl: Downloader, tmp_path: Path) -> None:
    first_is_there = threading.Event()

    def waiting() -> Iterator[str]:
        yield url(1)
        # The second URL is known only once the first file is there.
        assert first_is_there.wait(PATIENCE_SECONDS)
        yield url(2)

    with dl.as_completed(waiting(), tmp_path) as outcomes:
        assert next(outcomes).url == url(1)
        first_is_there.set()
        assert next(outcomes).url == url(2)
        assert list(outcomes) == []


def test_an_error_of_the_list_is_raised(dl: Downloader, tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield url(1)
        raise LookupError("the list broke off")

    with pytest.raises(LookupError):
        dl.download_many(broken(), tmp_path)


def test_a_report(dl: Downloader, tmp_path: Path) -> None:
    report = dl.download_many((url(number) for number in (1, 2, "bad")), tmp_path)
    assert (report.completed, report.failed) == (2, 1)


# Where it may not be called, and how it ends.

BLOCKING: dict[str, Callable[[Downloader, Path], Any]] = {
    "Downloader.download": lambda dl, folder: dl.download(url(1), folder),
    "Downloader.fetch": lambda dl, _: dl.fetch(url(1)),
    "Downloader.map": lambda dl, folder: next(dl.map([url(1)], folder)),
    "Downloader.as_completed": lambda dl, folder: dl.as_completed([url(1)], folder),
    "Downloader.download_many": lambda dl, folder: dl.download_many([url(1)], folder),
    "Downloader.to_thread": lambda dl, _: dl.to_thread(str),
    "Downloader.to_process": lambda dl, _: dl.to_process(str),
    "Downloader": lambda dl, _: dl.__enter__(),
    "asyncflags.download": lambda _, folder: asyncflags.download(url(1), folder),
    "asyncflags.download_many": lambda _, folder: asyncflags.download_many([url(1)], folder),
}


@pytest.mark.parametrize("name", BLOCKING)
def test_a_running_loop_is_not_blocked_and_the_asynchronous_spelling_is_told(
    name: str, dl: Downloader, tmp_path: Path
) -> None:
    async def blocks() -> None:
        BLOCKING[name](dl, tmp_path)

    with pytest.raises(RuntimeError, match="AsyncDownloader") as caught:
        asyncio.run(blocks())
    assert f"{name}()" in str(caught.value)


def test_a_future_may_be_asked_for_in_a_running_loop(dl: Downloader, tmp_path: Path) -> None:
    async def waits() -> Any:
        return await asyncio.wrap_future(dl.submit(url(1), tmp_path))

    assert asyncio.run(waits()).size == len(url(1))


def test_closing_ends_what_is_under_way_with_a_closed_error(tmp_path: Path) -> None:
    held = Held()
    dl = Downloader(transport=held.transport)
    future = dl.submit(url(1), tmp_path)
    assert held.asked.wait(PATIENCE_SECONDS)
    dl.close()
    dl.close()
    assert isinstance(future.exception(PATIENCE_SECONDS), errors.ClosedError)
    assert names(tmp_path) == []
    assert held.transport.closed


def test_a_closed_downloader_takes_no_more_work(tmp_path: Path) -> None:
    dl = Downloader(transport=MockTransport(by_url))
    dl.close()
    for work in (dl.download, dl.submit, dl.fetch):
        with pytest.raises(errors.ClosedError):
            work(url(1))
    with pytest.raises(errors.ClosedError):
        dl.download_many([url(1)], tmp_path)


def test_a_wrong_option_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="unknown"):
        Downloader(unknown=1)  # type: ignore[call-arg]
    with Downloader(transport=MockTransport(by_url)) as dl:
        with pytest.raises(TypeError, match="unknown"):
            dl.fetch(url(1), unknown=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="unknown"):
            dl.map([url(1)], unknown=1)  # type: ignore[call-arg]


def test_work_of_the_caller_s(dl: Downloader) -> None:
    assert dl.to_thread(divmod, 7, 2) == (3, 1)
    assert list(dl.threads.map(abs, [-1, -2])) == [1, 2]


INTERRUPTED = """
import sys, asyncflags
from asyncflags._transports.mock import MockResponse, MockTransport
import asyncio

async def stall(request):
    print("asked", flush=True)
    await asyncio.Event().wait()

with asyncflags.Downloader(transport=MockTransport(stall)) as dl:
    try:
        {call}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        print(dl.progress().active, flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        'dl.download("https://flags.example/1", sys.argv[1])',
        'dl.download_many(["https://flags.example/1"], sys.argv[1])',
        'list(dl.map(["https://flags.example/1"], sys.argv[1]))',
        'with dl.as_completed(["https://flags.example/1"], sys.argv[1]) as found: next(found)',
    ],
)
def test_ctrl_c_ends_what_is_waited_for(call: str, tmp_path: Path) -> None:
    script = INTERRUPTED.format(call=call)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"asked\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert out.splitlines()[0] == b"interrupted", err.decode()
    assert process.returncode == 0, err.decode()
    assert names(tmp_path) == []


FORKED = """
import os, asyncflags
from asyncflags._transports.mock import MockResponse, MockTransport

with asyncflags.Downloader(transport=MockTransport(lambda _: MockResponse(body=b"flag"))) as dl:
    dl.fetch("https://flags.example/1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dl.fetch("https://flags.example/1")
        except asyncflags.BridgeError as error:
            code = 0 if "fork" in str(error) else 2
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert dl.fetch("https://flags.example/1").content == b"flag"
    raise SystemExit(status)
"""


def test_a_forked_child_is_refused_and_the_parent_goes_on() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=PATIENCE_SECONDS,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
