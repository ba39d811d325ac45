"""What travels to a process and back without being pickled: files by their path, bytes in shared memory.

A function that takes a `MappedFile` or a `Block` sees the same class in a worker process, in a thread and
when it is called directly, so it can be tested without any bridge.
"""

from __future__ import annotations

import mmap
import os
import pickle
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asyncflags._types import Buffer, StrPath

__all__ = ["Block", "MappedFile"]


class MappedFile:
    """A file on disk that crosses to another process as its path, and is mapped there instead of read.

    ::

        def count_lines(file: MappedFile) -> int:
            return bytes(file.view).count(b"\\n")

        lines = await bridge.run(count_lines, MappedFile("access.log"))

    Each process maps the file when it first looks at `view`, so nothing is copied on the way and pages
    nobody looks at are never read. The file must keep its length while it is mapped: another program that
    truncates it ends the process that reads past the new end.

    Args:
        path: The file. It is made absolute at once, because a worker may have another working directory.
    """

    __slots__ = ("__weakref__", "_lock", "_view", "path")

    def __init__(self, path: StrPath) -> None:
        path = os.fspath(path)
        # An absolute path is taken without a question to the system, so it may be given on a loop.
        self.path = path if os.path.isabs(path) else os.path.abspath(path)
        self._lock = threading.Lock()
        self._view: memoryview | None = None

    @property
    def view(self) -> memoryview:
        """The file's bytes, read-only; a file of length 0 is an empty view.

        Raises:
            OSError: The file cannot be opened or mapped.
        """
        with self._lock:
            if self._view is None:
                self._view = _map_file(self.path)
            return self._view

    def __len__(self) -> int:
        return len(self.view)

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedFile, (self.path,)

    def __repr__(self) -> str:
        return f"MappedFile({self.path!r})"

    def close(self) -> None:
        """Let go of the map in this process; it goes when the last slice of it does. Looking maps anew."""
        with self._lock:
            self._view = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Block:
    """Bytes that cross to another process in shared memory when they are too many for a message.

    ::

        def shrink(image: Block) -> Block:
            return Block(compress(image.view))

        smaller = await bridge.run(shrink, Block(picture))
        file.write(smaller.view)

    A `ProcessBridge` sends up to 64 KiB (65,536 bytes) inside the message and more than that in a piece of
    shared memory which it uses again for the next call, in both directions and anywhere inside an argument
    or a result. The other side gets a block whose `view` reads that memory in place.

    An argument's view belongs to the worker until the function returns: copy what is to be kept longer. A
    result's view is the caller's for as long as the block, its view or a slice of it is held; the memory is
    used again afterwards. Pickled by anything else than a bridge, a block is a copy of its bytes.

    Args:
        data: Contiguous bytes of any kind: ``bytes``, ``bytearray``, ``memoryview``, an array. They are not
            copied here, so leave them unchanged until the call has started.

    Raises:
        TypeError: *data* is not contiguous, or gives no access to its bytes.
    """

    __slots__ = ("__weakref__", "view")

    view: memoryview
    """The bytes, read-only."""

    def __init__(self, data: Buffer | pickle.PickleBuffer) -> None:
        view = data.raw() if isinstance(data, pickle.PickleBuffer) else memoryview(data)
        if not view.c_contiguous:
            raise TypeError("A Block needs contiguous bytes. Copy them first: Block(bytes(data)).")
        # A view of no items cannot be cast.
        self.view = view.cast("B").toreadonly() if view.nbytes else memoryview(b"")

    def __len__(self) -> int:
        return len(self.view)

    def __bytes__(self) -> bytes:
        return bytes(self.view)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if protocol < pickle.HIGHEST_PROTOCOL:
            return Block, (bytes(self.view),)
        # A bridge asks of which block a buffer is; see `is_of_block`.
        _reduced.last = pickle.PickleBuffer(self.view)
        return Block, (_reduced.last,)

    def __repr__(self) -> str:
        return f"<Block of {len(self)} bytes>"


class _Reduced(threading.local):
    last: pickle.PickleBuffer | None = None


_reduced = _Reduced()


def is_of_block(buffer: pickle.PickleBuffer) -> bool:
    """Whether *buffer*, which is being pickled in this thread, is that of a `Block` and not of another class."""
    last, _reduced.last = _reduced.last, None
    return buffer is last


def _map_file(path: str) -> memoryview:
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            # An empty file cannot be mapped.
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
