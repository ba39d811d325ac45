from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.digests import (
    AnswerDigests,
    Digest,
    ParsedDigests,
    digests_of,
    parse_digest_field,
    parse_legacy_digest,
)

# RFC 9530 appendix B.1: the representation {"hello": "world"} and a line feed.
HELLO = b'{"hello": "world"}\n'
HELLO_256 = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="
SHA256 = Digest("sha256", hashlib.sha256(HELLO).digest())
SHA512 = Digest("sha512", hashlib.sha512(HELLO).digest())
HELLO_512 = base64.b64encode(SHA512.value).decode()
# The example of RFC 6249 section 6 has hexadecimal digits inside of its base64.
OF_DIGITS = "MWVkMWQxYTRiMzk5MDQ0MzI3NGU5NDEyZTk5OWY1ZGFmNzgyZTJlODYzYjRjYzFhOTlmNTQwYzI2M2QwM2U2MQ=="

# RFC 9651 section 3: one member of each type of a structured field, and with parameters.
OTHERS = ['a="x, \\" y"', "a=?1", "a=1", "a=-1.5", "a=token/*", "a=@1659578233", 'a=%"f%c3%bc"', "a", "a;b;c=:eA==:",
          "a=()", 'a=( 1  "x";y tok );z=1', "*a.b-c_d=:eA==:"]  # fmt: skip


def test_the_digest_of_the_rfc_is_read() -> None:
    assert parse_digest_field(f"sha-256=:{HELLO_256}:") == ParsedDigests((SHA256,))


def test_a_digest_makes_the_hash_it_is_compared_with() -> None:
    for digest in (SHA256, SHA512):
        hasher = digest.new_hash()
        hasher.update(HELLO)
        assert hasher.digest() == digest.value
    assert str(SHA256) == f"sha256:{hashlib.sha256(HELLO).hexdigest()}"


def test_every_supported_digest_of_a_field_counts() -> None:
    parsed = parse_digest_field(f"sha-512=:{HELLO_512}: \t,\t sha-256=:{HELLO_256}:")
    assert parsed == ParsedDigests((SHA512, SHA256))


@pytest.mark.parametrize(
    "field",
    [
        f"sha-256=:{HELLO_256}:;q=1",
        f'sha-256=:{HELLO_256}:; a;b=?0;  c="x;y"',
        f"  sha-256=:{HELLO_256}:  ",
        f"sha-256=:{HELLO_256.rstrip('=')}:",
    ],
)
def test_parameters_blanks_and_missing_padding_change_nothing(field: str) -> None:
    assert parse_digest_field(field) == ParsedDigests((SHA256,))


def test_of_an_algorithm_named_twice_the_last_counts() -> None:
    other = base64.b64encode(bytes(32)).decode()
    assert parse_digest_field(f"sha-256=:{other}:, sha-256=:{HELLO_256}:").digests == (SHA256,)
    assert parse_digest_field(f"sha-256=:{HELLO_256}:, sha-256=:{other}:").digests == (
        Digest("sha256", bytes(32)),
    )


@pytest.mark.parametrize("other", OTHERS)
def test_members_of_any_type_leave_the_digest_beside_them_alone(other: str) -> None:
    for field in (f"{other}, sha-256=:{HELLO_256}:", f"sha-256=:{HELLO_256}:,{other}"):
        parsed = parse_digest_field(field)
        assert parsed.digests == (SHA256,)
        assert len(parsed.problems) == 1 and "only sha-256 and sha-512" in parsed.problems[0]


@pytest.mark.parametrize("algorithm", ["md5", "sha", "sha-1", "unixsum", "crc32c", "sha-384", "adler"])
def test_no_other_algorithm_is_taken(algorithm: str) -> None:
    parsed = parse_digest_field(f"{algorithm}=:{HELLO_256}:")
    assert parsed.digests == () and algorithm in parsed.problems[0]
    parsed = parse_legacy_digest(f"{algorithm}={HELLO_256}")
    assert parsed.digests == () and algorithm in parsed.problems[0]


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_digest_of_another_length_is_a_problem(size: int) -> None:
    encoded = base64.b64encode(bytes(size)).decode()
    parsed = parse_digest_field(f"sha-256=:{encoded}:")
    assert parsed == ParsedDigests(problems=(f"its sha-256 has {size} bytes instead of 32",))


@pytest.mark.parametrize(
    "value", ["sha-256", "sha-256=?1", 'sha-256="x"', "sha-256=(:eA==:)", f"sha-256={HELLO_256[:8]}"]
)
def test_a_digest_of_another_type_is_a_problem(value: str) -> None:
    parsed = parse_digest_field(f"{value}, sha-512=:{HELLO_512}:")
    assert parsed == ParsedDigests((SHA512,), ("its sha-256 is not base64",))


@pytest.mark.parametrize(
    "broken",
    ["SHA-256=:eA==:", "=:eA==:", "sha-256=eA==", "sha-256=:eA==", "sha-256=eA==:", "sha-256=:e A==:",
     "sha-256=:eA-_:", "sha-256=:eA==eA==:", "sha-256=:=eA:", "sha-256=:eAAAA:", "sha-256= :eA==:",
     "sha-256 =:eA==:", "sha-256=:eA==: ;q=1", "sha-256=:eA==:;", "sha-256=:eA==:;Q=1", "a=1.2345", "a=1.",
     "a=1234567890123456", 'a="x', 'a="\x7f"', "a=?2", "a=(", "a=(1", "a=(1,2)", "a=é", "a b", ",", "a,", ",a",
     "a,,b"],
)  # fmt: skip
def test_a_field_that_is_malformed_anywhere_gives_no_digest(broken: str) -> None:
    good = f"sha-256=:{HELLO_256}:"
    for field in (broken, f"{good}, {broken}"):
        parsed = parse_digest_field(field)
        assert parsed.digests == ()
        assert len(parsed.problems) == 1 and "malformed" in parsed.problems[0]


def test_an_empty_dictionary_says_nothing() -> None:
    assert parse_digest_field("") == parse_digest_field("  ") == ParsedDigests()


@pytest.mark.parametrize("name", ["SHA-256", "sha-256", "Sha-256"])
def test_the_older_field_is_read_in_any_case(name: str) -> None:
    assert parse_legacy_digest(f"{name}={HELLO_256}") == ParsedDigests((SHA256,))


def test_the_older_field_is_a_list() -> None:
    parsed = parse_legacy_digest(f" ,SHA-256={HELLO_256} ,\tsha-512={HELLO_512}, ,SHA-256={HELLO_256}")
    assert parsed == ParsedDigests((SHA256, SHA512))


def test_two_different_digests_of_the_older_field_must_both_match() -> None:
    other = base64.b64encode(bytes(32)).decode()
    parsed = parse_legacy_digest(f"SHA-256={HELLO_256},SHA-256={other}")
    assert parsed.digests == (SHA256, Digest("sha256", bytes(32)))


# The example of RFC 3230 section 4.3.2, and one of RFC 5843 section 2.2.
@pytest.mark.parametrize("value", ["md5=HUXZLQLMuI/KZ5KDcJPcOA==", "UNIXsum=30637", "id-sha-256=x"])
def test_other_instance_digests_are_well_formed_and_not_taken(value: str) -> None:
    parsed = parse_legacy_digest(value)
    assert parsed.digests == () and "only sha-256 and sha-512" in parsed.problems[0]


@pytest.mark.parametrize(
    "value", ["SHA-256", "SHA-256=", "=x", "SHA 256=eA==", "SHA-256 =eA==", "SHA-256=e A==", ":"]
)
def test_an_older_field_that_is_malformed_anywhere_gives_no_digest(value: str) -> None:
    for field in (value, f"SHA-512={HELLO_512},{value}"):
        parsed = parse_legacy_digest(field)
        assert parsed.digests == () and "malformed" in parsed.problems[0]


@pytest.mark.parametrize("value", ["e-_A", "=", "eA==eA==", "eAAAA"])
def test_an_older_digest_that_is_not_base64_is_a_problem(value: str) -> None:
    assert parse_legacy_digest(f"SHA-256={value}").problems == ("its sha-256 is not base64",)


def test_hexadecimal_digits_are_no_digest() -> None:
    assert parse_legacy_digest(f"SHA-256={OF_DIGITS}").problems == ("its sha-256 has 64 bytes instead of 32",)
    digits = hashlib.sha256(HELLO).hexdigest()
    assert parse_legacy_digest(f"SHA-256={digits}").problems == ("its sha-256 has 48 bytes instead of 32",)


def test_an_answer_without_digests_has_none() -> None:
    assert digests_of([("Content-Type", "text/plain")]) == AnswerDigests()


def test_the_digest_of_the_body_and_of_the_file_are_kept_apart() -> None:
    found = digests_of(
        [("content-DIGEST", f"sha-512=:{HELLO_512}:"), ("Repr-Digest", f"sha-256=:{HELLO_256}:")]
    )
    assert found == AnswerDigests(content=(SHA512,), representation=(SHA256,))


def test_fields_of_one_name_are_one_field() -> None:
    first, second = ("Repr-Digest", f"sha-256=:{HELLO_256}:"), ("repr-digest", f"sha-512=:{HELLO_512}:")
    assert digests_of([first, second]).representation == (SHA256, SHA512)
    found = digests_of([first, ("Repr-Digest", "?")])
    assert found.representation == () and found.problems[0].startswith("Repr-Digest: the field is malformed")


@pytest.mark.parametrize("repr_digest", ["sha-256=junk=", "md5=:eA==:", "sha-256=:eA==:"])
def test_the_older_field_counts_where_the_newer_gives_nothing(repr_digest: str) -> None:
    found = digests_of([("Digest", f"SHA-256={HELLO_256}"), ("Repr-Digest", repr_digest)])
    assert found.representation == (SHA256,) and len(found.problems) == 1


def test_the_newer_field_goes_before_the_older() -> None:
    found = digests_of([("Digest", "SHA-256=junk"), ("Repr-Digest", f"sha-256=:{HELLO_256}:")])
    assert found == AnswerDigests(representation=(SHA256,))


def test_content_digest_never_speaks_for_the_file() -> None:
    assert digests_of([("Content-Digest", f"sha-256=:{HELLO_256}:")]).representation == ()


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_what_is_written_reads_back(short: bytes, long: bytes) -> None:
    encoded = {"sha-256": base64.b64encode(short).decode(), "sha-512": base64.b64encode(long).decode()}
    digests = (Digest("sha256", short), Digest("sha512", long))
    assert (
        parse_digest_field(", ".join(f"{key}=:{text}:" for key, text in encoded.items())).digests == digests
    )
    assert parse_legacy_digest(",".join(f"{key}={text}" for key, text in encoded.items())).digests == digests


TEXTS = st.one_of(
    st.text(max_size=30),
    st.text('sha-256=:,;()"\\ AQ?1.', max_size=30),
    st.lists(st.sampled_from([*OTHERS, f"sha-256=:{HELLO_256}:", ",", " ", ";", "(", '"']), max_size=6).map(
        "".join
    ),
)


@given(TEXTS)
def test_any_text_gives_digests_that_were_in_it_or_problems(text: str) -> None:
    for parsed in (parse_digest_field(text), parse_legacy_digest(text)):
        assert all(base64.b64encode(digest.value).decode().rstrip("=") in text for digest in parsed.digests)
        assert all(len(problem) < 200 for problem in parsed.problems)


def test_a_hostile_field_costs_little() -> None:
    for piece in ("a=(", "a=(1 ", "a;", 'a="', "a=1;b,", "a=( ", " ", ":", "a=1.", "sha-256="):
        assert parse_digest_field(piece * 20_000).digests == ()
        assert parse_legacy_digest(piece * 20_000).digests == ()
