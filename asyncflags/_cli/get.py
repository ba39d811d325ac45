"""``asyncflags get``: download URLs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from asyncflags._cli.complaints import complain
from asyncflags._cli.options import Plan, get_options, make_plan
from asyncflags._cli.sections import CONTEXT_SETTINGS, SectionedCommand

if TYPE_CHECKING:
    from asyncflags._cli.input_list import OpenList


# The \b keeps click from filling the paragraph after it.
_HELP = """Download URLs, each to a file named after it.

Paths of finished files go to standard output, all else to standard error.

\b
asyncflags get https://example.com/file.iso
asyncflags get -i urls.txt -d files/ -j 200
asyncflags get https://example.com/data.json -o - | jq .

\b
Exit codes: 0 all complete, 1 other, 2 usage or bad URL, 3 disk, 4 network,
5 TLS, 6 login needed, 7 protocol, 8 error answer, 9 checksum,
130 interrupted. Of several failures the lowest code above 1 wins.
"""


@click.command("get", cls=SectionedCommand, help=_HELP, context_settings=CONTEXT_SETTINGS)
@click.argument("urls", nargs=-1, metavar="URL...")
@get_options
def get(**given: Any) -> int:
    """Download what the command line says."""
    plan = make_plan(given)
    if given["insecure"]:
        complain("warning: certificates are not verified (-k), anybody may pose as the server")
    from asyncflags._cli.input_list import open_list

    # Opened before the loop runs: on a named pipe this waits for the writer, and Ctrl-C must end that.
    with nullcontext() if plan.input_list is None else open_list(plan.input_list) as opened:
        return _follow(plan, opened)


def _follow(plan: Plan, opened: OpenList | None) -> int:
    if plan.dry_run:
        from asyncflags._cli.dry_run import tell

        return tell(plan, opened)
    from asyncflags._cli.downloads import get_all
    from asyncflags._cli.running import run

    return run(lambda interruption: get_all(plan, opened, interruption))
