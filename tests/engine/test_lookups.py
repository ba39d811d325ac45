"""Look-ups of names: one at a time for each, remembered, and none that hangs holds up the others."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from asyncflags._engine.lookups import LookupRules, Lookups
from asyncflags._policies.dns_cache import DnsRules
from asyncflags._transports.base import AddressInfo
from asyncflags._transports.names import is_temporary

from .waiting import STUCK_SECONDS, until

NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
CANNOT_TELL = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def rows(*addresses: str) -> list[AddressInfo]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


class Resolver:
    """Answers from a script, and can be told to hang; a name that it does not know is ``192.0.2.1``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, list[AddressInfo] | Exception] = {}
        self.hanging: dict[str, threading.Event] = {}
        self.now = 0.0

    def hang(self, *hosts: str) -> threading.Event:
        gate = threading.Event()
        self.hanging.update(dict.fromkeys(hosts, gate))
        return gate

    def release(self) -> None:
        for gate in self.hanging.values():
            gate.set()

    def __call__(self, host: str, family: int) -> Sequence[AddressInfo]:
        self.asked.append(host)
        # What it says is what it knew when it was asked.
        answer = self.answers.get(host, rows("192.0.2.1"))
        if (gate := self.hanging.get(host)) is not None:
            assert gate.wait(STUCK_SECONDS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clock(self) -> float:
        return self.now


class Trial:
    """Look-ups by a scripted resolver."""

    def __init__(self) -> None:
        self.resolver = Resolver()
        self.lookups = self.made()

    def made(self, **rules: Any) -> Lookups:
        made = LookupRules(**{"slow": 60.0, **rules})
        self.lookups = Lookups(self.resolver, clock=self.resolver.clock, rules=made)
        return self.lookups

    async def addresses(self, host: str = "flags.test", port: int = 80) -> list[str]:
        return [str(row[4][0]) for row in await self.lookups.resolve(host, port, 0)]

    async def failure(self, host: str = "flags.test") -> OSError:
        with pytest.raises(OSError) as caught:
            await self.lookups.resolve(host, 80, 0)
        return caught.value


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    running = Trial()
    yield running
    running.resolver.release()
    await until(lambda: not running.lookups._running)
    await running.lookups.aclose()


def asking(trial: Trial, *hosts: str) -> list[asyncio.Task[list[str]]]:
    return [asyncio.ensure_future(trial.addresses(host)) for host in hosts]


async def test_a_name_is_asked_for_once_for_all_ports_and_families_apart(trial: Trial) -> None:
    first = await trial.lookups.resolve("flags.test", 80, 0)
    second = await trial.lookups.resolve("flags.test", 443, 0)
    assert [row[4] for row in (*first, *second)] == [("192.0.2.1", 80), ("192.0.2.1", 443)]
    assert trial.resolver.asked == ["flags.test"]
    await trial.lookups.resolve("flags.test", 80, socket.AF_INET)
    assert len(trial.resolver.asked) == 2


async def test_the_port_goes_into_addresses_of_both_families(trial: Trial) -> None:
    six: AddressInfo = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 7, 3))
    trial.resolver.answers["flags.test"] = [six]
    assert [row[4] for row in await trial.lookups.resolve("flags.test", 81, 0)] == [("fe80::1", 81, 7, 3)]


@pytest.mark.parametrize(
    ("host", "address"), [("192.0.2.7", ("192.0.2.7", 80)), ("2001:db8::7", ("2001:db8::7", 80, 0, 0))]
)
async def test_an_address_is_not_looked_up(trial: Trial, host: str, address: object) -> None:
    assert [row[4] for row in await trial.lookups.resolve(host, 80, 0)] == [address]
    assert trial.resolver.asked == []


async def test_those_who_ask_together_share_one_look_up_and_each_begins_with_another_address(
    trial: Trial,
) -> None:
    trial.resolver.answers["flags.test"] = rows("192.0.2.1", "192.0.2.2")
    found = await asyncio.gather(*asking(trial, *["flags.test"] * 4))
    assert trial.resolver.asked == ["flags.test"]
    assert [each[0] for each in found].count("192.0.2.1") == 2
    assert all(sorted(each) == ["192.0.2.1", "192.0.2.2"] for each in found)


async def test_those_who_ask_in_the_moment_of_expiry_do_not_wait_and_ask_the_resolver_once(
    trial: Trial,
) -> None:
    await trial.addresses()
    trial.resolver.answers["flags.test"] = rows("192.0.2.9")
    trial.resolver.hang("flags.test")
    trial.resolver.now = 61.0
    found = await asyncio.gather(*asking(trial, *["flags.test"] * 8))
    assert found == [["192.0.2.1"]] * 8
    trial.resolver.release()
    await until(lambda: not trial.lookups._questions)
    assert await trial.addresses() == ["192.0.2.9"]
    assert trial.resolver.asked == ["flags.test"] * 2


async def test_what_is_too_old_is_waited_for(trial: Trial) -> None:
    await trial.addresses()
    trial.resolver.answers["flags.test"] = rows("192.0.2.9")
    trial.resolver.now = 121.0
    assert await trial.addresses() == ["192.0.2.9"]


@pytest.mark.parametrize(("error", "seconds"), [(NO_SUCH_NAME, 5.0), (CANNOT_TELL, 1.0)])
async def test_a_failure_is_remembered_for_a_while_and_then_the_host_recovers(
    trial: Trial, error: socket.gaierror, seconds: float
) -> None:
    trial.resolver.answers["flags.test"] = error
    first = await trial.failure()
    trial.resolver.now = seconds - 0.1
    second = await trial.failure()
    assert (type(second), second.args, second is first) == (type(error), error.args, False)
    assert trial.resolver.asked == ["flags.test"]
    del trial.resolver.answers["flags.test"]
    trial.resolver.now = seconds
    assert await trial.addresses() == ["192.0.2.1"]


async def test_all_who_wait_hear_of_a_failure(trial: Trial) -> None:
    trial.resolver.answers["flags.test"] = CANNOT_TELL
    tasks = asking(trial, *["flags.test"] * 3)
    await asyncio.wait(tasks)
    assert [str(task.exception()) for task in tasks] == [str(CANNOT_TELL)] * 3


async def test_a_resolver_that_cannot_tell_for_a_while_is_not_noticed_while_old_addresses_serve(
    trial: Trial,
) -> None:
    await trial.addresses()
    trial.resolver.answers["flags.test"] = CANNOT_TELL
    for trial.resolver.now in (60.0, 60.5, 61.0, 80.0):
        assert await trial.addresses() == ["192.0.2.1"]
        await until(lambda: not trial.lookups._questions)
    # In the moment of expiry, and once a second from then on.
    assert len(trial.resolver.asked) == 1 + 3


async def test_a_resolver_that_finds_nothing_says_that_there_is_no_such_name(trial: Trial) -> None:
    trial.resolver.answers["flags.test"] = []
    assert not is_temporary(await trial.failure())


async def test_an_error_that_is_none_of_the_system_s_reaches_the_caller_and_is_not_remembered(
    trial: Trial,
) -> None:
    trial.resolver.answers["flags.test"] = UnicodeError("label too long")
    with pytest.raises(UnicodeError, match="label too long"):
        await trial.addresses()
    del trial.resolver.answers["flags.test"]
    assert await trial.addresses() == ["192.0.2.1"]


async def test_one_who_is_cancelled_leaves_the_look_up_to_the_others(trial: Trial) -> None:
    gate = trial.resolver.hang("flags.test")
    first, second = asking(trial, "flags.test", "flags.test")
    await until(lambda: bool(trial.resolver.asked))
    first.cancel()
    await asyncio.wait((first,))
    assert first.cancelled()
    gate.set()
    assert await second == ["192.0.2.1"]


async def test_what_the_resolver_finds_when_all_have_left_is_remembered(trial: Trial) -> None:
    gate = trial.resolver.hang("flags.test")
    (only,) = asking(trial, "flags.test")
    await until(lambda: bool(trial.resolver.asked))
    only.cancel()
    await asyncio.wait((only,))
    gate.set()
    assert await trial.addresses() == ["192.0.2.1"]
    assert trial.resolver.asked == ["flags.test"]


async def test_a_look_up_that_waits_for_a_thread_and_that_nobody_wants_any_more_is_not_made(
    trial: Trial,
) -> None:
    trial.made(threads=1)
    trial.resolver.hang("first.test")
    first, second = asking(trial, "first.test", "second.test")
    await until(lambda: bool(trial.resolver.asked))
    second.cancel()
    await asyncio.wait((second,))
    trial.resolver.release()
    await first
    assert await trial.addresses("third.test")
    assert trial.resolver.asked == ["first.test", "third.test"]


async def test_names_whose_servers_are_silent_hold_up_no_other_name(trial: Trial) -> None:
    trial.made(threads=2, most_threads=8, slow=0.005)
    silent = [f"silent-{number}.test" for number in range(6)]
    trial.resolver.hang(*silent)
    tasks = asking(trial, *silent)
    await until(lambda: len(trial.resolver.asked) == 6)
    assert await asyncio.gather(*asking(trial, "a.test", "b.test", "c.test")) == [["192.0.2.1"]] * 3
    trial.resolver.release()
    await asyncio.wait(tasks)


async def test_no_more_look_ups_run_than_are_allowed_however_many_take_long(trial: Trial) -> None:
    trial.made(threads=2, most_threads=4, slow=0.001)
    silent = [f"silent-{number}.test" for number in range(12)]
    trial.resolver.hang(*silent)
    tasks = asking(trial, *silent)
    await until(lambda: len(trial.resolver.asked) == 4)
    await asyncio.sleep(0.01)
    assert (len(trial.resolver.asked), trial.lookups._running) == (4, 4)
    trial.resolver.release()
    assert await asyncio.gather(*tasks) == [["192.0.2.1"]] * 12


async def test_a_resolver_that_hangs_is_waited_for_no_longer_than_allowed(trial: Trial) -> None:
    trial.made(threads=1, most_threads=1, patience=0.01)
    trial.resolver.hang("flags.test")
    errors = await asyncio.gather(trial.failure(), trial.failure("other.test"))
    assert [is_temporary(error) for error in errors] == [True, True]
    assert "has not answered" in str(errors[0])
    assert "too busy" in str(errors[1])


async def test_an_answer_that_comes_after_its_time_is_dropped(trial: Trial) -> None:
    trial.made(patience=0.01)
    late = trial.resolver.hang("flags.test")
    trial.resolver.answers["flags.test"] = rows("192.0.2.66")
    await trial.failure()
    del trial.resolver.hanging["flags.test"]
    trial.resolver.answers["flags.test"] = rows("192.0.2.5")
    trial.resolver.now = 2.0
    assert await trial.addresses() == ["192.0.2.5"]
    late.set()
    await until(lambda: not trial.lookups._running)
    assert await trial.addresses() == ["192.0.2.5"]


async def test_one_name_that_hangs_takes_two_threads_at_most_and_recovers_when_the_resolver_does(
    trial: Trial,
) -> None:
    trial.made(patience=0.005)
    gate = trial.resolver.hang("flags.test")
    for trial.resolver.now in (0.0, 2.0, 4.0, 6.0):
        assert is_temporary(await trial.failure())
    assert trial.resolver.asked == ["flags.test"] * 2
    gate.set()
    await until(lambda: not trial.lookups._running)
    trial.resolver.now = 8.0
    assert await trial.addresses() == ["192.0.2.1"]
    assert not trial.lookups._stuck


async def test_closing_does_not_wait_for_a_resolver_that_hangs_and_tells_those_who_do() -> None:
    trial = Trial()
    gate = trial.resolver.hang("flags.test")
    (waiting,) = asking(trial, "flags.test")
    await until(lambda: bool(trial.resolver.asked))
    await trial.lookups.aclose()
    with pytest.raises(OSError, match="closed"):
        await waiting
    gate.set()


def test_an_answer_to_a_loop_that_has_closed_goes_nowhere() -> None:
    trial = Trial()
    gate = trial.resolver.hang("flags.test")

    async def leave() -> None:
        (waiting,) = asking(trial, "flags.test")
        await until(lambda: bool(trial.resolver.asked))
        await trial.lookups.aclose()
        await asyncio.wait((waiting,))
        waiting.exception()

    asyncio.run(leave())
    gate.set()


async def remembered(trial: Trial, first: int, last: int) -> int:
    for number in range(first, last):
        trial.resolver.now = number * 0.01
        await trial.lookups.resolve(f"host-{number}.test", 80, 0)
        trial.resolver.asked.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_memory_does_not_grow_with_the_names_that_were_ever_asked_for(trial: Trial) -> None:
    trial.made(dns=DnsRules(names=100))
    await remembered(trial, 0, 200)
    tracemalloc.start()
    try:
        before = await remembered(trial, 200, 500)
        after = await remembered(trial, 500, 2500)
    finally:
        tracemalloc.stop()
    assert after < before + 50_000
    assert not trial.lookups._questions
    assert not trial.lookups._stuck


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: NO_SUCH_NAME, False),
        (lambda: CANNOT_TELL, True),
        (lambda: socket.gaierror(socket.EAI_FAIL, "refused"), True),
        (lambda: OSError(24, "Too many open files"), True),
    ],
)
def test_errors_that_may_pass_are_told_from_those_that_say_no(
    make: Callable[[], OSError], expected: bool
) -> None:
    assert is_temporary(make()) is expected
