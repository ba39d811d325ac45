"""What is known of one host: whether it is there, what it refuses, and how much it is worth asking at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncflags._engine.host_rules import name_of
from asyncflags._models import HostStats
from asyncflags._policies.backing_off import BackingOff
from asyncflags._policies.circuits import Circuit, Passage
from asyncflags._policies.concurrency import AdaptiveConcurrency, Change
from asyncflags._policies.pacing import TokenBucket
from asyncflags._policies.ratelimits import parse_rate_limits
from asyncflags._policies.retry import RETRY_AFTER_CAP, is_refusal, parse_retry_after
from asyncflags.errors import ConnectError, ConnectTimeout, DnsError, DownloadError, ReadError, StatusError

if TYPE_CHECKING:
    from asyncflags._engine.host_rules import Shared
    from asyncflags._policies.urls import Origin
    from asyncflags._transports.base import ResponseStream

__all__ = ["Host"]

# Of a rate of requests, which is even: what a timer that rings late may make up for.
_LATENESS = 0.01
_LATENCY_WEIGHT = 0.1
# A pace that is learned changes all the time; by less than this part it is nothing to tell.
_TOLD = 0.1
# How often a host that never told its limits is looked at for them; one that refuses is always.
_EVERY = 16
_LIMIT_FIELDS = ("RateLimit", "RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining")
# Events in a row in which it served nobody, after which its patience counts.
_BARREN = 5


class Host:
    """One origin. All moments are seconds of the loop's clock.

    Attributes:
        origin: Which.
        in_flight: Requests under way.
        probes: Whether the request that was admitted last is the one on which the circuit depends.
        refuses: Whether what waits is to fail with `refusal`.
        served: Answers that were no refusals.
        requests, refused, failed, size: Counts; *size* in bytes.
    """

    __slots__ = (
        "_adaptive", "_back_off", "_barren", "_bucket", "_circuit", "_failure", "_has_answered", "_is_wary",
        "_last_status", "_refused_since", "_served_at", "_shared", "_tells_limits", "_told_level", "_told_pace",
        "failed", "in_flight", "latency", "origin", "probes", "refused", "refuses", "requests", "served", "size",
    )  # fmt: skip

    def __init__(self, origin: Origin, shared: Shared) -> None:
        self.origin = origin
        self._shared = shared
        self.in_flight = self.requests = self.refused = self.failed = self.size = self.served = 0
        self.latency = 0.0
        self.probes = self.refuses = False
        self._has_answered = False
        # Whether anything may speak against a request; while nothing does, nobody is asked.
        self._is_wary = False
        self._back_off: BackingOff | None = None
        self._circuit: Circuit | None = None
        self._failure: type[DownloadError] = ConnectError
        self._bucket: TokenBucket | None = None
        self._adaptive: AdaptiveConcurrency | None = None
        self._tells_limits = False
        self._told_level = 0
        self._told_pace: float | None = None
        # Events in a row without anybody being served, since when, and what the last of them said.
        self._barren = 0
        self._refused_since = 0.0
        # Who serves others meanwhile does not mean all of them with a 503 that names no pause.
        self._served_at = -math.inf
        self._last_status = 0

    @property
    def level(self) -> int:
        """Requests that may be in flight."""
        shared = self._shared
        if not self._has_answered:
            return shared.first
        if shared.limit != "auto":
            return shared.limit
        if self._adaptive is None:
            self._adaptive = AdaptiveConcurrency(shared.rules.adaptive, now=shared.time())
        return self._adaptive.level

    @property
    def is_open(self) -> bool:
        """Whether it is left alone because it cannot be connected to."""
        return self._circuit is not None and self._circuit.is_open

    @property
    def is_adaptive(self) -> bool:
        """Whether it wants to know of every byte."""
        return self._adaptive is not None

    @property
    def resume_at(self) -> float:
        """When its pause ends; minus infinity: there was none."""
        return self._back_off.resume_at if self._back_off is not None else -math.inf

    def set_rate(self, rate: float | None) -> None:
        """Send at most so many requests a second; ``None``: no limit."""
        now = self._shared.time()
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = TokenBucket(rate, now=now, burst_seconds=_LATENESS)
        else:
            self._bucket.set_rate(rate, now=now)
        self._is_wary = self._is_wary or rate is not None
        self._tell_pace(now)

    def admit(self, now: float) -> float:
        """Ask for one request.

        Returns:
            0.0: it may be sent, and is counted. Otherwise the seconds after which to ask again; infinity: when
            something has happened, or never, if it `refuses`.
        """
        self.probes = False
        if not self._is_wary:
            return 0.0
        bucket, circuit, back_off = self._bucket, self._circuit, self._back_off
        if self._has_lost_patience(now):
            return math.inf
        if bucket is not None and (wait := bucket.wait(now)):
            return wait
        if circuit is not None:
            passage = circuit.admit(now)
            if isinstance(passage, float):
                return passage
            self.refuses = passage is Passage.REFUSED
            if self.refuses:
                return math.inf
            self.probes = passage is Passage.PROBE
        if back_off is not None and (wait := back_off.take(now, jitter=self._shared.jitter())):
            self.abandoned(self.probes)
            return wait
        if bucket is not None:
            bucket.take(now)
        else:
            self._is_wary = not self._is_calm(now)
        return 0.0

    def _has_lost_patience(self, now: float) -> bool:
        is_over = self._barren > _BARREN and now >= self._refused_since + self._shared.rules.patience
        self.refuses = is_over and now < self.resume_at
        return self.refuses

    def _is_calm(self, now: float) -> bool:
        return (self._circuit is None or not self._circuit.is_open) and (
            self._back_off is None or self._back_off.is_idle(now)
        )

    def refusal(self) -> Callable[[], DownloadError]:
        """Makes the errors of what is refused without being sent."""
        now = self._shared.time()
        if self._circuit is not None and self._circuit.is_open:
            kind, message = self._failure, self._circuit.refusal(now)
            return lambda: kind(message)
        seconds, status, left = now - self._refused_since, self._last_status, max(0.0, self.resume_at - now)
        message = (
            f"not tried: the host has refused every request for {seconds:.0f} s, the last with {status}; "
            f"it is asked again in {left:.0f} s"
        )
        return lambda: StatusError(message, status=status, retry_after=left)

    def abandoned(self, was_probe: bool) -> None:
        """What was admitted was not sent, or came to no end that says anything."""
        if was_probe and self._circuit is not None:
            self._circuit.abandoned()
        self.probes = False

    def unused(self, was_probe: bool) -> None:
        """What was admitted was not needed."""
        self.abandoned(was_probe)
        if self._bucket is not None:
            self._bucket.give_back(1.0)

    def started(self, now: float) -> None:
        """A request is sent."""
        self.requests += 1
        self.in_flight += 1
        if self._adaptive is not None:
            self._adaptive.started(now)

    def received(self, size: int) -> bool:
        """*size* bytes of a body came; whether the level changed."""
        return self._adaptive is not None and self._heed(self._adaptive.received(self._shared.time(), size))

    def ended(self, now: float, sent: float, latency: float | None) -> bool:
        """A request is over; whether the level changed."""
        self.in_flight -= 1
        return self._adaptive is not None and self._heed(
            self._adaptive.ended(now, sent=sent, latency=latency)
        )

    def _heed(self, change: Change | None) -> bool:
        adaptive = self._adaptive
        if adaptive is None:
            return False
        if adaptive.is_settled and adaptive.level != self._told_level:
            self._told_level = adaptive.level
            self._tell("level_changed", f"{adaptive.level} connections are worth having")
        return change is not None

    def answered(self, now: float, sent: float, stream: ResponseStream) -> None:
        """The head of an answer came."""
        latency = now - sent
        self.latency += (latency - self.latency) * (_LATENCY_WEIGHT if self.latency else 1.0)
        self._connected()
        if not self._has_answered:
            self._has_answered = True
            # From now on its level may be looked for.
            if self.level and self._adaptive is not None:
                for _ in range(self.in_flight):
                    self._adaptive.started(now)
        wait, status = None, stream.status
        if status >= 400:
            wait = parse_retry_after(stream.header("Retry-After"), now=time.time())
        if self._back_off is None:
            self._back_off = BackingOff(self._shared.rules.back_off)
        if is_refusal(status, wait) or (status == 503 and self._serves_nobody(sent)):
            self.was_refused(now, sent, status, wait)
        elif status != 503:
            self._back_off.served(now, sent=sent)
            self.served += 1
            self._served_at = now
            self._barren = 0
        if self._tells_limits or not self.served % _EVERY or status >= 400:
            self._read_limits(now, stream)

    def _serves_nobody(self, sent: float) -> bool:
        """Whether nobody has been served about the time of a request that was sent then."""
        return sent - self.latency > self._served_at

    def _read_limits(self, now: float, stream: ResponseStream) -> None:
        self._tells_limits = any(stream.header(name) is not None for name in _LIMIT_FIELDS)
        if self._tells_limits and self._back_off is not None:
            limits = parse_rate_limits(stream.headers, now=time.time())
            self._back_off.heed(now, limits, in_flight=self.in_flight)
            self._is_wary = True

    def was_refused(self, now: float, sent: float, status: int, retry_after: float | None) -> None:
        """An answer says that the host, or the proxy before it, wants to be left in peace."""
        shared, rules = self._shared, self._shared.rules
        if self._back_off is None:
            self._back_off = BackingOff(rules.back_off)
        self.refused += 1
        self._is_wary = True
        self._last_status = status
        asked = retry_after if retry_after is not None and retry_after <= RETRY_AFTER_CAP else None
        if not self._back_off.refused(
            now, sent=sent, jitter=shared.jitter(), retry_after=asked, is_rate=status == 429
        ):
            return
        if not self._barren:
            self._refused_since = now
        self._barren += 1
        pause = self._back_off.resume_at - now
        self._tell("backing_off", f"the host answered {status}, and is left alone for {pause:.1f} s", pause)
        self._tell_pace(now)
        if self._adaptive is not None:
            self._heed(self._adaptive.refused(now, sent=sent))

    def could_not_answer(self, now: float, sent: float, error: DownloadError, was_probe: bool) -> None:
        """No head came."""
        self.failed += 1
        if isinstance(error, StatusError):
            if is_refusal(error.status, error.retry_after) or error.status == 503:
                self.was_refused(now, sent, error.status, error.retry_after)
            self.abandoned(was_probe)
        elif self._is_gone(error):
            self._lost(now, sent, error)
        else:
            self.abandoned(was_probe)

    def _is_gone(self, error: DownloadError) -> bool:
        """Whether it says that the host is not there."""
        if isinstance(error, DnsError):
            # A resolver that could not tell says nothing about the host.
            return not error.temporary
        if isinstance(error, ReadError):
            # One that has answered may close a connection that was kept; that alone is no sign of trouble.
            return not self._has_answered or self._circuit is not None
        return isinstance(error, ConnectError | ConnectTimeout)

    def _lost(self, now: float, sent: float, error: DownloadError) -> None:
        if self._circuit is None:
            self._circuit = Circuit(self._shared.rules.circuit)
        if self._circuit.is_idle:
            self._failure = type(error)
        self._is_wary = True
        if self._adaptive is not None:
            self._heed(self._adaptive.refused(now, sent=sent))
        if self._circuit.failed(now, error.message, sent=sent, jitter=self._shared.jitter()):
            pause = (self._circuit.probe_at or now) - now
            self._tell("circuit_opened", self._circuit.refusal(now), pause)

    def _connected(self) -> None:
        circuit, self._circuit = self._circuit, None
        if circuit is not None and circuit.answered():
            self._tell("circuit_closed", "the host answers again")

    def _tell_pace(self, now: float) -> None:
        pace, told = self._pace(now), self._told_pace
        if pace is not None and (told is None or abs(pace / told - 1) > _TOLD):
            self._told_pace = pace
            self._tell("paced", f"at most {pace:.3g} requests a second")

    def _pace(self, now: float) -> float | None:
        learned = self._back_off.pace(now) if self._back_off is not None else None
        known = [rate for rate in (learned, self._bucket.rate if self._bucket else None) if rate is not None]
        return min(known, default=None)

    def _tell(self, kind: str, detail: str, seconds: float = 0.0) -> None:
        self._shared.tally.tell(kind, name_of(self.origin), detail, seconds=seconds)

    def rest(self) -> None:
        """There is no work for it now: keep what matters."""
        if self._back_off is not None and self._back_off.is_idle(self._shared.time()):
            self._back_off = None

    def stats(self, queued: int) -> HostStats:
        """What there is to see of it; *queued* entries wait for it."""
        now = self._shared.time()
        back_off, circuit, adaptive = self._back_off, self._circuit, self._adaptive
        return HostStats(
            origin=name_of(self.origin),
            queued=queued,
            in_flight=self.in_flight,
            level=adaptive.level if adaptive is not None else self.level,
            is_settled=adaptive is None or adaptive.is_settled,
            resumes_in=max(0.0, back_off.resume_at - now) if back_off is not None else 0.0,
            events=back_off.events if back_off is not None else 0,
            requests_per_second=self._pace(now),
            is_open=self.is_open,
            cause=circuit.cause if circuit is not None else "",
            requests=self.requests,
            refused=self.refused,
            failed=self.failed,
            size=self.size,
            latency=self.latency,
        )
