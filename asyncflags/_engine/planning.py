"""Where a download goes: what the destination is, and which name in it nobody else has."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from asyncflags._policies.naming import choose_name, folded, numbered, path_in_layout_url, relative_parts
from asyncflags._storage.claims import NameClaims
from asyncflags._storage.files import FileSink
from asyncflags._storage.part_files import PART_SUFFIX
from asyncflags._storage.records import RECORD_SUFFIX
from asyncflags._storage.sinks import MemorySink, Sink, StreamSink
from asyncflags._storage.trouble import storage_error, unusable_name
from asyncflags.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncflags._engine.options import Options
    from asyncflags._models import Request
    from asyncflags._policies.checksums import Checksum
    from asyncflags._types import StrPath

__all__ = ["Destination", "Names", "Place", "existing_size", "inspect", "inspect_folder", "memory"]

# Names in these folders stand for open descriptors and devices; a rename onto them would replace the door
# instead of going through it.
_DOORS = ("/dev", "/dev/fd", "/proc/self/fd")


@dataclass(frozen=True, slots=True)
class Destination:
    """What the caller's ``dest`` turned out to be; exactly one field is set.

    Attributes:
        folder: A folder that exists.
        file: A path to publish under.
        stream: An open binary file, or the path of a device to open.
        memory: The body is kept in memory.
    """

    folder: str | None = None
    file: str | None = None
    stream: BinaryIO | str | None = None
    memory: bool = False


memory = Destination(memory=True)


def inspect(dest: StrPath | BinaryIO) -> Destination:
    """Find out what *dest* is; makes the folder that a trailing separator asks for. Blocks.

    Raises:
        StorageError: The folder is missing or cannot be made.
    """
    if not isinstance(dest, str | os.PathLike):
        if not callable(getattr(dest, "write", None)):
            raise TypeError(f"dest is a path or a binary file open for writing, not {type(dest).__name__}")
        return Destination(stream=dest)
    path = os.fspath(dest)
    if not path:
        raise ValueError("the destination is empty: name a file or a folder")
    if path.endswith(("/", os.sep)) or os.path.isdir(path):
        return inspect_folder(path)
    if os.path.dirname(path) in _DOORS or _is_special(path):
        return Destination(stream=path)
    path = os.path.abspath(path)
    if os.path.islink(path):
        # The caller named the link, so the file it leads to is the one to replace.
        path = os.path.realpath(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        code = errno.ENOTDIR if os.path.lexists(folder) else errno.ENOENT
        raise storage_error(OSError(code, os.strerror(code)), path)
    return Destination(file=path)


def inspect_folder(dest: StrPath) -> Destination:
    """Make *dest* a folder if it is none yet. Blocks.

    Raises:
        StorageError: It cannot be made.
    """
    path = os.path.abspath(os.fspath(dest))
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise unusable_name(path) from error
    return Destination(folder=path)


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def existing_size(path: str, checksum: Checksum | None, size: int | None) -> int | None:
    """Size in bytes of the file at *path* if it is the expected one, else ``None``. Blocks."""
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise StorageError(f"{path} is no regular file; remove it or choose another name", path=path)
            actual = found.st_size
            if size is not None and actual != size:
                return None
            if checksum is not None:
                hasher = checksum.new_hash()
                while block := file.read(1 << 20):
                    hasher.update(block)
                if hasher.hexdigest() != checksum.hexdigest:
                    return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise unusable_name(path) from error
    return actual


def _without_waiting(path: str, flags: int) -> int:
    # A pipe that nobody writes to would be waited for otherwise.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Names:
    """The names that downloads under way or of one run have taken, so that no two share a path.

    Paths are compared after case-folding and normalisation, as file systems do that take ``A`` and
    ``a`` for the same.
    """

    def __init__(self) -> None:
        self._active: set[str] = set()
        # Those that were given to the letter, which note what stands beside them as well.
        self._exact: set[str] = set()
        # Names of part files are only taken by callers who choose their paths to the letter.
        self._parts_taken = False

    def take(self, path: str, *, run: NameClaims | None, first: int = 1) -> tuple[str, int]:
        """Take *path*, or the next numbered form of it that is free.

        Args:
            path: The wanted path.
            run: Names that the run has given away for good; ``None``: a download of its own.
            first: The number to begin with; 1 is the path as it is.

        Returns:
            The path taken and its number.
        """
        if first == 1 and not self._parts_taken:
            key = folded(path)
            if key not in self._active and (run is None or run.add(key)):
                self._active.add(key)
                return path, 1
        number = self._first_free(path, run, first)
        taken = _numbered_path(path, number)
        key = folded(taken)
        self._active.add(key)
        if run is not None:
            run.add(key)
        return taken, number

    def take_exactly(self, path: str, *, run: NameClaims | None) -> None:
        """Take *path* and no other.

        Raises:
            StorageError: Another download has it.
        """
        key = folded(path)
        names = (key, *_beside(key))
        # Names that are not given to the letter do not note their part files, so these are looked for here.
        is_beside = key.endswith(_ENDINGS)
        if (
            is_beside and any(key.endswith(end) and key.removesuffix(end) in self._active for end in _ENDINGS)
        ) or not self._are_free(names, run):
            raise StorageError(
                f"two downloads of this run have the same path {path}; give each its own", path=path
            )
        self._parts_taken = self._parts_taken or is_beside
        self._exact.add(path)
        self._active.update(names)
        if run is not None:
            for name in names:
                run.add(name)

    def release(self, path: str) -> None:
        """The download of *path* has ended; only its run remembers it."""
        key = folded(path)
        self._active.discard(key)
        if path in self._exact:
            self._exact.remove(path)
            self._active.difference_update(_beside(key))

    def _are_free(self, keys: Sequence[str], run: NameClaims | None) -> bool:
        return self._active.isdisjoint(keys) and (run is None or not any(key in run for key in keys))

    def _first_free(self, path: str, run: NameClaims | None, first: int) -> int:
        """The lowest free number, in a number of looks that grows with its logarithm."""

        def free(number: int) -> bool:
            key = folded(_numbered_path(path, number))
            return self._are_free((key, *_beside(key)) if self._parts_taken else (key,), run)

        if free(first):
            return first
        taken, step = first, 1
        while not free(taken + step):
            taken, step = taken + step, step * 2
        low, high = taken, taken + step
        while high - low > 1:
            middle = (low + high) // 2
            if free(middle):
                high = middle
            else:
                low = middle
        return high


_ENDINGS = (PART_SUFFIX, RECORD_SUFFIX)


def _beside(key: str) -> tuple[str, str]:
    """What stands beside the path of *key* while it is downloaded; nothing composes with a full stop."""
    return key + PART_SUFFIX, key + RECORD_SUFFIX


def _numbered_path(path: str, number: int) -> str:
    if number == 1:
        return path
    folder, name = os.path.split(path)
    return os.path.join(folder, numbered(name, number))


@dataclass(slots=True)
class Place:
    """Where one download goes, once its name is known."""

    path: str | None
    destination: Destination
    options: Options
    identity: Callable[[], str] = str
    make_folders: bool = False

    def new_sink(self) -> Sink:
        """A sink for the body."""
        if self.path is not None:
            return FileSink(
                self.path,
                identity=self.identity if self.options.resume else None,
                if_taken="refuse" if self.options.if_exists in ("rename", "error") else "replace",
                durable=self.options.durability == "fsync",
                make_folders=self.make_folders,
            )
        stream = self.destination.stream
        if stream is None:
            return MemorySink()
        if isinstance(stream, str):
            return StreamSink(None, stream)
        return StreamSink(stream, getattr(stream, "name", "the stream"))


def wanted_path(
    request: Request, destination: Destination, options: Options, url: str, disposition: str | None
) -> tuple[str, bool]:
    """The path a download would like to have, and whether the caller chose it to the letter.

    Raises:
        UnsafePath: The request's own path leaves the destination.
    """
    if destination.file is not None:
        return destination.file, True
    folder = cast("str", destination.folder)
    if request.path is not None:
        return os.path.join(folder, *relative_parts(request.path)), True
    if options.layout == "url":
        return os.path.join(folder, *path_in_layout_url(url).split("/")), False
    name = choose_name(url=url, content_disposition=disposition, from_server=options.name_from == "server")
    return os.path.join(folder, name), False
