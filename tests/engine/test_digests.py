"""Digests that servers send along, of each answer and of the whole file, whichever way it came (RFC 9530)."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from asyncflags import AsyncDownloader, Event, errors
from asyncflags._transports.base import ExchangeRequest
from asyncflags._transports.mock import MockResponse, MockTransport
from asyncflags.errors import TruncatedBody
from asyncflags.testing import FaultyOrigin, Origin
from asyncflags.testing.faulty import FAULTS, Verdict, body_for, encoded_for

from .interrupted import eager, names
from .waiting import serving

URL = "https://flags.example/fr.gif"
BODY = hashlib.shake_128(b"body").digest(600_000)
CUT = 400_000
WRONG = b"other bytes"


def encoded(algorithm: str, content: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def sha_256(content: bytes) -> str:
    return f"sha-256=:{encoded('sha256', content)}:"


def sha_512(content: bytes) -> str:
    return f"sha-512=:{encoded('sha512', content)}:"


def legacy(content: bytes) -> str:
    return f"SHA-256={encoded('sha256', content)}"


RIGHT: Mapping[str, str] = {
    "Repr-Digest": f"{sha_256(b'flag')}, {sha_512(b'flag')}",
    "Content-Digest": sha_256(b"flag"),
    "Digest": legacy(b"flag"),
}


@pytest.mark.parametrize("field", RIGHT)
@pytest.mark.parametrize("required", [True, False])
async def test_a_right_digest_is_enough_where_one_is_required(
    field: str, required: bool, tmp_path: Path
) -> None:
    transport = serving(b"flag", headers={field: RIGHT[field]})
    async with eager(transport=transport, require_digest=required) as dl:
        await dl.download(URL, tmp_path)
        assert (await dl.fetch(URL)).content == b"flag"
    assert ("Want-Repr-Digest" in transport.requests[0].headers) is required


@pytest.mark.parametrize("digest", [sha_256, sha_512, legacy])
@pytest.mark.parametrize("field", RIGHT)
async def test_a_wrong_digest_is_a_mismatch_that_names_its_field_and_leaves_the_old_file(
    field: str, digest: Callable[[bytes], str], tmp_path: Path
) -> None:
    if (digest is legacy) != (field == "Digest"):
        return
    (tmp_path / "fr.gif").write_bytes(b"old")
    transport = serving(b"flag", headers={field: digest(WRONG)})
    async with eager(transport=transport) as dl:
        with pytest.raises(errors.ChecksumMismatch) as caught:
            await dl.download(URL, tmp_path)
    error = caught.value
    algorithm = "sha512" if digest is sha_512 else "sha256"
    shown = "Repr-Digest" if field == "Digest" else field
    assert shown in error.message
    assert (error.algorithm, error.expected) == (algorithm, hashlib.new(algorithm, WRONG).hexdigest())
    assert (error.actual, error.attempts) == (hashlib.new(algorithm, b"flag").hexdigest(), 1)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Repr-Digest": sha_256(b"flag"), "Content-Digest": sha_256(WRONG)},
        {"Repr-Digest": sha_256(WRONG), "Content-Digest": sha_256(b"flag")},
        {"Repr-Digest": f"{sha_256(b'flag')}, {sha_512(WRONG)}"},
        {"Repr-Digest": f"{sha_256(WRONG)}, {sha_512(b'flag')}"},
    ],
)
async def test_of_several_digests_every_one_has_to_match(headers: Any, tmp_path: Path) -> None:
    async with eager(transport=serving(b"flag", headers=headers)) as dl:
        with pytest.raises(errors.ChecksumMismatch):
            await dl.download(URL, tmp_path)
        with pytest.raises(errors.ChecksumMismatch):
            await dl.fetch(URL)
    assert names(tmp_path) == []


async def test_a_checksum_of_the_caller_s_and_a_digest_have_both_to_match(tmp_path: Path) -> None:
    checksum = "sha256:" + hashlib.sha256(b"flag").hexdigest()
    async with eager(transport=serving(b"flag", headers={"Repr-Digest": sha_512(WRONG)})) as dl:
        with pytest.raises(errors.ChecksumMismatch, match="Repr-Digest"):
            await dl.download(URL, tmp_path, checksum=checksum)


@pytest.mark.parametrize("name", ["list", "list, synced"])
async def test_in_a_list_a_wrong_digest_fails_alone(name: str, faulty: FaultyOrigin, tmp_path: Path) -> None:
    urls = [faulty.url + path for path in ("/digest/repr", "/digest/repr-wrong", "/digest/content")]
    async with eager(durability="fsync" if "synced" in name else "rename") as dl:
        report = await dl.download_many(urls, tmp_path)
    assert [type(outcome.error) for outcome in report.failures] == [errors.ChecksumMismatch]
    assert names(tmp_path) == ["content", "repr"]


# What cannot be used.


UNREADABLE = sorted(path for path in FAULTS if path.startswith("/digest/"))
UNREADABLE = [path for path in UNREADABLE if FAULTS[path].verdict is Verdict.WHOLE]
USABLE = {
    *("/digest/repr", "/digest/repr-sha-512", "/digest/content", "/digest/legacy", "/digest/two"),
    *("/digest/unknown-and-right", "/digest/parameters", "/digest/key-twice", "/digest/gzip"),
    "/digest/gzip-negotiated",
}
TOLD = {"/digest/unknown-and-right"}


@pytest.mark.parametrize("path", UNREADABLE)
async def test_what_cannot_be_read_is_told_and_never_taken_for_a_match(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    events: list[Event] = []
    async with eager(on_event=events.append) as dl:
        await dl.download(faulty.url + path, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == encoded_for(path)
        unusable = [event for event in events if event.kind == "digest_unusable"]
        # An empty dictionary is well formed and says nothing; the fields of a redirect are not the file's.
        is_silent = path in USABLE - TOLD or path in {"/digest/empty", "/digest/redirect"}
        assert bool(unusable) is not is_silent
        if path in USABLE:
            await dl.download(faulty.url + path, tmp_path / "file", require_digest=True)
            return
        with pytest.raises(errors.DigestMissing, match="require_digest"):
            await dl.download(faulty.url + path, tmp_path / "file", require_digest=True)
    assert names(tmp_path) == ["file"]


async def test_where_one_is_required_and_absent_nothing_is_downloaded(origin: Origin, tmp_path: Path) -> None:
    url = origin.add("/file", BODY)
    async with eager(require_digest=True) as dl:
        with pytest.raises(errors.DigestMissing) as caught:
            await dl.download(url, tmp_path)
        with pytest.raises(errors.DigestMissing):
            await dl.fetch(url)
    assert caught.value.attempts == 1
    assert names(tmp_path) == []


# Of coded bytes.


async def test_a_digest_is_of_the_coded_bytes_and_a_checksum_of_the_file(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.add("/file", BODY, compressible=True, digests=["sha-256", "sha-512"])
    checksum = "sha256:" + hashlib.sha256(BODY).hexdigest()
    async with eager(compressed=True, require_digest=True) as dl:
        result = await dl.download(url, tmp_path, checksum=checksum)
    assert (result.checksum, (tmp_path / "file").read_bytes()) == (checksum, BODY)


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
@pytest.mark.parametrize("of", ["coded", "decoded"])
async def test_a_digest_of_the_decoded_bytes_is_wrong(field: str, of: str, tmp_path: Path) -> None:
    coded = gzip.compress(BODY)
    digest = sha_256(coded if of == "coded" else BODY)
    transport = serving(coded, headers={"Content-Encoding": "gzip", field: digest})
    async with eager(transport=transport, compressed=True) as dl:
        if of == "coded":
            await dl.download(URL, tmp_path)
            assert (tmp_path / "fr.gif").read_bytes() == BODY
            return
        with pytest.raises(errors.ChecksumMismatch):
            await dl.download(URL, tmp_path)
    assert names(tmp_path) == []


async def test_kept_as_they_are_sent_coded_bytes_have_the_digest_of_the_coded(tmp_path: Path) -> None:
    coded = gzip.compress(BODY)
    transport = serving(coded, headers={"Content-Encoding": "gzip", "Repr-Digest": sha_256(coded)})
    async with eager(transport=transport, require_digest=True) as dl:
        await dl.download(URL, tmp_path)
    assert (tmp_path / "fr.gif").read_bytes() == coded


# Of parts.


def in_parts(
    first: Mapping[str, str] | None = None,
    rest: Callable[[bytes], Mapping[str, str]] = lambda part: {},
    body: bytes = BODY,
) -> AsyncDownloader:
    """A client of a server that cuts its first answer; *rest* makes the fields of those to a range."""

    def answer(request: ExchangeRequest) -> MockResponse:
        headers = {"ETag": '"v1"', "Content-Length": str(len(body))}
        if "Range" not in request.headers:
            return MockResponse(headers={**headers, **(first or {})}, body=[body[:CUT], TruncatedBody("cut")])
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        part = body[start:]
        said = {
            "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}",
            "Content-Length": str(len(part)),
        }
        return MockResponse(status=206, headers={**headers, **said, **rest(part)}, body=[part])

    return eager(transport=MockTransport(answer))


FINE: dict[str, tuple[Mapping[str, str], Callable[[bytes], Mapping[str, str]]]] = {
    "of the whole, at first": ({"Repr-Digest": sha_256(BODY)}, lambda part: {}),
    "of the whole, on the part alone": ({}, lambda part: {"Repr-Digest": sha_256(BODY)}),
    "of the whole, twice": ({"Repr-Digest": sha_256(BODY)}, lambda part: {"Repr-Digest": sha_512(BODY)}),
    "legacy, on the part alone": ({}, lambda part: {"Digest": legacy(BODY)}),
    "of the part": ({}, lambda part: {"Content-Digest": sha_256(part)}),
    "of each answer": ({"Content-Digest": sha_256(BODY)}, lambda part: {"Content-Digest": sha_512(part)}),
    "of everything": (
        {"Content-Digest": sha_256(BODY), "Repr-Digest": sha_512(BODY)},
        lambda part: {"Content-Digest": sha_512(part), "Repr-Digest": sha_256(BODY)},
    ),
}
BROKEN: dict[str, tuple[Mapping[str, str], Callable[[bytes], Mapping[str, str]]]] = {
    "of the whole, at first": ({"Repr-Digest": sha_256(WRONG)}, lambda part: {}),
    "of the whole, on the part alone": ({}, lambda part: {"Repr-Digest": sha_256(WRONG)}),
    "of the whole, changed": ({"Repr-Digest": sha_256(BODY)}, lambda part: {"Repr-Digest": sha_256(WRONG)}),
    "legacy, on the part alone": ({}, lambda part: {"Digest": legacy(WRONG)}),
    "of the part": ({}, lambda part: {"Content-Digest": sha_256(WRONG)}),
    "the whole's in the part's place": ({}, lambda part: {"Content-Digest": sha_256(BODY)}),
    "of the new bytes alone": ({}, lambda part: {"Content-Digest": sha_256(BODY[CUT:])}),
    "of the first answer": ({"Content-Digest": sha_256(WRONG)}, lambda part: {}),
}


@pytest.mark.parametrize("dest", ["file", "memory"])
@pytest.mark.parametrize("kind", FINE)
async def test_right_digests_of_a_download_in_parts_are_right(kind: str, dest: str, tmp_path: Path) -> None:
    async with in_parts(*FINE[kind]) as dl:
        if dest == "memory":
            assert (await dl.fetch(URL)).content == BODY
            return
        result = await dl.download(URL, tmp_path)
    assert ((tmp_path / "fr.gif").read_bytes(), result.attempts) == (BODY, 2)


@pytest.mark.parametrize("dest", ["file", "memory"])
@pytest.mark.parametrize("kind", BROKEN)
async def test_wrong_digests_of_a_download_in_parts_are_found(kind: str, dest: str, tmp_path: Path) -> None:
    async with in_parts(*BROKEN[kind]) as dl:
        with pytest.raises(errors.ChecksumMismatch):
            await (dl.fetch(URL) if dest == "memory" else dl.download(URL, tmp_path))
    assert names(tmp_path) == []


async def test_a_part_that_ends_early_is_checked_by_itself(faulty: FaultyOrigin, tmp_path: Path) -> None:
    ends = [1500, 3000]

    def answer(request: ExchangeRequest) -> MockResponse:
        body = body_for("/ok") * 4
        if "Range" not in request.headers:
            headers = {"ETag": '"v1"', "Content-Length": "4000"}
            return MockResponse(headers=headers, body=[body[:1000], TruncatedBody("cut")])
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        stop = ends.pop(0) if ends else 4000
        told = WRONG if stop == 3000 else body[start:stop]
        headers = {"ETag": '"v1"', "Content-Range": f"bytes {start}-{stop - 1}/4000"}
        return MockResponse(
            status=206, headers=headers | {"Content-Digest": sha_256(told)}, body=body[start:stop]
        )

    transport = MockTransport(answer)
    async with eager(transport=transport) as dl:
        with pytest.raises(errors.ChecksumMismatch, match="Content-Digest"):
            await dl.download(URL, tmp_path)
    assert len(transport.requests) == 3
    assert names(tmp_path) == []


async def test_begun_anew_the_digests_of_the_answer_before_do_not_count(tmp_path: Path) -> None:
    new = b"new" * 200_000
    asked: list[ExchangeRequest] = []

    def answer(request: ExchangeRequest) -> MockResponse:
        asked.append(request)
        body = BODY if len(asked) == 1 else new
        steps: list[Any] = [BODY[:CUT], TruncatedBody("cut")] if len(asked) == 1 else [new]
        headers = {"ETag": f'"v{len(asked)}"', "Content-Length": str(len(body))}
        return MockResponse(headers=headers | {"Repr-Digest": sha_256(body)}, body=steps)

    async with eager(transport=MockTransport(answer)) as dl:
        await dl.download(URL, tmp_path)
    assert (tmp_path / "fr.gif").read_bytes() == new


async def test_required_it_may_come_with_the_first_answer_and_not_with_the_part(tmp_path: Path) -> None:
    # A 206 to If-Range leaves fields of the representation out (RFC 9110 section 15.3.7).
    async with in_parts({"Repr-Digest": sha_256(BODY)}) as dl:
        await dl.download(URL, tmp_path, require_digest=True)
    assert (tmp_path / "fr.gif").read_bytes() == BODY


async def left_by_a_run_before(headers: Mapping[str, str], folder: Path) -> None:
    async with in_parts(headers) as dl:
        with pytest.raises(errors.TruncatedBody):
            await dl.download(URL, folder, retries=0)
    assert names(folder) == ["fr.gif.part", "fr.gif.part.json"]


async def test_a_digest_told_to_the_run_before_is_still_expected(tmp_path: Path) -> None:
    await left_by_a_run_before({"Repr-Digest": sha_256(WRONG)}, tmp_path)
    async with in_parts() as dl:
        with pytest.raises(errors.ChecksumMismatch, match="Repr-Digest"):
            await dl.download(URL, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("told", [{}, {"Content-Digest": "of the part"}], ids=str)
async def test_required_a_digest_told_to_the_run_before_is_enough(told: Any, tmp_path: Path) -> None:
    await left_by_a_run_before({"Repr-Digest": sha_256(BODY)}, tmp_path)
    async with in_parts(rest=lambda part: {name: sha_256(part) for name in told}) as dl:
        await dl.download(URL, tmp_path, require_digest=True)
    assert (tmp_path / "fr.gif").read_bytes() == BODY


async def test_required_a_digest_of_the_last_part_does_not_prove_what_the_run_before_left(
    tmp_path: Path,
) -> None:
    await left_by_a_run_before({}, tmp_path)
    part = tmp_path / "fr.gif.part"
    part.write_bytes(b"rotten" + part.read_bytes()[6:])
    async with in_parts(rest=lambda part: {"Content-Digest": sha_256(part)}) as dl:
        with pytest.raises(errors.DownloadError):
            await dl.download(URL, tmp_path, require_digest=True)
    assert not (tmp_path / "fr.gif").exists()
