from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.backoff import Backoff
from asyncflags._policies.circuits import Circuit, CircuitRules, Passage

RULES = CircuitRules(failures=3, pauses=Backoff(initial=2.0, maximum=8.0), patience=10.0)


def opened(rules: CircuitRules = RULES) -> Circuit:
    """A circuit that opened at 100, whose first probe may go at 101."""
    circuit = Circuit(rules)
    for number in range(rules.failures):
        circuit.failed(100.0, f"cause {number}", sent=99.0, jitter=0.0)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = Circuit(RULES)
    assert [circuit.failed(float(n), "refused", sent=0.0, jitter=0.0) for n in range(3)] == [
        False,
        False,
        True,
    ]
    assert circuit.is_open


def test_any_answer_begins_the_count_anew() -> None:
    circuit = Circuit(RULES)
    for _ in range(5):
        circuit.failed(0.0, "refused", sent=0.0, jitter=0.0)
        circuit.failed(0.0, "refused", sent=0.0, jitter=0.0)
        assert not circuit.answered()
    assert not circuit.is_open and circuit.is_idle and circuit.admit(0.0) is Passage.GO


def test_one_probe_goes_after_the_pause_and_no_second_one_beside_it() -> None:
    circuit = opened()
    assert circuit.admit(100.5) == pytest.approx(0.5)
    assert circuit.admit(101.0) is Passage.PROBE
    assert circuit.admit(101.0) == pytest.approx(9.0)


def test_an_answer_to_the_probe_closes_it() -> None:
    circuit = opened()
    circuit.admit(101.0)
    assert circuit.answered()
    assert not circuit.is_open and circuit.cause == "" and circuit.probe_at is None
    assert circuit.admit(101.0) is Passage.GO


def test_pauses_grow_with_each_probe_that_fails() -> None:
    circuit, now, pauses = opened(), 100.0, []
    for _ in range(5):
        assert circuit.probe_at is not None
        pauses.append(circuit.probe_at - now)
        now = circuit.probe_at
        assert circuit.admit(now) is Passage.PROBE
        assert not circuit.failed(now, "again", sent=now, jitter=0.0)
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]


@given(st.floats(0, 1, exclude_max=True))
def test_a_pause_has_jitter_of_half_of_it(jitter: float) -> None:
    circuit = Circuit(CircuitRules(failures=1, pauses=Backoff(initial=2.0)))
    circuit.failed(0.0, "refused", sent=0.0, jitter=jitter)
    assert circuit.probe_at == pytest.approx(1.0 + jitter)


def test_connections_begun_before_it_opened_neither_lengthen_the_pause_nor_pass_for_the_probe() -> None:
    circuit = opened()
    circuit.failed(100.5, "late", sent=99.5, jitter=0.0)
    assert circuit.probe_at == 101.0
    assert circuit.admit(101.0) is Passage.PROBE
    circuit.failed(101.5, "later still", sent=99.9, jitter=0.0)
    assert circuit.probe_at == 101.0 and circuit.admit(102.0) != Passage.PROBE


def test_a_probe_that_was_cancelled_lets_another_one_go() -> None:
    circuit = opened()
    circuit.admit(101.0)
    circuit.abandoned()
    assert circuit.admit(101.0) is Passage.PROBE


def test_after_its_patience_it_refuses_with_the_first_cause() -> None:
    circuit = opened()
    circuit.admit(101.0)
    circuit.failed(109.0, "the last one", sent=101.0, jitter=0.0)
    assert circuit.admit(109.5) == pytest.approx(0.5)
    assert circuit.admit(110.0) is Passage.REFUSED
    assert circuit.refusal(110.0) == (
        "not tried: the last 4 connections to this host failed, the first of them with: cause 0; "
        "it is tried again in 1 s"
    )
    assert circuit.admit(111.0) is Passage.PROBE


def test_without_patience_everything_is_refused_at_once() -> None:
    circuit = opened(CircuitRules(failures=1, patience=0.0))
    assert circuit.admit(100.0) is Passage.REFUSED


def test_with_endless_patience_nothing_is() -> None:
    circuit = opened(CircuitRules(failures=1, patience=math.inf))
    assert circuit.admit(1e9) is Passage.PROBE
    assert circuit.admit(1e9) == math.inf


def test_a_long_cause_is_cut() -> None:
    circuit = Circuit(RULES)
    circuit.failed(0.0, "x" * 10_000, sent=0.0, jitter=0.0)
    assert len(circuit.cause) == 500


@pytest.mark.parametrize("values", [{"failures": 0}, {"patience": -1.0}, {"patience": math.nan}])
def test_impossible_rules_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        CircuitRules(**values)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from("fawc"), st.floats(0, 20)), max_size=60))
def test_never_two_probes_at_once_and_never_a_wait_that_is_over(steps: list[tuple[str, float]]) -> None:
    circuit, now, probe = Circuit(RULES), 0.0, None
    for kind, elapsed in steps:
        now += elapsed
        if kind == "w":
            passage = circuit.admit(now)
            if passage is Passage.PROBE:
                assert probe is None
                probe = now
            assert not isinstance(passage, float) or passage > 0
        elif kind == "f":
            circuit.failed(now, "refused", sent=now if probe is None else probe, jitter=0.5)
            probe = None
        elif kind == "a":
            circuit.answered()
            probe = None
        elif probe is not None:
            circuit.abandoned()
            probe = None
