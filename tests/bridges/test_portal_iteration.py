"""Iterating in a thread over what a portal's loop produces."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflags.bridges import Portal
from asyncflags.errors import BridgeClosed


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Portal("asyncflags-iteration") as portal:
        portal.start()
        yield portal


class Numbers:
    """Counts up, now and then with a turn of the loop between two numbers, and tells how it ended."""

    def __init__(self, end: int, pause_every: int = 1) -> None:
        self.made = 0
        self.cleaned_up = threading.Event()
        self._end = end
        self._pause_every = pause_every

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self._end):
                if number % self._pause_every == 0:
                    await asyncio.sleep(0)
                self.made += 1
                yield number
        finally:
            await asyncio.sleep(0)
            self.cleaned_up.set()


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 300), ahead=st.integers(1, 20), pause=st.integers(1, 9))
def test_every_item_comes_once_and_in_order(portal: Portal, count: int, ahead: int, pause: int) -> None:
    numbers = Numbers(count, pause)
    assert list(portal.iterate(numbers, ahead=ahead)) == list(range(count))
    assert numbers.cleaned_up.is_set()


def test_the_iterable_is_never_further_ahead_than_allowed(portal: Portal) -> None:
    numbers = Numbers(500)
    for read, _ in enumerate(portal.iterate(numbers, ahead=8)):
        # A batch counts as read when it is taken.
        assert numbers.made <= read + 1 + 2 * 8


def test_items_cross_in_batches_and_not_one_hop_an_item(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    class Counted(queue.SimpleQueue[Any]):
        def get(self, *args: Any, **options: Any) -> Any:
            batch = super().get(*args, **options)
            batches.append(len(batch or ()))
            return batch

    monkeypatch.setattr(queue, "SimpleQueue", Counted)
    assert len(list(portal.iterate(Numbers(1000, 100)))) == 1000
    assert len(batches) <= 30


def test_nothing_starts_before_the_first_item_is_asked_for(portal: Portal) -> None:
    numbers = Numbers(3)
    items = portal.iterate(numbers)
    assert portal.call(lambda: asyncio.sleep(0, numbers.made)) == 0
    assert next(items) == 0
    items.close()


def test_leaving_early_cancels_the_iterable_and_waits_for_its_clean_up(portal: Portal) -> None:
    numbers = Numbers(10**9)
    for number in portal.iterate(numbers):
        if number == 10:
            break
    assert numbers.cleaned_up.is_set()


def test_ctrl_c_in_the_waiting_thread_cleans_up_too(portal: Portal) -> None:
    numbers = Numbers(10**9)
    with pytest.raises(KeyboardInterrupt):
        for _ in portal.iterate(numbers):
            raise KeyboardInterrupt
    assert numbers.cleaned_up.wait(10)


def test_the_error_of_the_iterable_comes_after_the_items_before_it(portal: Portal) -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    seen = []
    with pytest.raises(LookupError, match="no more"):
        for number in portal.iterate(failing):
            seen.append(number)
    assert seen == [1, 2]


def test_an_iterable_without_a_close_will_do(portal: Portal) -> None:
    class Plain:
        def __init__(self) -> None:
            self._left = 3

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> int:
            self._left -= 1
            if self._left < 0:
                raise StopAsyncIteration
            return self._left

    assert list(portal.iterate(Plain)) == [2, 1, 0]


def test_closing_the_portal_ends_an_iteration_with_the_reason() -> None:
    entered = threading.Event()
    failures: list[str] = []

    async def endless() -> AsyncIterator[int]:
        yield 0
        await asyncio.sleep(3600)

    def read() -> None:
        try:
            for _ in closing.iterate(endless):
                entered.set()
        except BridgeClosed as error:
            failures.append(str(error))

    with Portal("asyncflags-closing") as closing:
        reader = threading.Thread(target=read)
        reader.start()
        assert entered.wait(10)
    reader.join(10)
    assert failures == ["The portal was closed while the iteration was running."]


def test_on_the_portals_own_loop_it_is_refused(portal: Portal) -> None:
    async def inside() -> None:
        with pytest.raises(RuntimeError, match="own loop"):
            list(portal.iterate(Numbers(1)))

    portal.call(inside)


def test_a_bound_below_one_is_refused(portal: Portal) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        portal.iterate(Numbers(1), ahead=0)
