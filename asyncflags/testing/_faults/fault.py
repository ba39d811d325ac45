"""What one misbehaviour is: a path, a sentence, a verdict and the script that plays it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

BODY_SIZE = 1000
"""Bytes of every ordinary body."""


class Verdict(StrEnum):
    """What a careful client makes of an answer."""

    WHOLE = "whole"
    """Valid: the client delivers `body_for` of the path."""
    UNPROVABLE = "unprovable"
    """Ends with the connection (RFC 9112 section 6.3, item 8): delivered, but never proven to be whole."""
    TOLERABLE = "tolerable"
    """Wrong in a way that may be repaired or refused; what is delivered, if anything, is `body_for`."""
    RECOVERS = "recovers"
    """Fails at first and is whole when asked again."""
    REFUSAL = "refusal"
    """Well-formed, and no file: an error status, or a redirect that leads nowhere."""
    BROKEN = "broken"
    """Can be told apart as broken: delivering anything is wrong."""
    UNBOUNDED = "unbounded"
    """Never ends by itself, or grows beyond reason: only the client's own limits stop it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyRequest:
    """One request as the misbehaving origin saw it.

    Attributes:
        method: As sent.
        target: The request target as sent, query included.
        headers: Names in lower case; the values of repeated fields are joined with a comma.
        base_url: The listener that was asked, without a trailing slash.
        other_url: The listener that was not.
        visit: How often this path was asked for, this time included, on both listeners.
        connection: Number of the connection, from 1.
        turn: Number of the request on its connection, from 1.
        interval: Seconds between two writes of a script that drips.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    base_url: str
    other_url: str
    visit: int
    connection: int
    turn: int
    interval: float

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target's query, without the question mark."""
        return self.target.partition("?")[2]


Script: TypeAlias = "Callable[[asyncio.StreamReader, asyncio.StreamWriter, FaultyRequest], Awaitable[None]]"
"""Plays one answer. When it returns with the writer still open, the connection takes a next request."""

Content: TypeAlias = "Callable[[], bytes]"
"""Makes a body when it is needed, because some are too large to keep."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour of the origin.

    Attributes:
        path: Where it is served, with the leading slash.
        sentence: What happens, in one sentence.
        verdict: What a careful client makes of it.
        script: Plays it.
        content: Makes the body that `body_for` gives; ``None``: the path's default body.
        encoded: Makes the content as it is sent with its content coding; ``None``: there is no coding.
        needs_resume: Whether the body is had in parts only, because the whole is never sent in one answer.
    """

    path: str
    sentence: str
    verdict: Verdict
    script: Script = field(repr=False)
    content: Content | None = field(default=None, repr=False, kw_only=True)
    encoded: Content | None = field(default=None, repr=False, kw_only=True)
    needs_resume: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The path without its leading slash."""
        return self.path.removeprefix("/")

    @property
    def broken(self) -> bool:
        """Whether the answer itself can be told apart as broken."""
        return self.verdict is Verdict.BROKEN


def default_body(path: str) -> bytes:
    """Make the body of an ordinary path: 1,000 ASCII bytes which differ from path to path.

    Bodies differ so that a test notices when one answer is taken for another. Percent-encoding is undone
    first, because clients differ in how they spell a path.
    """
    return hashlib.shake_128(unquote_to_bytes(path)).hexdigest(BODY_SIZE // 2).encode()
