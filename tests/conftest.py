"""What every test stands on: both loops, no network beyond this machine, no blocking, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import aioresponses
import aioresponses.core
import pytest
import pytest_asyncio
import pytest_socket
import trustme
from aiohttp import ClientResponse
from blockbuster import BlockBuster

from asyncflags.testing.faulty import FaultyOrigin
from asyncflags.testing.origin import Origin

try:
    import uvloop
except ImportError:
    # Windows has none.
    uvloop = None  # type: ignore[assignment]

LOOPBACK = ["127.0.0.1", "::1"]
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TURNS = 200
"""Turns of a loop that closing sockets and ending tasks get before they count as left behind."""

PATIENCE_SECONDS = 5.0
"""A thread that was told to end and has not done so by then is left behind."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_block(reason): the loop is blocked on purpose")
    config.addinivalue_line("markers", "may_leak(reason): something outlives the test on purpose")


def pytest_sessionstart(session: pytest.Session) -> None:
    # A run started in the background of a shell inherits that Ctrl-C is ignored, and so would the processes
    # that tests interrupt; a handler of our own is not inherited, so those start as at a prompt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if uvloop is not None:
        # libuv opens a pipe with its first loop and keeps it for the life of the process.
        uvloop.new_event_loop().close()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in PROXY_VARIABLES:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        patch.delenv("NETRC", raising=False)
        yield


@pytest.fixture(autouse=True)
def _loopback_only(_clean_environment: None) -> None:
    # pytest-socket lifts its restrictions by itself when the test has ended.
    pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


_blocking = BlockBuster("asyncflags", excluded_modules=["asyncflags.testing"])
# The blocking face of a portal waits by nature; where it may be called is tested in its own way.
_locks = _blocking.functions["threading.Lock.acquire"]
_locks.can_block_in("asyncflags/bridges/_loop_thread.py", {"_start", "post", "forget", "stop", "join"})
# The threads have ended their last call by then, and take microseconds to leave.
_locks.can_block_in("asyncflags/bridges/_crew.py", {"join"})
# The garbage collector ends what earlier tests made of multiprocessing, in whatever frame it happens to run.
for _function in _blocking.functions.values():
    _function.can_block_in("multiprocessing/util.py", {"__call__"})


@pytest.fixture(autouse=True)
def _no_blocking(request: pytest.FixtureRequest, _clean_environment: None) -> Iterator[None]:
    if not _is_async(request) or request.node.get_closest_marker("may_block") is not None:
        yield
        return
    _blocking.activate()
    try:
        yield
    finally:
        _blocking.deactivate()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, _no_blocking: None) -> Iterator[None]:
    """Fail a test that leaves a task, a thread or a file descriptor behind."""
    if request.node.get_closest_marker("may_leak") is not None:
        yield
    elif _is_async(request):
        # Inside the loop, because that holds descriptors itself and ends every task when it closes.
        request.getfixturevalue("_no_leaks_in_loop")
        yield
    else:
        descriptors, threads = _descriptors(), _threads()
        yield
        _join_threads(threads)
        assert not _descriptors() - descriptors


def _is_async(request: pytest.FixtureRequest) -> bool:
    return isinstance(request.node, pytest.Function) and pytest_asyncio.is_async_test(request.node)


@pytest.fixture
async def _no_leaks_in_loop() -> AsyncIterator[None]:
    await _warm_up()
    descriptors, threads = _descriptors(), _threads()
    yield
    for turn in range(TURNS):
        if not _other_tasks() and not _descriptors() - descriptors:
            break
        if turn == TURNS // 2:
            # An error under test may hold, in a cycle with its traceback, what a test of its own is about.
            gc.collect()
        await asyncio.sleep(0)
    assert _other_tasks() == set()
    _join_threads(threads)
    assert not _descriptors() - descriptors


async def _warm_up() -> None:
    """Have the loop open what it opens once and keeps: libuv does so with its first listener."""
    (await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)).close()
    await asyncio.sleep(0)


def _other_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("asyncflags")}


def _join_threads(before: set[threading.Thread]) -> None:
    for thread in _threads() - before:
        thread.join(PATIENCE_SECONDS)
    assert _threads() - before == set()


def _descriptors() -> Counter[str]:
    """What the open descriptors lead to, those of the interpreter's own helper processes left out.

    Sockets and pipes are counted without their numbers, because uvloop makes new ones for each run of a loop.
    """
    found: Counter[str] = Counter()
    helpers = {
        getattr(multiprocessing.forkserver._forkserver, "_forkserver_alive_fd", None),
        getattr(multiprocessing.resource_tracker._resource_tracker, "_fd", None),
    }
    for name in os.listdir("/proc/self/fd"):
        # The descriptor of the listing itself is gone by now.
        with contextlib.suppress(FileNotFoundError):
            if int(name) not in helpers:
                found[os.readlink(f"/proc/self/fd/{name}").partition("[")[0]] += 1
    return found


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyOrigin]:
    async with FaultyOrigin(interval=0.001) as running:
        yield running


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts unless told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """For a server at 127.0.0.1 and localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """For a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class _NoWriter:
    output_size = 0


class _PatchedResponse(ClientResponse):
    """aioresponses 0.7 makes responses without the writer that aiohttp 3.14 asks for."""

    def __init__(self, *args: Any, stream_writer: Any = None, **kwargs: Any) -> None:
        writer: Any = stream_writer or _NoWriter()
        super().__init__(*args, stream_writer=writer, **kwargs)


@pytest.fixture
def scripted_aiohttp() -> Iterator[aioresponses.aioresponses]:
    """aiohttp's client without a network, by aioresponses.

    For small tests of control flow alone. Redirects, the pool, timeouts, framing and bodies over 100 kB are not
    exercised, since the session is patched above all of them: bytes on the wire are tested with real servers.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aioresponses.core, "ClientResponse", _PatchedResponse)
        with aioresponses.aioresponses() as scripted:
            yield scripted
