"""The machine a benchmark runs on: what to say of it, and what of its settings to keep from the clients."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

MEMORY = Path("/dev/shm")
"""Files here are in memory, so that the file system does not hide the client."""


def describe() -> str:
    """Date, processor, system, Python and how busy all of it is, in one line."""
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return (
        f"{dt.datetime.now(dt.UTC).date()}, {os.cpu_count()} x {processor()}, {system}, "
        f"Python {platform.python_version()}, load {load}"
    )


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    return processor_in(text) or platform.machine()


def processor_in(text: str) -> str:
    """The model that ``/proc/cpuinfo`` names first; empty if it names none."""
    names = (line.partition(":")[2] for line in text.splitlines() if line.startswith("model name"))
    return " ".join(next(names, "").split())


class Elsewhere:
    """How busy other programs keep the machine, from the making of this object on.

    What this process used counts as ours, and what its children used once they have been waited for.
    """

    def __init__(self) -> None:
        self._busy, self._ours, self._began = busy_seconds(), our_seconds(), time.monotonic()

    def told(self) -> str:
        """The share in words; empty where the system does not tell."""
        busy = busy_seconds()
        if busy is None or self._busy is None:
            return ""
        ours = our_seconds() - self._ours
        room = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        share = max(0.0, busy - self._busy - ours) / room
        return f"Other programs used {share:.0%} of the processors meanwhile."


def our_seconds() -> float:
    return sum(os.times()[:4])


def busy_seconds() -> float | None:
    """Seconds of all processors together in which they were not idle; ``None``: unknown."""
    try:
        text = Path("/proc/stat").read_text(encoding="ascii")
    except OSError:
        return None
    return busy_ticks_in(text) / os.sysconf("SC_CLK_TCK")


def busy_ticks_in(text: str) -> int:
    """The ticks of the first line of ``/proc/stat`` that were spent by programs or for them."""
    user, nice, system, _, _, interrupts, soft_interrupts, *_ = map(int, text.partition("\n")[0].split()[1:])
    return user + nice + system + interrupts + soft_interrupts


def peak_in(text: str) -> int:
    """Bytes that ``/proc/PID/status`` tells as the largest resident size; 0: it does not tell."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def loopback_only(environment: Mapping[str, str], authority: Path | None) -> dict[str, str]:
    """*environment* without proxies; clients that have no option for it find the certificate to trust there."""
    kept = {name: value for name, value in environment.items() if not name.lower().endswith("_proxy")}
    if authority is not None:
        kept |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(authority))
    return kept


def scratch_folder(room: int) -> Path:
    """Where to write files of *room* bytes in all: in memory if there is as much, else on the disk."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > room:
        return MEMORY
    return Path(tempfile.gettempdir())


def show(text: str) -> None:
    """What is going on, for a person who waits at a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:50}\r", end="", file=sys.stderr, flush=True)
