"""The names that rows of a journal get, by the rules by which downloads are named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from asyncflags._engine.leftovers import is_anothers
from asyncflags._policies.naming import choose_name, path_in_layout_url, relative_parts
from asyncflags._policies.urls import parse_url
from asyncflags._storage.records import RECORD_SUFFIX, identity_of
from asyncflags.errors import DownloadError

if TYPE_CHECKING:
    from asyncflags._engine.options import Options
    from asyncflags._models import Request

__all__ = ["JournalNames", "relative_path"]


class JournalNames:
    """Tells what the engine would do about a request's name. Blocks.

    Args:
        folder: Where the downloads go, absolute; looked into at once.
        options: Of the downloads.
    """

    def __init__(self, folder: str, options: Options) -> None:
        self._prefix = os.path.join(folder, "")
        self._options = options
        # Here the name shows only when the answer is there, or when its turn among existing files comes.
        self._is_late = options.name_from == "server" or options.if_exists == "rename"
        # Where there was nothing, nobody left anything, and no file has to be looked for.
        self._may_hold_parts = options.resume and _holds_anything(folder)

    def wanted(self, request: Request) -> tuple[str, bool] | None:
        """The relative path of *request*, and whether it is to the letter; ``None``: that shows later."""
        if self._is_late:
            return None
        try:
            if request.path is not None:
                return "/".join(relative_parts(request.path)), True
            if self._options.layout == "url":
                return path_in_layout_url(request.url), False
        except DownloadError:
            # The download itself will tell why.
            return None
        return choose_name(url=request.url, content_disposition=None, from_server=False), False

    def is_anothers(self, path: str, request: Request) -> bool:
        """Whether a part of another download was left under the relative *path*."""
        if not self._may_hold_parts:
            return False
        whole = self._prefix + path
        if not os.path.lexists(whole + RECORD_SUFFIX):
            return False
        try:
            identity = identity_of(parse_url(request.url).url)
        except DownloadError:
            return False
        return is_anothers(whole, identity)

    def listed(self, path: str) -> str | None:
        """The checksum that a list of them has for the relative *path*, or ``None``."""
        listed = self._options.checksums
        if listed is None:
            return None
        return listed.get(path) or listed.get(path.rpartition("/")[2])


def _holds_anything(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return True


def relative_path(folder: str, path: str) -> str:
    """*path* relative to *folder*, both absolute, with slashes."""
    inner = path[len(folder) :] if path.startswith(folder) else os.path.relpath(path, folder)
    return inner.replace(os.sep, "/").lstrip("/")
