"""Sentences for the person at the prompt, on standard error."""

from __future__ import annotations

import click

__all__ = ["Refusal", "complain", "printable", "sentence"]


class Refusal(click.ClickException):
    """The command cannot run as it was asked to.

    Args:
        message: One sentence: what is wrong and what to do.
        code: The exit code of the command.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def printable(text: str) -> str:
    """*text* with ``?`` for what could steer a terminal; servers have a say in many messages."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "?" for each in text)


def sentence(text: str) -> str:
    """The one line that tells *text*."""
    return f"asyncflags: {printable(' '.join(text.splitlines()))}"


def complain(text: str) -> None:
    """Tell *text* at once; for when no download runs."""
    click.echo(sentence(text), err=True)
