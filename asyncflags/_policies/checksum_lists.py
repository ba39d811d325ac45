"""Lists of checksums as ``sha256sum`` and its kin write them (``SHA256SUMS``)."""

from __future__ import annotations

import re

from asyncflags._policies.checksums import Checksum

__all__ = ["parse_checksum_list"]

_BY_LENGTH = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
# GNU coreutils: white space may come first; then a backslash if the name is escaped, the digest, and a blank with a
# second character that tells text from binary. That second one is missing in the oldest form, which BSD wrote.
_PLAIN = re.compile(r"[ \t]*+(\\?)([0-9A-Fa-f]++)[ \t][ *]?+(.+)", re.DOTALL)
# BSD, and what GNU writes with --tag; OpenSSL leaves blanks out.
_TAGGED = re.compile(
    r"[ \t]*+(\\?)([A-Za-z0-9_/-]++)[ \t]?\((.+)\)[ \t]*=[ \t]*([0-9A-Fa-f]+)[ \t]*", re.DOTALL
)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}
_EXPECTED = "'<hexadecimal>  <name>' or 'SHA256 (<name>) = <hexadecimal>'"


def parse_checksum_list(text: str) -> dict[str, str]:
    """Read a list of checksums, in the lines of GNU coreutils, of BSD or of both.

    Args:
        text: The list; empty lines and those that start with ``#`` are passed over.

    Returns:
        ``"algorithm:hex"`` by name, a leading ``./`` of the name left out. The names are as written, to be looked
        up and not to be written to. Of several algorithms for one name the one with the longest digest counts.

    Raises:
        ValueError: A line is malformed, or the digests of one name contradict each other. The message tells the
            line's number, from 1.
    """
    checksums: dict[str, dict[str, str]] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, checksum = _parsed_line(line)
        except ValueError as error:
            raise ValueError(f"line {number} of the checksum list {error}") from None
        known = checksums.setdefault(name, {}).setdefault(checksum.algorithm, checksum.hexdigest)
        if known != checksum.hexdigest:
            raise ValueError(
                f"line {number} of the checksum list gives another {checksum.algorithm} for {_shown(name)} "
                "than a line before"
            )
    return {name: _strongest(found) for name, found in checksums.items()}


def _parsed_line(line: str) -> tuple[str, Checksum]:
    if plain := _PLAIN.fullmatch(line):
        escaped, digest, name = plain.groups()
        algorithm = _BY_LENGTH.get(len(digest))
        if algorithm is None:
            raise ValueError(f"has {len(digest)} hexadecimal digits, which fit no algorithm")
        checksum = Checksum(algorithm, digest.lower())
    elif tagged := _TAGGED.fullmatch(line):
        escaped, algorithm, name, digest = tagged.groups()
        checksum = _tagged_checksum(algorithm, digest)
    else:
        raise ValueError(f"is malformed: expected {_EXPECTED}")
    if escaped:
        name = _unescaped(name)
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    if not name:
        raise ValueError(f"names no file: expected {_EXPECTED}")
    return name, checksum


def _tagged_checksum(algorithm: str, digest: str) -> Checksum:
    try:
        return Checksum.parse(f"{algorithm}:{digest}")
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from None


def _unescaped(name: str) -> str:
    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPED:
            raise ValueError(f"has the unknown escape {_shown(escape[0])} in its name")
        return _ESCAPED[escape[1]]

    return _ESCAPE.sub(plain, name)


def _strongest(found: dict[str, str]) -> str:
    algorithm = max(found, key=lambda each: len(found[each]))
    return f"{algorithm}:{found[algorithm]}"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 100 else f"{text[:100]}...")
