"""What is true of a body before it gets its name: size, checksum, limits, content codings."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflags import AsyncDownloader, Request, errors
from asyncflags._engine import intake
from asyncflags._engine.intake import Decoder, Intake
from asyncflags._policies.digests import AnswerDigests
from asyncflags._storage.sinks import MemorySink

from .waiting import decisions, serving

URL = "https://flags.example/fr.gif"
RIGHT = "sha256:" + hashlib.sha256(b"flag").hexdigest()
WRONG = "sha256:" + "0" * 64


@pytest.fixture
async def dl() -> AsyncIterator[AsyncDownloader]:
    async with AsyncDownloader(transport=serving(), durability="rename") as running:
        yield running


@pytest.mark.parametrize("checksum", [RIGHT, RIGHT.upper(), "md5:" + hashlib.md5(b"flag").hexdigest()])
async def test_a_right_checksum_is_told_in_the_result(
    checksum: str, dl: AsyncDownloader, tmp_path: Path
) -> None:
    result = await dl.download(URL, tmp_path, checksum=checksum)
    assert result.checksum == checksum.lower()
    assert (await dl.fetch(URL, checksum=checksum)).checksum == checksum.lower()


async def test_a_wrong_checksum_is_a_mismatch_and_leaves_the_old_file(
    dl: AsyncDownloader, tmp_path: Path
) -> None:
    (tmp_path / "fr.gif").write_bytes(b"old")
    with pytest.raises(errors.ChecksumMismatch) as caught:
        await dl.download(URL, tmp_path, checksum=WRONG)
    error = caught.value
    assert (error.algorithm, error.expected, error.actual) == ("sha256", "0" * 64, RIGHT.partition(":")[2])
    assert error.attempts == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("checksum", ["sha256:12", "crc32:00000000", "nonsense", "sha256:" + "g" * 64])
async def test_a_malformed_checksum_is_a_value_error_before_anything_is_sent(
    checksum: str, tmp_path: Path
) -> None:
    transport = serving()
    async with AsyncDownloader(transport=transport) as dl:
        with pytest.raises(ValueError, match="checksum"):
            await dl.download(URL, tmp_path, checksum=checksum)
    assert transport.requests == []


async def test_the_argument_goes_before_the_request_s_own(dl: AsyncDownloader, tmp_path: Path) -> None:
    await dl.download(Request(URL, checksum=WRONG, size=9), tmp_path, checksum=RIGHT, size=4)
    with pytest.raises(errors.ChecksumMismatch):
        await dl.download(Request(URL, checksum=WRONG), tmp_path)


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}, {"X-Close": "1"}], ids=str)
@pytest.mark.parametrize("size", [0, 3, 5])
async def test_another_size_than_expected_is_a_failure(headers: Any, size: int, tmp_path: Path) -> None:
    body: Any = [b"flag"] if headers else b"flag"
    async with AsyncDownloader(transport=serving(body, headers=headers), retries=0) as dl:
        with pytest.raises((errors.ChecksumMismatch, errors.TruncatedBody)):
            await dl.download(URL, tmp_path, size=size)
    assert list(tmp_path.iterdir()) == []


async def test_a_body_without_a_provable_end_that_is_too_short_is_truncated(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving([b"fl"]), retries=0) as dl:
        with pytest.raises(errors.TruncatedBody) as caught:
            await dl.download(URL, tmp_path, size=4)
    assert (caught.value.expected, caught.value.received) == (4, 2)


@pytest.mark.parametrize("size", [-1, -(2**70)])
async def test_a_negative_size_is_a_value_error(size: int, dl: AsyncDownloader, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size"):
        await dl.download(URL, tmp_path, size=size)


# How much may come.


async def test_a_body_announced_as_too_large_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    body = [AssertionError]
    async with AsyncDownloader(transport=serving(body, headers={"Content-Length": "5"}), max_size=4) as dl:
        with pytest.raises(errors.BodyTooLarge, match="has 5 bytes, more than the allowed 4"):
            await dl.download(URL, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_body_that_becomes_too_large_is_ended(tmp_path: Path) -> None:
    taken = []

    def endless() -> Any:
        while True:
            taken.append(1)
            yield b"x" * 65536

    async with AsyncDownloader(transport=serving(endless()), max_size=1 << 20) as dl:
        with pytest.raises(errors.BodyTooLarge) as caught:
            await dl.download(URL, tmp_path)
    assert caught.value.attempts == 1
    assert len(taken) < 64
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("framed", [True, False])
async def test_a_body_of_exactly_the_allowed_size_is_taken(framed: bool, tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(b"flag" if framed else [b"flag"]), max_size=4) as dl:
        assert (await dl.download(URL, tmp_path)).size == 4


async def test_an_allowed_size_of_zero_takes_empty_bodies_alone(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving(b""), max_size=0) as dl:
        assert (await dl.download(URL, tmp_path)).size == 0
    async with AsyncDownloader(transport=serving(), max_size=0) as dl:
        with pytest.raises(errors.BodyTooLarge):
            await dl.download(URL, tmp_path)


async def test_fetching_is_bounded_unless_that_is_switched_off() -> None:
    headers = {"Content-Length": str((64 << 20) + 1)}
    async with AsyncDownloader(transport=serving([b"x"], headers=headers), retries=0) as dl:
        with pytest.raises(errors.BodyTooLarge):
            await dl.fetch(URL)
        with pytest.raises(errors.TruncatedBody):
            await dl.fetch(URL, max_size=None)


async def test_a_required_length_refuses_what_ends_by_closing(tmp_path: Path) -> None:
    async with AsyncDownloader(transport=serving([b"flag"]), require_length=True) as dl:
        with pytest.raises(errors.ProtocolError, match="require_length"):
            await dl.download(URL, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_an_end_that_is_not_proven_is_told_by_the_result_and_an_event(tmp_path: Path) -> None:
    events: list[Any] = []
    async with AsyncDownloader(transport=serving([b"flag"]), on_event=events.append) as dl:
        assert not (await dl.download(URL, tmp_path)).length_verified
    assert [event.kind for event in decisions(events)] == ["length_unverified"]


# Content codings.


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "members": (
        "gzip",
        lambda body: gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :]),
    ),
    "deflate": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
}


def decoded(coding: str, pieces: list[bytes]) -> bytes:
    decoder = Decoder(coding)
    result = b"".join(part for piece in pieces for part in decoder.decode(piece))
    return result + b"".join(decoder.finish())


@given(
    name=st.sampled_from(sorted(CODINGS)), body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400))
)
def test_decoding_does_not_depend_on_how_the_bytes_come(name: str, body: bytes, cuts: list[int]) -> None:
    coding, encode = CODINGS[name]
    encoded = encode(body)
    edges = [0, *sorted(cut for cut in cuts if cut < len(encoded)), len(encoded)]
    pieces = [encoded[start:stop] for start, stop in itertools.pairwise(edges)]
    assert decoded(coding, pieces) == body


@given(name=st.sampled_from(sorted(CODINGS)), body=st.binary(min_size=1, max_size=100), data=st.data())
def test_a_stream_cut_anywhere_is_never_whole(name: str, body: bytes, data: st.DataObject) -> None:
    coding, encode = CODINGS[name]
    encoded = encode(body)
    cut = data.draw(st.integers(1, len(encoded) - 1))
    if name == "members" and encoded[:cut] == gzip.compress(body[: len(body) // 2]):
        # The first member alone is a whole stream; only the length of the body tells.
        return
    with pytest.raises((errors.TruncatedBody, errors.ProtocolError)):
        decoded(coding, [encoded[:cut]])


@pytest.mark.parametrize("coding", ["br", "zstd", "compress"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    with pytest.raises(errors.ProtocolError, match="was not asked for"):
        Decoder(coding)


def test_bytes_behind_the_end_are_refused() -> None:
    for coding, encoded in (("gzip", gzip.compress(b"flag")), ("deflate", zlib.compress(b"flag"))):
        with pytest.raises(errors.ProtocolError):
            decoded(coding, [encoded, b"junk"])


def test_decoding_hands_out_bounded_pieces() -> None:
    bomb = gzip.compress(bytes(8 << 20))
    assert max(map(len, Decoder("gzip").decode(bomb))) <= intake._DECODED_CHUNK


def taking(**options: Any) -> Intake:
    chosen = {"checksum": None, "size": None, "max_size": None}
    body = Intake(MemorySink(), **(chosen | options))
    body.begin(length_proven=True, coding="gzip", digests=AnswerDigests())
    return body


def test_a_bomb_is_ended_without_any_limit_of_the_caller_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_BOMB_SIZE", 1 << 20)
    body = taking()
    with pytest.raises(errors.BodyTooLarge, match="bombs"):
        body.take([gzip.compress(bytes(4 << 20))])
    assert body.written <= 3 << 20


def test_a_bomb_is_ended_at_the_limit_of_the_caller() -> None:
    body = taking(max_size=1000)
    with pytest.raises(errors.BodyTooLarge, match="max_size"):
        body.take([gzip.compress(bytes(4 << 20))])
    assert isinstance(body.sink, MemorySink)
    body.sink.publish(modified_at=None)
    assert body.sink.content == b""


@pytest.mark.parametrize("name", CODINGS)
async def test_size_and_checksum_are_of_the_file_as_written(name: str, tmp_path: Path) -> None:
    coding, encode = CODINGS[name]
    transport = serving(encode(b"flag"), headers={"Content-Encoding": coding})
    async with AsyncDownloader(transport=transport, compressed=True) as dl:
        result = await dl.download(URL, tmp_path, checksum=RIGHT, size=4)
    assert (result.size, (tmp_path / "fr.gif").read_bytes()) == (4, b"flag")
    assert transport.requests[0].headers["Accept-Encoding"] == "gzip, deflate"


async def test_without_asking_for_it_bodies_are_kept_as_they_are_sent(tmp_path: Path) -> None:
    body = gzip.compress(b"flag")
    transport = serving(body, headers={"Content-Encoding": "gzip"})
    async with AsyncDownloader(transport=transport) as dl:
        await dl.download(URL, tmp_path)
    assert (tmp_path / "fr.gif").read_bytes() == body
    assert transport.requests[0].headers["Accept-Encoding"] == "identity"


async def test_an_empty_body_said_to_be_coded_is_an_empty_file(tmp_path: Path) -> None:
    transport = serving(b"", headers={"Content-Encoding": "gzip", "Content-Length": "0"})
    async with AsyncDownloader(transport=transport, compressed=True) as dl:
        assert (await dl.download(URL, tmp_path)).size == 0


async def test_a_large_body_of_many_batches_is_whole_in_every_kind_of_destination(tmp_path: Path) -> None:
    pieces = [bytes([number % 251]) * 70_001 for number in range(60)]
    whole, stream = b"".join(pieces), io.BytesIO()
    checksum = "sha256:" + hashlib.sha256(whole).hexdigest()
    async with AsyncDownloader(transport=serving(pieces)) as dl:
        await dl.download(URL, tmp_path, checksum=checksum)
        await dl.download(URL, stream, checksum=checksum)
        assert (await dl.fetch(URL, checksum=checksum)).content == whole
    assert (tmp_path / "fr.gif").read_bytes() == whole
    assert stream.getvalue() == whole
