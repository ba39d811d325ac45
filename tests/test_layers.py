"""The house: imports point down, and nothing grows too large."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "asyncflags"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

LEVELS = {
    "errors": 0,
    "_types": 0,
    "_version": 0,
    "_models": 1,
    "_policies": 2,
    "_transports": 3,
    "bridges": 3,
    "_storage": 4,
    "_engine": 5,
    "_client": 6,
    "_sync": 7,
    "_cli": 8,
    "aiohttp": 8,
    "opentelemetry": 8,
    "prometheus": 8,
    "testing": 8,
    "__init__": 9,
    "__main__": 9,
}
MOST_LINES_A_FUNCTION = 60
MOST_LINES_A_FILE = 400
IMPURE = {"asyncio", "socket", "time", "random", "threading", "os", "pathlib", "subprocess", "aiohttp"}


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def box_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that is imported at run time, anywhere in a file."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def boxes_imported(path: Path) -> set[str]:
    parts = [module.split(".") for module in imported(path)]
    return {part[1] for part in parts if part[0] == "asyncflags" and len(part) > 1 and part[1] in LEVELS}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    box = box_of(path)
    for other in boxes_imported(path) - {box}:
        assert LEVELS[other] < LEVELS[box], f"{name_of(path)} imports {other}"


def test_every_box_has_its_level() -> None:
    assert {box_of(path) for path in MODULES} == LEVELS.keys()


@pytest.mark.parametrize("path", [path for path in MODULES if box_of(path) == "_policies"], ids=name_of)
def test_policies_are_pure(path: Path) -> None:
    roots = {module.partition(".")[0] for module in imported(path)}
    allowed = {"os"} if path.name == "limits.py" else set()
    assert roots & IMPURE <= allowed
    assert not any(
        isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ast.parse(path.read_text()))
    )


def test_aiohttp_is_imported_by_its_transport_and_the_top_alone() -> None:
    users = {
        name_of(path) for path in MODULES if "aiohttp" in {name.partition(".")[0] for name in imported(path)}
    }
    assert {user for user in users if not user.startswith(("testing/", "_cli/"))} == {
        "_transports/aiohttp.py",
        "aiohttp.py",
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    code = ast.parse(text)
    for node in ast.walk(code):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            documented = ast.get_docstring(node) is not None
            body = node.body[1:] if documented else node.body
            length = node.end_lineno - body[0].lineno + 1 if body else 0
            assert length <= MOST_LINES_A_FUNCTION, f"{name_of(path)}: {node.name} has {length} lines"
    lines = len(text.splitlines())
    assert lines <= MOST_LINES_A_FILE, f"{name_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_named_after_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "misc"}
    assert ast.get_docstring(ast.parse(path.read_text())), "a module tells what it is"
