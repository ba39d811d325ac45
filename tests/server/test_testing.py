"""The package of testing aids gives its names lazily, and its plugin costs a pytest run nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asyncflags.testing
from asyncflags.testing.entity import ChangingEntity
from asyncflags.testing.faulty import FaultyOrigin
from asyncflags.testing.origin import Origin

pytest_plugins = ["pytester"]

USE = """
from asyncflags.testing.faulty import body_for

async def test_both(origin, faulty_origin):
    assert origin.add("/file", b"body") == origin.url + "/file"
    assert faulty_origin.url != origin.url
    assert body_for("/ok")
"""


def loaded(code: str) -> set[str]:
    """Import in a fresh interpreter and tell which modules are there."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_public_names_are_found() -> None:
    assert asyncflags.testing.Origin is Origin
    assert asyncflags.testing.FaultyOrigin is FaultyOrigin
    assert asyncflags.testing.ChangingEntity is ChangingEntity
    names = {"ChangingEntity", "FaultyOrigin", "MockResponse", "MockTransport", "Origin"}
    assert set(asyncflags.testing.__all__) == names
    assert set(asyncflags.testing.__all__) <= set(dir(asyncflags.testing))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = asyncflags.testing.Nothing


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    modules = loaded("import asyncflags.testing.pytest_plugin")
    assert not {"aiohttp", "asyncio", "asyncflags.testing.faulty", "asyncflags.testing.origin"} & (
        modules - loaded("import pytest")
    )


def test_the_misbehaving_origin_needs_no_http_library() -> None:
    assert "aiohttp" not in loaded("import asyncflags.testing.faulty, asyncflags.testing.entity")


def test_the_plugin_offers_both_origins(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other installed plugins, and an installed entry point for this very one, are kept out.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(asyncflags.testing.__file__).parents[2]))
    pytester.makepyfile(USE)
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "asyncflags.testing.pytest_plugin"]
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    pytester.runpytest_subprocess(*plugins, *options).assert_outcomes(passed=1)
