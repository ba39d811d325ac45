"""``--checksums``: a list of checksums such as ``SHA256SUMS``."""

from __future__ import annotations

import os

from asyncflags._cli.complaints import Refusal
from asyncflags._cli.exit_codes import STORAGE, USAGE
from asyncflags._policies.checksum_lists import parse_checksum_list

__all__ = ["read_checksums"]


def read_checksums(path: str) -> dict[str, str]:
    """Read the list at *path*. Blocks.

    Returns:
        ``"algorithm:hex"`` by file name.

    Raises:
        Refusal: It cannot be read, or is no list of checksums.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Refusal(
            f"--checksums: {path} cannot be read: {reason[:1].lower()}{reason[1:]}", STORAGE
        ) from None
    try:
        checksums = parse_checksum_list(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refusal(f"--checksums: {path} is not UTF-8: save it as UTF-8", USAGE) from None
    except ValueError as error:
        raise Refusal(f"--checksums: {path}: {error}", USAGE) from None
    if not checksums:
        raise Refusal(f"--checksums: {path} holds no checksum", USAGE)
    return checksums
