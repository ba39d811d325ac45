"""Checksums as people write them: ``"sha256:<hex>"``."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Checksum"]

_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")
_SEPARATORS = str.maketrans("", "", "-_")
_USUAL_BY_LENGTH = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_ACCEPTED = "md5, sha1, sha256, sha512, blake2b and the other fixed-length algorithms of hashlib"
_EXAMPLE = "write it as algorithm:hexadecimal, such as sha256:9f86d0..."


@dataclass(frozen=True, slots=True)
class Checksum:
    """The hash that a file must have.

    Attributes:
        algorithm: Name as in `hashlib`.
        hexdigest: Lower-case hexadecimal digest.
    """

    algorithm: str
    hexdigest: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Read ``"algorithm:hex"``; ``SHA-256`` and ``sha256`` mean the same, and so do the hex digits' cases.

        Args:
            text: The checksum; white space around it is ignored.

        Raises:
            ValueError: The algorithm is unknown or has no fixed length, or the digest does not fit it.
        """
        name, colon, digest = text.strip().partition(":")
        if not colon:
            raise ValueError(_missing_algorithm(name))
        algorithm, digits = _algorithm(name)
        if not _HEXADECIMAL.fullmatch(digest):
            raise ValueError(f"the digest of the checksum {_shown(text)} is not hexadecimal: {_EXAMPLE}")
        if len(digest) != digits:
            raise ValueError(
                f"the digest of the checksum {_shown(text)} has {len(digest)} hexadecimal digits, "
                f"and {algorithm} has {digits}"
            )
        return cls(algorithm, digest.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hexdigest}"

    def new_hash(self) -> _Hash:
        """Return a fresh hash object of `hashlib` for this algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 160 else text[:160] + "...")


def _missing_algorithm(text: str) -> str:
    usual = _USUAL_BY_LENGTH.get(len(text)) if _HEXADECIMAL.fullmatch(text) else None
    if usual is None:
        return f"the checksum {_shown(text)} names no algorithm: {_EXAMPLE}"
    return f"the checksum {_shown(text)} names no algorithm: its length fits {usual}, so write {usual}:{text}"


@functools.lru_cache(maxsize=64)
def _algorithm(name: str) -> tuple[str, int]:
    """Return hashlib's name of an algorithm, and how many hexadecimal digits its digest has."""
    wanted = name.strip().lower().translate(_SEPARATORS)
    for known in sorted(hashlib.algorithms_available):
        if known.lower().translate(_SEPARATORS) == wanted:
            return known, 2 * _digest_size(known)
    raise ValueError(f"the checksum algorithm {_shown(name)} is unknown: accepted are {_ACCEPTED}")


def _digest_size(algorithm: str) -> int:
    try:
        size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    except ValueError:
        # OpenSSL lists some algorithms that its configuration then refuses.
        raise ValueError(f"the checksum algorithm {algorithm!r} is switched off on this machine") from None
    if size == 0:
        raise ValueError(
            f"the checksum algorithm {algorithm!r} has no fixed length: accepted are {_ACCEPTED}"
        )
    return size
