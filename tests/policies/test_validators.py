from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.validators import Validator, not_modified_headers

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
# RFC 9110 section 8.8.2.1.
MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT"
SECOND_LATER = "Tue, 15 Nov 1994 12:45:27 GMT"
TAGS = st.from_regex(r'"[!#-~]{0,12}"', fullmatch=True)
FIELDS = st.one_of(st.none(), TAGS, TAGS.map(lambda tag: f"W/{tag}"), st.text(max_size=12))


def of(etag: str | None = None, last_modified: str | None = None, date: str | None = None) -> Validator:
    return Validator.of(etag=etag, last_modified=last_modified, date=date, now=NOW)


# The three examples of RFC 9110 section 8.8.3.
@pytest.mark.parametrize("etag", ['"xyzzy"', 'W/"xyzzy"', '""', ' "a,b"\t'])
def test_an_entity_tag_is_kept_as_sent(etag: str) -> None:
    assert of(etag) == Validator(etag=etag.strip())


@pytest.mark.parametrize(
    "etag",
    ["", "xyzzy", '"xyzzy', "'xyzzy'", 'w/"xyzzy"', 'W/ "xyzzy"', 'W/"a""b"', '"a" "b"', '"a", "b"', '"a b"',
     '"a\x7f"', '"é"', '"\udc80"', '"a\\"b"'],
)  # fmt: skip
def test_an_etag_that_is_no_entity_tag_is_malformed_and_never_relied_on(etag: str) -> None:
    validator = of(etag, MODIFIED, SECOND_LATER)
    assert validator.etag is None and validator.malformed
    assert validator.condition is None and not validator.is_same_etag(etag)


@pytest.mark.parametrize(
    ("date", "is_strong"),
    [
        (SECOND_LATER, True),
        ("Tuesday, 15-Nov-94 12:45:27 GMT", True),
        ("Tue Nov 15 12:45:27 1994", True),
        (MODIFIED, False),
        ("Tue, 15 Nov 1994 12:45:25 GMT", False),
        ("yesterday", False),
        ("", False),
        (None, False),
    ],
)
def test_a_date_is_strong_from_one_second_before_the_answer_on(date: str | None, is_strong: bool) -> None:
    validator = of(None, MODIFIED, date)
    assert validator.is_strong_date is is_strong
    assert validator.condition == (MODIFIED if is_strong else None)


@given(st.integers(0, 4_000_000_000), st.integers(-3, 3))
def test_a_date_is_strong_when_it_is_a_second_older_whenever_that_is(moment: int, apart: int) -> None:
    modified, date = (
        format_datetime(datetime.fromtimestamp(each, UTC), usegmt=True)
        for each in (moment + 10, moment + 10 + apart)
    )
    assert of(None, modified, date).is_strong_date is (apart >= 1)


def test_a_modification_date_that_is_no_date_is_never_a_condition() -> None:
    assert of(None, "yesterday", MODIFIED) == Validator(last_modified="yesterday")


@pytest.mark.parametrize(
    ("etag", "condition"),
    [('"a"', '"a"'), ('W/"a"', None), ("a", None), ("", None), (None, MODIFIED)],
)
def test_a_date_is_the_condition_only_where_there_is_no_etag_at_all(
    etag: str | None, condition: str | None
) -> None:
    assert of(etag, MODIFIED, SECOND_LATER).condition == condition


def test_nothing_is_no_condition() -> None:
    assert Validator().condition is None


# The table of RFC 9110 section 8.8.3.2.
@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [('W/"1"', 'W/"1"', False), ('W/"1"', 'W/"2"', False), ('W/"1"', '"1"', False), ('"1"', '"1"', True),
     ('"1"', 'W/"1"', False), ('"1"', '"2"', False), ('"1"', "1", False), ('"1"', None, False),
     (None, None, False), ("1", "1", False), ('"1"', ' "1"', True)],
)  # fmt: skip
def test_entity_tags_are_compared_strongly(ours: str | None, theirs: str | None, is_same: bool) -> None:
    assert of(ours).is_same_etag(theirs) is is_same


@pytest.mark.parametrize("etag", ['"b"', 'W/"a"', "a", "", '"A"', None])
def test_a_part_must_repeat_a_strong_etag(etag: str | None) -> None:
    reason = of('"a"').contradiction(etag=etag, last_modified=None)
    assert reason is not None and '"a"' in reason


def test_a_part_that_repeats_the_etag_fits() -> None:
    assert of('"a"').contradiction(etag='"a"', last_modified=None) is None
    assert of('"a"', MODIFIED).contradiction(etag='"a"', last_modified=MODIFIED) is None


@pytest.mark.parametrize("etag", ['"b"', 'W/"b"', "b", ""])
def test_an_etag_that_appears_on_a_part_contradicts(etag: str) -> None:
    for validator in (of(None, MODIFIED, SECOND_LATER), Validator()):
        reason = validator.contradiction(etag=etag, last_modified=MODIFIED)
        assert reason is not None and "there was none" in reason


@pytest.mark.parametrize("last_modified", [SECOND_LATER, "", "yesterday"])
@pytest.mark.parametrize("etag", ['"a"', None])
def test_a_part_with_another_date_contradicts_whatever_is_relied_on(
    etag: str | None, last_modified: str
) -> None:
    reason = of(etag, MODIFIED, SECOND_LATER).contradiction(etag=etag, last_modified=last_modified)
    assert reason is not None and "Last-Modified" in reason


@pytest.mark.parametrize(
    "spelled", [MODIFIED, "Tuesday, 15-Nov-94 12:45:26 GMT", "Tue Nov 15 12:45:26 1994", f" {MODIFIED}", None]
)
def test_a_date_is_compared_as_a_moment_and_may_be_left_out(spelled: str | None) -> None:
    validator = of(None, MODIFIED, SECOND_LATER)
    assert validator.contradiction(etag=None, last_modified=spelled) is None


def test_a_date_that_was_not_there_proves_nothing_beside_an_etag() -> None:
    assert of('"a"').contradiction(etag='"a"', last_modified=MODIFIED) is None


def test_a_weak_etag_contradicts_when_it_has_changed() -> None:
    assert of('W/"a"').contradiction(etag='W/"a"', last_modified=None) is None
    assert of('W/"a"').contradiction(etag='W/"b"', last_modified=None) is not None
    assert of('W/"a"').contradiction(etag=None, last_modified=None) is not None


@given(FIELDS, st.one_of(st.none(), st.text(max_size=12), st.just(MODIFIED)))
def test_an_answer_never_contradicts_itself(etag: str | None, last_modified: str | None) -> None:
    validator = of(etag, last_modified, SECOND_LATER)
    assert validator.contradiction(etag=etag, last_modified=last_modified) is None


STRONG = st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E), max_size=4).map('"{}"'.format)


@given(STRONG, FIELDS | STRONG)
def test_no_other_etag_fits_a_strong_one(ours: str, theirs: str | None) -> None:
    validator = of(ours)
    assert validator.condition is not None
    fits = validator.contradiction(etag=theirs, last_modified=None) is None
    assert fits == validator.is_same_etag(theirs)
    assert fits == (theirs is not None and theirs.strip(" \t") == validator.etag)


def test_a_reason_shows_little_of_a_hostile_value() -> None:
    reason = of('"a"').contradiction(etag='"\x1b' + "x" * 10_000, last_modified=None)
    assert reason is not None and len(reason) < 200 and reason.isprintable()


@pytest.mark.parametrize(
    ("etag", "last_modified", "headers"),
    [
        ('"a"', MODIFIED, {"If-None-Match": '"a"'}),
        ('W/"a"', MODIFIED, {"If-None-Match": 'W/"a"'}),
        (None, MODIFIED, {"If-Modified-Since": MODIFIED}),
        ("a", MODIFIED, {"If-Modified-Since": MODIFIED}),
        (None, "yesterday", {}),
        ("a", None, {}),
        (None, None, {}),
    ],
)
def test_a_finished_file_is_asked_for_under_its_best_validator(
    etag: str | None, last_modified: str | None, headers: dict[str, str]
) -> None:
    assert not_modified_headers(of(etag, last_modified, MODIFIED)) == headers
