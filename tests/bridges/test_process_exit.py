"""What becomes of the workers when their parent ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PATIENCE = 20

# Far longer than any test waits: what ends before was ended by somebody.
BURN = "10**11"

HEADER = """
import asyncio, atexit, os, signal, sys, threading, time
from asyncflags.bridges import ProcessBridge
from asyncflags.errors import BridgeError
"""

MAIN = """
def burn():
    # In one piece, because two workers say so at the same time.
    os.write(1, f"running {{os.getpid()}}\\n".encode())
    sum(range({burn}))

if __name__ == "__main__":
"""


def write(folder: Path, body: str, functions: str = "") -> Path:
    path = folder / "script.py"
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    path.write_text(HEADER + functions + MAIN.format(burn=BURN) + indented)
    return path


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def run(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )


@contextlib.contextmanager
def started(path: Path, lines: int = 1) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start a script and yield it with all its descendants, once it has printed so many lines."""
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        descendants: list[psutil.Process] = []
        try:
            assert process.stdout is not None
            for _ in range(lines):
                assert process.stdout.readline().startswith("running")
            descendants += psutil.Process(process.pid).children(recursive=True)
            yield process, descendants
        finally:
            process.kill()
            for descendant in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    descendant.kill()


def assert_gone(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + PATIENCE
    while alive := [process for process in processes if runs(process)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)


def runs(process: psutil.Process) -> bool:
    """Whether it does; in a container without an init process that reaps them, the dead stay as zombies."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "body",
    [
        "bridge = ProcessBridge(2)\nbridge.submit(burn)\nbridge.submit(burn)\ntime.sleep(3600)",
        """
async def main():
    bridge = ProcessBridge(2)
    await asyncio.gather(bridge.run(burn), bridge.run(burn))
asyncio.run(main())
""",
    ],
    ids=["portal", "loop"],
)
def test_workers_stuck_in_c_code_end_with_a_parent_that_is_killed(tmp_path: Path, body: str) -> None:
    with started(write(tmp_path, body), lines=2) as (process, descendants):
        assert len(descendants) >= 3
        process.send_signal(signal.SIGKILL)
        assert_gone(descendants)


def test_idle_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    body = """
bridge = ProcessBridge(1)
bridge.submit(abs, -1).result()
print("running", flush=True)
time.sleep(3600)
"""
    with started(write(tmp_path, body)) as (process, descendants):
        process.send_signal(signal.SIGKILL)
        assert_gone(descendants)


def test_a_worker_whose_parent_is_gone_before_it_has_started_ends() -> None:
    script = """
import os
from asyncflags.bridges._worker import end_with_parent
liveness, parent = os.pipe()
os.close(parent)
end_with_parent(liveness)
print("goes on")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr


def test_what_a_call_has_started_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    functions = """
def start_child():
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "print('running', flush=True); sum(range(10**11))"])
    child.wait()
"""
    body = "ProcessBridge(1).submit(start_child)\ntime.sleep(3600)"
    with started(write(tmp_path, body, functions)) as (process, descendants):
        assert any("-c" in each.cmdline() and "sum(range" in each.cmdline()[-1] for each in descendants)
        process.send_signal(signal.SIGKILL)
        assert_gone(descendants)


def test_a_forked_child_of_the_host_does_not_keep_the_workers_alive(tmp_path: Path) -> None:
    body = """
bridge = ProcessBridge(1)
bridge.submit(abs, -1).result()
if not os.fork():
    time.sleep(3600)
bridge.submit(burn)
time.sleep(3600)
"""
    with started(write(tmp_path, body)) as (process, descendants):
        forked = [
            each for each in descendants if each.ppid() == process.pid and "script.py" in each.cmdline()[-1]
        ]
        assert len(forked) == 1
        # The helpers of the standard library are for whoever holds their pipes, and the forked child does.
        workers = [each for each in descendants if each.ppid() != process.pid]
        assert workers
        process.send_signal(signal.SIGKILL)
        assert_gone(workers)
        assert runs(forked[0])


def test_a_forked_child_that_exits_leaves_the_workers_to_the_parent(tmp_path: Path) -> None:
    body = """
bridge = ProcessBridge(1)
worker = bridge.submit(os.getpid).result()
child = os.fork()
if not child:
    try:
        bridge.submit(abs, -1)
    except BridgeError as error:
        assert "belongs to the parent process" in str(error)
        del bridge
        sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bridge.submit(os.getpid).result() == worker)
bridge.shutdown()
"""
    path = write(tmp_path, body)
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )
    assert (ended.returncode, ended.stdout) == (0, "7 True\n"), ended.stderr


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "bridge.shutdown(wait=False)"])
def test_a_script_that_ends_ends_its_workers_although_they_are_stuck(tmp_path: Path, ending: str) -> None:
    body = f"""
bridge = ProcessBridge(1)
bridge.submit(burn)
while not bridge.stats().running:
    time.sleep(0.01)
time.sleep(0.05)
{ending}
"""
    ended = run(write(tmp_path, body))
    assert (ended.returncode, ended.stderr) == (0, "")
    said, worker = ended.stdout.split()
    assert said == "running"
    with contextlib.suppress(psutil.NoSuchProcess):
        assert_gone([psutil.Process(int(worker))])


def test_a_script_that_ends_ends_even_a_worker_that_has_switched_off_the_signal_of_its_end(
    tmp_path: Path,
) -> None:
    functions = f"""
MARK = {str(tmp_path / "deaf")!r}
def turn_deaf():
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    open(MARK, "w").close()
    burn()
"""
    body = """
bridge = ProcessBridge(1)
bridge.submit(turn_deaf)
while not os.path.exists(MARK):
    time.sleep(0.01)
time.sleep(0.05)
"""
    ended = run(write(tmp_path, body, functions))
    assert (ended.returncode, ended.stderr) == (0, "")
    with contextlib.suppress(psutil.NoSuchProcess):
        worker = psutil.Process(int(ended.stdout.split()[1]))
        try:
            assert_gone([worker])
        finally:
            worker.kill()


def test_a_host_loop_that_ends_with_the_script_leaves_no_noise(tmp_path: Path) -> None:
    body = """
async def main():
    bridges.append(ProcessBridge(1))
    print(await bridges[0].run(abs, -1))
bridges = []
asyncio.run(main())
"""
    ended = run(write(tmp_path, body))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")


@pytest.mark.parametrize(
    "body",
    [
        "with ProcessBridge(1) as bridge:\n    bridge.submit(burn).result()",
        "bridge = ProcessBridge(1)\nbridge.submit(burn).result()",
        """
async def main():
    async with ProcessBridge(1) as bridge:
        await bridge.run(burn)
asyncio.run(main())
""",
    ],
    ids=["with", "without", "async"],
)
def test_ctrl_c_ends_a_script_and_its_stuck_worker(
    tmp_path: Path, body: str, press_ctrl_c: Callable[[int], None]
) -> None:
    with started(write(tmp_path, body)) as (process, descendants):
        press_ctrl_c(process.pid)
        assert process.wait(PATIENCE) in (1, -signal.SIGINT)
        assert_gone(descendants)


def test_what_a_worker_prints_and_its_exit_handlers_are_not_lost_when_it_is_recycled(tmp_path: Path) -> None:
    functions = """
def work():
    from multiprocessing.util import Finalize
    Finalize(None, print, args=("cleaned up",), exitpriority=1)
    print("worked")
"""
    body = "with ProcessBridge(1, max_tasks=1) as bridge:\n    bridge.submit(work).result()"
    ended = run(write(tmp_path, body, functions))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "worked\ncleaned up\n", "")


def test_a_script_without_its_main_guard_is_told_about_it(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        HEADER + "with ProcessBridge(1) as bridge:\n    print(bridge.submit(os.getpid).result())\n"
    )
    ended = run(path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "BridgeError: A worker process ended before it was ready" in ended.stderr
    assert "keep what it runs under `if __name__" in ended.stderr


def test_a_function_typed_at_a_prompt_is_refused_with_the_way_out() -> None:
    script = HEADER + "def cell(): pass\nwith ProcessBridge(1) as bridge:\n    bridge.submit(cell).result()\n"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )
    assert "__main__.cell cannot be sent to a worker process: it is defined in a notebook" in ended.stderr
    assert "Put it into a module file" in ended.stderr
