"""Every way in which a server can misbehave, downloaded to a folder: what it ends as, and what it leaves there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from asyncflags import AsyncDownloader, Limits, Timeout, errors
from asyncflags._engine import pace
from asyncflags.testing.faulty import FAULTS, FaultyOrigin, Verdict, body_for, encoded_for

WHOLE = frozenset(
    {
        *(path for path, fault in FAULTS.items() if fault.verdict is Verdict.RECOVERS),
        *(path for path in FAULTS if path.startswith("/cd/")),
        "/ok",
        "/ok-chunked",
        "/ok-chunked-extensions-and-trailers",
        "/ok-close",
        "/http10",
        "/http10-close",
        "/interim",
        "/surplus",
        "/close-between",
        "/giant-header",
        "/many-headers",
        "/redirect",
        "/redirect-relative",
        "/redirect-relative-query",
        "/redirect-relative-host",
        "/redirect-other-port",
        "/redirect-credentials",
        "/redirect-body-stalls",
        "/redirect-non-ascii",
        # Bodies are kept as they are sent, so to a download without `compressed` a coding is no fault.
        *(path for path in FAULTS if path.startswith(("/gzip", "/deflate", "/coding"))),
        # What cannot be read as a digest is none.
        *(path for path in FAULTS if path.startswith("/digest/") and FAULTS[path].verdict is Verdict.WHOLE),
    }
)
"""Delivered to the byte."""

UNPROVEN = {"/ok-close", "/http10-close"}

WHOLE_OR_PROTOCOL_ERROR = frozenset(
    [
        "/length-wrong-short",
        "/lengths-equal-twice",
        "/giant-header-100k",
        "/many-headers-1000",
        "/folded-header",
        "/header-space-before-colon",
        "/header-nul",
        "/bare-lf",
        "/range/length-too-small",
        "/range/surplus-206",
    ]
)
"""May be repaired or refused."""

FAILS: dict[str, type[errors.DownloadError]] = {
    "/cut-length": errors.TruncatedBody,
    "/cut-length-reset": errors.ReadError,
    "/cut-chunked": errors.TruncatedBody,
    "/cut-chunked-between": errors.TruncatedBody,
    "/cut-chunked-reset": errors.ReadError,
    "/cut-close-reset": errors.ReadError,
    "/cut-headers": errors.ReadError,
    "/empty-reply": errors.ReadError,
    "/reset-at-once": errors.ReadError,
    "/bad-chunk-size": errors.ProtocolError,
    "/bad-chunk-size-first": errors.ProtocolError,
    "/chunk-overflow": errors.ProtocolError,
    "/chunk-negative": errors.ProtocolError,
    "/chunk-missing-crlf": errors.ProtocolError,
    "/lengths-differ": errors.ProtocolError,
    "/length-and-chunked": errors.ProtocolError,
    "/length-negative": errors.ProtocolError,
    "/length-not-a-number": errors.ProtocolError,
    "/length-huge": errors.ProtocolError,
    "/length-plus": errors.ProtocolError,
    "/te-gzip-chunked": errors.ProtocolError,
    "/te-unknown": errors.ProtocolError,
    "/stall-before-headers": errors.ReadTimeout,
    "/stall-in-headers": errors.ReadTimeout,
    "/stall-in-body": errors.ReadTimeout,
    "/stall-after-length-known-zero-bytes": errors.ReadTimeout,
    "/drip": errors.TooSlow,
    "/interim-endless": errors.ProtocolError,
    "/endless-body": errors.BodyTooLarge,
    "/endless-body-close": errors.BodyTooLarge,
    "/endless-headers": errors.ProtocolError,
    "/header-no-colon": errors.ProtocolError,
    "/bad-status-line": errors.ProtocolError,
    "/http2-preface": errors.ProtocolError,
    "/http09": errors.ProtocolError,
    "/status-999": errors.StatusError,
    "/204": errors.StatusError,
    "/205": errors.StatusError,
    "/304": errors.StatusError,
    "/206-unasked": errors.RangeError,
    "/416-unasked": errors.StatusError,
    "/401": errors.StatusError,
    "/403": errors.StatusError,
    "/404": errors.StatusError,
    "/407": errors.StatusError,
    "/410": errors.StatusError,
    "/429": errors.StatusError,
    "/500": errors.StatusError,
    "/503": errors.StatusError,
    "/redirect-loop": errors.TooManyRedirects,
    "/redirect-loop-two": errors.TooManyRedirects,
    "/redirect-loop-two-back": errors.TooManyRedirects,
    "/redirect-endless": errors.TooManyRedirects,
    "/redirect-empty": errors.ProtocolError,
    "/redirect-file": errors.InvalidUrl,
    "/redirect-ftp": errors.InvalidUrl,
    "/redirect-no-location": errors.ProtocolError,
    "/range/206-to-plain-get": errors.RangeError,
    "/range/206-whole-to-plain-get": errors.RangeError,
    **{
        path: errors.ChecksumMismatch
        for path, fault in FAULTS.items()
        if path.startswith("/digest/") and fault.broken and "/resumed" not in path
    },
}
"""Ends as exactly this, at the first attempt."""

NEVER_WHOLE: dict[str, type[errors.DownloadError]] = {
    **{
        path: errors.TruncatedBody
        for path, fault in FAULTS.items()
        if path.startswith("/range/") and fault.broken and path not in FAILS
    },
    **{
        path: errors.ChecksumMismatch
        for path, fault in FAULTS.items()
        if path.startswith("/digest/resumed") and fault.broken
    },
}
"""Can be told as broken only by an attempt that goes on where another one stopped."""

LEAVES_A_PART = {
    "/range/length-too-large",
    "/range/never-further",
    "/range/never-whole",
    "/range/rotating-etag-never-whole",
}
"""End under right fields, so that another run may try again."""

DECODED: dict[str, type[errors.DownloadError] | None] = {
    "/gzip": None,
    "/gzip-truncated": errors.TruncatedBody,
    "/gzip-garbage": errors.ProtocolError,
    "/gzip-bomb": errors.BodyTooLarge,
    "/gzip-trailing-junk": errors.ProtocolError,
    "/gzip-two-members": None,
    "/deflate": None,
    "/deflate-raw": None,
    "/coding-unknown": errors.ProtocolError,
    "/coding-chain": errors.ProtocolError,
}
"""What `compressed` makes of content codings; ``None``: whole."""

QUICK = Timeout(connect=0.15, read=0.15)
# Much more than any whole body, and less than what an endless one sends in a moment.
MAX_SIZE = 2 << 20


def downloader(**options: object) -> AsyncDownloader:
    chosen = {"timeout": QUICK, "retries": 0, "max_size": MAX_SIZE, "durability": "rename"} | options
    return AsyncDownloader(limits=Limits(max_threads=2), **chosen)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_WINDOW", 0.3)


def test_every_fault_is_expected_to_end_in_some_way() -> None:
    assert {*WHOLE, *WHOLE_OR_PROTOCOL_ERROR, *FAILS, *NEVER_WHOLE} == FAULTS.keys()


@pytest.mark.parametrize("path", sorted(WHOLE))
async def test_a_body_that_can_be_had_is_delivered_to_the_byte(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with downloader(retries=3) as dl:
        dl._ready().jitter = lambda: 0.0
        result = await dl.download(faulty.url + path, tmp_path)
    assert result.path is not None
    assert result.path.parent == tmp_path
    assert result.path.read_bytes() == encoded_for(path)
    assert list(tmp_path.iterdir()) == [result.path]
    assert result.size == len(encoded_for(path))
    assert result.length_verified is (path not in UNPROVEN)


@pytest.mark.parametrize("path", sorted(FAILS))
async def test_what_is_no_whole_body_fails_by_its_name_and_leaves_nothing(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    speed = 1e6 if path == "/drip" else None
    async with downloader(min_speed=speed) as dl:
        with pytest.raises(errors.DownloadError) as caught:
            await dl.download(faulty.url + path, tmp_path)
    assert type(caught.value) is FAILS[path], caught.value
    assert (caught.value.url, caught.value.attempts) == (faulty.url + path, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(NEVER_WHOLE))
async def test_what_is_never_whole_fails_by_its_name_and_nothing_stands_under_the_final_one(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    old = tmp_path / "file"
    old.write_bytes(b"the old one")
    async with downloader(retries=3) as dl:
        dl._ready().jitter = lambda: 0.0
        with pytest.raises(errors.DownloadError) as caught:
            await dl.download(faulty.url + path, old)
    assert type(caught.value) is NEVER_WHOLE[path], caught.value
    assert old.read_bytes() == b"the old one"
    left = {"file.part", "file.part.json"} if path in LEAVES_A_PART else set()
    assert {each.name for each in tmp_path.iterdir()} == {"file", *left}


# Many downloads at once share two processors here, and some of the faults forgive no request that is given up.
PATIENT = Timeout(read=1.5)

RESUMABLE = sorted(path for path in {*WHOLE, *NEVER_WHOLE} if path.startswith(("/range/", "/digest/resumed")))


async def broken_promises(promise: Callable[[str], Awaitable[None]]) -> dict[str, BaseException]:
    """Hold *promise* to each of `RESUMABLE`, all at once; where it does not hold."""
    ended = await asyncio.gather(*map(promise, RESUMABLE), return_exceptions=True)
    return {path: error for path, error in zip(RESUMABLE, ended, strict=True) if error is not None}


async def test_what_a_run_cannot_finish_the_next_ones_finish_or_refuse(
    faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async def promise(path: str) -> None:
        folder = tmp_path / path.replace("/", "-")
        for _ in range(25 if path in WHOLE else 4):
            async with downloader(retries=0, timeout=PATIENT) as dl:
                try:
                    await dl.download(faulty.url + path, folder / "file")
                except (errors.TransportError, errors.StatusError, errors.ChecksumMismatch):
                    assert not (folder / "file").exists()
                else:
                    break
        assert (folder / "file").exists() is (path in WHOLE)
        if path in WHOLE:
            assert (folder / "file").read_bytes() == encoded_for(path)
            assert [each.name for each in folder.iterdir()] == ["file"]

    for path in RESUMABLE:
        (tmp_path / path.replace("/", "-")).mkdir()
    assert await broken_promises(promise) == {}


async def test_in_memory_it_ends_as_in_a_file(faulty: FaultyOrigin) -> None:
    async def promise(path: str) -> None:
        if path in WHOLE:
            assert (await dl.fetch(faulty.url + path)).content == encoded_for(path)
            return
        with pytest.raises(NEVER_WHOLE[path]):
            await dl.fetch(faulty.url + path)

    async with downloader(retries=3, timeout=None) as dl:
        dl._ready().jitter = lambda: 0.0
        assert await broken_promises(promise) == {}


@pytest.mark.parametrize("path", sorted(FAILS))
async def test_a_failure_leaves_the_old_file_as_it_was(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    old = tmp_path / "file"
    old.write_bytes(b"the old one")
    async with downloader(min_speed=1e6 if path == "/drip" else None) as dl:
        with pytest.raises(FAILS[path]):
            await dl.download(faulty.url + path, old)
    assert old.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.parametrize("path", sorted(WHOLE_OR_PROTOCOL_ERROR))
async def test_what_may_be_repaired_is_whole_or_refused(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    async with downloader(retries=1) as dl:
        dl._ready().jitter = lambda: 0.0
        try:
            result = await dl.download(faulty.url + path, tmp_path)
        except errors.ProtocolError:
            assert not any(each.suffix not in (".part", ".json") for each in tmp_path.iterdir())
        else:
            assert result.path is not None
            assert result.path.read_bytes() == body_for(path)


@pytest.mark.parametrize("path", sorted(DECODED))
async def test_content_codings_are_undone_when_that_is_asked_for(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    expected = DECODED[path]
    async with downloader(compressed=True) as dl:
        if expected is None:
            await dl.download(faulty.url + path, tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == body_for(path)
            return
        with pytest.raises(expected):
            await dl.download(faulty.url + path, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(FAILS))
async def test_a_fault_is_one_failure_of_a_list_and_nobody_else_s(
    path: str, faulty: FaultyOrigin, tmp_path: Path
) -> None:
    urls = [faulty.url + each for each in ("/ok", path, "/ok-chunked")]
    async with downloader(min_speed=1e6 if path == "/drip" else None) as dl:
        report = await dl.download_many(urls, tmp_path)
    assert (report.completed, report.failed) == (2, 1)
    assert [type(outcome.error) for outcome in report.failures] == [FAILS[path]]
    assert {each.name for each in tmp_path.iterdir()} == {"ok", "ok-chunked"}


@pytest.mark.parametrize("path", ["/surplus", "/length-wrong-short"])
async def test_bytes_that_nobody_asked_for_do_not_answer_the_next_request(
    path: str, faulty: FaultyOrigin
) -> None:
    async with downloader() as dl:
        for _ in range(3):
            with contextlib.suppress(errors.ProtocolError):
                assert (await dl.fetch(faulty.url + path)).content == body_for(path)
            assert (await dl.fetch(faulty.url + "/ok")).content == body_for("/ok")
