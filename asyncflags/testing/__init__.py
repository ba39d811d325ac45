"""What tests of a program that downloads need: servers that behave, servers that do not, and no server at all.

`Origin` obeys the RFCs and serves what is put into it::

    async with Origin() as origin:
        url = origin.add("/flag.gif", b"...", etag='"v1"')
        await downloader.download(url, folder)
        assert origin.requests[0].path == "/flag.gif"

Its bodies can be made to come slowly (`Origin.throttle`), to wait (`Origin.hold`) and to end early (`Origin.cut`).

`FaultyOrigin` misbehaves, one path for each way of doing so; `asyncflags.testing.faulty.FAULTS` lists them::

    async with FaultyOrigin() as origin:
        with pytest.raises(asyncflags.errors.TruncatedBody):
            await downloader.download(origin.url + "/cut-length", folder)

`ChangingEntity` is a script for it: a file that is another one at each request, and whose answers are cut::

    async with FaultyOrigin() as origin:
        origin.script("/file", ChangingEntity([old, new], cuts=[1000]))
        result = await downloader.download(origin.url + "/file", folder)
        assert result.path.read_bytes() in (old, new)

`MockTransport` answers from a script without any socket. With the package installed, pytest offers the
fixtures ``origin`` and ``faulty_origin``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncflags._transports.mock import MockResponse as MockResponse
    from asyncflags._transports.mock import MockTransport as MockTransport
    from asyncflags.testing.entity import ChangingEntity as ChangingEntity
    from asyncflags.testing.faulty import FaultyOrigin as FaultyOrigin
    from asyncflags.testing.origin import Origin as Origin

__all__ = ["ChangingEntity", "FaultyOrigin", "MockResponse", "MockTransport", "Origin"]

_MODULES = {
    "ChangingEntity": "asyncflags.testing.entity",
    "FaultyOrigin": "asyncflags.testing.faulty",
    "MockResponse": "asyncflags._transports.mock",
    "MockTransport": "asyncflags._transports.mock",
    "Origin": "asyncflags.testing.origin",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
