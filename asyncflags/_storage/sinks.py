"""Where a body goes: the `Sink` protocol and the sinks that are not files.

A sink is a blocking object. The engine calls it on its disk bridge, one call at a time and in order, so
a sink needs no lock and may take its time. Nothing that was written counts before `publish`.
"""

from __future__ import annotations

import errno
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from asyncflags._storage.trouble import storage_error
from asyncflags._types import Buffer
from asyncflags.errors import StorageError

__all__ = ["MemorySink", "Sink", "StreamSink"]


class Sink(ABC):
    """Takes one body. Used in the order: `write` any number of times, then `publish`, `leave` or `discard`.

    Between attempts a body may be continued, after a look at its `tail`, or begun anew by `reset`.
    """

    __slots__ = ()

    @property
    def restartable(self) -> bool:
        """Whether what was written can be taken back, so that another attempt may start anew."""
        return True

    @property
    def can_be_read_back(self) -> bool:
        """Whether `read_back` gives what was written."""
        return True

    @abstractmethod
    def write(self, data: Buffer) -> None:
        """Take the next bytes, all of them.

        Raises:
            StorageError: They cannot be kept.
        """

    @abstractmethod
    def tail(self, size: int) -> bytes:
        """The last *size* bytes that were written, or fewer if there are not so many.

        Raises:
            StorageError: They cannot be read.
        """

    @abstractmethod
    def read_back(self) -> Iterator[bytes]:
        """What was written, from the start, in pieces; a sink that cannot give it back yields nothing.

        Raises:
            StorageError: It cannot be read.
        """

    @abstractmethod
    def reset(self) -> None:
        """Drop what was written, to begin anew.

        Raises:
            StorageError: It cannot be dropped.
        """

    def note(self) -> None:  # noqa: B027 - most sinks have nothing to note
        """More is to come: take care that what was written can be taken up by another process, if it can.

        Raises:
            StorageError: It cannot be noted.
        """

    def disown(self) -> None:  # noqa: B027 - most sinks know nothing that would have to be forgotten
        """What was known of the bytes is not true of those that follow: let no other process take them up.

        Raises:
            StorageError: It cannot be forgotten.
        """

    def leave(self) -> None:
        """Let go of an unfinished body; what another process can take up stays. Never raises."""
        self.discard()

    @abstractmethod
    def publish(self, *, modified_at: float | None) -> None:
        """Make the body, now whole and verified, visible under its name.

        Args:
            modified_at: Time of last modification to give it, in seconds since the epoch; ``None``: now.

        Raises:
            StorageError: It cannot be done; nothing became visible.
        """

    @abstractmethod
    def discard(self) -> None:
        """Remove every trace of the body. Never raises; safe to call twice and after `publish`."""


class MemorySink(Sink):
    """Keeps the body in memory; ``content`` after `publish`."""

    __slots__ = ("_chunks", "content")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.content = b""

    def write(self, data: Buffer) -> None:
        self._chunks.append(bytes(data))

    def tail(self, size: int) -> bytes:
        return b"".join(self._chunks)[-size:] if size else b""

    def read_back(self) -> Iterator[bytes]:
        yield from self._chunks

    def reset(self) -> None:
        self._chunks.clear()

    def publish(self, *, modified_at: float | None) -> None:
        self.content = b"".join(self._chunks)
        self._chunks.clear()

    def discard(self) -> None:
        self._chunks.clear()


_STREAM_TAIL = 1024


class StreamSink(Sink):
    """Writes the body to an open binary file as it comes: a pipe, a terminal, a device.

    What was written cannot be taken back, so once the first byte went out a download into a stream can be
    continued but not begun anew.
    """

    __slots__ = ("_name", "_opened", "_stream", "_tail", "_written")

    def __init__(self, stream: BinaryIO | None, name: str) -> None:
        self._stream = stream
        self._opened = stream is None
        self._name = name
        self._written = False
        self._tail = b""

    @property
    def restartable(self) -> bool:
        return not self._written

    @property
    def can_be_read_back(self) -> bool:
        return False

    def write(self, data: Buffer) -> None:
        self._written = True
        try:
            if self._stream is None:
                # Unbuffered, so that a full device is noticed at the write and not at the end.
                self._stream = open(self._name, "wb", buffering=0)  # noqa: SIM115 - closed by publish and discard
            view = memoryview(data)
            while view:
                taken: int | None = self._stream.write(view)
                if taken is None and isinstance(self._stream, io.RawIOBase):
                    # A raw stream says so when it would block.
                    raise BlockingIOError(errno.EAGAIN, "it takes no more without waiting")
                # Others that tell nothing have taken all.
                view = view[taken:] if taken is not None else view[:0]
        except OSError as error:
            raise storage_error(error, self._name) from error
        last = bytes(memoryview(data)[-_STREAM_TAIL:])
        self._tail = (self._tail + last)[-_STREAM_TAIL:] if len(last) < _STREAM_TAIL else last

    def tail(self, size: int) -> bytes:
        return self._tail[-size:] if size else b""

    def read_back(self) -> Iterator[bytes]:
        return iter(())

    def reset(self) -> None:
        if self._written:
            raise StorageError(
                f"what went to {self._name} cannot be taken back; download it anew", path=self._name
            )

    def publish(self, *, modified_at: float | None) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
                self._close()
        except OSError as error:
            raise storage_error(error, self._name) from error

    def discard(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._opened and self._stream is not None:
            self._stream.close()
            self._stream = None
