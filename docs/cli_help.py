"""Keeps the help texts in ``reference/cli.md`` those of the commands: run it after a change to one.

Each stands in a fence under a line such as ``<!-- help: asyncflags get -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("reference") / "cli.md"
_COLUMNS = 80
_FENCE = re.compile(r"(<!-- help: asyncflags ?([a-z]*) -->\n```text\n).*?(^```$)", re.DOTALL | re.MULTILINE)


def with_current_help(page: str) -> str:
    """Return the text of the page with each help text as the command prints it today."""
    return _FENCE.sub(lambda found: found[1] + _help(found[2]) + found[3], page)


def _help(name: str) -> str:
    from asyncflags._cli.main import cli

    settings: dict[str, Any] = {"resilient_parsing": True, "terminal_width": _COLUMNS - 2}
    context = cli.make_context("asyncflags", [], **settings)
    if name:
        command = cli.get_command(context, name)
        assert command is not None
        context = command.make_context(name, [], parent=context, **settings)
    return f"{context.get_help()}\n"


if __name__ == "__main__":
    sys.path.insert(0, str(PAGE.parents[2]))
    PAGE.write_text(with_current_help(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
