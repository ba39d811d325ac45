"""File names chosen by somebody hostile, in Content-Disposition (RFC 6266) and in paths."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from asyncflags.testing._faults.answers import sends, sized
from asyncflags.testing._faults.fault import Fault, FaultyRequest, Verdict, default_body

HOSTILE_DISPOSITIONS: Mapping[str, bytes] = MappingProxyType(
    {
        "traversal": b'attachment; filename="../../evil"',
        "traversal-backslash": b'attachment; filename="..\\\\..\\\\evil"',
        "traversal-encoded": b"attachment; filename*=UTF-8''..%2F..%2Fevil",
        "dot": b'attachment; filename="."',
        "dot-dot": b'attachment; filename=".."',
        "absolute": b'attachment; filename="/tmp/evil"',
        "home": b'attachment; filename="~/evil"',
        "drive": b'attachment; filename="C:\\\\evil.txt"',
        "drive-relative": b'attachment; filename="C:evil.txt"',
        "unc": b'attachment; filename="\\\\\\\\host\\\\share\\\\evil.txt"',
        "stream": b'attachment; filename="evil.txt:hidden:$DATA"',
        "device": b'attachment; filename="con"',
        "device-extension": b'attachment; filename="NUL.txt"',
        "device-superscript": b"attachment; filename*=UTF-8''COM%C2%B9.txt",
        "reserved": b'attachment; filename="a<b>c|d?e*f.txt"',
        "bidi": b"attachment; filename*=UTF-8''evil%E2%80%AEfdp.exe",
        "zero-width": b"attachment; filename*=UTF-8''ev%E2%80%8Bil.txt",
        "control": b"attachment; filename*=UTF-8''ev%0D%0A%1B%5B2Jil.txt",
        "nul": b"attachment; filename*=UTF-8''evil.txt%00.jpg",
        "nul-plain": b'attachment; filename="evil.txt%00.jpg"',
        "long": b'attachment; filename="' + b"l" * 5000 + b'.tar.gz"',
        "long-multibyte": b"attachment; filename*=UTF-8''" + b"%F0%9F%87%AB" * 200 + b".gif",
        "dotfile": b'attachment; filename=".bashrc"',
        "dash": b'attachment; filename="-rf"',
        "trailing-dots": b'attachment; filename="evil.txt. . ."',
        "spaces": b'attachment; filename="   "',
        "part": b'attachment; filename="evil.part"',
        "part-json": b'attachment; filename="evil.part.json"',
        "star-charset": b"attachment; filename*=x-unknown''evil.txt",
        "star-no-quotes": b"attachment; filename*=evil.txt",
        "star-percent": b"attachment; filename*=UTF-8''evil%ZZ%.txt",
        "star-bad-utf-8": b"attachment; filename*=UTF-8''evil%FF%FE.txt",
        "star-surrogate": b"attachment; filename*=UTF-8''evil%ED%A0%80.txt",
        "star-and-plain": b"attachment; filename=\"plain.txt\"; filename*=UTF-8''star.txt",
        "twice": b'attachment; filename="one.txt"; filename="../two.txt"',
        "unterminated": b'attachment; filename="evil.txt',
        "decomposed": b"attachment; filename*=UTF-8''caf%65%CC%81.txt",
        "empty": b'attachment; filename=""',
        "no-value": b"attachment; filename=",
        "nothing": b"",
        "inline": b'inline; filename="evil.txt"',
        "latin-1": b'attachment; filename="caf\xe9.txt"',
        "utf-8": 'attachment; filename="caf\u00e9.txt"'.encode(),
    }
)
"""Values of Content-Disposition by case; ``/cd/<case>`` answers with each of them."""

NAMES = "/names/"
"""Where the paths with hostile last segments live; everything below it answers 200."""

HOSTILE_PATHS: Sequence[str] = tuple(
    NAMES + name
    for name in (
        "%2e%2e%2fevil",
        "%2e%2e%2f%2e%2e%2fevil",
        "..%2fevil",
        "..%5cevil",
        "%2fetc%2fevil",
        "C%3a%5cevil.txt",
        "C:evil.txt",
        "evil.txt%00.jpg",
        "%00",
        "con",
        "NUL.txt",
        "com1.tar.gz",
        "evil.txt...",
        "evil.txt%20",
        "%20",
        "-rf",
        ".bashrc",
        "evil.part",
        "evil.part.json",
        "n" * 300,
        "n" * 300 + ".tar.gz",
        "%F0%9F%87%AB%F0%9F%87%B7.gif",
        "%F0%9F%87%AB" * 100 + ".gif",
        "%ff",
        "evil%ff%fe.txt",
        "evil%E2%80%AEfdp.exe",
        "evil%0a%1b%5b2J.txt",
        "a%3cb%3ec%7cd%3fe%2af.txt",
        "cafe%CC%81.txt",
        "%25%32%65%25%32%65%25%32%66evil",
        "",
    )
)
"""Paths whose last segment is no name for a file as it stands; each answers 200 with `body_for` of it."""


async def answer_name(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: FaultyRequest
) -> None:
    """Answer a path under `NAMES`."""
    await sends(sized(default_body(request.path)))(reader, writer, request)


def _disposition(case: str, value: bytes) -> Fault:
    path = f"/cd/{case}"
    script = sends(sized(default_body(path), b"Content-Disposition: " + value))
    return Fault(path, f"A Content-Disposition of the case {case}.", Verdict.WHOLE, script)


FAULTS: tuple[Fault, ...] = tuple(_disposition(case, value) for case, value in HOSTILE_DISPOSITIONS.items())
