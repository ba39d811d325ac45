"""Every error asyncflags raises, drawn as a tree.

::

    DownloadError
      TransportError            the network failed; retried
        ConnectError            no connection (refused, unreachable, reset while connecting)
        DnsError                the host name did not resolve
        ReadError               the connection broke in the middle of an answer
        TruncatedBody           the body ended before its announced end
        TransferTimeout         also a TimeoutError
          ConnectTimeout        no connection within ``Timeout.connect`` seconds
          ReadTimeout           no byte for ``Timeout.read`` seconds
          TooSlow               fewer than ``min_speed`` bytes a second for a minute
      TotalTimeout              the whole download took longer than ``Timeout.total``; also a TimeoutError
      TlsError                  the certificate or the handshake failed
      ProtocolError             the answer is not valid HTTP
      InvalidUrl                the URL cannot be downloaded; also a ValueError
      StatusError               the server answered with an error status; retried for some
      RangeError                a range answer does not fit what was asked
      TooManyRedirects          more redirects than allowed, or a loop
      BodyTooLarge              the body is larger than ``max_size``
      ChecksumMismatch          the bytes are whole and not the expected ones
      DigestMissing             a digest was required and the server sent none
      BlockedUrl                the URL policy refuses this address
      UnsafePath                a name that would leave its folder
      StorageError              the disk refused
      PostprocessError          the caller's own function failed on a finished file
      ClosedError               the downloader is closed
    BridgeError
      WorkerCrashed             the process that ran the call died
      TaskTimeout               the call ran longer than its ``timeout``; also a TimeoutError
      BridgeClosed              the bridge is closed

A `DownloadError` knows the URL it speaks of, with credentials redacted, and how many attempts were made.
All of them pickle, so they cross into and out of processes whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from asyncflags._models import Request

__all__ = [
    "BlockedUrl",
    "BodyTooLarge",
    "BridgeClosed",
    "BridgeError",
    "ChecksumMismatch",
    "ClosedError",
    "ConnectError",
    "ConnectTimeout",
    "DigestMissing",
    "DnsError",
    "DownloadError",
    "InvalidUrl",
    "PostprocessError",
    "ProtocolError",
    "RangeError",
    "ReadError",
    "ReadTimeout",
    "StatusError",
    "StorageError",
    "TaskTimeout",
    "TlsError",
    "TooManyRedirects",
    "TooSlow",
    "TotalTimeout",
    "TransferTimeout",
    "TransportError",
    "TruncatedBody",
    "UnsafePath",
    "WorkerCrashed",
    "redact_url",
]

# Query parameters whose values open doors: pre-signed object stores, CDN tokens, API keys.
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[^=&;]*(?:token|secret|signature|password|passwd|credential|api[-_]?key)[^=&;]*"
    r"|sig|key|auth|pwd|awsaccesskeyid)=)[^&;#]*"
)


def redact_url(url: str) -> str:
    """Return *url* fit for a message or a log: no password, no token, no control character.

    The user information of RFC 3986 section 3.2.1 becomes ``***``, and so do the values of query
    parameters that commonly carry secrets. What does not parse as a URL is shown without anything
    before its last ``@``.
    """
    shown = url
    if not url.isprintable():
        shown = "".join(character if character.isprintable() else "?" for character in url)
    if "@" in shown:
        try:
            parts = urlsplit(shown)
            netloc = parts.netloc
            if "@" in netloc:
                netloc = "***@" + netloc.rpartition("@")[2]
            shown = urlunsplit(parts._replace(netloc=netloc))
        except ValueError:
            shown = "***@" + shown.rpartition("@")[2]
    return _SECRET_PARAMETER.sub(r"\1***", shown) if "=" in shown else shown


def _restore(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class _Picklable(Exception):
    """Restores an error from its state, whatever arguments its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__.copy())


class DownloadError(_Picklable):
    """A download failed; the one root of everything a download raises.

    Attributes:
        url: The URL asked for, credentials redacted; ``""`` when no URL is involved.
        attempts: How many attempts were made, from 1; 0 when none was.
        request: The `Request` as it was given, or ``None``. It still holds what the caller put into
            it, so log ``url`` rather than ``request``.
    """

    url: str
    attempts: int
    request: Request | None

    def __init__(
        self, message: str, *, url: str = "", attempts: int = 0, request: Request | None = None
    ) -> None:
        super().__init__(message)
        self.url = redact_url(url) if url else ""
        self.attempts = attempts
        self.request = request

    @property
    def message(self) -> str:
        """The sentence alone, without the URL."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.message} [{self.url}]" if self.url and self.url not in self.message else self.message


class TransportError(DownloadError):
    """The network failed. Retried."""


class ConnectError(TransportError):
    """No connection could be made."""


class DnsError(TransportError):
    """The host name did not resolve.

    Attributes:
        temporary: Whether the resolver could not tell just now, as opposed to knowing of no such name.
    """

    def __init__(self, message: str, *, temporary: bool = False, **about: Any) -> None:
        super().__init__(message, **about)
        self.temporary = temporary


class ReadError(TransportError):
    """The connection broke before the answer was whole."""


class TruncatedBody(TransportError):
    """The body ended before its announced end (RFC 9112 section 8).

    Attributes:
        expected: Bytes announced, or ``None`` where the framing announces none (chunked).
        received: Bytes that came.
    """

    def __init__(self, message: str, *, expected: int | None = None, received: int = 0, **about: Any) -> None:
        super().__init__(message, **about)
        self.expected = expected
        self.received = received


class TransferTimeout(TransportError, TimeoutError):
    """The network was too slow. Retried."""


class ConnectTimeout(TransferTimeout):
    """No connection within ``Timeout.connect`` seconds."""


class ReadTimeout(TransferTimeout):
    """No byte for ``Timeout.read`` seconds."""


class TooSlow(TransferTimeout):
    """Fewer than ``min_speed`` bytes a second over the last minute."""


class TotalTimeout(DownloadError, TimeoutError):
    """The whole download took longer than ``Timeout.total`` seconds, or its run than its deadline."""


class TlsError(DownloadError):
    """The certificate did not verify, or the TLS handshake failed. Not retried."""


class ProtocolError(DownloadError):
    """The answer is not valid HTTP: a broken header, conflicting lengths, a bad chunk."""


class InvalidUrl(DownloadError, ValueError):
    """The URL cannot be downloaded: not a URL, no host, or a scheme other than http and https."""


class StatusError(DownloadError):
    """The server answered with a status that is not a success.

    Retried for 408, 425, 429, 500, 502, 503 and 504.

    Attributes:
        status: The HTTP status code (RFC 9110 section 15).
        retry_after: Seconds the server asked to wait (RFC 9110 section 10.2.3); ``None``: it did not say.
    """

    def __init__(self, message: str, *, status: int, retry_after: float | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.status = status
        self.retry_after = retry_after


class RangeError(DownloadError):
    """An answer to a range request does not fit what was asked (RFC 9110 section 14)."""


class TooManyRedirects(DownloadError):
    """More redirects than allowed, or redirects in a circle."""


class BodyTooLarge(DownloadError):
    """The body is, or would become, larger than ``max_size`` bytes."""


class ChecksumMismatch(DownloadError):
    """The file came whole and is not the expected one.

    Attributes:
        algorithm: Name as in `hashlib`.
        expected: Lower-case hexadecimal digest that was asked for.
        actual: Lower-case hexadecimal digest of the bytes that came.
    """

    def __init__(self, message: str, *, algorithm: str, expected: str, actual: str, **about: Any) -> None:
        super().__init__(message, **about)
        self.algorithm = algorithm
        self.expected = expected
        self.actual = actual


class DigestMissing(DownloadError):
    """A digest was required and the server sent none that could be checked."""


class BlockedUrl(DownloadError):
    """The URL policy refuses this URL or the address it leads to.

    Attributes:
        address: The address that was refused, or ``None`` when the URL itself was.
        reason: Why, in words.
    """

    def __init__(self, message: str, *, address: str | None = None, reason: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.address = address
        self.reason = reason


class UnsafePath(DownloadError):
    """A name that would leave the destination folder.

    Attributes:
        name: The name as it was given.
    """

    def __init__(self, message: str, *, name: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.name = name


class StorageError(DownloadError):
    """The file system refused: no space, no permission, no such folder, a name already taken.

    Attributes:
        path: The path as text.
    """

    def __init__(self, message: str, *, path: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.path = path


class PostprocessError(DownloadError):
    """The caller's ``postprocess`` function failed on a finished file, which stays; the cause is chained."""


class ClosedError(DownloadError):
    """The downloader is closed and takes no more work."""


class BridgeError(_Picklable):
    """A bridge could not run a call; root of the bridges' errors."""


class WorkerCrashed(BridgeError):
    """The process that ran the call died.

    Attributes:
        exitcode: The process's exit code, or ``None`` when it is not known.
        signal: Number of the signal that ended it, or ``None``.
    """

    def __init__(self, message: str, *, exitcode: int | None = None, signal: int | None = None) -> None:
        super().__init__(message)
        self.exitcode = exitcode
        self.signal = signal


class TaskTimeout(BridgeError, TimeoutError):
    """The call ran longer than its ``timeout``, counted from the start of its execution."""


class BridgeClosed(BridgeError):
    """The bridge is closed and takes no more work."""
