from __future__ import annotations

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags._policies.checksums import Checksum

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "SHA256", "sha-256", "Sha-256", "sha_256", " sha256"])
def test_the_usual_spellings_of_an_algorithm_mean_the_same(algorithm: str) -> None:
    assert Checksum.parse(f"{algorithm}:{EMPTY}") == Checksum("sha256", EMPTY)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("md5", "md5"),
        ("SHA-1", "sha1"),
        ("sha-512", "sha512"),
        ("SHA3-256", "sha3_256"),
        ("blake2b", "blake2b"),
    ],
)
def test_every_fixed_length_algorithm_of_hashlib_is_taken(spelled: str, name: str) -> None:
    digest = hashlib.new(name, b"flag").hexdigest()
    assert Checksum.parse(f"{spelled}:{digest}").algorithm == name


def test_upper_case_digits_and_white_space_are_taken() -> None:
    assert Checksum.parse(f" sha256:{EMPTY.upper()}\n") == Checksum("sha256", EMPTY)


@given(st.binary(max_size=64))
def test_a_checksum_matches_what_its_hash_object_makes(content: bytes) -> None:
    checksum = Checksum.parse(f"sha256:{hashlib.sha256(content).hexdigest()}")
    hasher = checksum.new_hash()
    hasher.update(content)
    assert hasher.hexdigest() == checksum.hexdigest


def test_each_hash_object_is_fresh() -> None:
    checksum = Checksum("sha256", EMPTY)
    checksum.new_hash().update(b"x")
    assert checksum.new_hash().hexdigest() == EMPTY


def test_a_checksum_reads_back_its_own_text() -> None:
    checksum = Checksum("sha3_256", "ab" * 32)
    assert Checksum.parse(str(checksum)) == checksum
    assert pickle.loads(pickle.dumps(checksum)) == checksum


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no algorithm"),
        ("flag", "names no algorithm"),
        ("a" * 31, "names no algorithm"),
        ("sha256-" + "a" * 64, "names no algorithm"),
        (":" + EMPTY, "unknown"),
        ("sha257:" + EMPTY, "'sha257' is unknown: accepted are .*sha256"),
        ("shake_128:" + "ab" * 16, "no fixed length"),
        ("shake256:" + "ab" * 16, "no fixed length"),
        ("sha256:", "not hexadecimal"),
        ("sha256:" + "g" * 64, "not hexadecimal"),
        ("sha256: " + EMPTY, "not hexadecimal"),
        ("sha256:" + "٣" * 64, "not hexadecimal"),
        ("sha256:" + EMPTY[:-1], "has 63 hexadecimal digits, and sha256 has 64"),
        ("sha1:" + EMPTY, "has 64 hexadecimal digits, and sha1 has 40"),
    ],
)
def test_what_is_no_checksum_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Checksum.parse(text)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_a_bare_digest_is_told_the_prefix_that_fits_its_length(name: str) -> None:
    digest = hashlib.new(name).hexdigest()
    with pytest.raises(ValueError, match=f"write {name}:{digest}"):
        Checksum.parse(digest)


def test_a_refusal_of_an_endless_text_is_short() -> None:
    with pytest.raises(ValueError) as caught:
        Checksum.parse("x" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=80))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    try:
        Checksum.parse(text)
    except ValueError:
        return
