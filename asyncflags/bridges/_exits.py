"""What becomes of workers when their parent exits or forks."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol


class Parent(Protocol):
    """Whoever has workers."""

    def leave_at_exit(self) -> None:
        """End every worker now; nobody waits any more."""
        ...

    def forget_inherited(self) -> None:
        """Close what this child of ``fork`` has inherited, so that workers see their real parent end."""
        ...


_parents: weakref.WeakSet[Parent] = weakref.WeakSet()
_registered = False


def register(parent: Parent) -> None:
    """Have *parent* told of the interpreter's exit and, in the child, of a ``fork``."""
    global _registered
    _parents.add(parent)
    if not _registered:
        _registered = True
        # It waits for processes at the exit. Ours has to end them before, and so to be registered after.
        import multiprocessing.util  # noqa: F401

        atexit.register(_leave_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_all)


def _leave_all() -> None:
    for parent in tuple(_parents):
        parent.leave_at_exit()


def _forget_all() -> None:
    for parent in tuple(_parents):
        parent.forget_inherited()
