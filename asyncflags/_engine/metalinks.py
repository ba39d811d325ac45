"""Metalink documents as requests: files with their checksums, sizes and mirrors (RFC 5854)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from asyncflags._models import Request
from asyncflags._policies.metalink import MAX_DOCUMENT_SIZE, MetalinkFile, parse_metalink
from asyncflags.errors import StorageError

if TYPE_CHECKING:
    from asyncflags._types import StrPath

__all__ = ["read_metalink", "requests_in"]


def read_metalink(document: StrPath | bytes) -> list[Request]:
    """Read a Metalink document of version 4 (RFC 5854), the usual ``.meta4`` file.

    ::

        async with asyncflags.AsyncDownloader() as dl:
            report = await dl.download_many(asyncflags.read_metalink("debian.meta4"), "images/")

    Blocks while it reads and parses; in async code call it through `AsyncDownloader.to_thread`. Nothing is
    asked of the network.

    Args:
        document: Path of the file, or the document itself as ``bytes``; at most 16 MiB.

    Returns:
        A request for each file, in the order of the document. It has the best URL, of the lowest ``priority``,
        the others as ``mirrors``, the name as ``path``, cleaned as names of servers are, the size and the
        strongest of the checksums. A file without one is not verified.

    Raises:
        ValueError: It is no such document, or one of its files has an unsafe name, a malformed size or
            checksum, or no http or https URL. The message tells the file and the reason.
        StorageError: The file cannot be read.
    """
    if isinstance(document, bytes):
        return requests_in(document)
    path = os.fspath(document)
    try:
        with open(path, "rb") as file:
            # One byte more than is taken, so that a longer file is told from one that just fits.
            data = file.read(MAX_DOCUMENT_SIZE + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(f"cannot read {path}: {reason[:1].lower()}{reason[1:]}", path=path) from error
    try:
        return requests_in(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def requests_in(data: bytes) -> list[Request]:
    """A request for each file of the document *data*.

    Raises:
        ValueError: As `read_metalink`.
    """
    return [_request(file) for file in parse_metalink(data)]


def _request(file: MetalinkFile) -> Request:
    first, *others = file.urls
    return Request(
        first,
        path=file.name,
        checksum=file.checksums[0] if file.checksums else None,
        size=file.size,
        mirrors=tuple(others),
    )
