"""Which journal a run keeps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

__all__ = ["INSIDE_NAME", "default_journal", "journal_of"]

INSIDE_NAME = ".asyncflags.journal"
"""Name of a journal that cannot lie beside its folder."""

_ENDING = ".journal"


def journal_of(given: Mapping[str, Any], folder: str) -> str | None:
    """The journal of a run of ``asyncflags get`` into *folder*; ``None``: it keeps none."""
    if given["journal"] is not None:
        return str(given["journal"])
    if given["input_list"] is None or given["no_journal"] or given["dry_run"]:
        return None
    return default_journal(folder)


def default_journal(folder: str) -> str:
    """Where the journal of *folder* lies: beside it, or in it where beside it is no place for it."""
    folder = os.path.abspath(folder)
    parent = os.path.dirname(folder)
    beside, inside = folder + _ENDING, os.path.join(folder, INSIDE_NAME)
    # The one that is there goes on, from wherever the command is called.
    for path in (beside, inside):
        if os.path.lexists(path):
            return path
    if parent == folder or os.path.realpath(folder) == os.path.realpath(os.getcwd()):
        return inside
    return beside if _may_write(parent) else inside


def _may_write(folder: str) -> bool:
    """Whether files can be made in *folder*, or in the nearest one above it if it is yet to be made."""
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK | os.X_OK)
