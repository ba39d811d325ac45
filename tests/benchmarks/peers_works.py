"""What there is to download, and whether all of it arrived."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Work:
    """Files for every client to bring home.

    Attributes:
        name: As it is asked for.
        files: How many.
        size: Bytes of each.
        tls: Whether they come over https.
        hashed: Whether the client is to check the SHA-256 of the file.
    """

    name: str
    files: int
    size: int
    tls: bool = False
    hashed: bool = False

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self.files * self.size


WORKS = {
    work.name: work
    for work in (
        Work("small", 10_000, 4 << 10),
        Work("mid", 200, 1 << 20),
        Work("big", 1, 1 << 30),
        Work("tls", 10_000, 4 << 10, tls=True),
        Work("hashed", 1, 1 << 30, hashed=True),
    )
}


def make_files(work: Work, folder: Path) -> list[str]:
    """Fill *folder* with the files, of random bytes; the names, in order."""
    folder.mkdir(parents=True)
    names = [f"{number:05d}.bin" for number in range(work.files)]
    for name in names:
        with (folder / name).open("wb") as file:
            for start in range(0, work.size, BLOCK):
                file.write(os.urandom(min(BLOCK, work.size - start)))
    return names


def contents(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file under *folder*, by its path from there."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def difference(wanted: dict[str, str], found: dict[str, str]) -> str:
    """How *found* is not what was *wanted*, in words; empty if it is that to the byte."""
    missing = sorted(wanted.keys() - found.keys())
    more = sorted(found.keys() - wanted.keys())
    wrong = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    parts = (("missing", missing), ("not asked for", more), ("with wrong bytes", wrong))
    return ", ".join(f"{len(names)} {what} ({names[0]})" for what, names in parts if names)
