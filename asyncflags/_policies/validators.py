"""What tells one version of a file from the next (RFC 9110 section 8.8).

Only a strong validator proves that bytes of two answers belong together (RFC 9110 sections 8.8.1 and 15.3.7.3),
so nothing else is ever sent as the condition of a range request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from asyncflags._policies.retry import parse_http_date

__all__ = ["Validator", "not_modified_headers"]

# Bytes beyond ASCII are legal in an opaque tag and left out here: text made of them is not sure to go back to the
# server as the bytes it was, and a condition that arrives changed is worth nothing.
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*+"')
_WHITESPACE = " \t"
_SHOWN = 80
# Seconds since the epoch of some day in 2027. It decides nothing but the century of a year of two digits, and the
# same for every date that is compared.
_THIS_CENTURY = 1.8e9


@dataclass(frozen=True, slots=True)
class Validator:
    """What an answer said about the version of the file it carried.

    Attributes:
        etag: The entity tag as sent, with ``W/`` and quotes; ``None``: there is none that is well formed.
        last_modified: The Last-Modified field as sent; ``None``: absent.
        is_strong_date: Whether ``last_modified`` is a strong validator: at least one second older than the
            answer's Date (RFC 9110 section 8.8.2.2). ``False`` beside an ETag, where nobody asks.
        malformed: There was an ETag field and it is no entity tag: the file has one, and not one to rely on.
    """

    etag: str | None = None
    last_modified: str | None = None
    is_strong_date: bool = False
    malformed: bool = False

    @classmethod
    def of(cls, *, etag: str | None, last_modified: str | None, date: str | None, now: float) -> Validator:
        """Read the validators of an answer.

        Args:
            etag: Its ETag field as sent; ``None``: absent.
            last_modified: Its Last-Modified field as sent; ``None``: absent.
            date: Its Date field as sent; ``None``: absent, and then no date is strong.
            now: Seconds since the epoch; it decides the century of a year of two digits.
        """
        tag = _stripped(etag)
        well_formed = tag is not None and _ENTITY_TAG.fullmatch(tag) is not None
        return cls(
            etag=tag if well_formed else None,
            last_modified=_stripped(last_modified),
            # Beside an entity tag a date is never relied on, and to read one takes longer than all the rest.
            is_strong_date=tag is None and _is_strong_date(last_modified, date, now),
            malformed=tag is not None and not well_formed,
        )

    @property
    def condition(self) -> str | None:
        """The value for If-Range (RFC 9110 section 13.1.5); ``None``: the download cannot be resumed.

        The strong entity tag. A date serves only where the server has no entity tag at all, so a weak or malformed
        tag gives ``None`` even beside a strong date.
        """
        if self.etag is not None:
            return None if _is_weak(self.etag) else self.etag
        return self.last_modified if self.is_strong_date and not self.malformed else None

    def is_same_etag(self, etag: str | None) -> bool:
        """Compare with our entity tag by strong comparison (RFC 9110 section 8.8.3.2).

        Args:
            etag: An ETag field as sent; ``None``: absent.

        Returns:
            Whether both are strong and the same. A weak tag is the same as no other, itself included.
        """
        return self.etag is not None and not _is_weak(self.etag) and _stripped(etag) == self.etag

    def contradiction(self, *, etag: str | None, last_modified: str | None) -> str | None:
        """Tell why a part cannot be of the version that this validator names (RFC 9110 section 15.3.7).

        Args:
            etag: The ETag field of the 206 as sent; ``None``: absent.
            last_modified: Its Last-Modified field as sent; ``None``: absent.

        Returns:
            A clause such as ``'its ETag is "b" and not "a"'``; ``None``: nothing contradicts. Only where there is
            a `condition` does that prove that the part belongs to the version.
        """
        return self._etag_contradiction(_stripped(etag)) or self._date_contradiction(last_modified)

    def _etag_contradiction(self, tag: str | None) -> str | None:
        if self.etag is None:
            return None if tag is None or self.malformed else f"its ETag is {_shown(tag)} and there was none"
        # A server that has a tag must put it on a 206, too, so that its absence means another version.
        if tag is None:
            return f"it has no ETag and there was {_shown(self.etag)}"
        same = _opaque(tag) == _opaque(self.etag) if _is_weak(self.etag) else tag == self.etag
        return None if same else f"its ETag is {_shown(tag)} and not {_shown(self.etag)}"

    def _date_contradiction(self, last_modified: str | None) -> str | None:
        if last_modified is None or self.last_modified is None:
            return None
        theirs, ours = _moment(last_modified), _moment(self.last_modified)
        same = _stripped(last_modified) == self.last_modified if ours is None else theirs == ours
        if same:
            return None
        return f"its Last-Modified is {_shown(last_modified)} and not {_shown(self.last_modified)}"


def not_modified_headers(validator: Validator) -> dict[str, str]:
    """Return the request fields that ask for a file only if it has changed (RFC 9110 sections 13.1.2 and 13.1.3).

    Args:
        validator: That of the file at hand.

    Returns:
        If-None-Match with the entity tag, a weak one too, because weak comparison is what that field is for;
        else If-Modified-Since; nothing where neither is known.
    """
    if validator.etag is not None:
        return {"If-None-Match": validator.etag}
    if validator.last_modified is not None and _moment(validator.last_modified) is not None:
        return {"If-Modified-Since": validator.last_modified}
    return {}


def _is_strong_date(last_modified: str | None, date: str | None, now: float) -> bool:
    if last_modified is None or date is None:
        return False
    modified, sent = parse_http_date(last_modified, now=now), parse_http_date(date, now=now)
    return modified is not None and sent is not None and sent - modified >= 1.0


def _stripped(value: str | None) -> str | None:
    return None if value is None else value.strip(_WHITESPACE)


def _is_weak(tag: str) -> bool:
    return tag.startswith("W/")


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


def _moment(date: str) -> float | None:
    return parse_http_date(date, now=_THIS_CENTURY)


def _shown(value: str) -> str:
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    return shown if shown.isprintable() else ascii(shown)
