"""What becomes of a bridge nobody closed: at the end of the interpreter, on Ctrl-C, after a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PATIENCE = 40


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(script)
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )


def interrupt(script: str, folder: Path, press_ctrl_c: Callable[[int], None]) -> tuple[int, str]:
    """Run *script*, send SIGINT once it has printed a line, and return its exit code and the rest."""
    path = folder / "script.py"
    path.write_text(script)
    with subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        press_ctrl_c(process.pid)
        try:
            rest, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode, rest


def runs(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_forgotten_idle_thread_bridge_leaves_cleanly(tmp_path: Path) -> None:
    script = """
from asyncflags.bridges import ThreadBridge
bridge = ThreadBridge()
print(bridge.submit(pow, 2, 5).result())
"""
    ended = run(script, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "32\n", "")


def test_a_call_that_still_runs_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    script = """
import threading
from asyncflags.bridges import ThreadBridge
bridge = ThreadBridge()
running = threading.Event()
def job():
    running.set()
    threading.Event().wait()
bridge.submit(job)
running.wait()
"""
    ended = run(script, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_forgotten_portal_cleans_up_and_leaves_cleanly(tmp_path: Path) -> None:
    script = """
import asyncio, threading
from asyncflags.bridges import Portal
portal = Portal()
running = threading.Event()
async def work():
    running.set()
    try:
        await asyncio.sleep(3600)
    finally:
        print("cleaned up")
portal.start_soon(work)
running.wait()
"""
    ended = run(script, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cleaned up\n", "")


def test_a_portal_whose_work_resists_cancelling_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    script = """
import threading
from asyncflags.bridges import Portal
portal = Portal(grace=0.05)
running = threading.Event()
async def block():
    running.set()
    threading.Event().wait()
portal.start_soon(block)
running.wait()
"""
    ended = run(script, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_forgotten_process_bridge_leaves_no_process_behind(tmp_path: Path) -> None:
    script = """
import os
from asyncflags.bridges import ProcessBridge
if __name__ == "__main__":
    bridge = ProcessBridge(2)
    print(bridge.submit(os.getpid).result(), bridge.submit(os.getppid).result())
"""
    ended = run(script, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    worker, server = (int(process) for process in ended.stdout.split())
    deadline = time.monotonic() + PATIENCE
    while (runs(worker) or runs(server)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(worker)
    assert not runs(server)


def test_a_script_without_its_main_guard_is_told_about_it(tmp_path: Path) -> None:
    script = """
import os
from asyncflags.bridges import ProcessBridge
with ProcessBridge(1) as bridge:
    print(bridge.submit(os.getpid).result())
"""
    ended = run(script, tmp_path)
    assert ended.returncode == 1
    assert "keep what it runs under `if __name__" in ended.stderr


@pytest.mark.parametrize("block", ["bridge = ThreadBridge()\nif True:", "with ThreadBridge() as bridge:"])
def test_ctrl_c_ends_a_script_while_a_thread_still_runs(
    tmp_path: Path, block: str, press_ctrl_c: Callable[[int], None]
) -> None:
    mark = tmp_path / "mark"
    script = f"""
import pathlib, sys, time
from asyncflags.bridges import ThreadBridge
def job():
    print("running", flush=True)
    time.sleep(6)
    pathlib.Path({str(mark)!r}).touch()
{block}
    bridge.submit(job).result()
"""
    returncode, rest = interrupt(script, tmp_path, press_ctrl_c)
    assert (returncode, rest) == (-signal.SIGINT, "")
    assert not mark.exists()


def test_ctrl_c_in_a_portals_caller_cleans_up_first(
    tmp_path: Path, press_ctrl_c: Callable[[int], None]
) -> None:
    script = """
import asyncio
from asyncflags.bridges import Portal
async def work():
    print("running", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0)
        print("cleaned up", flush=True)
try:
    Portal().call(work)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    assert interrupt(script, tmp_path, press_ctrl_c) == (0, "cleaned up\ninterrupted\n")


FORK = """
import asyncio, os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from asyncflags.bridges import ExecutorBridge, GroupedCalls, Portal, ProcessBridge, ThreadBridge
from asyncflags.errors import BridgeError

async def nothing():
    pass

def attempts(bridge):
    if isinstance(bridge, Portal):
        return [bridge.start, bridge.close, lambda: bridge.call(nothing), lambda: bridge.start_soon(nothing),
                lambda: list(bridge.iterate(nothing))]
    run = [lambda: asyncio.run(bridge.run(abs, -1)), lambda: bridge.submit(abs, -1),
           lambda: asyncio.run(bridge.with_options(on_cancel="wait").run(abs, -1)),
           lambda: list(bridge.stream_sync(abs, [1], in_flight=1))]
    if isinstance(bridge, ThreadBridge):
        run.append(lambda: asyncio.run(GroupedCalls(bridge).run(abs, -1)))
    if isinstance(bridge, ExecutorBridge):
        return run
    return [*run, lambda: list(bridge.map(abs, [1])), bridge.shutdown,
            lambda: asyncio.run(bridge.aclose())]

def refused(attempt):
    try:
        attempt()
    except BridgeError as error:
        return "belongs to the parent process" in str(error) and str(os.getppid()) in str(error)
    return False

if __name__ == "__main__":
    bridges = [ThreadBridge(), ProcessBridge(1), Portal(), ExecutorBridge(ThreadPoolExecutor(1))]
    for bridge in bridges:
        bridge.call(nothing) if isinstance(bridge, Portal) else asyncio.run(bridge.run(abs, -1))
    child = os.fork()
    if not child:
        signal.alarm(20)  # a child that hangs must not outlive the test
        sys.exit(0 if all(refused(attempt) for bridge in bridges for attempt in attempts(bridge)) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    for bridge in bridges:
        bridge.call(nothing) if isinstance(bridge, Portal) else asyncio.run(bridge.run(abs, -1))
"""


def test_a_forked_child_is_refused_by_every_method_and_the_parent_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(FORK)
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr


def test_importing_the_bridges_imports_neither_anyio_nor_multiprocessing(tmp_path: Path) -> None:
    script = """
import sys
import asyncflags.bridges
print([name for name in ("anyio", "uvloop", "multiprocessing", "aiohttp") if name in sys.modules])
"""
    assert run(script, tmp_path).stdout == "[]\n"
