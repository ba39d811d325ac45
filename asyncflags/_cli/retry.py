"""``asyncflags retry``: download again what failed in an earlier run."""

from __future__ import annotations

from typing import Any

import click

from asyncflags._cli.complaints import Refusal, complain
from asyncflags._cli.exit_codes import STORAGE
from asyncflags._cli.get import get
from asyncflags._cli.options import make_retry_plan
from asyncflags._cli.sections import CONTEXT_SETTINGS, SectionedCommand

# What a journal knows of its own run, and what speaks of one URL.
_NOT_OF_RETRY = frozenset(
    {
        "checksum", "dry_run", "file", "folder", "input_list", "journal", "layout", "mirrors", "no_journal",
        "urls",
    }
)  # fmt: skip

# The \b keeps click from filling the paragraph after it.
_HELP = """Download again what failed in an earlier run, into the same folder.

JOURNAL is the file that get -i, or get --journal, left. What was never finished is downloaded too; what is
done stays as it is. Paths and exit codes are those of get.

\b
asyncflags retry files.journal
asyncflags retry files.journal --retries 20 --per-host 2
"""


@click.command(
    "retry",
    cls=SectionedCommand,
    help=_HELP,
    context_settings=CONTEXT_SETTINGS,
    params=[
        click.Argument(["journal"], metavar="JOURNAL", type=click.Path(path_type=str)),
        *(each for each in get.params if each.name not in _NOT_OF_RETRY),
    ],
)
def retry(journal: str, **given: Any) -> int:
    """Read where the journal's downloads go, and run it again."""
    from asyncflags._cli.downloads import get_all
    from asyncflags._cli.running import run

    folder, withheld = _look_into(journal)
    plan = make_retry_plan(given, journal, folder)
    if withheld:
        complain(
            f"{withheld} of the downloads need credentials of their own, which are not kept in the journal: "
            "give their list again with get -i"
        )
    return run(lambda interruption: get_all(plan, None, interruption))


def _look_into(journal: str) -> tuple[str, int]:
    """The folder of a journal, and how many of its downloads need what it does not keep."""
    from asyncflags._storage.journal_reading import JournalReader
    from asyncflags.errors import StorageError

    try:
        with JournalReader(journal) as reader:
            folder, withheld = reader.folder, reader.withheld()
    except StorageError as error:
        raise Refusal(error.message, STORAGE) from None
    if folder is None:
        raise Refusal(f"{journal} has no run yet: begin one with get -i LIST --journal {journal}", STORAGE)
    return folder, withheld
