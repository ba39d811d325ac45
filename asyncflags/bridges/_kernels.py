"""Cells of a notebook, which run inside the loop of their kernel and may block it, as any long cell does."""

from __future__ import annotations

import builtins
import sys


def is_kernel_cell() -> bool:
    """Whether this code runs in a cell of an IPython kernel; IPython itself is not imported."""
    find = getattr(builtins, "get_ipython", None)
    if find is None and "IPython" in sys.modules:
        find = getattr(sys.modules["IPython"], "get_ipython", None)
    return find is not None and getattr(find(), "kernel", None) is not None
