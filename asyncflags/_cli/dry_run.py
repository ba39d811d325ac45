"""``--dry-run``: what would be downloaded, and where to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from asyncflags._cli.complaints import complain
from asyncflags._cli.exit_codes import STORAGE, USAGE, code_of, lowest
from asyncflags._cli.input_list import OpenList, read_all
from asyncflags._engine.feeding import as_request
from asyncflags._engine.options import Options
from asyncflags._engine.planning import Destination, Names, wanted_path
from asyncflags._models import Request
from asyncflags._policies.urls import parse_url
from asyncflags._storage.claims import NameClaims
from asyncflags.errors import DownloadError, redact_url

if TYPE_CHECKING:
    from asyncflags._cli.options import Plan

__all__ = ["tell"]


class _Planner:
    """Names files as the engine would, without a look at the disk."""

    def __init__(self, plan: Plan) -> None:
        self._file = plan.file if plan.file in (None, "-") else os.path.abspath(plan.file)
        self._destination = Destination(folder=os.path.abspath(plan.folder))
        self._options = Options(layout=plan.options["layout"])
        self._names = Names()
        self._run = NameClaims()

    def path(self, request: Request) -> str:
        """Where *request* would go.

        Raises:
            InvalidUrl: It cannot be downloaded.
            StorageError: Its own path is taken by one before it.
        """
        for url in (request.url, *request.mirrors):
            parse_url(url)
        if self._file is not None:
            return self._file
        wanted, exact = wanted_path(request, self._destination, self._options, request.url, None)
        if exact:
            self._names.take_exactly(wanted, run=self._run)
            return wanted
        path, _ = self._names.take(wanted, run=self._run)
        return path


def tell(plan: Plan, opened: OpenList | None) -> int:
    """Print a line for each URL and return the exit code."""
    planner = _Planner(plan)
    codes: set[int] = set()
    for url in _urls(plan.urls, opened, codes):
        request = as_request(url)
        try:
            path = planner.path(request)
        except DownloadError as error:
            complain(str(error))
            codes.add(code_of(error))
            continue
        shown = redact_url(request.url)
        click.echo(json.dumps({"url": shown, "path": path}) if plan.as_json else f"{shown} -> {path}")
    return lowest(codes)


def _urls(first: Iterable[str], opened: OpenList | None, codes: set[int]) -> Iterator[str | Request]:
    found = False
    for url in first:
        found = True
        yield url
    if opened is None:
        return
    for batch in read_all(opened):
        for reason in batch.refusals:
            complain(reason)
            codes.add(USAGE)
        if batch.failure is not None:
            complain(batch.failure)
            codes.add(STORAGE)
        found = found or bool(batch.urls)
        yield from batch.urls
    if not found and not codes:
        complain(f"{opened.name} holds no URL: put one on each line")
        codes.add(USAGE)
