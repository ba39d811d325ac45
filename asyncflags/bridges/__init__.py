"""Leaving the event loop for threads, processes and any executor, and entering one from a thread.

`ThreadBridge` and `ProcessBridge` are executors of the standard library with an awaitable face,
`ExecutorBridge` gives that face to an executor of a third party, and `Portal` is a loop in a thread of its
own. They are useful without a single download.
"""

from __future__ import annotations

from asyncflags.bridges.executors import ExecutorBridge
from asyncflags.bridges.grouped import GroupedCalls
from asyncflags.bridges.payloads import Block, MappedFile
from asyncflags.bridges.portal import Portal
from asyncflags.bridges.processes import ProcessBridge
from asyncflags.bridges.stats import BridgeStats
from asyncflags.bridges.streams import as_completed
from asyncflags.bridges.threads import ThreadBridge

__all__ = [
    "Block",
    "BridgeStats",
    "ExecutorBridge",
    "GroupedCalls",
    "MappedFile",
    "Portal",
    "ProcessBridge",
    "ThreadBridge",
    "as_completed",
]
