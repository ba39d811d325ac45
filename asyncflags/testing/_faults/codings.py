"""Content codings, valid and not (RFC 9110 section 8.4).

The verdicts are those of a client that decodes. To one that stores bodies as they are sent they are all whole.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import struct
import zlib

from asyncflags.testing._faults.answers import sends, sized
from asyncflags.testing._faults.fault import Content, Fault, FaultyRequest, Script, Verdict, default_body

BOMB_SIZE = 128 * 1024 * 1024
"""Bytes that the bomb decodes to, from about 128 KiB."""

_MEBIBYTE = 1024 * 1024
_RAW = -zlib.MAX_WBITS


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def _raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=_RAW)
    return compressor.compress(body) + compressor.flush()


def _two_members(body: bytes) -> bytes:
    return _gzip(body[:500]) + _gzip(body[500:])


@functools.cache
def _bomb() -> bytes:
    # A full flush leaves no reference to what came before, so that one compressed mebibyte can be
    # repeated; compressing all of them would take a second.
    compressor = zlib.compressobj(level=9, wbits=_RAW)
    block = compressor.compress(bytes(_MEBIBYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(BOMB_SIZE // _MEBIBYTE):
        checksum = zlib.crc32(bytes(_MEBIBYTE), checksum)
    trailer = struct.pack("<II", checksum, BOMB_SIZE)
    return _gzip(b"")[:10] + block * (BOMB_SIZE // _MEBIBYTE) + _raw_deflate(b"") + trailer


def _sends_coded(coding: str, encoded: Content) -> Script:
    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
    ) -> None:
        await sends(sized(encoded(), f"Content-Encoding: {coding}"))(reader, writer, request)

    return script


def _coded(
    path: str,
    sentence: str,
    verdict: Verdict,
    encoded: Content,
    *,
    coding: str = "gzip",
    content: Content | None = None,
) -> Fault:
    script = _sends_coded(coding, encoded)
    return Fault(path, sentence, verdict, script, content=content, encoded=encoded)


FAULTS: tuple[Fault, ...] = (
    _coded("/gzip", "Valid gzip.", Verdict.WHOLE, lambda: _gzip(default_body("/gzip"))),
    _coded(
        "/gzip-truncated",
        "A gzip stream without its end, in a body whose length is right.",
        Verdict.BROKEN,
        lambda: _gzip(default_body("/gzip-truncated"))[:-200],
    ),
    _coded(
        "/gzip-garbage",
        "Said to be gzip, and is not.",
        Verdict.BROKEN,
        lambda: default_body("/gzip-garbage"),
    ),
    _coded(
        "/gzip-bomb",
        "128 MiB of zeros in 128 KiB of gzip.",
        Verdict.UNBOUNDED,
        _bomb,
        content=lambda: bytes(BOMB_SIZE),
    ),
    _coded(
        "/gzip-trailing-junk",
        "Valid gzip with bytes behind it that are not.",
        Verdict.TOLERABLE,
        lambda: _gzip(default_body("/gzip-trailing-junk")) + b"junk",
    ),
    _coded(
        "/gzip-two-members",
        "Two gzip members in a row, which are one stream (RFC 1952 section 2.2).",
        Verdict.WHOLE,
        lambda: _two_members(default_body("/gzip-two-members")),
    ),
    _coded(
        "/deflate",
        "Valid deflate, which is zlib (RFC 9110 section 8.4.1.2).",
        Verdict.WHOLE,
        lambda: zlib.compress(default_body("/deflate")),
        coding="deflate",
    ),
    _coded(
        "/deflate-raw",
        "Deflate without the zlib wrapper, a known mistake of servers.",
        Verdict.TOLERABLE,
        lambda: _raw_deflate(default_body("/deflate-raw")),
        coding="deflate",
    ),
    _coded(
        "/coding-unknown",
        "A coding nobody knows.",
        Verdict.BROKEN,
        lambda: default_body("/coding-unknown"),
        coding="x-unknown",
    ),
    _coded(
        "/coding-chain",
        "Compressed twice.",
        Verdict.TOLERABLE,
        lambda: _gzip(_gzip(default_body("/coding-chain"))),
        coding="gzip, gzip",
    ),
)
