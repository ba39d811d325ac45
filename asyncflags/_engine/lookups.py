"""Host names, looked up on threads that do nothing else, each once at a time, and remembered.

The system's resolver blocks for as long as it likes and cannot be stopped. Look-ups that take long therefore do not
count among those that may run at once, up to a bound, so that names whose servers are silent hold up no others; and
after a time a look-up is given up, and what it finds later is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from asyncflags._policies.dns_cache import Addresses, DnsCache, DnsRules, Refusal
from asyncflags._transports.names import is_temporary
from asyncflags.bridges.threads import ThreadBridge

if TYPE_CHECKING:
    from asyncflags._transports.base import AddressInfo

__all__ = ["LookupRules", "Lookups"]

Name: TypeAlias = tuple[str, int]
"""Host name and address family; the port has no say in where a host is."""

LookUp: TypeAlias = "Callable[[str, int], Sequence[AddressInfo]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupRules:
    """How many look-ups run, and for how long.

    Attributes:
        threads: Look-ups at once, those that take long left out.
        slow: Seconds after which a look-up takes long.
        most_threads: Look-ups at once, those that take long included.
        patience: Seconds after which nobody waits any more for a look-up, counted from when it was asked for.
        most_stuck: Look-ups of one name that were given up and still run; with so many, no further one begins.
        dns: What is remembered.
    """

    threads: int = 16
    slow: float = 0.5
    most_threads: int = 64
    patience: float = 30.0
    most_stuck: int = 2
    dns: DnsRules = field(default_factory=DnsRules)


class _Question:
    """One look-up, and those who wait for it."""

    __slots__ = ("is_given_up", "is_running", "is_slow", "name", "patience", "slowness", "waiting")

    def __init__(self, name: Name, patience: asyncio.TimerHandle) -> None:
        self.name = name
        self.waiting: set[asyncio.Future[Addresses[AddressInfo]]] = set()
        self.is_running = self.is_slow = self.is_given_up = False
        self.patience = patience
        self.slowness: asyncio.TimerHandle | None = None


class Lookups:
    """Asks the system for the addresses of host names. Belongs to the loop in which it is used.

    On threads of its own: behind other blocking work a look-up would wait for what has nothing to do with it.

    Args:
        look_up: Asks the resolver; called in a thread as ``look_up(host, family)``, and raises `OSError` as
            `socket.getaddrinfo` does.
        clock: Tells the seconds that answers live for.
        rules: How many, for how long.
    """

    def __init__(
        self,
        look_up: LookUp | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rules: LookupRules | None = None,
    ) -> None:
        self._look_up = look_up if look_up is not None else _getaddrinfo
        self._clock = clock
        self._rules = rules = rules if rules is not None else LookupRules()
        self._cache: DnsCache[AddressInfo] = DnsCache(_family_of, rules.dns)
        self._threads = ThreadBridge(rules.most_threads, name="asyncflags-dns")
        self._questions: dict[Name, _Question] = {}
        # Ordered, because the first in line may be far behind many that were taken out.
        self._queue: OrderedDict[_Question, None] = OrderedDict()
        self._stuck: Counter[Name] = Counter()
        self._running = 0
        self._slow = 0

    async def resolve(self, host: str, port: int, family: int) -> Sequence[AddressInfo]:
        """The addresses of *host*, as `socket.getaddrinfo` tells them; each caller begins with another one.

        Args:
            host: Name, or address, which is not looked up.
            port: Is put into what is returned.
            family: `socket.AF_INET`, `socket.AF_INET6`, or 0 for both.

        Raises:
            OSError: As getaddrinfo does. Also when the resolver does not answer in time, as
                `socket.gaierror` of the kind that passes.

        Cancellation: Takes effect at once; the look-up goes on for others, and for the memory.
        """
        literal = _literal(host, port)
        if literal is not None:
            return [literal]
        name = (host, family)
        now = self._clock()
        known = self._cache.find(name, now)
        if known is None:
            known = await self._answer(name)
        elif self._cache.wants_refresh(name, now) and self._may_ask(name):
            # What is known serves meanwhile.
            self._ask(name)
            self._begin()
        if isinstance(known, Refusal):
            raise _again(known.reason)
        return [_with_port(row, port) for row in known.turned()]

    async def aclose(self) -> None:
        """End the threads; those that the system holds up end when it lets go of them."""
        for question in list(self._questions.values()):
            self._end(question, OSError("the downloader was closed"))
            if question.slowness is not None:
                question.slowness.cancel()
        if self._running:
            # A look-up in flight can take the system half a minute and holds nothing of ours.
            self._threads.shutdown(wait=False, cancel_futures=True)
        else:
            await self._threads.aclose()

    async def _answer(self, name: Name) -> Addresses[AddressInfo]:
        """Have *name* looked up, together with all others who want to know."""
        if self._stuck[name] >= self._rules.most_stuck:
            raise socket.gaierror(
                socket.EAI_AGAIN,
                f"the resolver still owes {self._stuck[name]} answers for it and is not asked again",
            )
        question = self._questions.get(name) or self._ask(name)
        waiting: asyncio.Future[Addresses[AddressInfo]] = asyncio.get_running_loop().create_future()
        question.waiting.add(waiting)
        self._begin()
        try:
            return await waiting
        finally:
            question.waiting.discard(waiting)
            if not question.waiting and question in self._queue:
                # Nobody has asked the resolver yet, and nobody wants to know any more.
                self._end(question, None)

    def _may_ask(self, name: Name) -> bool:
        return name not in self._questions and self._stuck[name] < self._rules.most_stuck

    def _ask(self, name: Name) -> _Question:
        """Put *name* into the line of those to look up."""
        question = _Question(name, _later(self._rules.patience, self._give_up, name))
        self._questions[name] = question
        self._queue[question] = None
        return question

    def _begin(self) -> None:
        """Begin what has waited the longest, as far as there are threads."""
        rules = self._rules
        while (
            self._queue and self._running < rules.most_threads and self._running - self._slow < rules.threads
        ):
            question, _ = self._queue.popitem(last=False)
            try:
                # Not `run`, which would wait for the end of a look-up that nobody waits for any more.
                answer = self._threads.submit(self._look_up, *question.name)
            except RuntimeError as error:
                # The system allows no thread.
                self._end(question, OSError(str(error)))
                continue
            question.is_running = True
            question.slowness = _later(rules.slow, self._slowed, question)
            self._running += 1
            answer.add_done_callback(partial(self._tell, asyncio.get_running_loop(), question))

    def _tell(
        self, loop: asyncio.AbstractEventLoop, question: _Question, answer: Future[Sequence[AddressInfo]]
    ) -> None:
        """A thread has an answer."""
        # A closed loop has nobody left who would want to know.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._answered, question, answer)

    def _answered(self, question: _Question, answer: Future[Sequence[AddressInfo]]) -> None:
        assert question.slowness is not None
        question.slowness.cancel()
        self._running -= 1
        self._slow -= question.is_slow
        if self._questions.get(question.name) is question:
            self._learn(question, answer)
        elif question.is_given_up:
            # What it found is late: a look-up that was asked for after it may know better.
            self._stuck[question.name] -= 1
            self._stuck += Counter()
        self._begin()

    def _learn(self, question: _Question, answer: Future[Sequence[AddressInfo]]) -> None:
        error = answer.exception() if not answer.cancelled() else OSError("the look-up was dropped")
        if error is None and not (rows := answer.result()):
            error = socket.gaierror(socket.EAI_NONAME, "the resolver knows no address of it")
        if error is None:
            addresses = self._cache.learn(question.name, rows, self._clock())
            for waiting in question.waiting:
                if not waiting.done():
                    waiting.set_result(addresses)
            self._end(question, None)
            return
        if isinstance(error, OSError):
            self._refuse(question.name, error)
        self._end(question, error)

    def _refuse(self, name: Name, error: OSError) -> None:
        # Without its traceback, which would keep what it went through alive.
        reason = (type(error), error.args)
        self._cache.refuse(name, reason, self._clock(), is_temporary=is_temporary(error))

    def _slowed(self, question: _Question) -> None:
        """This one takes long; another one may run beside it."""
        question.is_slow = True
        self._slow += 1
        self._begin()

    def _give_up(self, name: Name) -> None:
        question = self._questions[name]
        why = "has not answered" if question.is_running else "was too busy to be asked"
        error = socket.gaierror(socket.EAI_AGAIN, f"the resolver {why} within {self._rules.patience:g} s")
        if question.is_running:
            question.is_given_up = True
            self._stuck[name] += 1
        self._refuse(name, error)
        self._end(question, error)

    def _end(self, question: _Question, error: BaseException | None) -> None:
        """The question is settled, and whoever still waits for it gets *error*."""
        question.patience.cancel()
        del self._questions[question.name]
        self._queue.pop(question, None)
        for waiting in question.waiting:
            if not waiting.done():
                assert error is not None
                # One for each, because each adds to the traceback of its own.
                waiting.set_exception(_again((type(error), error.args)))


def _again(reason: object) -> BaseException:
    """A new error for one that several have to hear of."""
    kind, args = cast("tuple[type[BaseException], tuple[object, ...]]", reason)
    return kind(*args)


def _later(seconds: float, call: Callable[..., None], *args: object) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call, *args)


def _family_of(row: AddressInfo) -> int:
    return row[0]


def _with_port(row: AddressInfo, port: int) -> AddressInfo:
    family, kind, protocol, canonical, address = row
    if len(address) == 2:
        return family, kind, protocol, canonical, (address[0], port)
    return family, kind, protocol, canonical, (address[0], port, address[2], address[3])


def _literal(host: str, port: int) -> AddressInfo | None:
    """The row for an address that is written out; ``None``: *host* is a name, or names a zone of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)
    if "%" in host:
        return None
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)


def _getaddrinfo(host: str, family: int) -> list[AddressInfo]:
    return cast("list[AddressInfo]", socket.getaddrinfo(host, None, family, socket.SOCK_STREAM))
