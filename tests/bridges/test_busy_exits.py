"""The interpreter ends while other threads still call, wait and start: it never hangs, and says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE = 40

# Daemon threads that call and wait for ever, each in its own way, while the main thread leaves.
HEAD = """
import asyncio, threading, time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from asyncflags.bridges import ExecutorBridge, Portal, ProcessBridge, ThreadBridge
from asyncflags.errors import BridgeError

seen = threading.Semaphore(0)

async def nothing():
    await asyncio.sleep(0)

async def numbers():
    number = 0
    while True:
        yield number
        number += 1
        await asyncio.sleep(0)

def again_and_again(work):
    try:
        while True:
            work()
            seen.release()
    except (BridgeError, CancelledError, RuntimeError):
        # Too late is too late, and the standard's own words for it count too.
        pass

def keep_calling(*works):
    for work in works:
        threading.Thread(target=again_and_again, args=(work,), daemon=True).start()
    for _ in range(20 * len(works)):
        assert seen.acquire(timeout=20)
"""

SCRIPTS = {
    "thread": """
bridge = ThreadBridge(2)
keep_calling(lambda: bridge.submit(abs, -1).result(), lambda: asyncio.run(bridge.run(abs, -1)),
             lambda: list(bridge.stream_sync(abs, range(9), in_flight=3)))
""",
    "process": """
bridge = ProcessBridge(2)
keep_calling(lambda: bridge.submit(abs, -1).result(), lambda: asyncio.run(bridge.run(abs, -1)),
             lambda: list(bridge.stream_sync(abs, range(9), in_flight=3)))
""",
    "executor": """
bridge = ExecutorBridge(ThreadPoolExecutor(2), max_in_flight=1)
keep_calling(lambda: bridge.submit(abs, -1).result(), lambda: asyncio.run(bridge.run(abs, -1)))
""",
    "portal": """
portal = Portal(grace=0.5)
keep_calling(lambda: portal.call(nothing), lambda: portal.start_soon(nothing).result())
threading.Thread(target=again_and_again, args=(lambda: list(portal.iterate(numbers)),), daemon=True).start()
""",
    "many portals": """
def use():
    with Portal() as portal:
        portal.call(nothing)
keep_calling(use, use, use)
""",
    "processes that only start": """
def use():
    with ProcessBridge(1) as bridge:
        bridge.submit(abs, -1).result()
threads = [threading.Thread(target=again_and_again, args=(use,), daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
assert seen.acquire(timeout=20)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_ends_while_daemon_threads_go_on_calling(tmp_path: Path, name: str) -> None:
    path = tmp_path / "script.py"
    body = "".join(f"    {line}\n" for line in SCRIPTS[name].strip().splitlines())
    path.write_text(f'{HEAD}\nif __name__ == "__main__":\n{body}    print("left", flush=True)\n')
    ended = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "left\n", "")
