"""The two faces are one: the same methods, the same parameters, the same options."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import asyncflags
from asyncflags import AsyncDownloader, Downloader, DownloadOptions
from asyncflags import aiohttp as server
from asyncflags._engine.options import ClientOptions, Options

ONLY_SYNC = {"submit", "map"}
RENAMED = {"aclose": "close"}


def public(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_") and callable(value)}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each parameter; types differ where one face waits and the other does not."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found if each.name != "self"]


def types_of(function: Any) -> dict[str, Any]:
    return {
        each.name: each.annotation
        for each in inspect.signature(function).parameters.values()
        if each.name not in ("self", "urls")
    }


def test_both_faces_have_the_same_methods() -> None:
    ours = {RENAMED.get(name, name) for name in public(AsyncDownloader)}
    assert ours == public(Downloader).keys() - ONLY_SYNC


@pytest.mark.parametrize("name", [name for name in public(AsyncDownloader) if name not in RENAMED])
def test_a_method_takes_the_same_on_both_faces(name: str) -> None:
    async_method, sync_method = getattr(AsyncDownloader, name), getattr(Downloader, name)
    assert parameters(async_method) == parameters(sync_method)
    assert types_of(async_method) == types_of(sync_method)


@pytest.mark.parametrize("maker", [Downloader.__init__, server.setup])
def test_a_downloader_is_made_with_the_same_everywhere(maker: Any) -> None:
    (options,) = [each for each in parameters(maker) if each[0] != "app"]
    assert options[1] is inspect.Parameter.VAR_KEYWORD
    assert types_of(maker)["options"] == "Unpack[ClientOptions]"
    own = {
        name
        for name, kind, _ in parameters(AsyncDownloader.__init__)
        if kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert ClientOptions.__annotations__.keys() - DownloadOptions.__annotations__.keys() == own
    assert issubclass(ClientOptions, dict)
    assert ClientOptions.__annotations__.keys() >= DownloadOptions.__annotations__.keys()


@pytest.mark.parametrize("name", ["download", "download_many"])
def test_the_one_line_functions_take_what_the_methods_take(name: str) -> None:
    assert parameters(getattr(asyncflags, name)) == parameters(getattr(AsyncDownloader, name))


def test_submitting_takes_what_downloading_takes() -> None:
    assert parameters(Downloader.submit) == parameters(AsyncDownloader.download)
    # What a map yields is in the caller's hands, one by one and in order, so it keeps no journal.
    without_journal = [each for each in parameters(AsyncDownloader.download_many) if each[0] != "journal"]
    assert parameters(Downloader.map) == without_journal


@pytest.mark.parametrize("cls", [AsyncDownloader, Downloader])
def test_no_method_takes_more_than_two_positional_arguments(cls: type) -> None:
    for name, method in public(cls).items():
        positional = [
            each for each in parameters(method) if each[1] is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        assert len(positional) <= 2, name


def test_the_options_are_those_that_are_documented() -> None:
    fields = {each.name for each in dataclasses.fields(Options) if each.init}
    assert fields == DownloadOptions.__annotations__.keys()
    documented = inspect.getdoc(DownloadOptions)
    assert documented is not None
    for name in fields:
        assert f"    {name}: " in documented, name


def test_both_faces_offer_the_same_attributes() -> None:
    with Downloader() as dl:
        for name in ("limits", "threads", "processes"):
            assert getattr(dl, name) is getattr(dl._downloader, name)


@pytest.mark.parametrize("cls", [AsyncDownloader, Downloader])
def test_every_public_method_is_documented(cls: type) -> None:
    for name, method in public(cls).items():
        assert inspect.getdoc(method), name
