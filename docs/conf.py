"""How the documentation is built: ``python -m sphinx -W -b html docs docs/_build/html``. Needs no network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import asyncflags  # noqa: E402
import asyncflags.aiohttp  # noqa: E402
import asyncflags.bridges  # noqa: E402
import asyncflags.errors  # noqa: E402
import asyncflags.testing.faulty  # noqa: E402
import asyncflags.testing.origin  # noqa: E402

project = "asyncflags"
author = "The asyncflags authors"
release = version = asyncflags.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"asyncflags {release}"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# A name between single backticks in a docstring is a reference.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# Defaults such as Timeout() are shown as they are written.
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Every reference to a name of ours must lead somewhere. Those below belong to others, and nothing is looked up
# over the network; the last lines have our aliases and the types that are described where they are used.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(aiohttp|asyncio|collections|concurrent|datetime|hashlib|http|socket|ssl|web)(\..+)?"),
    ("py:.*", r"(.+\.)?(P|T|Ts|CookieJar|Executor|Executor\.map|Future|Path)"),
    ("py:.*", r"(Durability|IfExists|Layout|Modified|NameFrom|Postprocess|PostprocessIn|StrPath|Urls)"),
    ("py:.*", r"(.+\.)?(Content|ExchangeRequest|FlagOrigin|Handler|MockResponse|Outcomes|ResponseStream)"),
    ("py:.*", r"(.+\.)?(Buffer|C|GroupedCall|PickleBuffer|ProcessView|Streaming|ThreadView|stream)"),
    ("py:.*", r"(.+\.)?(FAULTS|HOSTILE_.+|Script|SyncOutcomes|Transport|_Picklable)"),
    ("py:.*", r"(.+\.)?(CollectorRegistry|MeterProvider|Metric)"),
]

_HOMES = {
    name: module.__name__
    for module in (asyncflags, asyncflags.aiohttp, asyncflags.bridges, asyncflags.errors, asyncflags.testing)
    for name in module.__all__
}
for module in (asyncflags.testing.origin, asyncflags.testing.faulty):
    _HOMES = dict.fromkeys(module.__all__, module.__name__) | _HOMES
# Docstrings speak of a method by its name alone; both downloaders have it, and one says all.
_HOMES = dict.fromkeys(vars(asyncflags.AsyncDownloader), "asyncflags.AsyncDownloader") | _HOMES


def setup(app: Any) -> None:
    """Let references find a public thing by its bare name and by its private home, as annotations have it."""
    app.connect("missing-reference", _public_reference)
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", _keep_colon, priority=400)


def _keep_colon(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before the first colon of an attribute's sentence for its type."""
    if what in {"attribute", "data", "property"}:
        # An empty comment, because empty lines are skipped.
        lines[:0] = ["..", ""]


def _public_reference(app: Any, env: Any, node: Any, content: Any) -> Any:
    path = node["reftarget"].split(".")
    for start, name in enumerate(path):
        if name in _HOMES and node.get("refdomain") == "py":
            target = ".".join([_HOMES[name], *path[start:]])
            if target == node["reftarget"]:
                return None
            domain = env.get_domain("py")
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)
    return None
