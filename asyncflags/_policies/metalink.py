"""Metalink documents: files with their hashes and mirrors (RFC 5854)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from asyncflags._policies.framing import MAX_LENGTH
from asyncflags._policies.links import LOWEST_PRIORITY
from asyncflags._policies.naming import relative_parts, safe_name
from asyncflags._policies.urls import parse_url
from asyncflags.errors import InvalidUrl, UnsafePath

__all__ = ["MAX_DOCUMENT_SIZE", "MetalinkFile", "parse_metalink"]

MAX_DOCUMENT_SIZE = 16 << 20
"""Bytes of the longest document that is read."""

_NAMESPACE = "urn:ietf:params:xml:ns:metalink"
_OLD_NAMESPACE = "http://www.metalinker.org/"
# The document itself needs four levels; foreign markup is free to nest (RFC 5854 section 5) and costs memory.
_DEEPEST = 64
# By strength: the type in the document without its dash, and how many hexadecimal digits a hash has.
_HASHES = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
_STRENGTH = list(_HASHES)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")
_WHITESPACE = " \t\r\n"
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class MetalinkFile:
    """One file of a document.

    Attributes:
        name: Path relative to the destination folder, every component safe.
        size: Bytes of the file; ``None``: the document does not say.
        checksums: ``"algorithm:hex"``, the strongest first.
        urls: Where the file is, as written, the best first, none twice.
    """

    name: str
    size: int | None
    checksums: tuple[str, ...]
    urls: tuple[str, ...]


def parse_metalink(data: bytes) -> tuple[MetalinkFile, ...]:
    """Read a Metalink document of version 4 (RFC 5854 section 4).

    A document type declaration is refused before a single entity is declared or expanded. Hashes of pieces, hashes
    of unknown types and places other than http and https are passed over, as is foreign markup.

    Args:
        data: The document in any encoding that it declares.

    Returns:
        Its files in order, at least one.

    Raises:
        ValueError: It is not such a document, is over 16 MiB, or one of its files has an unsafe or repeated name,
            a malformed size or hash, contradicting ones, or no place that can be asked.
    """
    if len(data) > MAX_DOCUMENT_SIZE:
        raise ValueError(
            f"the Metalink document is longer than {MAX_DOCUMENT_SIZE} bytes, the most that is read"
        )
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"the Metalink document is not well-formed XML: {error}") from None
    except _Refused:
        raise
    except (LookupError, ValueError):
        # What is left are the ways in which Python's codecs say that they cannot serve the parser.
        raise ValueError("the encoding of the Metalink document cannot be read: save it as UTF-8") from None
    if not reader.files:
        raise ValueError("the Metalink document names no file")
    return tuple(reader.files)


class _Refused(ValueError):
    """The document is XML and not one to follow; told apart from what codecs raise."""


def _refuse_doctype(name: str, system: str | None, public: str | None, internal: bool) -> None:
    raise _Refused(
        "the Metalink document has a document type declaration, which can hide attacks: remove its <!DOCTYPE>"
    )


@dataclass(slots=True)
class _Draft:
    """A file while its element is being read."""

    name: str
    shown: str
    size: int | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    # By the URL as it would be sent: its priority and how it was written.
    urls: dict[str, tuple[int, str]] = field(default_factory=dict)


class _Reader:
    """Follows the elements of a document and keeps nothing but what a file needs."""

    def __init__(self) -> None:
        self.files: list[MetalinkFile] = []
        self._names: set[str] = set()
        self._depth = 0
        self._draft: _Draft | None = None
        # The element whose text is being read, with its attributes.
        self._element: tuple[str, dict[str, str]] | None = None
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Refused("the elements of the Metalink document are nested too deeply")
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1:
            _check_root(namespace, local)
        elif namespace == _NAMESPACE:
            self._start_known(local, attributes)

    def _start_known(self, local: str, attributes: dict[str, str]) -> None:
        if self._depth == 2 and local == "file":
            self._draft = self._new_draft(attributes.get("name", ""))
        elif self._depth == 3 and self._draft is not None and local in {"size", "hash", "url"}:
            self._element = local, attributes
            self._text.clear()

    def _new_draft(self, name: str) -> _Draft:
        try:
            parts = relative_parts(name)
        except UnsafePath as error:
            raise _Refused(f"a file of the Metalink document cannot be saved: {error.message}") from None
        written = "/".join(parts)
        shown = _shown(written)
        if written in self._names:
            raise _Refused(f"the Metalink document names the file {shown} twice")
        self._names.add(written)
        # The document may come from anywhere, so its names get the care that those of servers get.
        return _Draft("/".join(safe_name(part) or "_" for part in parts), shown)

    def text(self, text: str) -> None:
        # Text of elements inside of the one that is read is not its own.
        if self._element is not None and self._depth == 3:
            self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        draft = self._draft
        if draft is None:
            return
        if self._depth == 1:
            self.files.append(_finished(draft))
            self._draft = None
        elif self._depth == 2 and self._element is not None:
            (local, attributes), self._element = self._element, None
            _take(draft, local, attributes, "".join(self._text).strip(_WHITESPACE))


def _check_root(namespace: str, local: str) -> None:
    if namespace == _OLD_NAMESPACE:
        raise _Refused(
            "the Metalink document is of version 3, and version 4 is read (RFC 5854): ask for the .meta4 file"
        )
    if (namespace, local) != (_NAMESPACE, "metalink"):
        raise _Refused(f"the document is no Metalink: its first element is {_shown(local)}")


def _take(draft: _Draft, local: str, attributes: dict[str, str], text: str) -> None:
    if local == "size":
        _take_size(draft, text)
    elif local == "hash":
        _take_hash(draft, attributes.get("type", ""), text)
    else:
        _take_url(draft, attributes.get("priority", ""), text)


def _take_size(draft: _Draft, text: str) -> None:
    size = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else -1
    if not 0 <= size <= MAX_LENGTH:
        raise _Refused(f"the size of the file {draft.shown} is {_shown(text)}, which is no number of bytes")
    if draft.size is not None:
        raise _Refused(f"the file {draft.shown} has more than one size")
    draft.size = size


def _take_hash(draft: _Draft, kind: str, text: str) -> None:
    algorithm = kind.strip(_WHITESPACE).lower().replace("-", "")
    if algorithm not in _HASHES:
        return
    if len(text) != _HASHES[algorithm] or not _HEXADECIMAL.fullmatch(text):
        raise _Refused(f"the {kind} hash of the file {draft.shown} is malformed: {_shown(text)}")
    digest = text.lower()
    if draft.hashes.setdefault(algorithm, digest) != digest:
        raise _Refused(f"the file {draft.shown} has two different {kind} hashes")


def _take_url(draft: _Draft, priority: str, text: str) -> None:
    try:
        sent = parse_url(text).url
    except InvalidUrl:
        return
    rank = int(priority) if re.fullmatch("[0-9]{1,6}", priority) else 0
    rank = rank or LOWEST_PRIORITY
    if sent not in draft.urls or rank < draft.urls[sent][0]:
        draft.urls[sent] = rank, text


def _finished(draft: _Draft) -> MetalinkFile:
    if not draft.urls:
        raise _Refused(f"the Metalink document has no http or https URL for the file {draft.shown}")
    return MetalinkFile(
        draft.name,
        draft.size,
        tuple(f"{each}:{draft.hashes[each]}" for each in sorted(draft.hashes, key=_STRENGTH.index)),
        tuple(url for _, url in sorted(draft.urls.values(), key=lambda ranked: ranked[0])),
    )


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
