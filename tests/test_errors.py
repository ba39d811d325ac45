"""The error tree: every error is of the kind it should be, and crosses processes whole."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from asyncflags import Request, errors

URL = "https://name:word@flags.example/fr.gif?token=secret&size=1"
SHOWN = "https://***@flags.example/fr.gif?token=***&size=1"
ABOUT: dict[str, Any] = {"url": URL, "attempts": 3, "request": Request(URL, headers={"X": "y"})}

MORE: dict[str, dict[str, Any]] = {
    "TruncatedBody": {"expected": 9, "received": 4},
    "DnsError": {"temporary": True},
    "StatusError": {"status": 503, "retry_after": 7.5},
    "ChecksumMismatch": {"algorithm": "sha256", "expected": "00", "actual": "ff"},
    "BlockedUrl": {"address": "127.0.0.1", "reason": "private"},
    "UnsafePath": {"name": "../evil"},
    "StorageError": {"path": "/flags/fr.gif"},
    "WorkerCrashed": {"exitcode": -9, "signal": 9},
}

PARENTS = {
    "DownloadError": "Exception",
    "BridgeError": "Exception",
    **dict.fromkeys(
        ("ConnectError", "DnsError", "ReadError", "TruncatedBody", "TransferTimeout"), "TransportError"
    ),
    **dict.fromkeys(("ConnectTimeout", "ReadTimeout", "TooSlow"), "TransferTimeout"),
    **dict.fromkeys(("WorkerCrashed", "TaskTimeout", "BridgeClosed"), "BridgeError"),
}
ALSO = {
    "TransferTimeout": TimeoutError,
    "ConnectTimeout": TimeoutError,
    "TotalTimeout": TimeoutError,
    "TaskTimeout": TimeoutError,
    "InvalidUrl": ValueError,
}

NAMES = [name for name in errors.__all__ if name != "redact_url"]


def made(name: str) -> Exception:
    about = ABOUT if issubclass(getattr(errors, name), errors.DownloadError) else {}
    error: Exception = getattr(errors, name)(f"a {name}", **about, **MORE.get(name, {}))
    return error


def test_every_error_of_the_module_is_exported() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert defined == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_tree_is_as_documented(name: str) -> None:
    parent = PARENTS.get(name, "DownloadError")
    names = [cls.__name__ for cls in getattr(errors, name).__mro__[1:] if not cls.__name__.startswith("_")]
    assert names[0] == parent
    assert issubclass(getattr(errors, name), ALSO.get(name, Exception))
    assert (
        f"  {name} " in (errors.__doc__ or "")
        or name in ("DownloadError", "BridgeError", *PARENTS.values())
        or name in (errors.__doc__ or "")
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", NAMES)
def test_every_error_survives_pickle_with_all_it_knows(name: str, protocol: int) -> None:
    error = made(name)
    error.add_note("seen on the way")
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is type(error)
    assert (copy.args, str(copy), vars(copy)) == (error.args, str(error), vars(error))


@pytest.mark.parametrize("name", NAMES)
def test_every_attribute_that_is_documented_is_there(name: str) -> None:
    error = made(name)
    for attribute, value in MORE.get(name, {}).items():
        assert getattr(error, attribute) == value
        assert f"{attribute}: " in (type(error).__doc__ or "")


@pytest.mark.parametrize(
    "name", [name for name in NAMES if issubclass(getattr(errors, name), errors.DownloadError)]
)
def test_a_download_s_error_names_its_url_without_secrets(name: str) -> None:
    error = made(name)
    assert isinstance(error, errors.DownloadError)
    assert (error.url, error.attempts) == (SHOWN, 3)
    assert str(error) == f"a {name} [{SHOWN}]"
    assert "secret" not in repr(error) + str(error)
    assert "word" not in str(error)


def test_an_error_without_a_url_is_its_sentence_alone() -> None:
    assert str(errors.ClosedError("closed")) == "closed"
    assert errors.ClosedError("closed").url == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://flags.example/fr.gif", "https://flags.example/fr.gif"),
        ("https://flags.example/@home?a=b", "https://flags.example/@home?a=b"),
        ("https://u:p@flags.example:81/", "https://***@flags.example:81/"),
        ("https://u:p@[broken/", "***@[broken/"),
        ("https://f.example/?X-Amz-Signature=abc&x=1", "https://f.example/?X-Amz-Signature=***&x=1"),
        ("https://f.example/?sig=a%2Fb&key=c", "https://f.example/?sig=***&key=***"),
        ("https://f.example/\r\n\x1b[2J", "https://f.example/???[2J"),
    ],
)
def test_secrets_and_control_characters_are_never_shown(url: str, shown: str) -> None:
    assert errors.redact_url(url) == shown
