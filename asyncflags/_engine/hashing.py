"""What a body must hash to, and the hashes that run along with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from asyncflags.errors import ChecksumMismatch

if TYPE_CHECKING:
    from hashlib import _Hash

    from asyncflags._policies.checksums import Checksum
    from asyncflags._policies.digests import Digest
    from asyncflags._types import Buffer

__all__ = ["Hashing"]


class Hashing:
    """Hashes a run of bytes once for each algorithm, however many expectations there are.

    Used by one thread at a time.
    """

    __slots__ = ("_expected", "_hashes", "_size")

    def __init__(self) -> None:
        self._hashes: dict[str, _Hash] = {}
        self._expected: list[tuple[str, str, str]] = []
        self._size = 0

    def expect(self, checksum: Checksum) -> None:
        """Expect what the caller says."""
        self._expect("", checksum.algorithm, checksum.hexdigest)

    def expect_digests(self, field: str, digests: Sequence[Digest]) -> None:
        """Expect what the server says in *field*."""
        for digest in digests:
            self._expect(field, digest.algorithm, digest.value.hex())

    @property
    def expects(self) -> bool:
        """Whether anything is expected."""
        return bool(self._expected)

    @property
    def behind(self) -> bool:
        """Whether an expectation came too late for the bytes before it, so that they have to be read again."""
        return any(algorithm not in self._hashes for _, algorithm, _ in self._expected)

    def update(self, data: Buffer) -> None:
        """Take the next bytes."""
        self._size += len(data)
        for running in self._hashes.values():
            running.update(data)

    def read_again(self, pieces: Iterable[bytes]) -> None:
        """Begin anew with all that there is so far."""
        self._size = 0
        self._hashes = {algorithm: _new(algorithm) for _, algorithm, _ in self._expected}
        for piece in pieces:
            self.update(piece)

    def take_up(self, size: int, pieces: Iterable[bytes]) -> None:
        """Begin anew with *size* bytes that are there, which are read only if something is expected of them."""
        self._hashes = {}
        self._size = size
        if self._expected:
            self.read_again(pieces)

    def contradicts(self, digests: Sequence[Digest]) -> bool:
        """Whether *digests* and what is expected cannot both be right."""
        said = {digest.algorithm: digest.value.hex() for digest in digests}
        return any(said.get(algorithm, expected) != expected for _, algorithm, expected in self._expected)

    def restart(self) -> None:
        """Begin anew with nothing, and without what a server said."""
        if self._size or self._expected:
            self._expected = [each for each in self._expected if not each[0]]
            self.read_again(())

    def check(self) -> None:
        """Compare.

        Raises:
            ChecksumMismatch: The bytes are not the expected ones.
        """
        for field, algorithm, expected in self._expected:
            actual = self._hashes[algorithm].hexdigest()
            if actual != expected:
                said = f" (said the server, {field})" if field else ""
                raise ChecksumMismatch(
                    f"the {algorithm} of the {self._size} bytes is {actual}, "
                    f"expected {expected}{said}; the file was not kept",
                    algorithm=algorithm,
                    expected=expected,
                    actual=actual,
                )

    def _expect(self, field: str, algorithm: str, hexdigest: str) -> None:
        entry = (field, algorithm, hexdigest)
        if entry in self._expected:
            return
        self._expected.append(entry)
        if not self._size and algorithm not in self._hashes:
            self._hashes[algorithm] = _new(algorithm)


def _new(algorithm: str) -> _Hash:
    return hashlib.new(algorithm, usedforsecurity=False)
