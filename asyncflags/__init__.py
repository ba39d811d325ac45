"""Download over HTTP: one file or ten million, from async code, plain scripts, the shell, or a server.

Every public name is here and is loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncflags._client import AsyncDownloader as AsyncDownloader
    from asyncflags._engine.metalinks import read_metalink as read_metalink
    from asyncflags._engine.options import ClientOptions as ClientOptions
    from asyncflags._engine.options import DownloadOptions as DownloadOptions
    from asyncflags._models import ActiveDownload as ActiveDownload
    from asyncflags._models import Event as Event
    from asyncflags._models import HostStats as HostStats
    from asyncflags._models import Outcome as Outcome
    from asyncflags._models import Progress as Progress
    from asyncflags._models import Report as Report
    from asyncflags._models import Request as Request
    from asyncflags._models import Result as Result
    from asyncflags._models import Stats as Stats
    from asyncflags._policies.limits import Limits as Limits
    from asyncflags._policies.timeouts import Timeout as Timeout
    from asyncflags._sync import Downloader as Downloader
    from asyncflags._sync import download as download
    from asyncflags._sync import download_many as download_many
    from asyncflags._transports.base import ExchangeRequest as ExchangeRequest
    from asyncflags._transports.base import ResponseStream as ResponseStream
    from asyncflags._transports.base import Transport as Transport
    from asyncflags._version import __version__ as __version__
    from asyncflags.errors import BlockedUrl as BlockedUrl
    from asyncflags.errors import BodyTooLarge as BodyTooLarge
    from asyncflags.errors import BridgeClosed as BridgeClosed
    from asyncflags.errors import BridgeError as BridgeError
    from asyncflags.errors import ChecksumMismatch as ChecksumMismatch
    from asyncflags.errors import ClosedError as ClosedError
    from asyncflags.errors import ConnectError as ConnectError
    from asyncflags.errors import ConnectTimeout as ConnectTimeout
    from asyncflags.errors import DigestMissing as DigestMissing
    from asyncflags.errors import DnsError as DnsError
    from asyncflags.errors import DownloadError as DownloadError
    from asyncflags.errors import InvalidUrl as InvalidUrl
    from asyncflags.errors import PostprocessError as PostprocessError
    from asyncflags.errors import ProtocolError as ProtocolError
    from asyncflags.errors import RangeError as RangeError
    from asyncflags.errors import ReadError as ReadError
    from asyncflags.errors import ReadTimeout as ReadTimeout
    from asyncflags.errors import StatusError as StatusError
    from asyncflags.errors import StorageError as StorageError
    from asyncflags.errors import TaskTimeout as TaskTimeout
    from asyncflags.errors import TlsError as TlsError
    from asyncflags.errors import TooManyRedirects as TooManyRedirects
    from asyncflags.errors import TooSlow as TooSlow
    from asyncflags.errors import TotalTimeout as TotalTimeout
    from asyncflags.errors import TransferTimeout as TransferTimeout
    from asyncflags.errors import TransportError as TransportError
    from asyncflags.errors import TruncatedBody as TruncatedBody
    from asyncflags.errors import UnsafePath as UnsafePath
    from asyncflags.errors import WorkerCrashed as WorkerCrashed

_HOMES = {
    "AsyncDownloader": "_client",
    "read_metalink": "_engine.metalinks",
    "ClientOptions": "_engine.options",
    "DownloadOptions": "_engine.options",
    "ActiveDownload": "_models",
    "Event": "_models",
    "HostStats": "_models",
    "Outcome": "_models",
    "Progress": "_models",
    "Report": "_models",
    "Request": "_models",
    "Result": "_models",
    "Stats": "_models",
    "Limits": "_policies.limits",
    "Timeout": "_policies.timeouts",
    "Downloader": "_sync",
    "download": "_sync",
    "download_many": "_sync",
    "ExchangeRequest": "_transports.base",
    "ResponseStream": "_transports.base",
    "Transport": "_transports.base",
    "__version__": "_version",
    "BlockedUrl": "errors",
    "BodyTooLarge": "errors",
    "BridgeClosed": "errors",
    "BridgeError": "errors",
    "ChecksumMismatch": "errors",
    "ClosedError": "errors",
    "ConnectError": "errors",
    "ConnectTimeout": "errors",
    "DigestMissing": "errors",
    "DnsError": "errors",
    "DownloadError": "errors",
    "InvalidUrl": "errors",
    "PostprocessError": "errors",
    "ProtocolError": "errors",
    "RangeError": "errors",
    "ReadError": "errors",
    "ReadTimeout": "errors",
    "StatusError": "errors",
    "StorageError": "errors",
    "TaskTimeout": "errors",
    "TlsError": "errors",
    "TooManyRedirects": "errors",
    "TooSlow": "errors",
    "TotalTimeout": "errors",
    "TransferTimeout": "errors",
    "TransportError": "errors",
    "TruncatedBody": "errors",
    "UnsafePath": "errors",
    "WorkerCrashed": "errors",
}

__all__ = [
    "ActiveDownload",
    "AsyncDownloader",
    "BlockedUrl",
    "BodyTooLarge",
    "BridgeClosed",
    "BridgeError",
    "ChecksumMismatch",
    "ClientOptions",
    "ClosedError",
    "ConnectError",
    "ConnectTimeout",
    "DigestMissing",
    "DnsError",
    "DownloadError",
    "DownloadOptions",
    "Downloader",
    "Event",
    "ExchangeRequest",
    "HostStats",
    "InvalidUrl",
    "Limits",
    "Outcome",
    "PostprocessError",
    "Progress",
    "ProtocolError",
    "RangeError",
    "ReadError",
    "ReadTimeout",
    "Report",
    "Request",
    "ResponseStream",
    "Result",
    "Stats",
    "StatusError",
    "StorageError",
    "TaskTimeout",
    "Timeout",
    "TlsError",
    "TooManyRedirects",
    "TooSlow",
    "TotalTimeout",
    "TransferTimeout",
    "Transport",
    "TransportError",
    "TruncatedBody",
    "UnsafePath",
    "WorkerCrashed",
    "__version__",
    "download",
    "download_many",
    "read_metalink",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'asyncflags' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"asyncflags.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
