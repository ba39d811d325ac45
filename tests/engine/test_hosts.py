"""The dispatcher, on a clock of its own: no slot is lost, no cap exceeded, everything granted in the end."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags import Limits, errors
from asyncflags._policies.backoff import Backoff
from asyncflags._policies.circuits import CircuitRules
from asyncflags._policies.urls import Origin

from .dispatching import FEW, A, B, Client, Silence, start, turns


async def test_caps_hold_and_all_are_served_in_the_end() -> None:
    client = Client()
    tasks = start(client, 20, A) + start(client, 20, B)
    await client.clock.go(60)
    await asyncio.gather(*tasks)
    assert client.done == 40 and client.most == {A: 2, B: 2}
    assert client.hosts.is_quiet


async def test_a_host_without_an_answer_gets_one_request_if_its_level_is_looked_for() -> None:
    client = Client(Limits(max_downloads=8, max_connections_per_host="auto"), cap=8)
    tasks = start(client, 8, A)
    await turns()
    assert client.hosts.lanes.in_flight == 1
    await client.clock.go(0.11)
    assert client.hosts.lanes.in_flight == 4
    await client.clock.go(60)
    await asyncio.gather(*tasks)


async def test_what_has_begun_goes_before_what_has_not() -> None:
    client = Client(Limits(max_downloads=2, max_connections_per_host=1))
    order: list[str] = []

    async def note(name: str, *origins: Origin) -> None:
        await client.download(*origins)
        order.append(name)

    tasks = [asyncio.ensure_future(note("from b", B, A))]
    tasks += [asyncio.ensure_future(note(f"a{number}", A)) for number in range(3)]
    await client.clock.go(10)
    await asyncio.gather(*tasks)
    assert order.index("from b") < order.index("a1")


async def test_a_higher_priority_begins_first() -> None:
    client = Client(Limits(max_downloads=1))
    order: list[float] = []

    async def note(priority: float) -> None:
        await client.download(A, priority=priority)
        order.append(priority)

    tasks = [asyncio.ensure_future(note(priority)) for priority in (0, 0, 5, 9)]
    await client.clock.go(10)
    await asyncio.gather(*tasks)
    assert order == [0, 9, 5, 0]


async def test_many_refusals_at_once_are_one_event_and_all_come_through() -> None:
    client = Client(Limits(max_downloads=64, max_connections_per_host=64), 64, first=64)
    client.answer = lambda origin: 429 if client.clock.now < 1000.2 else 200
    tasks = start(client, 64, A)
    await client.clock.go(0.2)
    (host,) = client.hosts.stats().hosts
    assert (host.refused, host.events) == (64, 1)
    await client.clock.go(600)
    await asyncio.gather(*tasks)
    assert client.done == 64
    assert client.kinds().count("backing_off") == 1


async def test_a_refusal_costs_no_retry_while_the_host_serves_others() -> None:
    client = Client()
    host = client.hosts.know(A)
    turn = await client.hosts.begin(A, 0)
    assert turn.costs_a_retry(host)
    assert turn.costs_a_retry(host)
    host.served += 1
    assert not turn.costs_a_retry(host)
    for _ in range(30):
        host.served += 1
        costs = turn.costs_a_retry(host)
    assert costs
    turn.finish()


async def test_what_sleeps_has_no_slot_and_is_bounded() -> None:
    client = Client(Limits(max_downloads=3, max_connections_per_host=2))
    client.answer = lambda origin: 503 if origin == A else 200
    lost = start(client, 50, A)
    await client.clock.go(5)
    tasks = start(client, 30, B)
    await client.clock.go(2.5)
    await asyncio.gather(*tasks)
    assert client.done == 30
    assert 0 < client.hosts.lanes.asleep <= 5
    await cancelled(lost)
    assert client.hosts.is_quiet


async def cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_silent_request_lends_its_slot_until_it_is_heard() -> None:
    client = Client(Limits(max_downloads=1))
    turn = await client.hosts.begin(A, 0)
    flight = await turn.request(A)
    pace = Silence(client.clock)
    flight.begin(cast("Any", pace))
    other = asyncio.ensure_future(client.download(B))
    await client.clock.go(1.9)
    assert not other.done()
    await client.clock.go(1.0)
    assert other.done() and client.hosts.lanes.free == 1
    pace.heard = client.clock.now + 0.6
    await client.clock.go(0.6)
    assert client.hosts.lanes.free == 0
    flight.land()
    turn.finish()
    assert client.hosts.is_quiet


async def test_a_host_that_is_not_there_is_left_alone_with_the_first_cause() -> None:
    client = Client()
    client.answer = lambda origin: errors.ConnectTimeout("nobody there")
    tasks = start(client, 40, A, retries=3)
    await client.clock.go(11)
    assert client.kinds().count("circuit_opened") == 1
    assert len(client.refused) == 40
    await asyncio.gather(*tasks)
    late = start(client, 1, A)
    await client.clock.go(0.05)
    assert late[0].done()
    error = client.refused[-1]
    assert isinstance(error, errors.ConnectTimeout) and "not tried" in error.message
    assert "nobody there" in error.message
    client.answer = lambda origin: 200
    await client.clock.go(10)
    tasks = start(client, 1, A)
    await client.clock.go(1)
    tasks += start(client, 4, A)
    await client.clock.go(10)
    await asyncio.gather(*tasks)
    assert client.done == 5 and client.kinds()[-1] == "circuit_closed"
    assert client.hosts.is_quiet


async def test_a_resolver_that_could_not_tell_opens_no_circuit() -> None:
    client = Client()
    client.answer = lambda origin: errors.DnsError("try again", temporary=True)
    tasks = start(client, 3, A, retries=9)
    await client.clock.go(30)
    await asyncio.gather(*tasks)
    assert "circuit_opened" not in client.kinds()


async def test_a_probe_that_is_cancelled_lets_another_one_go() -> None:
    client = Client(circuit=CircuitRules(failures=1, pauses=Backoff(initial=1.0), patience=100.0))
    client.answer = lambda origin: errors.ConnectError("nobody there")
    tasks = start(client, 3, A)
    await client.clock.go(0.15)
    client.answer = lambda origin: 200
    await client.clock.go(0.75)
    probing = list(client.hosts._flights)
    assert len(probing) == 1
    for task in tasks:
        # Whoever probes is among them.
        task.cancel()
        await turns()
        if not client.hosts._flights:
            break
    await client.clock.go(20)
    await asyncio.wait(tasks)
    assert client.hosts.is_quiet


async def test_a_host_that_refuses_everything_for_long_fails_what_waits() -> None:
    client = Client(patience=20.0)
    client.answer = lambda origin: 503
    tasks = start(client, 200, A, retries=10**6)
    await client.clock.go(120)
    await asyncio.gather(*tasks)
    assert all(isinstance(error, errors.StatusError) for error in client.refused)
    assert "not tried" in client.refused[-1].message
    assert client.hosts.is_quiet


async def test_a_rate_of_requests_holds_and_can_be_changed() -> None:
    client = Client(Limits(max_downloads=3, max_requests_per_second=1.0))
    tasks = start(client, 40, A)
    await client.clock.go(10.05)
    assert 9 <= client.done <= 12
    client.hosts.set_request_rate(A, 0.1)
    done = client.done
    await client.clock.go(30.05)
    assert 2 <= client.done - done <= 5
    client.hosts.set_request_rate(A, None)
    await client.clock.go(60)
    await asyncio.gather(*tasks)
    assert client.done == 40


async def test_hosts_without_work_are_remembered_up_to_a_bound() -> None:
    client = Client(remembered=10)
    for number in range(50):
        task = asyncio.ensure_future(client.download(("https", f"{number}.example", 443)))
        await client.clock.go(0.2)
        await task
    stats = client.hosts.stats()
    assert (stats.remembered, stats.host_count, client.hosts.lanes.hosts) == (10, 10, 0)
    assert stats.hosts[0].requests == 1


async def test_what_is_waited_for_is_named() -> None:
    client = Client(Limits(max_downloads=4, max_connections_per_host=2))
    assert client.hosts.waiting_for() == ""
    client.answer = lambda origin: 503 if origin == A else 200
    tasks = start(client, 9, A)
    await client.clock.go(0.15)
    assert "wait for https://a.example, which asked for a pause of 1 s" in client.hosts.waiting_for()
    tasks += start(client, 1, B)
    await turns()
    assert "1 request to https://b.example (silent for 0 s)" in client.hosts.waiting_for()
    await cancelled(tasks)
    assert client.hosts.waiting_for() == ""


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_whatever_happens_no_slot_is_lost_and_everything_ends(seed: int) -> None:
    asyncio.run(_anything(random.Random(seed)))


async def _anything(source: random.Random) -> None:
    client = Client()
    outcomes: list[int | errors.DownloadError] = [
        200, 200, 200, 429, 503, errors.ConnectError("no"), errors.ReadError("cut"), errors.TlsError("no"),
        errors.DnsError("again", temporary=True),
    ]  # fmt: skip
    client.answer = lambda origin: source.choice(outcomes)
    tasks: list[asyncio.Task[None]] = []
    for _ in range(40):
        match source.randrange(7):
            case 0 | 1 | 2:
                origins = [source.choice((A, B)) for _ in range(source.randint(1, 3))]
                tasks += start(client, source.randint(1, 5), *origins, priority=source.randrange(3))
            case 3 if tasks:
                source.choice(tasks).cancel()
            case 4:
                client.hosts.set_request_rate(source.choice((A, B)), source.choice((None, 0.5, 20.0)))
            case _:
                await client.clock.go(source.random() * 3)
    client.answer = lambda origin: 200
    client.hosts.set_request_rate(A, None)
    client.hosts.set_request_rate(B, None)
    await client.clock.go(1000)
    assert all(task.done() for task in tasks)
    assert client.hosts.is_quiet
    assert client.hosts.lanes.free == FEW.max_downloads
    assert client.hosts.lanes.hosts == 0 and client.hosts.lanes.wake_at() == math.inf


async def test_an_unavailable_page_is_not_the_host_s_matter_while_others_are_served() -> None:
    client = Client(Limits(max_downloads=4, max_connections_per_host=4), cap=4, first=4)
    asked: Counter[int] = Counter()

    def answer(origin: Origin) -> int:
        asked[0] += 1
        return 503 if asked[0] % 5 == 0 else 200

    client.answer = answer
    tasks = start(client, 100, A)
    await client.clock.go(60)
    await asyncio.gather(*tasks)
    assert client.done == 100
    assert client.hosts.stats().hosts == () or client.hosts.stats().hosts[0].events == 0
    assert "backing_off" not in client.kinds()


async def test_unavailable_pages_alone_are_one_event_of_the_host() -> None:
    client = Client(Limits(max_downloads=8, max_connections_per_host=8), cap=8, first=8)
    client.answer = lambda origin: 503 if client.clock.now < 1000.2 else 200
    tasks = start(client, 8, A)
    await client.clock.go(60)
    await asyncio.gather(*tasks)
    assert client.done == 8
    assert client.kinds().count("backing_off") == 1
