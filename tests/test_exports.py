"""What can be imported, and what importing costs."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import asyncflags

ROOT = Path(__file__).resolve().parents[1]


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    "module",
    [
        "asyncflags",
        "asyncflags.aiohttp",
        "asyncflags.bridges",
        "asyncflags.errors",
        "asyncflags.opentelemetry",
        "asyncflags.prometheus",
        "asyncflags.testing",
    ],
)
def test_every_name_that_is_promised_is_there_and_documented(module: str) -> None:
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), name
        assert name in dir(loaded)


def test_every_lazy_name_has_a_home_and_is_promised() -> None:
    assert asyncflags._HOMES.keys() == set(asyncflags.__all__)
    assert list(asyncflags.__all__) == sorted(asyncflags.__all__)


def test_type_checkers_see_the_same_names() -> None:
    source = (ROOT / "asyncflags" / "__init__.py").read_text()
    for name in asyncflags.__all__:
        assert f"import {name} as {name}" in source, name
    assert (ROOT / "asyncflags" / "py.typed").exists()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="asyncflags.*nothing"):
        asyncflags.nothing  # noqa: B018


def test_every_error_can_be_had_from_the_package() -> None:
    from asyncflags import errors

    assert {*errors.__all__} - {"redact_url"} <= {*asyncflags.__all__}


def test_importing_the_package_loads_next_to_nothing() -> None:
    loaded = run(
        "import sys, asyncflags; print(*sorted(m for m in sys.modules if m.startswith('asyncflags')))"
    )
    assert loaded == "asyncflags"
    assert run("import sys, asyncflags; print('asyncio' in sys.modules)") == "False"


@pytest.mark.parametrize(
    "code",
    [
        "import asyncflags",
        "from asyncflags import AsyncDownloader, Downloader, Request, Limits, Timeout; AsyncDownloader()",
        "from asyncflags import *",
        "import asyncflags._cli.main",
        "import asyncflags.testing",
        "from asyncflags.testing import MockTransport; MockTransport({})",
    ],
)
def test_aiohttp_is_not_loaded_before_it_is_needed(code: str) -> None:
    assert run(f"{code}\nimport sys\nprint('aiohttp' in sys.modules)") == "False"


def test_no_logging_is_set_up_and_nothing_is_printed() -> None:
    assert (
        run("import asyncflags, logging; asyncflags.Downloader().close(); print(logging.root.handlers)")
        == "[]"
    )
