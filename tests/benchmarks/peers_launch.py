"""Run one command and tell what it took, from a process so small that it hides no small client's memory.

``python -I -S peers_launch.py LOG PATIENCE COMMAND...`` writes what the command prints to LOG, gives it PATIENCE
seconds, and prints one JSON object: ``wall`` and ``cpu`` in seconds, ``peak`` in bytes, ``exit_code``.

The largest resident size of a process counts from before ``exec``, so that of a client which a large process
starts is never below the large one's. This program imports little and forks, which keeps that floor low. It adopts
orphans, so that the time of a process counts whose parent did not wait for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


def adopt_orphans() -> None:
    """On Linux: become the parent of processes that lose theirs, and end with the one who started us."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start(command: list[str], log: str) -> tuple[int, int]:
    """Fork a child in a group of its own, which becomes *command* once the returned descriptor is closed."""
    gate, opener = os.pipe()
    child = os.fork()
    if child:
        os.close(gate)
        return child, opener
    try:
        os.setpgid(0, 0)
        # Python ignores it, and what it starts would too.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.close(opener)
        # The terminal's too, because a client that finds one there draws bars.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(1, 2)
        os.read(gate, 1)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def wait(child: int, opener: int) -> dict[str, float]:
    """Let *child* go, and wait for it and for all it leaves behind."""
    found = {"wall": 0.0, "cpu": 0.0, "peak": 0, "exit_code": -1}
    started = time.perf_counter()
    os.close(opener)
    while True:
        try:
            process, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return found
        found["cpu"] += usage.ru_utime + usage.ru_stime
        found["peak"] = max(found["peak"], usage.ru_maxrss * BYTES_OF_MAXRSS)
        if process == child:
            found["wall"] = time.perf_counter() - started
            found["exit_code"] = os.waitstatus_to_exitcode(status)


def main() -> None:
    log, patience, *command = sys.argv[1:]
    adopt_orphans()
    child, opener = start(command, log)

    def end_all(number: int, frame: object) -> None:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            # The child has not made its group yet, or nothing is left of it.
            os.kill(child, signal.SIGKILL)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end_all)
    signal.setitimer(signal.ITIMER_REAL, float(patience))
    print(json.dumps(wait(child, opener)))


if __name__ == "__main__":
    main()
