"""How a page is put together from its template, styles and scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from pathlib import Path

import pytest

from orchestrator.leaderboard.page.render import PACKAGE, render_page, to_breakable, to_script


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of one's own, with a template that extends the base."""
    folder = tmp_path / "own_page"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "own.js").write_text("const own = 1;\n", encoding="utf-8")
    (folder / "own.html.j2").write_text(
        '{% extends "page/base.html.j2" %}{% from "page/macros.html.j2" import chart %}'
        "{% block main %}<p>{{ word }}</p>{{ chart(spec) }}{% endblock %}",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_page"


def test_data_cannot_leave_its_script_element() -> None:
    value = {"</script>": ["<!--", "a & b", "\u2028\u2029", math.nan, math.inf, (1.5, None)]}
    text = to_script(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"</script>": ["<!--", "a & b", "\u2028\u2029", None, None, [1.5, None]]}


def test_a_name_may_break_and_stays_escaped() -> None:
    assert to_breakable("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;"


def test_a_template_of_another_package_extends_the_base(package: str) -> None:
    spec = {"kind": "lines", "title": "<t>", "x": [1], "series": []}
    text = render_page("own.html.j2", package=package, scripts=("own.js",), word="<b>", spec=spec)
    assert "<p>&lt;b&gt;</p>" in text
    assert '<figure data-chart>\n<script type="application/json">{"kind":"lines","title":"\\u003ct\\u003e"' in text


def test_a_page_allows_exactly_the_scripts_and_styles_that_it_has(package: str) -> None:
    text = render_page("own.html.j2", package=package, scripts=("own.js",), word="", spec={"title": ""})
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for name, pattern in (("style-src", r"<style>(.*?)</style>"), ("script-src", r"<script>(.*?)</script>")):
        found = re.findall(pattern, text, re.S)
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in found]
        assert f"{name} {' '.join(hashes)}" in policy[1]
    assert len(re.findall(r"<script>", text)) == 4


def test_no_script_or_style_ends_its_own_element() -> None:
    folder = Path(__file__).parents[3] / PACKAGE.replace(".", "/")
    files = [*folder.glob("*.js"), *folder.glob("*.css")]
    assert len(files) >= 7
    assert [file.name for file in files if re.search(r"</(script|style)|<!--", file.read_text(encoding="utf-8"))] == []
