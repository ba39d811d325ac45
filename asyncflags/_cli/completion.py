"""``asyncflags completion``: the script that teaches a shell to complete the command."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from asyncflags._cli.sections import CONTEXT_SETTINGS

_SHELLS = ("bash", "zsh", "fish")


# The \b keeps click from filling the paragraph after it.
_HELP = """Print the script that completes asyncflags in a shell.

\b
bash:  eval "$(asyncflags completion bash)"     in ~/.bashrc
zsh:   eval "$(asyncflags completion zsh)"      in ~/.zshrc
fish:  asyncflags completion fish | source      in config.fish
"""


@click.command("completion", help=_HELP, context_settings=CONTEXT_SETTINGS)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script."""
    found = get_completion_class(shell)
    assert found is not None
    script = found(context.find_root().command, {}, "asyncflags", "_ASYNCFLAGS_COMPLETE")
    # click's own source() for bash starts a bash to look at its version; the script needs no such look.
    click.echo(ShellComplete.source(script))
    return 0
