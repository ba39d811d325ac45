"""A command whose help groups its options under headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["CONTEXT_SETTINGS", "SectionedCommand", "option"]

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Of every command, so that its help is the same whichever way it is reached."""

_COLUMN = 28


class SectionedOption(click.Option):
    """An option that knows the heading it stands under."""

    def __init__(self, *arguments: Any, section: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class SectionedCommand(click.Command):
    """Writes each option under its heading, in the order in which the headings first come."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                # Padded, so that the texts of all sections begin in one column.
                padded = (record[0].ljust(_COLUMN), record[1])
                sections.setdefault(getattr(parameter, "section", "Help"), []).append(padded)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=_COLUMN)


def option(section: str, *names: str, **attributes: Any) -> Callable[[F], F]:
    """`click.option` under the heading *section*."""
    return click.option(*names, cls=SectionedOption, section=section, **attributes)
