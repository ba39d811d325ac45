"""The command ``asyncflags``: finds the subcommand, and turns a refusal into one sentence and an exit code.

Nothing but click is imported before a subcommand is chosen, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from asyncflags._cli.complaints import Refusal, complain
from asyncflags._cli.sections import CONTEXT_SETTINGS
from asyncflags._version import __version__

__all__ = ["cli", "main"]

_USAGE = 2
_INTERRUPTED = 130
_VERBOSE = re.compile(r"--verbose|-[A-Za-z46]*v")

_COMMANDS = {
    "get": "Download URLs.",
    "retry": "Download again what failed in an earlier run.",
    "report": "Tell what became of each URL of a run.",
    "demo": "Fetch the flags of the world in three styles, side by side.",
    "completion": "Print the script that completes asyncflags in a shell.",
}


class Shell(click.Group):
    """A group whose subcommands are modules, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"asyncflags._cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if "://" in args[0] and not ctx.resilient_parsing:
            ctx.fail("a command is missing before the URL: write asyncflags get URL")
        if not args[0].startswith("-") and args[0] not in _COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {args[0]!r}, only {', '.join(_COMMANDS)}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> None:
        """Run the command and leave with its exit code; nothing ever ends in a traceback."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name or "asyncflags", **extra)
        except click.ClickException as error:
            complain(_sentence(error))
            code = error.code if isinstance(error, Refusal) else error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = _INTERRUPTED
        except Exception as error:  # noqa: BLE001
            # Whatever this is, the person at the prompt is owed a sentence in place of a traceback.
            code = _report_unexpected(error, sys.argv[1:] if args is None else args)
        sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: click.ClickException) -> str:
    if type(error) is click.BadParameter and error.param is not None:
        return f"{'/'.join(error.param.opts)}: {error.message}"
    return error.format_message()


def _report_unexpected(error: Exception, arguments: Sequence[str]) -> int:
    from asyncflags._cli.exit_codes import code_of

    # The options were not necessarily parsed when the error came.
    verbose = any(_VERBOSE.fullmatch(argument) for argument in arguments)
    way_out = "please report it, with the lines above" if verbose else "run again with -v for the details"
    if verbose:
        traceback.print_exception(error)
    complain(f"this should not have happened: {type(error).__name__}: {error}; {way_out}")
    return code_of(error)


# The \b keeps click from filling the paragraph after it.
_HELP = """Download over HTTP: one file or ten million.

\b
asyncflags get https://example.com/file.iso
asyncflags get -i urls.txt -d files/
"""


@click.group(cls=Shell, help=_HELP, context_settings=CONTEXT_SETTINGS)
@click.version_option(__version__, prog_name="asyncflags", message="%(prog)s %(version)s")
def cli() -> None:
    """Hold the subcommands."""


def main() -> None:
    """The entry point of the shell command."""
    _occupy_standard_descriptors()
    cli()


def _occupy_standard_descriptors() -> None:
    """Keep sockets and files off the numbers 0 to 2, which a caller may hand down closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)
