"""What a bridge says in a process that was forked from its own."""

from __future__ import annotations

import os

from asyncflags.errors import BridgeError


def refuse_in_child(name: str, owner: int) -> None:
    """Raise in a process that inherited a bridge by ``fork``.

    A child of ``fork`` has the memory of its parent and none of its threads, so a call handed to an
    inherited bridge would wait for ever.

    Args:
        name: The class the message speaks of.
        owner: Identifier of the process that made the bridge.

    Raises:
        BridgeError: This process is not the owner.
    """
    if os.getpid() != owner:
        raise BridgeError(
            f"This {name} belongs to the parent process {owner}: its threads and its loop did not come along "
            f"when process {os.getpid()} was forked. Make a new {name} in the child process."
        )
