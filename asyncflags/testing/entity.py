"""An entity that changes between requests and whose answers are cut, as a script of `FaultyOrigin`.

For tests of what a client makes of its parts::

    entity = ChangingEntity([b"one" * 10, b"two" * 10], cuts=[5, 7])
    origin.script("/file", entity)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, TypeAlias

from asyncflags.testing._faults.answers import Ending
from asyncflags.testing._faults.entities import Reply, Validators, send, true_answer, versioned
from asyncflags.testing._faults.fault import FaultyRequest

__all__ = ["ChangingEntity", "IfRange", "Validators"]

IfRange: TypeAlias = Literal["honoured", "unmatched", "ignored"]
"""What If-Range does: what RFC 9110 section 13.1.5 says; never match, so that a range is answered with the whole; or
nothing, so that a range of whatever version there is now is sent.
"""


class ChangingEntity:
    """What is served at one path: another version, and another cut, with each request.

    It is a script for `FaultyOrigin.script`. Requests are counted from 0 as they come, whatever they ask for. The
    request number *n* is answered from ``versions[n]``, as a true origin would answer it that serves this version:
    Range, If-Range, If-Match, If-None-Match and their likes are evaluated as RFC 9110 says.

    Args:
        versions: The bodies; the last one stays. Versions of the same bytes have the same validators.
        cuts: ``cuts[n]`` is the number of bytes of the answer's content after which the connection is cut;
            ``None``, and any request beyond them: the whole answer is sent. A cut at or behind the end of the
            content ends the connection only.
        validators: ``"strong"``: a strong entity tag for each version; ``"weak"``: one weak entity tag that all
            versions share; ``"date"``: Last-Modified alone, long ago and a day apart; ``"none"``.
        if_range: ``"honoured"``, as RFC 9110 section 13.1.5 says; ``"unmatched"``: it never matches, so a range is
            answered with the whole, while If-Match works; ``"ignored"``: the range is sent whatever If-Range says,
            under the validators of the version that it is of.
        ending: How a connection is cut: ``"close"`` (FIN), ``"reset"`` (RST) or ``"stall"`` (silence).

    Attributes:
        requests: Every request, in the order in which they came.

    Raises:
        ValueError: There is no version, or a cut is negative.
    """

    def __init__(
        self,
        versions: Sequence[bytes],
        cuts: Sequence[int | None] = (),
        *,
        validators: Validators = "strong",
        if_range: IfRange = "honoured",
        ending: Ending = "close",
    ) -> None:
        if not versions:
            raise ValueError("an entity has at least one version")
        if any(cut is not None and cut < 0 for cut in cuts):
            raise ValueError("a cut is a number of bytes, 0 or more, or None")
        self.requests: list[FaultyRequest] = []
        self._versions = [versioned(body, versions.index(body) + 1, validators) for body in versions]
        self._cuts = tuple(cuts)
        self._if_range = if_range
        self._ending: Ending = ending

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        """Answer one request, as `FaultyOrigin` asks for it."""
        number = len(self.requests)
        self.requests.append(request)
        await send(reader, writer, request, self._reply(number, request))

    def _reply(self, number: int, request: FaultyRequest) -> Reply:
        resource = self._versions[min(number, len(self._versions) - 1)]
        decided = true_answer(resource, request, without=self._overlooked(request))
        return Reply(decided, self._cuts[number] if number < len(self._cuts) else None, self._ending)

    def _overlooked(self, request: FaultyRequest) -> tuple[str, ...]:
        if self._if_range == "ignored":
            return ("if-range",)
        return ("range",) if self._if_range == "unmatched" and "if-range" in request.headers else ()
