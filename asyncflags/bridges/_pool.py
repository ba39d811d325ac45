"""The workers of a `ProcessBridge`, the queue before them, and the rules of their replacement.

There is no thread between a caller and a worker: whoever makes a call writes it into the socket of an idle
worker, and the loop that reads the answer hands the next call out. Starting a process and waiting for
its end take milliseconds, so these are left to a thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from asyncflags.bridges import _parcels as parcels
from asyncflags.bridges import _refusals as refusals
from asyncflags.bridges._deliveries import Deliveries, Given
from asyncflags.bridges._exits import register
from asyncflags.bridges._frames import RESULT, Frame
from asyncflags.bridges._homes import Home
from asyncflags.bridges._lifetimes import CrashLoop, Recycling
from asyncflags.bridges._outcomes import Outcomes
from asyncflags.bridges._process_calls import ProcessCall, Waiting
from asyncflags.bridges._roster import Roster
from asyncflags.bridges._slots import Slot, State
from asyncflags.bridges._worker import Settings
from asyncflags.bridges._workers import AnyWorker, Events, worker_type
from asyncflags.bridges.threads import ThreadBridge
from asyncflags.errors import BridgeClosed, BridgeError


class Pool:
    """The workers and what they share, apart from the bridge, which they must not keep alive."""

    def __init__(self, max_workers: int, initializer: bytes | None, recycling: Recycling) -> None:
        self._settings = Settings(initializer, recycling.max_memory)
        self._recycling = recycling
        self._recycles = recycling.max_tasks is not None or recycling.max_age is not None
        self._owner = os.getpid()
        # Reentrant, because the last reference to a loop can go at any moment, and with it its workers.
        self._lock = threading.RLock()
        self._queue = Waiting()
        self._roster = Roster(max_workers, self._new_slot)
        self._crashes = CrashLoop()
        self._given_up = False
        self._trouble: BaseException | None = None
        self._opening = 0
        self._killed = self._completed = 0
        self._home = Home("asyncflags-processes-loop")
        self.outcomes = Outcomes(self._home)
        self._reaper = ThreadBridge(1, name="asyncflags-processes")
        self._movers = ThreadBridge(2, name="asyncflags-payloads")
        self._deliveries = Deliveries(self._movers, self._withdraw)
        self._closed = self._settled = self._exiting = False
        self.gone: Future[None] = Future()

    def accept(self, call: ProcessCall) -> None:
        with self._lock:
            if self._closed:
                raise refusals.closed()
            if self._given_up:
                raise refusals.given_up(self._trouble)
            if call.loop is not self._home.loop:
                self._home.offer(call.loop)
            # A call that finds nobody before it and a worker at rest never sees the queue.
            slot = self._roster.claim() if not self._queue else None
            if slot is not None:
                call.begin()
                given = [(slot.take(call), call)]
            else:
                self._queue.append(call)
                given = self._assign()
        self._deliveries.hand_out(given)

    def take_back(self, call: ProcessCall) -> bool:
        """Cancel *call* if it has not begun."""
        with self._lock:
            return call.take_back()

    def kill(self, call: ProcessCall, error: BaseException) -> None:
        """End the worker that runs *call*, whose outcome becomes *error*; a call that has ended stays as it is."""
        with self._lock:
            slot = call.slot
            if slot is not None and slot.state is State.BUSY:
                self._roster.condemn(slot, error)
                self._killed += 1
                self._roster.replace(closing=self._closed)
            elif slot is None and self._queue.discard(call):
                self._end_call(call)  # It waited for a second worker.
            else:
                return
        if slot is None:
            self.outcomes.publish(call, None, error)
        else:
            slot.execute()

    def expire(self, call: ProcessCall) -> None:
        self.kill(call, refusals.too_long(call.name, call.timeout))

    def close(self, *, cancel_queued: bool) -> None:
        """Take no more calls; `gone` is done when all are and the workers have ended."""
        dropped: list[ProcessCall] = []
        with self._lock:
            self._closed = True
            if cancel_queued:
                dropped = self._queue.take_back_all()
        for call in dropped:
            call.drop()
        self._settle()

    def kill_all(self) -> None:
        """Take no more calls, drop what is queued and kill what runs."""
        self.close(cancel_queued=True)
        with self._lock:
            condemned = tuple(self._roster.slots)
            for slot in condemned:
                self._roster.condemn(slot, refusals.closed_while(slot.name()))
        for slot in condemned:
            slot.execute()
        for slot in tuple(self._roster.ending):
            slot.worker.kill()
        self._settle()

    def forget(self) -> None:
        """End after the queue; for one who knows that nobody else can call."""
        if os.getpid() == self._owner:
            self.close(cancel_queued=False)

    def leave_at_exit(self) -> None:
        """End every worker now; nobody waits any more."""
        if os.getpid() == self._owner:
            self._closed = self._exiting = True
            self._queue.clear()
            for slot in self._roster.everyone():
                slot.worker.let_go()

    def forget_inherited(self) -> None:
        """Close what this child of ``fork`` has inherited, so that workers see their real parent end."""
        for slot in self._roster.everyone():
            slot.worker.forget()

    def counts(self) -> dict[str, int]:
        with self._lock:
            return {
                "queued": len(self._queue),
                "running": sum(slot.call is not None for slot in self._roster.everyone()),
                "killed": self._killed,
                "replaced": self._roster.replaced,
                "completed": self._completed,
            }

    # What workers tell

    def ready(self, slot: Slot) -> None:
        with self._lock:
            if slot.state is State.STARTING:
                self._roster.rest(slot)
            given = self._assign()
        self._deliveries.hand_out(given)
        self._settle()

    def not_started(self, slot: Slot, frame: Frame) -> None:
        self._fail_start(slot, parcels.not_started(frame))

    def answered(self, slot: Slot, frame: Frame, views: list[memoryview]) -> None:
        large = frame.kind == RESULT and len(frame.body) > parcels.LARGE_RESULT
        with self._lock:
            call = slot.call
            if call is None or slot.state is not State.BUSY:
                return
            self._end_call(call)
            self._crashes.succeed()
            slot.tasks += 1
            leaving = frame.leaving or (self._recycles and self._due(slot))
            if leaving:
                self._roster.dismiss(slot)
                self._roster.replace(closing=self._closed)
            else:
                self._roster.rest(slot)
            given = self._assign() if self._queue else None
            self._opening += large
        if slot.timer is not None:
            slot.disarm()
        if leaving:
            slot.leave()
        if given:
            self._deliveries.hand_out(given)
        if large:
            self._movers.submit(self._open_in_thread, call, frame.body, views)
            return
        outcome = parcels.open_answer(call.function, frame, views)
        if call.loop is slot.worker.loop:
            call.arrive(*outcome)
        else:
            self.outcomes.publish(call, *outcome)
        if self._closed:
            self._settle()

    def lost(self, slot: Slot) -> None:
        with self._lock:
            self._roster.drop_idle(slot)
        if slot.verdict is not None:
            self.conclude(slot)

    def loop_closed(self, slot: Slot) -> None:
        with self._lock:
            if not slot.ends():
                slot.verdict = refusals.loop_closed(slot.name())
                self._roster.dismiss(slot)
            given = self._assign()
        self._deliveries.hand_out(given)
        self.conclude(slot)

    def stranded(self, slot: Slot) -> None:
        """The loop that serves a condemned worker stands still, so its end will not be told."""
        with self._lock:
            self._roster.ending.discard(slot)
        slot.worker.strand()
        self.conclude(slot)
        self._settle()

    def conclude(self, slot: Slot) -> None:
        """Tell the caller of a killed call."""
        with self._lock:
            call = slot.call
            if call is not None:
                self._end_call(call)
        if call is not None:
            self.outcomes.publish(call, None, slot.verdict)

    def ended(self, slot: Slot, exitcode: int | None) -> None:
        if slot.state is State.STARTING:
            self._fail_start(
                slot, refusals.failed_start(exitcode), final=exitcode is not None and exitcode > 0
            )
        failed: list[ProcessCall] = []
        with self._lock:
            call = slot.call
            if not slot.ends():
                self._roster.dismiss(slot)
                failed = self._note_crash(None)
                if call is not None and slot.worker.read_nothing and not call.sent_again and not failed:
                    # Nothing of the call was executed, so another worker may have it.
                    self._queue.add_again(call)
                    slot.call = call = None
            if call is not None:
                self._end_call(call)
            self._roster.ending.discard(slot)
            given = self._assign()
        self._deliveries.hand_out(given)
        self.outcomes.fail(failed, refusals.given_up(None))
        if call is not None:
            self.outcomes.publish(call, None, slot.verdict or refusals.crash(call.name, exitcode))
        self._settle()

    def make_worker(self, events: Events) -> AnyWorker:
        return worker_type()(self._settings, events, self.reap)

    def reap(self, work: Callable[[], None]) -> None:
        """Run *work* in the thread that starts and reaps processes, or here if that has ended."""
        try:
            self._reaper.submit(work)
        except BridgeClosed:
            # A loop that stood still when the bridge was closed has gone now, and a worker with it.
            work()

    # Under the lock

    def _assign(self) -> Given:
        """Pair calls with idle workers, and have a worker started if calls are left over."""
        given: Given = []
        while self._queue and (slot := self._roster.claim()) is not None:
            call = self._queue.next()
            if call is None:
                self._roster.rest(slot)
                break
            given.append((slot.take(call), call))
        self._roster.staff(len(self._queue))
        return given

    def _due(self, slot: Slot) -> bool:
        return self._recycling.due(slot.tasks, time.monotonic() - slot.worker.since)

    def _new_slot(self) -> Slot:
        slot = Slot(self, self.make_worker)
        self._reaper.submit(self._launch, slot)
        return slot

    def _end_call(self, call: ProcessCall) -> None:
        if call.slot is not None:
            call.slot.call = None
        call.slot = call.work = None
        self._completed += 1

    def _note_crash(self, trouble: BaseException | None) -> list[ProcessCall]:
        """Count a worker that died; return the calls that fail because it was one too many."""
        if not self._crashes.crash(time.monotonic()) or self._given_up:
            return []
        self._given_up, self._trouble = True, trouble
        return self._drain()

    def _drain(self) -> list[ProcessCall]:
        failed = self._queue.take_all()
        for call in failed:
            self._end_call(call)
        return failed

    # In any thread, without the lock

    def _withdraw(self, slot: Slot, call: ProcessCall, error: BaseException) -> Given:
        """End a call that could not be sent; return those that can be handed out instead."""
        with self._lock:
            # Unless it was killed meanwhile, and has its outcome.
            ours = slot.call is call and slot.state is State.BUSY
            if ours:
                self._end_call(call)
                self._roster.rest(slot)
            given = self._assign()
        if ours:
            self.outcomes.publish(call, None, error)
        return given

    def _open_in_thread(self, call: ProcessCall, body: Any, views: list[memoryview]) -> None:
        opened = parcels.open_in_steps(call.function, body, views)
        with self._lock:
            self._opening -= 1
        self.outcomes.publish(call, *opened)
        self._settle()

    def _fail_start(self, slot: Slot, error: BridgeError, *, final: bool = True) -> None:
        """A worker could not be had; if there is no other, those who wait are told, unless a new try may help."""
        with self._lock:
            if slot.state is not State.STARTING:
                return
            self._roster.dismiss(slot)
            failed = self._note_crash(error)
            if final and not self._roster.serving():
                failed += self._drain()
            given = self._assign()
        self._deliveries.hand_out(given)
        self.outcomes.fail(failed, error)

    def _launch(self, slot: Slot) -> None:
        """Start a worker, in the thread that may wait for it."""
        try:
            if not slot.ends() and not self._exiting:
                register(self)
                slot.worker.start(self._home.choose())
                if slot.ends() or self._exiting:
                    # The bridge was closed meanwhile.
                    slot.worker.kill()
                return
        except Exception as error:  # noqa: BLE001
            # No process can be had: no memory, no descriptors, or the interpreter is going down. Those who
            # wait must hear of it, and this thread must live for the next one.
            self._fail_start(slot, refusals.no_process(error))
        with self._lock:
            self._roster.ending.discard(slot)
        self._settle()

    def _settle(self) -> None:
        """Once nothing is left of a closed bridge, end its threads."""
        with self._lock:
            if not self._closed or self._settled or self._queue:
                return
            leaving, stranded = self._roster.dismiss_idle()
            self._settled = self._roster.empty() and not self._opening
        for slot in leaving:
            slot.leave()
        for slot in stranded:
            self.stranded(slot)
        if self._settled:
            self._reaper.submit(self._end)

    def _end(self) -> None:
        self._home.close()
        self._movers.shutdown(wait=True)
        self._reaper.shutdown(wait=False)
        self.gone.set_result(None)
