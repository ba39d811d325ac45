"""Names of files, from servers and URLs that may be hostile.

A name made here is one path component that every usual file system takes, that is shown as it is, that no shell
and no Windows device claims, and that leaves room for the ending of a part file's metadata.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, unquote_to_bytes

from asyncflags._policies.urls import DEFAULT_PORTS, parse_url
from asyncflags.errors import UnsafePath

__all__ = [
    "FALLBACK_NAME",
    "MAX_NAME_SIZE",
    "choose_name",
    "folded",
    "name_from_content_disposition",
    "name_from_url",
    "numbered",
    "path_in_layout_url",
    "relative_parts",
    "safe_name",
]

MAX_NAME_SIZE = 245
"""Bytes of the longest name in UTF-8: file systems take 255, and ``.part.json`` must fit."""

FALLBACK_NAME = "index.html"
"""The name when neither the URL nor the server gives one."""

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9_-])?")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$)", re.IGNORECASE)
_PART_ENDINGS = (".part", ".part.json")
_RESERVED = re.compile(r'[<>:"/\\|?*\ud800-\udfff]')
# The look-behind starts a match at the beginning of a run only, so that a long run costs linear time.
_EDGES = re.compile(r"^[\s.\-]+|(?<![\s.])[\s.]++$")
_LONGEST_ENDING = 16
# Composing takes time in the square of a run of accents, and no more than 245 bytes are kept.
_LONGEST_READ = 2048
# Controls, format characters (bidi overrides, zero widths), line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})

_PARAMETER = re.compile(
    r"""(?:^|;)\s*+([\w!#$%&'*+.^`|~-]++)\s*+=\s*+("(?:[^"\\]++|\\.)*+"?+|[^;]*+)""", re.ASCII | re.DOTALL
)
_QUOTED_PAIR = re.compile(r"\\(.?)", re.DOTALL)
_CHARSETS = frozenset({"utf-8", "iso-8859-1"})


def safe_name(name: str) -> str | None:
    """Make one safe path component of a name.

    Args:
        name: Anything; of a path the last component is taken.

    Returns:
        The name, at most 245 bytes in UTF-8, with its ending kept; ``None``: nothing is left. A safe name is
        returned as it is.
    """
    if _PLAIN.fullmatch(name) and not _DEVICE.match(name) and not name.lower().endswith(_PART_ENDINGS):
        return name
    name = re.split(r"[/\\]", name)[-1]
    if len(name) > _LONGEST_READ:
        name = name[: _LONGEST_READ // 2] + name[-_LONGEST_READ // 2 :]
    while True:
        # One repair may make room for another fault: cutting a long name can uncover a device name. Each pass
        # removes faults or shortens, and what it adds is an underscore, which is never a fault.
        repaired = _repaired(name)
        if repaired == name:
            return name or None
        name = repaired


def _repaired(name: str) -> str:
    name = _RESERVED.sub("_", name)
    if not name.isprintable():
        name = "".join(each for each in name if unicodedata.category(each) not in _UNSEEN)
    # Removing characters can bring a letter and its accent together, so composing comes after.
    name = _EDGES.sub("", unicodedata.normalize("NFC", name))
    if _DEVICE.match(name):
        name = f"_{name}"
    if name.lower().endswith(_PART_ENDINGS):
        name = f"{name}_"
    return _shortened(*_split_ending(name))


def _split_ending(name: str) -> tuple[str, str]:
    stem, _, ending = name.rpartition(".")
    if not stem or not 0 < len(ending) <= _LONGEST_ENDING or any(map(str.isspace, ending)):
        return name, ""
    if len(stem) > 4 and stem.lower().endswith(".tar"):
        return stem[:-4], f"{stem[-4:]}.{ending}"
    return stem, f".{ending}"


def _shortened(stem: str, ending: str) -> str:
    room = MAX_NAME_SIZE - len(ending.encode("utf-8", "surrogatepass"))
    encoded = stem.encode("utf-8", "surrogatepass")
    if len(encoded) > room:
        stem = encoded[:room].decode("utf-8", "ignore")
    return stem + ending


def name_from_url(url: str) -> str | None:
    """Take a name from the last segment of a URL's path (RFC 3986 section 3.3).

    Args:
        url: Absolute URL; its query and fragment do not count.

    Returns:
        A safe name; ``None``: the path ends in a slash, or nothing safe is left.
    """
    segment = _path_of(url).rpartition("/")[2]
    return safe_name(_decoded(segment)) if segment else None


def _path_of(url: str) -> str:
    without_query = url.partition("#")[0].partition("?")[0]
    return without_query.partition("://")[2].partition("/")[2]


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return segment


def name_from_content_disposition(value: str | None) -> str | None:
    """Take a name from a Content-Disposition field (RFC 6266 section 4.3, RFC 8187 section 3.2).

    ``filename*`` goes before ``filename``. A missing type, missing quotes and a missing end quote are tolerated.

    Args:
        value: The field as sent; ``None``: the field is absent.

    Returns:
        A safe name; ``None``: there is none.
    """
    if not value:
        return None
    parameters: dict[str, str] = {}
    for matched in _PARAMETER.finditer(value):
        parameters.setdefault(matched[1].lower(), _unquoted(matched[2].strip()))
    extended = _extended(parameters.get("filename*", ""))
    return (safe_name(extended) if extended else None) or safe_name(
        _repaired_text(parameters.get("filename", ""))
    )


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    # A quote that ends the value is its end only when no backslash claims it.
    inner = text[1:-1] if re.fullmatch(r'"(?:[^"\\]++|\\.)*+"', text, re.DOTALL) else text[1:]
    return _QUOTED_PAIR.sub(r"\1", inner)


def _extended(text: str) -> str | None:
    charset, _, rest = text.partition("'")
    _, tick, encoded = rest.partition("'")
    if not tick or charset.lower() not in _CHARSETS:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except UnicodeError:
        return None


def _repaired_text(text: str) -> str:
    # Servers put UTF-8 where the standard has ISO-8859-1; what is not UTF-8 stays as it was read.
    if text.isascii():
        return text
    try:
        return text.encode("iso-8859-1").decode("utf-8")
    except UnicodeError:
        return text


def choose_name(*, url: str, content_disposition: str | None, from_server: bool) -> str:
    """Choose the name of a file whose path was not given.

    Args:
        url: The URL that was asked for, not the one redirects led to.
        content_disposition: The field as sent; ``None``: absent.
        from_server: Whether the server may name the file.

    Returns:
        The server's name if it may; else the URL's; else ``index.html``.
    """
    from_field = name_from_content_disposition(content_disposition) if from_server else None
    return from_field or name_from_url(url) or FALLBACK_NAME


def numbered(name: str, number: int) -> str:
    """Put a number before the ending: ``flag.gif`` becomes ``flag-2.gif``.

    Args:
        name: A file name; of a path the folders stay as they are.
        number: The number.

    Returns:
        The name, its last component at most 245 bytes in UTF-8.
    """
    folder, slash, last = name.rpartition("/")
    stem, ending = _split_ending(last)
    return folder + slash + _shortened(stem, f"-{number}{ending}")


def path_in_layout_url(url: str) -> str:
    """Map a URL to a path of its own: ``host/folders/name``, without the query.

    Args:
        url: Absolute URL.

    Returns:
        A relative path with ``/``: the host, with ``_port`` unless the port is the scheme's own, then every
        segment as a safe name. A segment without a safe name is ``_``; an empty last one ``index.html``.

    Raises:
        InvalidUrl: It is not an http or https URL.
    """
    target = parse_url(url)
    scheme, host, port = target.origin
    folder = host if port == DEFAULT_PORTS[scheme] else f"{host}_{port}"
    *folders, last = _path_of(target.url).split("/")
    name = _component(last) if last else FALLBACK_NAME
    return "/".join([_component(folder), *map(_component, folders), name])


def _component(segment: str) -> str:
    # An encoded slash is part of its segment here, so that a%2Fb and b stay two files.
    return safe_name(re.sub(r"[/\\]", "_", _decoded(segment))) or "_"


def relative_parts(path: str) -> tuple[str, ...]:
    """Split a path that the caller gave; it may name folders and dotfiles, nothing outside the destination.

    Args:
        path: Relative path, with ``/`` or ``\\`` on any platform.

    Returns:
        Its components in the caller's own spelling; ``.`` is left out.

    Raises:
        UnsafePath: It is empty, absolute, has a drive letter, a NUL, an empty component or one of dots and
            spaces alone, such as ``..``.
    """
    if _PLAIN.fullmatch(path):
        return (path,)
    components = re.split(r"[/\\]", path)
    reason = _unsafe_reason(path, components)
    parts = tuple(component for component in components if component != ".")
    if reason is None and not parts:
        reason = "names no file"
    if reason is not None:
        shown = path if path.isprintable() else ascii(path)
        raise UnsafePath(
            f"the path {shown[:200]!r} {reason}: give one relative to the destination, such as folder/name",
            name=path,
        )
    return parts


def _unsafe_reason(path: str, components: list[str]) -> str | None:
    if not path:
        return "is empty"
    if path[0] in "/\\":
        return "is absolute"
    if "\0" in path:
        return "holds a NUL character"
    if ".." in components:
        return "climbs out of its folder with '..'"
    if "" in components:
        return "has an empty component"
    # Windows ignores spaces and dots at the end of a component, so that ". ." climbs there too.
    if any(component != "." and not component.strip(" .") for component in components):
        return "has a component of dots and spaces alone"
    # A later component with a drive letter would start anew when the parts are joined on Windows.
    if any(re.match(r"[A-Za-z]:", component) for component in components):
        return "has a drive letter"
    return None


def folded(path: str) -> str:
    """Return the key under which two paths count as the same file (Unicode section 3.13, D145).

    File systems of Windows and macOS ignore case and composition, so that two names which differ only there
    would overwrite each other.

    Args:
        path: A path or name.

    Returns:
        The path case-folded, in NFC.
    """
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
