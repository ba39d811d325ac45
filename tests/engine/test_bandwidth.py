"""How fast bodies come: the rate is held, everybody has a share, and nobody waits for nothing."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags._engine.bandwidth import Bandwidth, Share
from asyncflags._engine.bandwidth_turns import Turns
from asyncflags._transports.base import ResponseStream, Room

HERE = ("https", "flags.example", 443)
THERE = ("https", "other.example", 443)
MB = 1_000_000.0


class Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """Time that passes when all tasks wait for it, and timers that follow it."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        callback()

    @property
    def armed(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._timers)

    async def pass_until(self, moment: float) -> None:
        await settle()
        while self._timers and self._timers[0][0] <= moment:
            when, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self.now = max(self.now, when)
                timer.callback()
                await settle()
        self.now = moment


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class Stream(ResponseStream):
    """A body without end that is there already, and that hands over what it owns."""

    headers = ()

    def __init__(self, most: int = 1 << 20) -> None:
        self.most = most
        self._whole = bytes(most)

    def header(self, name: str) -> str | None:
        return None

    def narrow(self, most: int) -> None:
        self.most = most

    async def receive(self, room: Room) -> bytes:
        return self._whole[: self.most]

    async def aclose(self) -> None:
        return


class Line:
    """Downloads that would receive without end, and the moments at which they did."""

    def __init__(self, rate: float | None = None, host_rate: float | None = None) -> None:
        self.clock = Clock()
        self.bandwidth = Bandwidth(rate, host_rate)
        self.bandwidth.start(self.clock)
        self.came: list[tuple[float, str, int]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, origin: tuple[str, str, int] = HERE, *, most: int = 1 << 18) -> None:
        self.tasks[name] = asyncio.ensure_future(self._receive(name, origin, most))

    async def _receive(self, name: str, origin: tuple[str, str, int], most: int) -> None:
        stream = Stream(most)
        share = Share(self.bandwidth, origin, name, stream, lambda: memoryview(bytearray(most)))
        while True:
            size = len(await stream.receive(share.room))
            self.came.append((self.clock.now, name, size))
            await share.pay(size)

    async def run(self, seconds: float) -> None:
        await self.clock.pass_until(self.clock.now + seconds)

    async def end(self, names: Iterable[str] | None = None) -> None:
        for name in list(self.tasks if names is None else names):
            task = self.tasks.pop(name)
            task.cancel()
            await asyncio.wait([task])

    def size_within(self, start: float, stop: float) -> int:
        return sum(size for moment, _, size in self.came if start <= moment < stop)

    def shares(self, start: float = 0.0) -> Counter[str]:
        shares: Counter[str] = Counter()
        for moment, name, size in self.came:
            if moment >= start:
                shares[name] += size
        return shares

    def check_rate(self, rate: float, start: float, stop: float) -> None:
        """Over any two seconds there is the rate, within 5%."""
        begin = start
        while begin + 2.0 <= stop + 1e-9:
            assert self.size_within(begin, begin + 2.0) == pytest.approx(2.0 * rate, rel=0.05)
            begin += 0.1


@pytest.mark.parametrize("downloads", [1, 8, 64])
async def test_the_rate_holds_over_any_two_seconds_also_after_a_change_in_mid_run(downloads: int) -> None:
    line = Line(10 * MB)
    for number in range(downloads):
        line.begin(f"{number}")
    begin = line.clock.now
    await line.run(5.0)
    line.bandwidth.set_rate(2 * MB)
    await line.run(5.0)
    line.check_rate(10 * MB, begin, begin + 5.0)
    line.check_rate(2 * MB, begin + 5.0, begin + 10.0)
    await line.end()


async def test_a_higher_rate_holds_at_once_for_those_who_wait() -> None:
    line = Line(1000.0)
    line.begin("slow")
    await line.run(1.0)
    line.bandwidth.set_rate(10 * MB)
    now = line.clock.now
    await line.run(0.1)
    assert line.size_within(now, now + 0.1) > 0.8 * MB
    line.bandwidth.set_rate(None)
    line.bandwidth.set_rate(1.0)
    await line.end()


async def test_who_waits_goes_on_when_the_limit_goes() -> None:
    line = Line(1.0)
    paid = asyncio.ensure_future(line.bandwidth.pay(HERE, 10**9, "large"))
    await line.run(1.0)
    assert not paid.done()
    line.bandwidth.set_rate(None)
    await paid
    assert (line.bandwidth.is_limited, line.clock.armed) == (False, 0)


async def test_eight_downloads_have_equal_shares_whatever_their_pieces() -> None:
    line = Line(4 * MB)
    for number in range(8):
        # Some receive by the large piece, and some by the small one.
        line.begin(f"{number}", most=1 << (12 + number))
    await line.run(2.0)
    begin = line.clock.now
    await line.run(4.0)
    shares = line.shares(begin)
    small = [shares[str(number)] for number in range(2)]
    others = [shares[str(number)] for number in range(4, 8)]
    assert max(others) <= 1.1 * min(others)
    # Who asks for less at a time has as many turns.
    assert min(small) >= 0.9 * min(others) * (1 << 12) / (4 * MB * 0.05 / 8)
    await line.end()


async def test_a_newcomer_takes_nothing_from_those_who_wait() -> None:
    line = Line(100_000.0)
    line.begin("greedy")
    order: list[int] = []

    async def pay(number: int) -> None:
        await line.bandwidth.pay(HERE, 1000, number)
        order.append(number)

    tasks = []
    for number in range(12):
        tasks.append(asyncio.ensure_future(pay(number)))
        await line.run(0.0005)
    await line.run(1.0)
    assert order == sorted(order)
    assert len(order) == 12
    await asyncio.gather(*tasks)
    await line.end()


async def test_several_connections_of_one_download_have_one_share() -> None:
    line = Line(4 * MB)

    async def connection(name: str) -> None:
        while True:
            line.came.append((line.clock.now, name, 8192))
            await line.bandwidth.pay(HERE, 8192, name)

    line.tasks = {f"{number}": asyncio.ensure_future(connection("many")) for number in range(7)}
    line.tasks["one"] = asyncio.ensure_future(connection("one"))
    await line.run(4.0)
    shares = line.shares()
    assert shares["many"] == pytest.approx(shares["one"], rel=0.05)
    await line.end()


async def test_each_host_has_its_rate_and_all_together_theirs() -> None:
    line = Line(10 * MB, 2 * MB)
    line.begin("here")
    line.begin("here too")
    line.begin("there", THERE)
    for number in range(8):
        line.begin(f"more {number}", ("http", f"host{number}.example", 80))
    begin = line.clock.now
    await line.run(4.0)
    line.check_rate(10 * MB, begin, begin + 4.0)
    await line.end(name for name in list(line.tasks) if name.startswith("more"))
    begin = line.clock.now
    await line.run(4.0)
    line.check_rate(4 * MB, begin + 0.1, begin + 4.0)
    shares = line.shares(begin)
    assert shares["here"] + shares["here too"] == pytest.approx(shares["there"], rel=0.05)
    await line.end()


async def test_a_host_that_has_used_up_its_share_is_in_nobody_s_way() -> None:
    line = Line(10 * MB)
    line.bandwidth.set_rate(1000.0, THERE)
    slow = asyncio.ensure_future(line.bandwidth.pay(THERE, 10**6, "slow"))
    await line.run(0.1)
    line.begin("fast")
    begin = line.clock.now
    await line.run(3.0)
    line.check_rate(10 * MB, begin, begin + 3.0)
    assert not slow.done()
    line.bandwidth.set_rate(None, THERE)
    await line.run(1.0)
    assert slow.done()
    await line.end()


async def test_a_host_s_own_rate_goes_before_that_of_each_host() -> None:
    line = Line(host_rate=1000.0)
    line.bandwidth.set_rate(None, HERE)
    await line.bandwidth.pay(HERE, 10**9, "free")
    bound = asyncio.ensure_future(line.bandwidth.pay(THERE, 1050, "bound"))
    await line.run(0.9)
    assert not bound.done()
    await line.run(0.3)
    assert bound.done()


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_who_is_cancelled_while_waiting_leaves_the_others_their_turn(which: int) -> None:
    line = Line(1000.0)
    tasks = [asyncio.ensure_future(line.bandwidth.pay(HERE, 500, number)) for number in range(3)]
    await line.run(0.1)
    tasks[which].cancel()
    await asyncio.wait([tasks[which]])
    await line.run(1.2)
    assert all(task.done() for task in tasks)
    assert [task.cancelled() for task in tasks].count(True) == 1
    assert line.clock.armed == 0


async def test_nothing_is_left_of_the_last_one_who_is_cancelled() -> None:
    line = Line(1.0)
    task = asyncio.ensure_future(line.bandwidth.pay(HERE, 10**6, "only"))
    await line.run(0.1)
    assert line.clock.armed == 1
    task.cancel()
    await asyncio.wait([task])
    assert (line.clock.armed, line.bandwidth._turns.waiting) == (0, 0)


async def test_without_a_limit_nothing_is_asked_of_anybody() -> None:
    line = Line()
    assert not line.bandwidth.is_limited
    await line.bandwidth.pay(HERE, 10**12, "huge")
    stream, room = Stream(), memoryview(bytearray(1 << 18))
    share = Share(line.bandwidth, HERE, "one", stream, lambda: room)
    assert not share.is_due
    assert (len(share.room()), stream.most) == (1 << 18, 1 << 20)


async def test_a_body_is_received_in_small_pieces_as_long_as_there_is_a_limit() -> None:
    line = Line()
    stream, room = Stream(), memoryview(bytearray(1 << 18))
    share = Share(line.bandwidth, HERE, "one", stream, lambda: room)
    line.bandwidth.set_rate(100_000.0)
    # What it is lent is small at once, and what it hands over from the next piece on.
    assert len(share.room()) == 1024
    await line.run(0.1)
    await share.pay(1)
    assert stream.most == len(share.room()) == 5001 // 3
    line.bandwidth.set_rate(None)
    assert share.is_due
    await share.pay(1)
    assert not share.is_due
    assert len(share.room()) == 1 << 18
    assert stream.most >= 1 << 20


async def test_what_is_received_at_once_is_never_more_than_a_burst() -> None:
    line = Line(100_000.0)
    assert line.bandwidth.piece(HERE) == 5001 // 3
    line.bandwidth.set_rate(20_000.0, HERE)
    assert line.bandwidth.piece(HERE) == 1001
    line.bandwidth.set_rate(10.0)
    assert line.bandwidth.piece(THERE) == 1


async def test_memory_follows_the_hosts_in_use_and_not_those_ever_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asyncflags._engine.bandwidth._MOST_HOSTS", 10)
    line = Line(host_rate=MB)
    for number in range(100):
        await line.bandwidth.pay(("http", f"host{number}", 80), 1000, number)
        await line.run(0.01)
    assert len(line.bandwidth._hosts) <= 10


async def test_a_rate_may_be_changed_from_another_thread() -> None:
    loop = asyncio.get_running_loop()
    bandwidth = Bandwidth(1.0)
    bandwidth.start(loop)
    task = asyncio.ensure_future(bandwidth.pay(HERE, 10**6, "waits"))
    await asyncio.sleep(0)
    thread = threading.Thread(target=bandwidth.set_rate, args=(None,))
    thread.start()
    await task
    thread.join()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_a_value_error(rate: float) -> None:
    for make in (lambda: Bandwidth(rate), lambda: Bandwidth(None, rate), lambda: Bandwidth().set_rate(rate)):
        with pytest.raises(ValueError, match="None means no limit"):
            make()


@pytest.mark.parametrize("rate", ["1M", True, [1]])
def test_a_rate_that_is_no_number_is_a_type_error(rate: Any) -> None:
    with pytest.raises(TypeError, match="bytes a second"):
        Bandwidth(rate)


# The order by itself.


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 5), st.integers(1, 9)),
            st.tuples(st.just("serve"), st.integers(1, 4), st.just(0), st.just(0)),
            st.tuples(st.just("aside"), st.integers(0, 3), st.just(0), st.just(0)),
            st.tuples(st.just("back"), st.integers(0, 3), st.just(0), st.just(0)),
            st.tuples(st.just("remove"), st.integers(0, 99), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
@settings(deadline=None)
def test_whatever_happens_everybody_s_turn_comes(steps: list[tuple[str, int, int, int]]) -> None:
    turns = Turns()
    waiting = []
    for kind, number, payer, size in steps:
        due = turns.first()
        if kind == "add":
            waiting.append(turns.add(("http", f"{number}", 80), payer, size))
        elif kind == "serve" and due is not None:
            turns.serve(due, min(number, due.left))
        elif kind == "aside" and due is not None:
            turns.step_aside(float(number))
        elif kind == "back":
            turns.come_back(float(number))
        elif kind == "remove" and waiting:
            turns.remove(waiting.pop(number % len(waiting)))
        waiting = [each for each in waiting if each.left]
        assert turns.waiting == len(waiting)
    turns.come_back(9.0)
    while (due := turns.first()) is not None:
        turns.serve(due, due.left)
    assert all(not each.left for each in waiting)
    assert turns.waiting == 0
