"""What a bridge is doing, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeStats:
    """The counters of a bridge at one moment; every one is a number of calls unless it says otherwise.

    Attributes:
        queued: Calls that wait for a slot. One that was cancelled there counts until its turn comes.
        running: Calls that hold a slot now, the detached ones among them.
        detached: Calls that run on although their caller was released; each still holds its slot.
        killed: Calls ended by killing their worker, since the bridge was made.
        replaced: Workers that took the place of one that died, was killed or was recycled, since then.
        completed: Calls that ended, with a result or with an error, since then.
        batches: Groups that crossed to a thread in one hop, since then.
        largest_batch: Calls in the largest of these groups; 0: there was none.
    """

    queued: int
    running: int
    detached: int = 0
    killed: int = 0
    replaced: int = 0
    completed: int = 0
    batches: int = 0
    largest_batch: int = 0
