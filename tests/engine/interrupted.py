"""Downloads that were interrupted: what they leave behind, made by hand, and clients that lose no time going on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asyncflags import AsyncDownloader
from asyncflags._policies.ranges import Ranges
from asyncflags._policies.validators import Validator
from asyncflags._storage.liveness import Owner
from asyncflags._storage.records import PartRecord, identity_of

THIS_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
DEAD = Owner("nowhere", THIS_BOOT, "pid:[0]", 1, None)
"""A process of this boot that is gone; of which the lock of a part file tells, and nothing else has to."""


def eager(**options: Any) -> AsyncDownloader:
    """A client that never waits between attempts."""
    dl = AsyncDownloader(**({"durability": "rename"} | options))
    dl._ready().jitter = lambda: 0.0
    return dl


def left(
    path: Path,
    data: bytes,
    url: str,
    *,
    etag: str | None = '"v1"',
    last_modified: str | None = None,
    total: int | None = None,
    ranges: Ranges | None = None,
    durable: int = 0,
    owner: Owner = DEAD,
    source: str | None = None,
) -> None:
    """Leave *data* as the part of *path*, with its record, as a process of this machine that was killed."""
    record = PartRecord(
        url=source or url,
        identity=identity_of(url),
        source=identity_of(source or url),
        validator=Validator(etag=etag, last_modified=last_modified, is_strong_date=etag is None),
        total=total,
        ranges=ranges,
        durable=Ranges(((0, durable),)),
        owner=owner,
    )
    part_of(path).write_bytes(data)
    record_of(path).write_text(sealed(record.to_json()))


def sealed(value: dict[str, Any]) -> str:
    """A record as it stands in its file."""
    return json.dumps({**value, "check": zlib.crc32(json.dumps(value, sort_keys=True).encode())})


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def record_of(path: Path) -> Path:
    return path.with_name(path.name + ".part.json")


def names(folder: Path) -> list[str]:
    """What stands in *folder*."""
    return sorted(each.name for each in folder.iterdir())


def ranges_asked(requests: Iterable[Any]) -> list[str | None]:
    """The Range field of each request, in order."""
    return [request.headers.get("range") or request.headers.get("Range") for request in requests]
