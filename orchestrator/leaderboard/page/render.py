"""A template to a self-contained HTML file: style and scripts inlined, and nothing else allowed to run or to load."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup, escape

PACKAGE = "orchestrator.leaderboard.page"
STYLES = ("page.css",)  # of every page
SCRIPTS = ("page.js", "numbers.js", "charts.js")

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})  # what could end or open a script element


def render_page(
    template: str,
    *,
    package: str = PACKAGE,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    **context: Any,
) -> str:
    """Render a page that opens from disk: `page.css` and `SCRIPTS` are part of it.

    A template extends `page/base.html.j2` and may import the macros of `page/macros.html.j2`. Text is escaped; the
    filter `json` makes the content of a `<script type="application/json">`, `breakable` lets a long name wrap. The page
    forbids itself every request, and every script and style but those given here, by their hashes: `style=` and
    `on...=` in a template have no effect.

    Args:
        template: its file in `package`.
        package: the importable package that holds the template, and its styles and scripts.
        styles: further style sheets, files of the package.
        scripts: further scripts, files of the package, run in this order after `charts.js`.
        **context: what the template shows.

    Returns:
        The text of the file.
    """
    sheets = [*(_read(PACKAGE, name) for name in STYLES), *(_read(package, name) for name in styles)]
    programs = [*(_read(PACKAGE, name) for name in SCRIPTS), *(_read(package, name) for name in scripts)]
    loaders = {"page": PackageLoader(PACKAGE, ""), "here": PackageLoader(package, "")}
    environment = Environment(
        loader=PrefixLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["json"] = to_script
    environment.filters["breakable"] = to_breakable
    shell = {
        "styles": [Markup(text) for text in sheets],
        "scripts": [Markup(text) for text in programs],
        "style_hashes": [_hash(text) for text in sheets],
        "script_hashes": [_hash(text) for text in programs],
    }
    return environment.get_template(f"here/{template}").render(**context, **shell)


def to_script(value: Any) -> Markup:
    """Return data as JSON that is safe inside `<script type="application/json">`; a number that is none becomes null."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:  # a number that is none
        text = json.dumps(_drop_nonfinite(value), allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def to_breakable(text: str) -> Markup:
    """Return text, escaped, that may break after its slashes and underscores: the names of columns."""
    return Markup(str(escape(text)).replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _drop_nonfinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _drop_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drop_nonfinite(item) for item in value]
    return value


def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the source expression that lets a page run or apply this very text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
