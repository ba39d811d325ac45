"""Digests of the misbehaving origin are right, wrong and unreadable as promised."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from asyncflags.testing.faulty import FAULTS, FaultyOrigin, body_for, encoded_for

from .careful_client import ask

PROMISED = """
repr repr-sha-512 content legacy two unknown-and-right parameters key-twice unknown-algorithm empty empty-value
bad-base64 wrong-length not-a-dictionary unterminated hexadecimal bare number upper-case-key content-bad-base64
legacy-bad-base64 legacy-unknown-algorithm repr-wrong repr-sha-512-wrong content-wrong legacy-wrong two-first-wrong
two-last-wrong unknown-and-wrong key-twice-wrong repr-right-content-wrong redirect gzip gzip-decoded gzip-negotiated
resumed resumed-repeating resumed-only-on-parts resumed-only-on-parts-wrong resumed-content-wrong
resumed-content-of-whole resumed-repr-wrong resumed-spliced
"""
REST = {"Range": "bytes=2000-", "If-Range": '"v1"'}


def encoded(content: bytes, bits: int = 256) -> str:
    return base64.b64encode(hashlib.new(f"sha{bits}", content).digest()).decode()


def sha_256(content: bytes) -> str:
    return f"sha-256=:{encoded(content)}:"


def sha_512(content: bytes) -> str:
    return f"sha-512=:{encoded(content, 512)}:"


def test_every_promised_case_is_in_the_table() -> None:
    promised = {f"/digest/{name}" for name in PROMISED.split()}
    assert promised == {path for path in FAULTS if path.startswith("/digest/")}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("repr", "repr-digest"),
        ("content", "content-digest"),
        ("two", "repr-digest"),
        ("key-twice", "repr-digest"),
        ("legacy", "digest"),
    ],
)
async def test_a_right_digest_is_of_the_body(faulty: FaultyOrigin, name: str, field: str) -> None:
    got = await ask(faulty.url, f"/digest/{name}", {})
    assert got.body == body_for(f"/digest/{name}")
    assert encoded(got.body) in got.headers[field]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unknown-algorithm", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, sha-999=:AAAA:"),
        ("empty", ""),
        ("empty-value", "sha-256=::"),
        ("bad-base64", "sha-256=:%%%not base64%%%:"),
        ("wrong-length", "sha-256=:AAAAAAAAAAAAAAAAAAAAAA==:"),
        ("number", "sha-256=42"),
    ],
)
async def test_a_malformed_digest_goes_out_as_it_is(faulty: FaultyOrigin, name: str, value: str) -> None:
    got = await ask(faulty.url, f"/digest/{name}", {})
    assert (got.headers["repr-digest"], got.body) == (value, body_for(f"/digest/{name}"))


async def test_malformed_digests_of_the_right_bytes(faulty: FaultyOrigin) -> None:
    said = {}
    for name in ("not-a-dictionary", "unterminated", "bare", "hexadecimal", "upper-case-key"):
        got = await ask(faulty.url, f"/digest/{name}", {})
        said[name] = got.headers["repr-digest"].replace(encoded(got.body), "...")
    assert said["not-a-dictionary"] == ":...:"
    assert said["unterminated"] == "sha-256=:..."
    assert said["bare"] == "sha-256=..."
    assert said["hexadecimal"] == f'sha-256="{hashlib.sha256(body_for("/digest/hexadecimal")).hexdigest()}"'
    assert said["upper-case-key"].startswith("SHA-256=:")


@pytest.mark.parametrize(
    "path", sorted(p for p in FAULTS if p.startswith("/digest/") and FAULTS[p].broken and "resumed" not in p)
)
async def test_a_wrong_digest_stands_over_a_whole_body(faulty: FaultyOrigin, path: str) -> None:
    got = await ask(faulty.url, path, {})
    assert (got.status, got.body, got.is_whole) == (200, encoded_for(path), True)
    fields = {
        name: got.headers[name] for name in ("repr-digest", "content-digest", "digest") if name in got.headers
    }
    wrong = {
        "/digest/two-first-wrong": sha_512,
        "/digest/two-last-wrong": sha_256,
        "/digest/key-twice-wrong": sha_256,
    }
    if path in wrong:
        assert wrong[path](got.body) in fields["repr-digest"]
    elif path == "/digest/repr-right-content-wrong":
        assert fields.pop("repr-digest") == sha_256(got.body)
    assert fields
    assert not all(value in (sha_256(got.body), f"SHA-256={encoded(got.body)}") for value in fields.values())


async def test_of_a_key_that_stands_twice_the_last_is_meant(faulty: FaultyOrigin) -> None:
    right = await ask(faulty.url, "/digest/key-twice", {})
    wrong = await ask(faulty.url, "/digest/key-twice-wrong", {})
    assert right.headers["repr-digest"].endswith(sha_256(right.body))
    assert wrong.headers["repr-digest"].startswith(sha_256(wrong.body))
    assert wrong.headers["repr-digest"].count("sha-256=:") == 2


async def test_a_redirect_has_digests_of_its_own(faulty: FaultyOrigin) -> None:
    got = await ask(faulty.url, "/digest/redirect", {})
    assert (got.status, got.headers["location"]) == (302, "/ok")
    assert got.headers["repr-digest"] == got.headers["content-digest"] == sha_256(b"")
    assert body_for("/digest/redirect") == body_for("/ok")


async def test_digests_are_of_the_coded_bytes(faulty: FaultyOrigin) -> None:
    for path, body in {"/digest/gzip": encoded_for, "/digest/gzip-decoded": body_for}.items():
        got = await ask(faulty.url, path, {})
        assert (got.headers["content-encoding"], got.body) == ("gzip", encoded_for(path))
        assert gzip.decompress(got.body) == body_for(path)
        assert got.headers["repr-digest"] == sha_256(body(path))


async def test_each_coding_has_its_own_digest(faulty: FaultyOrigin) -> None:
    path = "/digest/gzip-negotiated"
    plain = await ask(faulty.url, path, {"Accept-Encoding": "identity"})
    coded = await ask(faulty.url, path, {"Accept-Encoding": "gzip"})
    assert plain.body == gzip.decompress(coded.body) == body_for(path)
    for got in (plain, coded):
        assert got.headers["repr-digest"] == got.headers["content-digest"] == sha_256(got.body)


@pytest.mark.parametrize("name", ["resumed", "resumed-repeating"])
async def test_a_part_has_the_digest_of_its_content(faulty: FaultyOrigin, name: str) -> None:
    path = f"/digest/{name}"
    first = await ask(faulty.url, path, {})
    part = await ask(faulty.url, path, REST)
    assert first.headers["repr-digest"] == first.headers["content-digest"] == sha_256(body_for(path))
    assert (part.status, part.headers["content-digest"]) == (206, sha_256(part.body))
    repeated = sha_256(body_for(path)) if name == "resumed-repeating" else None
    assert part.headers.get("repr-digest") == repeated


async def test_only_parts_tell_the_digest(faulty: FaultyOrigin) -> None:
    for name, digest in {"resumed-only-on-parts": True, "resumed-only-on-parts-wrong": False}.items():
        path = f"/digest/{name}"
        assert "repr-digest" not in (await ask(faulty.url, path, {})).headers
        part = await ask(faulty.url, path, REST)
        assert (part.headers["repr-digest"] == sha_256(body_for(path))) is digest


async def test_digests_of_parts_are_wrong(faulty: FaultyOrigin) -> None:
    content = await ask(faulty.url, "/digest/resumed-content-wrong", REST)
    assert content.headers["content-digest"] != sha_256(content.body)
    whole = await ask(faulty.url, "/digest/resumed-content-of-whole", REST)
    assert whole.headers["content-digest"] == sha_256(body_for("/digest/resumed-content-of-whole"))
    other = await ask(faulty.url, "/digest/resumed-repr-wrong", REST)
    assert other.headers["repr-digest"] != sha_256(body_for("/digest/resumed-repr-wrong"))
    assert other.headers["content-digest"] == sha_256(other.body)
    assert other.body == body_for("/digest/resumed-repr-wrong")[2000:]


async def test_a_splice_has_nothing_against_it_but_the_first_digest(faulty: FaultyOrigin) -> None:
    path = "/digest/resumed-spliced"
    first = await ask(faulty.url, path, {})
    part = await ask(faulty.url, path, REST)
    assert part.headers["content-digest"] == sha_256(part.body)
    assert part.body[:1000] == first.body[2000:]
    joined = first.body + part.body[1000:]
    assert len(joined) == len(body_for(path))
    assert first.headers["repr-digest"] == sha_256(body_for(path)) != sha_256(joined)
