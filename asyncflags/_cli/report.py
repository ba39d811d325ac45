"""``asyncflags report``: tell what became of each URL of a run."""

from __future__ import annotations

import sys

import click

from asyncflags._cli.complaints import Refusal, complain
from asyncflags._cli.exit_codes import BROKEN_PIPE, STORAGE
from asyncflags._cli.sections import CONTEXT_SETTINGS, SectionedCommand, option

# The \b keeps click from filling the paragraph after it.
_HELP = """Tell what became of each URL of a run, also while it runs.

JOURNAL is the file that get -i, or get --journal, keeps.

\b
asyncflags report files.journal
asyncflags report files.journal --format json | jq 'select(.state == "failed").url'
asyncflags report files.journal --format parquet -o files.parquet
"""


@click.command("report", cls=SectionedCommand, help=_HELP, context_settings=CONTEXT_SETTINGS)
@click.argument("journal", type=click.Path(path_type=str), metavar="JOURNAL")
@option(
    "Output", "--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table",
    show_default=True, metavar="table|json|csv|parquet",
    help="A table; or for each URL a JSON object on a line, a CSV row or a Parquet row.",
)  # fmt: skip
@option(
    "Output", "-o", "--output", "file", metavar="FILE", type=click.Path(path_type=str, allow_dash=True),
    help="Write to FILE.  [default: standard output]",
)  # fmt: skip
def report(journal: str, form: str, file: str | None) -> int:
    """Print the rows of a journal."""
    from asyncflags._cli.output import silence
    from asyncflags._cli.report_formats import write_report
    from asyncflags._storage.journal_reading import JournalReader
    from asyncflags.errors import StorageError

    try:
        with JournalReader(journal) as reader:
            write_report(reader, form, None if file == "-" else file)
    except BrokenPipeError:
        silence(sys.stdout)
        return BROKEN_PIPE
    except StorageError as error:
        raise Refusal(error.message, STORAGE) from None
    except OSError as error:
        complain(f"cannot write the report: {(error.strerror or str(error)).lower()}")
        return STORAGE
    return 0
