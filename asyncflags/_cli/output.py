"""What goes to standard output and standard error while downloads run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from asyncflags.bridges import ThreadBridge
from asyncflags.errors import StatusError, redact_url

if TYPE_CHECKING:
    from asyncflags._models import Outcome

__all__ = ["Emit", "LineWriter", "as_object", "object_line", "path_line", "silence", "to_stream"]

Emit = Callable[[Sequence[str]], None]
"""Writes lines out, all of them, before it returns. May block."""

_FULL = 4096
_PATIENCE = 0.5


class LineWriter:
    """Gathers lines and writes them on a thread, so that a slow reader of them does not block the loop.

    Args:
        emit: Writes lines; called on the thread.
        interval: Seconds after which gathered lines are written.
        on_failure: Called on the loop, once, when *emit* fails. Lines are dropped from then on.
    """

    def __init__(self, emit: Emit, *, interval: float, on_failure: Callable[[OSError], None]) -> None:
        self._emit = emit
        self._interval = interval
        self._on_failure = on_failure
        self._lines: list[str] = []
        self._writing: asyncio.Future[None] | None = None
        self._lock = asyncio.Lock()
        self._bridge = ThreadBridge(1, name="asyncflags-output")
        self._failed = False
        self._ticker = asyncio.create_task(self._tick())

    @property
    def full(self) -> bool:
        """Whether so much has gathered that one should `flush` before there is more."""
        return len(self._lines) >= _FULL

    def write(self, line: str) -> None:
        """Take a line, without its line end."""
        if not self._failed:
            self._lines.append(line)

    async def flush(self) -> None:
        """Wait until every line that was taken is written."""
        async with self._lock:
            while self._lines or self._writing is not None:
                if self._writing is None:
                    lines, self._lines = self._lines, []
                    self._writing = asyncio.wrap_future(self._bridge.submit(self._emit, lines))
                try:
                    # Cancelled here, what is being written is left to the next flush and not lost. Not
                    # bridge.run(): that waits for a stuck reader even when it is cancelled.
                    await asyncio.shield(self._writing)
                except (OSError, ValueError) as error:
                    # Python says ValueError for a file object that was closed.
                    self._fail(error if isinstance(error, OSError) else BrokenPipeError())
                self._writing = None

    async def aclose(self, *, patient: bool = True) -> None:
        """Write what is left and end the thread.

        Args:
            patient: Wait for the reader as long as it takes; ``False``: half a second.
        """
        self._ticker.cancel()
        await asyncio.wait([self._ticker])
        try:
            async with asyncio.timeout(None if patient else _PATIENCE):
                await self.flush()
        except TimeoutError:
            # The reader does not read; who interrupted the run does not want to wait for it.
            pass
        finally:
            self._bridge.shutdown(wait=False)

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._lines.clear()
            self._on_failure(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if self._lines:
                await self.flush()


def to_stream(stream: TextIO | None) -> Emit:
    """An `Emit` that writes to a text stream and flushes it; ``None``: lines go nowhere.

    A path that is not valid text in the stream's encoding is written byte for byte as the system has it.
    """
    if stream is None:
        return lambda lines: None
    encoding = (stream.encoding or "utf-8").lower()
    errors = "surrogateescape" if encoding == "utf-8" else "backslashreplace"
    binary: BinaryIO | None = getattr(stream, "buffer", None)

    def emit(lines: Sequence[str]) -> None:
        text = "\n".join(lines) + "\n"
        if binary is None:
            stream.write(text)
        else:
            data = memoryview(text.replace("\n", os.linesep).encode(encoding, errors))
            while data:
                # A raw stream, which -u gives, may take a part only.
                data = data[binary.write(data) :]
            binary.flush()
        stream.flush()

    return emit


def silence(stream: TextIO | None) -> None:
    """Lead a stream whose reader has left to nowhere, so that the interpreter's last flush cannot fail."""
    if stream is None:
        return
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def path_line(outcome: Outcome) -> str | None:
    """The line for a finished file; ``None`` for a failure, and for a body that went to a stream."""
    if outcome.result is None or outcome.result.path is None:
        return None
    return str(outcome.result.path)


def object_line(outcome: Outcome) -> str:
    """The line of JSON for a finished download."""
    return json.dumps(as_object(outcome), ensure_ascii=True)


def as_object(outcome: Outcome) -> dict[str, Any]:
    """A finished download, or a failed one, as a JSON object.

    Returns:
        ``url`` (credentials redacted), ``path``, ``size`` in bytes, ``status``, ``attempts``, ``elapsed`` in
        seconds, ``checksum``, ``skipped`` and ``error``, which is ``None`` or has ``type`` and ``message``.
    """
    error = outcome.error
    if error is not None:
        return {
            "url": error.url or redact_url(outcome.url),
            "path": None,
            "size": None,
            "status": error.status if isinstance(error, StatusError) else None,
            "attempts": error.attempts,
            "elapsed": None,
            "checksum": None,
            "skipped": False,
            "error": {"type": type(error).__name__, "message": error.message},
        }
    result = outcome.unwrap()
    return {
        "url": result.url,
        "path": None if result.path is None else str(result.path),
        "size": result.size,
        "status": result.status,
        "attempts": result.attempts,
        "elapsed": round(result.elapsed, 6),
        "checksum": result.checksum,
        "skipped": result.skipped,
        "error": None,
    }
