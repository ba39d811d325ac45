"""Gates and loop steps: what tests of timing stand on instead of sleeping."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from asyncflags import Event
from asyncflags._engine.host_rules import HostRules
from asyncflags._engine.hosts import Hosts
from asyncflags._policies.backing_off import BackingOffRules
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.circuits import CircuitRules
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.bridges.threads import ThreadBridge

STUCK_SECONDS = 10.0
"""Nothing here takes longer unless it hangs."""


def decisions(events: Iterable[Event]) -> list[Event]:
    """What was decided on the way, the end of each download left out."""
    return [event for event in events if event.kind not in ("finished", "failed")]


def make_impatient(hosts: Hosts, initial: float = 0.0, **rules: Any) -> None:
    """Let a host that refuses be asked again at once, or soon."""
    back_off = BackingOffRules(pauses=Backoff(initial=initial))
    circuit = CircuitRules(pauses=Backoff(initial=initial), patience=0.0)
    chosen: dict[str, Any] = {"back_off": back_off, "circuit": circuit}
    hosts.rules = HostRules(**(chosen | rules))


class Gate:
    """Holds a blocking call until it is opened, and tells when one has arrived."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.opened = threading.Event()
        self.held = 0

    def hold(self) -> None:
        self.held += 1
        self.arrived.set()
        try:
            assert self.opened.wait(STUCK_SECONDS), "the gate was never opened"
        finally:
            self.held -= 1


async def until(condition: Callable[[], bool]) -> None:
    """Turn the loop until *condition* holds."""
    async with asyncio.timeout(STUCK_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def parts(folder: Path) -> list[str]:
    """Part files below *folder*."""
    return sorted(path.name for path in folder.rglob("*.part*"))


def serving(body: bytes | list[Any] = b"flag", **more: Any) -> MockTransport:
    """A transport that answers every URL with *body*."""
    return MockTransport(lambda request: MockResponse(body=body, **more))


def settle_threads(*bridges: ThreadBridge) -> None:
    """Wait until no thread of *bridges* has anything to do, so that a loop step means the same in each run."""
    deadline = time.monotonic() + STUCK_SECONDS
    while any(bridge._crew._unfinished for bridge in bridges):
        assert time.monotonic() < deadline, "a thread is stuck"
        time.sleep(0)


async def step(*bridges: ThreadBridge) -> None:
    """One turn of the loop, after which no thread is busy."""
    await asyncio.sleep(0)
    settle_threads(*bridges)
