from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncflags._policies.checksum_lists import parse_checksum_list

DIGEST = hashlib.sha256(b"flag").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
LINES = st.sampled_from(
    [DIGEST, DIGEST[:40], "  ", " *", " ", "\\", "SHA256 (", ") = ", "name", "./", "\n", "#", "\r"]
)


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST}  fr.gif",
        f"{DIGEST} *fr.gif",
        f"{DIGEST} fr.gif",
        f"{DIGEST}\tfr.gif",
        f" {DIGEST.upper()}  fr.gif\r",
        f"\ufeff{DIGEST}  fr.gif",
        f"{DIGEST}  ./fr.gif",
        f"{DIGEST} *.//./fr.gif",
        f"SHA256 (fr.gif) = {DIGEST}",
        f"SHA256(fr.gif)= {DIGEST.upper()}",
        f"SHA2-256(./fr.gif)= {DIGEST}".replace("SHA2-256", "SHA-256"),
        f"\\SHA256 (fr.gif) = {DIGEST}",
    ],
)
def test_every_usual_line_is_read(line: str) -> None:
    assert parse_checksum_list(line) == {"fr.gif": f"sha256:{DIGEST}"}


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_the_length_tells_the_algorithm(name: str) -> None:
    digest = hashlib.new(name, b"flag").hexdigest()
    assert parse_checksum_list(f"{digest}  a\n{name.upper()} (b) = {digest}\n") == {
        "a": f"{name}:{digest}",
        "b": f"{name}:{digest}",
    }


def test_a_named_algorithm_goes_before_its_length() -> None:
    digest = hashlib.blake2b(b"flag").hexdigest()
    assert parse_checksum_list(f"BLAKE2b (a) = {digest}") == {"a": f"blake2b:{digest}"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (f"{DIGEST}   leading", " leading"),
        (f"{DIGEST}  two  blanks ", "two  blanks "),
        (f"{DIGEST} **star", "*star"),
        (f"{DIGEST}  a\\b", "a\\b"),
        (f"\\{DIGEST}  a\\\\b\\nc\\r", "a\\b\nc\r"),
        (f"\\SHA256 (a\\nb) = {DIGEST}", "a\nb"),
        (f"SHA256 (a) = (b) (c) = {DIGEST}", "a) = (b) (c"),
        (f"{DIGEST}  dir/é #1", "dir/é #1"),
        (f"{DIGEST}  a\u2028b\x0bc", "a\u2028b\x0bc"),
        (f"{DIGEST}  .hidden", ".hidden"),
    ],
)
def test_a_name_is_kept_as_it_is_meant(written: str, name: str) -> None:
    assert parse_checksum_list(written) == {name: f"sha256:{DIGEST}"}


def test_comments_and_empty_lines_are_passed_over() -> None:
    text = f"# SHA256SUMS\n\n  \t\r\n{DIGEST}  fr.gif\n#{OTHER}  fr.gif\n"
    assert parse_checksum_list(text) == {"fr.gif": f"sha256:{DIGEST}"}
    assert parse_checksum_list("") == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fr.gif", "malformed"),
        (DIGEST, "malformed"),
        (f"{DIGEST}  ", "malformed"),
        (f"{DIGEST} *", "malformed"),
        (f"{DIGEST}fr.gif", "malformed"),
        (f"fr.gif  {DIGEST}", "malformed"),
        (f"{DIGEST}  ./", "names no file"),
        (f"{DIGEST[:-1]}  fr.gif", "63 hexadecimal digits"),
        (f"{DIGEST[:-1]}g  fr.gif", "malformed"),
        (f"\\{DIGEST}  a\\tb", "unknown escape"),
        (f"\\{DIGEST}  a\\", "unknown escape"),
        (f"SHA256 (fr.gif) = {DIGEST[:-1]}", "63 hexadecimal digits"),
        (f"SHA255 (fr.gif) = {DIGEST}", "unknown"),
        (f"SHA256 () = {DIGEST}", "malformed"),
        ("Size (fr.gif) = 1234", "unknown"),
        ("-----BEGIN PGP SIGNED MESSAGE-----", "malformed"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=rf"line 3 of the checksum list .*{says}"):
        parse_checksum_list(f"# list\n{OTHER}  a\n{line}\n{OTHER}  b")


@pytest.mark.parametrize("second", [f"{OTHER}  fr.gif", f"{OTHER} *./fr.gif", f"SHA256 (fr.gif) = {OTHER}"])
def test_two_digests_of_one_name_contradict_each_other(second: str) -> None:
    with pytest.raises(ValueError, match=r"line 2 .*another sha256 for 'fr\.gif'"):
        parse_checksum_list(f"{DIGEST}  fr.gif\n{second}")


def test_the_same_line_twice_is_no_contradiction() -> None:
    assert parse_checksum_list(f"{DIGEST}  a\nSHA256 (a) = {DIGEST.upper()}") == {"a": f"sha256:{DIGEST}"}


def test_of_several_algorithms_the_strongest_counts() -> None:
    lines = [
        f"{name.upper()} (a) = {hashlib.new(name, b'').hexdigest()}" for name in ("md5", "sha512", "sha1")
    ]
    assert parse_checksum_list("\n".join(lines))["a"].startswith("sha512:")


@given(st.text(min_size=1, max_size=20), st.sampled_from(["{d}  {n}", "{d} *{n}", "SHA256 ({n}) = {d}"]))
def test_an_escaped_name_reads_back_whatever_it_is(name: str, form: str) -> None:
    assume(not name.startswith("./"))
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    line = "\\" + form.format(d=DIGEST, n=escaped)
    assert parse_checksum_list(line) == {name: f"sha256:{DIGEST}"}


@given(st.one_of(st.text(max_size=100), st.lists(LINES, max_size=12).map("".join)))
def test_any_text_is_a_list_or_a_value_error_that_names_a_line(text: str) -> None:
    try:
        checksums = parse_checksum_list(text)
    except ValueError as error:
        assert str(error).startswith("line ") and len(str(error)) < 500
    else:
        assert all(name and ":" in checksum for name, checksum in checksums.items())


def test_a_hostile_list_costs_little() -> None:
    for piece in ("SHA256 (a) = a ", ") = ", "a ", " ", "\t", "\\", "a"):
        with pytest.raises(ValueError, match="line 1"):
            parse_checksum_list("x" + piece * 20_000)
