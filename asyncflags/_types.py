"""Aliases of the inputs that are accepted in many places."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from asyncflags._models import Request

StrPath: TypeAlias = "str | os.PathLike[str]"
"""A path as text or as an object."""

Urls: TypeAlias = "Iterable[str | Request] | AsyncIterable[str | Request]"
"""What may stand for many; consumed lazily."""

Buffer: TypeAlias = "bytes | bytearray | memoryview"
"""Bytes in any shape that can be written and hashed."""

Postprocess: TypeAlias = "Callable[[Any], Any]"
"""A function of a finished file's path."""
