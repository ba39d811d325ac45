"""How many bytes of bodies may be in memory between the network and the disk, over all downloads of a client.

Every body has a claim to one block, so that each one always goes on and none waits for another. What lies beyond
that, a second block that gathers while the first one is written, comes out of the budget; where there is none left,
the network of that body stands still for as long as its own block takes to write. So nothing can wait in a circle.
"""

from __future__ import annotations

__all__ = ["DEFAULT_MEMORY", "LARGEST_BLOCK", "SMALLEST_BLOCK", "Budget"]

DEFAULT_MEMORY = 256 << 20
"""Bytes, where nobody says how many."""

LARGEST_BLOCK = 1 << 18
"""Bytes; beyond this a larger block makes nothing faster."""

SMALLEST_BLOCK = 1 << 14
"""Bytes; below this a body costs more calls than it is worth."""


class Budget:
    """Counts the bytes of bodies that are in memory.

    `used` passes `limit` only by what the claims of the bodies alone come to: one block for each, and the rest of
    a piece that a transport hands over in one.

    Args:
        limit: Bytes for all bodies together.
        holders: How many bodies there are at once, at most. With many, blocks are smaller, so that the claims
            of all stay within half of the limit for as long as a block is worth its calls.

    Attributes:
        limit: As given.
        block: Bytes of one block.
        used: Bytes held now.

    Raises:
        ValueError: An argument is less than 1.
    """

    __slots__ = ("block", "limit", "used")

    def __init__(self, limit: int = DEFAULT_MEMORY, *, holders: int = 64) -> None:
        if limit < 1 or holders < 1:
            raise ValueError(f"limit and holders must be at least 1, not {limit} and {holders}")
        self.limit = limit
        share = limit // (2 * holders)
        # A power of two, as memory is handed out.
        self.block = min(LARGEST_BLOCK, max(SMALLEST_BLOCK, 1 << max(0, share.bit_length() - 1)))
        self.used = 0

    @property
    def has_room(self) -> bool:
        """Whether a block beyond a claim may be taken."""
        return self.used + self.block <= self.limit
