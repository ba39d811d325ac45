"""The options of ``asyncflags get``: how they are spelled, and what they come to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from asyncflags._cli.journal_options import journal_of
from asyncflags._cli.sections import option
from asyncflags._cli.values import (
    CHECKSUM,
    CREDENTIALS,
    HEADER,
    HEADER_TEXT,
    PROXY,
    RATE,
    REQUEST_RATE,
    SECONDS,
    WEB_URL,
    Bytes,
    Whole,
    WholeOrAuto,
)

if TYPE_CHECKING:
    import ssl

    from asyncflags._engine.options import DownloadOptions

__all__ = ["Plan", "get_options", "make_plan", "make_retry_plan"]

F = TypeVar("F", bound=Callable[..., Any])

_WHAT = "What"
_WHERE = "Where to"
_CHECK = "What to accept"
_REQUEST = "How to ask"
_NETWORK = "Connection"
_PACE = "Pace and patience"
_OUTPUT = "Output"

_path = functools.partial(click.Path, path_type=str)

_OPTIONS = (
    option(_WHAT, "-i", "--input", "input_list", metavar="FILE",
           help="Also download the URLs in FILE, one a line, or by its ending .csv, .tsv, .jsonl or .meta4 (Metalink);"
                " - reads standard input as it comes."),
    option(_WHAT, "--mirror", "mirrors", type=WEB_URL, multiple=True,
           help="The one URL's file is here too; may be repeated."),
    option(_WHAT, "--dry-run", is_flag=True,
           help="Print what would be downloaded where, and touch neither network nor disk."),
    option(_WHERE, "-d", "--dir", "folder", metavar="DIR", type=_path(),
           help="Folder for the files, created if missing.  [default: .]"),
    option(_WHERE, "-o", "--output", "file", metavar="FILE", type=_path(allow_dash=True),
           help="Write the one URL to FILE; - writes it to standard output."),
    option(_WHERE, "--if-exists", type=click.Choice(["overwrite", "skip", "rename", "error", "update"]),
           default="overwrite", show_default=True, metavar="HOW",
           help="When the file is there: overwrite, skip, rename, error, or update (only if the server's changed)."),
    option(_WHERE, "--no-resume", is_flag=True,
           help="Begin each file anew, and leave no part of one to go on with."),
    option(_WHERE, "--journal", metavar="FILE", type=_path(),
           help="Note in FILE what became of each URL, and go on there when it is given again."
                "  [default: DIR.journal with -i]"),
    option(_WHERE, "--no-journal", is_flag=True, help="Keep no journal."),
    option(_WHERE, "--content-disposition", is_flag=True, help="Prefer the file name the server gives."),
    option(_WHERE, "--layout", type=click.Choice(["flat", "url"]), default="flat", show_default=True,
           metavar="flat|url", help="One folder for all, or folders HOST/PATH as in the URL."),
    option(_WHERE, "--mtime", "modified", type=click.Choice(["now", "server"]), default="now",
           show_default=True, metavar="server|now", help="Time of last modification to give the file."),
    option(_WHERE, "--durability", type=click.Choice(["fsync", "rename"]), default="fsync",
           show_default=True, metavar="fsync|rename",
           help="Survive a power cut, or only the end of the process (faster)."),
    option(_CHECK, "--checksum", type=CHECKSUM, help="Refuse the file unless it has this checksum."),
    option(_CHECK, "--checksums", metavar="FILE", type=_path(),
           help="Refuse files unless they have their checksum in FILE, such as SHA256SUMS."),
    option(_CHECK, "--require-digest", is_flag=True,
           help="Refuse an answer without a digest of its bytes (Repr-Digest, Content-Digest)."),
    option(_CHECK, "--max-size", type=Bytes(least=1),
           help="Refuse larger files; k, M, G are powers of 1024.  [default: any size]"),
    option(_CHECK, "--max-redirects", type=Whole(least=0), default=20, show_default=True,
           help="Redirects to follow."),
    option(_REQUEST, "-H", "--header", "headers", type=HEADER, multiple=True,
           help="Send this header too; may be repeated."),
    option(_REQUEST, "-A", "--user-agent", type=HEADER_TEXT, help="Name this client so."),
    option(_REQUEST, "-u", "--user", "credentials", type=CREDENTIALS,
           help="Log in with HTTP Basic; without :PASSWORD it is asked for."),
    option(_REQUEST, "--netrc", is_flag=True, help="Log in with ~/.netrc, or the file $NETRC names."),
    option(_REQUEST, "-b", "--cookie", "cookies", multiple=True, metavar="NAME=VALUE|FILE",
           help="Send a cookie, or those of a file in Netscape's format; may be repeated."),
    option(_REQUEST, "--compressed", is_flag=True, help="Ask for compressed bytes and unpack them."),
    option(_NETWORK, "--proxy", type=PROXY,
           help="Go through this HTTP proxy; '' for none.  [default: the environment's]"),
    option(_NETWORK, "-4", "--ipv4", "only_ipv4", is_flag=True, help="Use IPv4 only."),
    option(_NETWORK, "-6", "--ipv6", "only_ipv6", is_flag=True, help="Use IPv6 only."),
    option(_NETWORK, "--cacert", metavar="FILE", type=_path(),
           help="Trust these authorities (PEM).  [default: the system's]"),
    option(_NETWORK, "--cert", metavar="FILE", type=_path(), help="Client certificate (PEM)."),
    option(_NETWORK, "--key", metavar="FILE", type=_path(),
           help="Its private key (PEM), if not in the same file."),
    option(_NETWORK, "-k", "--insecure", is_flag=True, help="Do not verify certificates. Warns."),
    option(_PACE, "-j", "--jobs", type=Whole(least=1), default=64, show_default=True,
           help="Downloads at once."),
    option(_PACE, "--per-host", type=WholeOrAuto(least=1), default="auto", show_default=True,
           metavar="N|auto",
           help="Requests at once to one host; auto finds out how many make it faster."),
    option(_PACE, "--segments", type=Whole(least=1), default=1, show_default=True,
           help="Connections for one large file, if its server takes ranges."),
    option(_PACE, "--rate", "request_rate", type=REQUEST_RATE, metavar="N[/s|/m|/h]",
           help="Begin at most N requests to one host in a second, minute or hour.  [default: any]"),
    option(_PACE, "--limit-rate", "rate_limit", type=RATE,
           help="Bytes a second of all downloads together; k, M, G as for --max-size.  [default: any]"),
    option(_PACE, "--limit-rate-per-host", "host_rate_limit", type=RATE,
           help="Bytes a second from each host.  [default: any]"),
    option(_PACE, "--robots", "respect_robots", is_flag=True,
           help="Ask each host for its robots.txt first, and follow it."),
    option(_PACE, "--retries", type=Whole(least=0), default=5, show_default=True,
           help="Attempts after the first one."),
    option(_PACE, "--connect-timeout", type=SECONDS, default="10", show_default=True,
           help="Seconds to connect; 0: no limit."),
    option(_PACE, "--read-timeout", type=SECONDS, default="60", show_default=True,
           help="Seconds without a byte; 0: no limit."),
    option(_PACE, "--timeout", "total_timeout", type=SECONDS, default="0",
           help="Seconds for one whole download, retries included; 0: no limit.  [default: 0]"),
    option(_PACE, "--deadline", type=SECONDS, default="0",
           help="Seconds for the whole run; what is unfinished then fails; 0: no limit.  [default: 0]"),
    option(_PACE, "--min-speed", type=Bytes(least=0), default="1", show_default=True,
           help="Give up an attempt slower than this, in bytes/s over a minute; 0: never."),
    option(_OUTPUT, "-q", "--quiet", is_flag=True, help="No progress and no summary."),
    option(_OUTPUT, "-v", "--verbose", is_flag=True, help="Tell of retries, redirects and pauses."),
    option(_OUTPUT, "--json", "as_json", is_flag=True,
           help="Print an object for each download, failed ones too, in place of paths."),
    option(_OUTPUT, "--progress", type=click.Choice(["auto", "always", "never"]), default="auto",
           show_default=True, metavar="auto|always|never",
           help="The live bar: at a terminal, always, or never."),
)  # fmt: skip


def get_options(command: F) -> F:
    """Put the options on a command, in the order of its help."""
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one run of ``asyncflags get`` is to do, checked as far as it can be without the network.

    Attributes:
        urls: The URLs of the command line, as written.
        input_list: Path of the list, ``"-"`` for standard input, or ``None``.
        folder: Folder for the files; with a separator at its end.
        file: Where the one URL goes; ``"-"``: standard output; ``None``: into the folder.
        checksum: Of the one URL, or ``None``.
        jobs: Downloads at once.
        mirrors: Further URLs of the one file.
        per_host: Requests at once to one host.
        segments: Connections for one large file.
        request_rate: Requests a second to one host, or ``None``.
        rate_limit: Bytes a second, or ``None``.
        host_rate_limit: Bytes a second from each host, or ``None``.
        respect_robots: Whether robots.txt is followed.
        deadline: Seconds for the whole run, or ``None``.
        family: ``socket.AF_INET``, ``AF_INET6`` or 0 for both.
        tls: The TLS context, or ``None`` for the usual one.
        trust_env: Whether the environment's proxies count.
        netrc: Whether the netrc file counts.
        journal: File that keeps what became of each URL, or ``None``.
        retries_failed: Whether the downloads are those of the journal that failed.
        dry_run: Only tell.
        quiet: No progress and no summary.
        verbose: Tell of events.
        as_json: Objects in place of paths.
        progress: ``"auto"``, ``"always"`` or ``"never"``.
        options: For the downloader.
    """

    urls: tuple[str, ...]
    input_list: str | None
    folder: str
    file: str | None
    checksum: str | None
    jobs: int
    mirrors: tuple[str, ...]
    per_host: int | Literal["auto"]
    segments: int
    request_rate: float | None
    rate_limit: int | None
    host_rate_limit: int | None
    respect_robots: bool
    deadline: float | None
    family: int
    tls: ssl.SSLContext | None = field(repr=False)
    trust_env: bool
    netrc: bool
    journal: str | None
    retries_failed: bool
    dry_run: bool
    quiet: bool
    verbose: bool
    as_json: bool
    progress: str
    options: DownloadOptions = field(repr=False)

    @property
    def is_one_file(self) -> bool:
        """Whether one URL alone is asked for."""
        return len(self.urls) == 1 and self.input_list is None


def make_plan(given: Mapping[str, Any]) -> Plan:
    """Check what was given on the command line as a whole, and make a plan of it.

    Raises:
        Refusal: A file that an option names cannot be used.
        click.UsageError: The options do not go together.
    """
    _check_together(given)
    return _plan(given, journal=journal_of(given, given["folder"] or "."))


def make_retry_plan(given: Mapping[str, Any], journal: str, folder: str) -> Plan:
    """Make a plan of what was given to ``asyncflags retry``.

    Args:
        given: The options.
        journal: The journal.
        folder: Where its downloads go.

    Raises:
        Refusal: A file that an option names cannot be used.
        click.UsageError: The options do not go together.
    """
    whole = {**_UNASKED, **given, "folder": folder}
    _check_together(whole)
    return _plan(whole, journal=journal, retries_failed=True)


_UNASKED: Mapping[str, Any] = {
    "urls": (),
    "input_list": None,
    "file": None,
    "checksum": None,
    "mirrors": (),
    "dry_run": False,
    "journal": "",
    "no_journal": False,
    "layout": "flat",
}
"""Options of ``get`` that ``retry`` does not have: a journal knows its own run."""


def _plan(given: Mapping[str, Any], *, journal: str | None, retries_failed: bool = False) -> Plan:
    from asyncflags._cli.tls import tls_context

    return Plan(
        urls=tuple(given["urls"]),
        input_list=given["input_list"],
        folder=_as_folder(given["folder"]),
        file=given["file"],
        checksum=given["checksum"],
        jobs=given["jobs"],
        mirrors=tuple(given["mirrors"]),
        per_host=given["per_host"],
        segments=given["segments"],
        request_rate=given["request_rate"],
        rate_limit=given["rate_limit"],
        host_rate_limit=given["host_rate_limit"],
        respect_robots=given["respect_robots"],
        deadline=given["deadline"],
        family=_family(given),
        tls=tls_context(
            authorities=given["cacert"],
            certificate=given["cert"],
            key=given["key"],
            insecure=given["insecure"],
        ),
        # An empty --proxy is the way to say: none, in spite of the environment.
        trust_env=given["proxy"] is None,
        netrc=given["netrc"],
        journal=journal,
        retries_failed=retries_failed,
        dry_run=given["dry_run"],
        quiet=given["quiet"],
        verbose=given["verbose"],
        as_json=given["as_json"],
        progress=given["progress"],
        options=_download_options(given),
    )


def _check_together(given: Mapping[str, Any]) -> None:
    many = len(given["urls"]) > 1 or given["input_list"] is not None
    for wrong, reason in (
        (not given["urls"] and given["input_list"] is None and given["journal"] != "",
         "no URL given: name at least one, or a list of them with -i FILE"),
        (many and given["file"] is not None,
         "-o takes one URL: use -d DIR for several"),
        (given["file"] is not None and given["folder"] is not None,
         "-o and -d exclude each other: give -o the whole path"),
        (given["file"] is not None and bool(given["journal"]),
         "--journal takes a folder of files: use -d DIR in place of -o"),
        (bool(given["journal"]) and given["no_journal"],
         "--journal and --no-journal exclude each other: leave out one"),
        (given["file"] == "" or given["folder"] == "",
         "the destination is empty: name a file with -o or a folder with -d"),
        (many and given["checksum"] is not None,
         "--checksum takes one URL: it can hold for one file only"),
        (many and bool(given["mirrors"]),
         "--mirror takes one URL: for several name mirrors in a list, CSV, JSONL or Metalink (-i)"),
        (given["file"] == "-" and given["checksums"] is not None,
         "-o - and --checksums exclude each other: a list goes by file names; give --checksum"),
        (given["file"] == "-" and given["as_json"],
         "-o - and --json exclude each other: both write to standard output"),
        (given["only_ipv4"] and given["only_ipv6"],
         "-4 and -6 exclude each other: leave out both to use either"),
    ):  # fmt: skip
        if wrong:
            raise click.UsageError(reason)


def _as_folder(folder: str | None) -> str:
    import os

    # The separator at the end tells the engine to create the folder.
    return os.path.join(folder or ".", "")


def _family(given: Mapping[str, Any]) -> int:
    import socket

    if given["only_ipv4"]:
        return socket.AF_INET
    return socket.AF_INET6 if given["only_ipv6"] else 0


def _download_options(given: Mapping[str, Any]) -> DownloadOptions:
    from asyncflags._cli.checksums import read_checksums
    from asyncflags._cli.cookies import read_cookies
    from asyncflags._policies.timeouts import Timeout

    options: dict[str, Any] = {
        "headers": _combined(given["headers"]) or None,
        "auth": given["credentials"],
        "cookies": read_cookies(given["cookies"]) if given["cookies"] else None,
        "proxy": given["proxy"] or None,
        "timeout": Timeout(
            connect=given["connect_timeout"], read=given["read_timeout"], total=given["total_timeout"]
        ),
        "min_speed": given["min_speed"],
        "retries": given["retries"],
        "max_size": given["max_size"],
        "max_redirects": given["max_redirects"],
        "compressed": given["compressed"],
        "require_digest": given["require_digest"],
        "checksums": read_checksums(given["checksums"]) if given["checksums"] is not None else None,
        "resume": not given["no_resume"],
        "if_exists": given["if_exists"],
        "durability": given["durability"],
        "name_from": "server" if given["content_disposition"] else "url",
        "mtime": given["modified"],
        "layout": given["layout"],
    }
    if given["user_agent"] is not None:
        options["user_agent"] = given["user_agent"]
    return cast("DownloadOptions", options)


def _combined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields as a mapping; several of one name become a list in one field (RFC 9110 section 5.3)."""
    combined: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in headers:
        first = spelled.setdefault(name.lower(), name)
        separator = "; " if name.lower() == "cookie" else ", "
        combined[first] = f"{combined[first]}{separator}{value}" if first in combined else value
    return combined
