"""What an answer to a request for the rest means, and what is kept of a transfer that ended."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import errors
from asyncflags._policies.resuming import Asked, Next, keeps_part, next_step, overlap_before

RANGED = (Asked.IF_RANGE, Asked.IF_MATCH, Asked.UNPROVEN)
statuses = st.integers(200, 599)


@pytest.mark.parametrize(
    ("status", "asked", "same_etag", "step"),
    [
        (200, Asked.WHOLE, False, Next.TAKE),
        (200, Asked.WHOLE, True, Next.TAKE),
        (203, Asked.WHOLE, False, Next.TAKE),
        # Nobody asked for a part, so nothing is known of its place.
        (206, Asked.WHOLE, True, Next.REFUSE),
        (304, Asked.WHOLE, False, Next.REFUSE),
        (412, Asked.WHOLE, False, Next.REFUSE),
        (416, Asked.WHOLE, False, Next.REFUSE),
        (404, Asked.WHOLE, False, Next.REFUSE),
        (206, Asked.IF_RANGE, True, Next.CONTINUE),
        # Whether a part without a tag may be joined is for the check of parts to tell.
        (206, Asked.IF_RANGE, False, Next.CONTINUE),
        (206, Asked.IF_MATCH, True, Next.CONTINUE),
        (206, Asked.UNPROVEN, False, Next.CONTINUE),
        # The version is still ours, so the server does not know If-Range: one more try, and no third.
        (200, Asked.IF_RANGE, True, Next.ASK_BY_MATCH),
        (200, Asked.IF_MATCH, True, Next.TAKE),
        (200, Asked.UNPROVEN, True, Next.TAKE),
        (200, Asked.IF_RANGE, False, Next.TAKE),
        (200, Asked.IF_MATCH, False, Next.TAKE),
        (412, Asked.IF_RANGE, True, Next.ASK_WHOLE),
        (412, Asked.IF_MATCH, False, Next.ASK_WHOLE),
        (416, Asked.IF_RANGE, False, Next.ASK_WHOLE),
        (416, Asked.UNPROVEN, False, Next.ASK_WHOLE),
        (304, Asked.IF_RANGE, True, Next.REFUSE),
        (503, Asked.IF_RANGE, True, Next.REFUSE),
        (404, Asked.IF_MATCH, True, Next.REFUSE),
    ],
)
def test_what_an_answer_means(status: int, asked: Asked, same_etag: bool, step: Next) -> None:
    assert next_step(status, asked=asked, same_etag=same_etag) is step


@given(status=statuses, asked=st.sampled_from(Asked), same_etag=st.booleans())
def test_only_a_206_to_a_range_continues_and_only_another_success_is_taken(
    status: int, asked: Asked, same_etag: bool
) -> None:
    step = next_step(status, asked=asked, same_etag=same_etag)
    assert (step is Next.CONTINUE) == (status == 206 and asked in RANGED)
    if step in (Next.TAKE, Next.ASK_BY_MATCH):
        assert 200 <= status < 300
        assert status != 206
    if asked is Asked.WHOLE:
        assert step in (Next.TAKE, Next.REFUSE)


def test_no_answers_however_chosen_make_a_client_ask_for_ever() -> None:
    # What is asked next depends on the answer alone; by match and then whole is as far as it goes.
    after = {Next.ASK_BY_MATCH: Asked.IF_MATCH, Next.ASK_WHOLE: Asked.WHOLE}
    for answers in itertools.product([200, 206, 412, 416, 503], repeat=3):
        asked, asks = Asked.IF_RANGE, 0
        for status in answers:
            asks += 1
            step = next_step(status, asked=asked, same_etag=True)
            if step not in after:
                break
            asked = after[step]
        assert step not in after, answers
        assert asks <= 3


@given(position=st.integers(1, 2**63))
def test_some_bytes_are_always_compared_and_never_more_than_half_of_them_nor_a_kibibyte(
    position: int,
) -> None:
    overlap = overlap_before(position)
    assert 1 <= overlap <= min(1024, (position + 1) // 2)


def test_of_nothing_nothing_is_compared() -> None:
    assert overlap_before(0) == 0


@given(size=st.integers(1, 3000), brought=st.integers(1, 3000))
def test_a_server_that_cuts_every_answer_cannot_keep_a_file_from_growing(size: int, brought: int) -> None:
    # An answer that brings at least as much as the first one did always goes beyond what is there,
    # as long as that is no more.
    assert overlap_before(min(size, brought)) <= brought


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectError("x"),
        errors.ReadError("x"),
        errors.TruncatedBody("x"),
        errors.ReadTimeout("x"),
        errors.TooSlow("x"),
        errors.StorageError("x", path="x"),
        errors.TotalTimeout("x"),
        errors.ClosedError("x"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_who_ends_a_transfer_without_a_word_on_its_bytes_leaves_them(error: BaseException) -> None:
    assert keeps_part(error)


@pytest.mark.parametrize(
    "error",
    [
        errors.RangeError("x"),
        errors.ProtocolError("x"),
        errors.BodyTooLarge("x"),
        errors.DigestMissing("x"),
        errors.ChecksumMismatch("x", algorithm="md5", expected="a", actual="b"),
        errors.StatusError("x", status=404),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_that_does_not_fit_condemns_its_bytes(error: BaseException) -> None:
    assert not keeps_part(error)
