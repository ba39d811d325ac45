"""Which exit code a run ends with."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import errors
from asyncflags._cli.exit_codes import code_of, exit_code, lowest

EXPECTED: list[tuple[BaseException, int]] = [
    (errors.PostprocessError("x"), 1),
    (errors.BlockedUrl("x"), 1),
    (errors.BodyTooLarge("x"), 1),
    (errors.ClosedError("x"), 1),
    (errors.BridgeError("x"), 1),
    (RuntimeError("x"), 1),
    (errors.InvalidUrl("x"), 2),
    (errors.StorageError("x"), 3),
    (errors.UnsafePath("x"), 3),
    (errors.ConnectError("x"), 4),
    (errors.DnsError("x"), 4),
    (errors.ReadError("x"), 4),
    (errors.ConnectTimeout("x"), 4),
    (errors.ReadTimeout("x"), 4),
    (errors.TooSlow("x"), 4),
    (errors.TotalTimeout("x"), 4),
    (errors.TlsError("x"), 5),
    (errors.StatusError("x", status=401), 6),
    (errors.StatusError("x", status=407), 6),
    (errors.TruncatedBody("x"), 7),
    (errors.ProtocolError("x"), 7),
    (errors.RangeError("x"), 7),
    (errors.TooManyRedirects("x"), 7),
    (errors.StatusError("x", status=403), 8),
    (errors.StatusError("x", status=404), 8),
    (errors.StatusError("x", status=503), 8),
    (errors.ChecksumMismatch("x", algorithm="md5", expected="a", actual="b"), 9),
    (errors.DigestMissing("x"), 9),
]


@pytest.mark.parametrize(("error", "code"), EXPECTED, ids=lambda value: type(value).__name__)
def test_each_kind_of_error_has_its_code(error: BaseException, code: int) -> None:
    assert code_of(error) == exit_code([error]) == code


def test_no_kind_of_download_error_is_left_out_of_this_table() -> None:
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.DownloadError) and not kind.__subclasses__()
    }
    assert kinds <= {type(error) for error, _ in EXPECTED}


def test_no_error_is_complete() -> None:
    assert exit_code([]) == 0


def test_of_several_the_lowest_above_1_wins() -> None:
    several = [errors.BodyTooLarge("x"), errors.StatusError("x", status=404), errors.TlsError("x")]
    assert exit_code(several) == 5


def test_1_is_left_when_there_is_nothing_else() -> None:
    assert exit_code([errors.BodyTooLarge("x"), errors.BlockedUrl("x")]) == 1


@given(st.lists(st.integers(0, 9)))
def test_partial_failure_is_never_0_and_the_order_does_not_matter(codes: list[int]) -> None:
    assert bool(lowest(codes)) == any(codes)
    assert lowest(codes) == lowest(reversed(codes))
    assert lowest(codes) in {0, *codes}
