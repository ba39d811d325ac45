"""What is known of an incomplete file, kept beside it in ``NAME.part.json``.

The record tells whose bytes the part file holds, and which of them may be relied on, so that a download
can be taken up in another process without ever joining two versions. It is written in place, in one call:
a kill in between leaves either record or, for one of more than a page, one that fails its own check and
then counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from asyncflags._policies.digests import Digest
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.retry import parse_http_date
from asyncflags._policies.validators import Validator
from asyncflags._storage.liveness import Owner, this_process

__all__ = ["RECORD_SUFFIX", "PartRecord", "RecordFile", "bare_record", "identity_of", "read_record"]

RECORD_SUFFIX = ".part.json"

_FORMAT = 1
_LARGEST = 1 << 20
_CREATE = os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """What a part file is a part of, and what of it stands.

    Attributes:
        url: Where its bytes came from, credentials redacted; for people.
        identity: Of the URL asked for: see `identity_of`.
        source: Of the URL where its bytes came from, which may be a mirror's; ``""``: no bytes came.
        validator: What the server said of the version.
        total: Bytes of the whole, or ``None`` when the server did not tell.
        ranges: What was written; ``None``: from the start as far as the part file goes.
        durable: What is known to be on the disk and so outlives the machine.
        owner: The process that writes, or wrote, it.
        content_type: The answer's ``Content-Type`` field, or ``None``.
        digests: What the server said that the whole hashes to; a later answer need not say it again.
    """

    url: str
    identity: str
    source: str = ""
    validator: Validator
    total: int | None = None
    ranges: Ranges | None = None
    durable: Ranges = field(default_factory=Ranges)
    owner: Owner
    content_type: str | None = None
    digests: tuple[Digest, ...] = ()

    def trusted(self, size: int) -> Ranges:
        """What may be relied on of a part file of *size* bytes.

        What a process wrote outlives the process, but only what was synced outlives the machine.
        """
        if self.owner.boot and self.owner.boot == this_process().boot:
            written = self.ranges if self.ranges is not None else Ranges(((0, size),) if size else ())
        else:
            written = self.durable
        end = size if self.total is None else min(size, self.total)
        return Ranges(tuple((start, min(stop, end)) for start, stop in written.parts if start < end))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "asyncflags": _FORMAT,
            "url": self.url,
            "identity": self.identity,
            "source": self.source,
            "etag": self.validator.etag,
            "last_modified": self.validator.last_modified,
            "is_strong_date": self.validator.is_strong_date,
            "total": self.total,
            "ranges": None if self.ranges is None else [list(part) for part in self.ranges.parts],
            "durable": [list(part) for part in self.durable.parts],
            "owner": self.owner.to_json(),
            "content_type": self.content_type,
            "digests": [str(digest) for digest in self.digests],
        }

    @classmethod
    def from_json(cls, value: Any) -> PartRecord:
        """From plain values.

        Raises:
            ValueError: They are no record of this format.
        """
        if not isinstance(value, dict) or value.get("asyncflags") != _FORMAT:
            raise ValueError("this is no record of a part file")
        total = value["total"]
        if total is not None and (not isinstance(total, int) or isinstance(total, bool) or total < 0):
            raise ValueError("the total is no number of bytes")
        ranges = value["ranges"]
        return cls(
            url=_text(value["url"]),
            identity=_text(value["identity"]),
            source=_text(value["source"]),
            validator=_validator(value),
            total=total,
            ranges=None if ranges is None else Ranges.parse(ranges),
            durable=Ranges.parse(value["durable"]),
            owner=Owner.from_json(value["owner"]),
            content_type=_text_or_none(value["content_type"]),
            digests=tuple(Digest.parse(_text(each)) for each in value["digests"]),
        )


def identity_of(url: str) -> str:
    """What tells one URL from another without telling the URL, which may hold secrets.

    Args:
        url: Without user information and fragment, as it is asked for.
    """
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def bare_record(identity: str | None) -> PartRecord:
    """What tells others whose a part file is, and no more."""
    return PartRecord(url="", identity=identity or "", validator=Validator(), owner=this_process())


def read_record(path: str) -> PartRecord | None:
    """The record at *path*; ``None``: there is none, or none that holds. Blocks.

    Raises:
        OSError: It cannot be read, for another reason than that it is not there.
    """
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    try:
        data = os.read(descriptor, _LARGEST)
    except IsADirectoryError:
        return None
    finally:
        os.close(descriptor)
    try:
        value = json.loads(data)
        check = value.pop("check")
        return PartRecord.from_json(value) if check == _check(value) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class RecordFile:
    """The record of a part file that this process writes."""

    __slots__ = ("_path", "_size", "exists")

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = 0
        self.exists = False

    def write(self, record: PartRecord, *, durable: bool = False) -> None:
        """Put *record* in place of the one before.

        Args:
            record: What is known now.
            durable: Whether to wait until it is on the disk.

        Raises:
            OSError: It is not there.
        """
        value = record.to_json()
        data = json.dumps({**value, "check": _check(value)}, ensure_ascii=True).encode()
        # Only the owner may read it: URLs and validators are nobody else's business.
        descriptor = os.open(self._path, _CREATE, 0o600)
        try:
            if not self.exists:
                os.ftruncate(descriptor, 0)
                self.exists = True
            else:
                # Another process may have written a longer one.
                self._size = max(self._size, os.fstat(descriptor).st_size)
            # White space after a JSON text means nothing, so a shorter record blanks out the longer one.
            data = data.ljust(self._size)
            self._size = len(data)
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the record, if there is one. Never raises."""
        if not self.exists:
            return
        self.exists = False
        self._size = 0
        try:
            os.unlink(self._path)
        except OSError:
            # It is gone already, or its folder is; either way there is nothing more to remove.
            pass


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _check(value: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _validator(value: dict[str, Any]) -> Validator:
    """Read the validators, which become fields of a request and so are not taken on trust."""
    etag, last_modified = _text_or_none(value["etag"]), _text_or_none(value["last_modified"])
    validator = Validator.of(etag=etag, last_modified=last_modified, date=None, now=0.0)
    if validator.etag != etag:
        raise ValueError("the entity tag is none")
    if last_modified is not None and parse_http_date(last_modified, now=0.0) is None:
        raise ValueError("the time of last modification is no date")
    return replace(
        validator,
        last_modified=last_modified,
        is_strong_date=value["is_strong_date"] is True and etag is None,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)
