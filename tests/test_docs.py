"""What the pages say is so: their snippets run, and nothing public is missing from them.

The snippets of a page run in order, in one namespace and one empty folder. ``https://flags.example`` in them
leads to an origin on loopback. ``python`` fences may use ``await`` at their top level; ``sh`` fences run in a
shell that stops at the first failure and has ``asyncflags`` on its path. Fences of any other kind are not run, and
neither is one under a line ``<!-- not run: the reason -->``.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from asyncflags._cli.main import cli
from asyncflags.bridges import Portal

from .flags_server import PATIENCE_SECONDS, ROOT, FlagsServer, environment, serving_flags

STANDS_FOR_THE_ORIGIN = "https://flags.example"
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / ".github").rglob("*.md")]
    + [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
)
FENCE = re.compile(
    r"^(?P<not_run><!-- not run: [^\n]+ -->\n)?```(?P<language>[a-z]+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
PUBLIC_MODULES = (
    "asyncflags",
    "asyncflags.aiohttp",
    "asyncflags.bridges",
    "asyncflags.errors",
    "asyncflags.opentelemetry",
    "asyncflags.prometheus",
    "asyncflags.testing",
)
CANNOT_FAIL = {
    "AsyncDownloader.aclose",
    "AsyncDownloader.progress",
    "AsyncDownloader.stats",
    "AsyncDownloader.to_thread",
    "Downloader.close",
    "Downloader.progress",
    "Downloader.stats",
}
"""Callables of the downloaders that raise no error of their own."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fence that is run.

    Attributes:
        language: ``"python"`` or ``"sh"``.
        text: What stands in it.
        line: Number of its first line in the page, from 1.
    """

    language: str
    text: str
    line: int


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(found["language"], found["text"], text.count("\n", 0, found.start("text")) + 1)
        for found in FENCE.finditer(text)
        if found["language"] in ("python", "sh") and not found["not_run"]
    ]


@pytest.fixture(scope="module")
def origin() -> Iterator[FlagsServer]:
    # libuv keeps a pipe from the first loop of a process on, which is not a leak of the snippet that made the loop.
    with Portal() as portal:
        portal.start()
    with serving_flags() as server:
        yield server


class Reader:
    """A person who types in what a page shows."""

    def __init__(self, page: Path, commands: Path, runner: asyncio.Runner) -> None:
        self._page = page
        self._namespace: dict[str, Any] = {"__name__": "page"}
        self._commands = commands
        self._runner = runner

    def follow(self, snippet: Snippet, base: str) -> None:
        text = snippet.text.replace(STANDS_FOR_THE_ORIGIN, base)
        if snippet.language == "python":
            self._run_python(text, snippet.line)
        else:
            self._run_shell(text, snippet.line)

    def _run_python(self, text: str, line: int) -> None:
        # Empty lines in front make a traceback point into the page.
        padded = "\n" * (line - 1) + text
        code = compile(padded, str(self._page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        outcome = eval(code, self._namespace)
        if inspect.iscoroutine(outcome):
            self._runner.run(outcome)

    def _run_shell(self, text: str, line: int) -> None:
        if os.name != "posix" or shutil.which("sha256sum") is None:
            pytest.skip("needs a POSIX shell with sha256sum")
        done = subprocess.run(
            ["sh", "-eu", "-c", text],
            env=environment(self._commands),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{self._page}:{line}: exit code {done.returncode}\n{done.stderr}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=name_of)
def test_snippets_run(
    page: Path, origin: FlagsServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("page"))
    with asyncio.Runner() as runner:
        reader = Reader(page, tmp_path_factory.mktemp("commands"), runner)
        for snippet in snippets(page):
            reader.follow(snippet, origin.url)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_fence_escapes(page: Path) -> None:
    """A fence that is indented, or not closed, would be shown and never run."""
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"^\s*```(?:python|sh)\b", text, re.MULTILINE)
    known = [found for found in FENCE.finditer(text) if found["language"] in ("python", "sh")]
    assert len(shown) == len(known)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_help_of_every_command_in_the_reference_is_current() -> None:
    specification = importlib.util.spec_from_file_location("cli_help", DOCS / "cli_help.py")
    assert specification is not None
    assert specification.loader is not None
    cli_help = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(cli_help)
    page = cli_help.PAGE.read_text(encoding="utf-8")
    assert page == cli_help.with_current_help(page), "run: python docs/cli_help.py"
    shown = re.findall(r"<!-- help: asyncflags (\w+) -->", page)
    assert sorted(shown) == sorted(cli.list_commands(click.Context(cli)))


def options() -> list[tuple[str, str]]:
    """Every option of every command, with the command's name."""
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return [
        (name, option)
        for name, command in commands.items()
        if command is not None
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    ]


@pytest.mark.parametrize(("command", "option"), options())
def test_option_is_documented(command: str, option: str) -> None:
    pages = [DOCS / "how-to" / "shell.md", DOCS / "reference" / "cli.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{command} {option}"


def public_things() -> dict[str, Any]:
    """Every public class and function by its path, with their public methods and properties."""
    things: dict[str, Any] = {}
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                things[f"{module.__name__}.{name}"] = thing
                things |= {f"{module.__name__}.{name}.{key}": value for key, value in members(thing).items()}
    return things


def members(thing: Any) -> dict[str, Any]:
    return (
        {
            name: value
            for name, value in vars(thing).items()
            if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
        }
        if inspect.isclass(thing)
        else {}
    )


def written_docstring(thing: Any) -> str:
    """The docstring that stands in the source; dataclasses make one up where there is none."""
    text = inspect.getdoc(thing) or ""
    return "" if text.startswith(f"{getattr(thing, '__name__', None)}(") else text


@pytest.mark.parametrize(("path", "thing"), public_things().items(), ids=public_things())
def test_public_name_has_a_docstring(path: str, thing: Any) -> None:
    assert written_docstring(thing), path


def downloading_callables() -> dict[str, Callable[..., Any]]:
    """The functions and methods through which a `DownloadError` can reach the caller."""
    found = {
        path.partition(".")[2]: thing
        for path, thing in public_things().items()
        if inspect.isfunction(thing)
        and path.startswith(("asyncflags.AsyncDownloader.", "asyncflags.Downloader.", "asyncflags.download"))
    }
    more = ("Report.raise_for_errors", "Outcome.unwrap")
    found |= {path: public_things()[f"asyncflags.{path}"] for path in more}
    return {path: thing for path, thing in found.items() if path not in CANNOT_FAIL}


@pytest.mark.parametrize(("path", "thing"), downloading_callables().items(), ids=downloading_callables())
def test_callable_that_can_fail_says_what_it_raises(path: str, thing: Callable[..., Any]) -> None:
    assert re.search(r"^Raises:$", inspect.getdoc(thing) or "", re.MULTILINE), path


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_name_stands_in_the_reference(module: str) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    described = set(re.findall(r"^\.\. (?:\w|:)+:: (\S+)$", pages, re.MULTILINE))
    for whole in re.findall(r"automodule:: (\S+)\n   :members:\n", pages):
        described |= {f"{whole}.{name}" for name in importlib.import_module(whole).__all__}
    # The errors are names of two modules and are described as those of one.
    homes = (module, "asyncflags.errors")
    names = importlib.import_module(module).__all__
    assert [name for name in names if not {f"{home}.{name}" for home in homes} & described] == []
