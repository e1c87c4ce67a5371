"""What the documentation says is so: its examples run, its files load, its commands exist, its pages are reachable."""

from __future__ import annotations

import ast
import doctest
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from adapt.data.miniature.settings import MiniatureSettings
from experiments.planning import plan_experiment
from experiments.workspace import Workspace
from orchestrator.cli.main import parse
from orchestrator.miniature import make_miniature

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = tuple(sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")))
FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
BY_HAND = re.compile(r"[Bb]y hand: `(?P<left>[^`=]*) = (?P<right>[^`]*)`")


class Fence(NamedTuple):
    language: str
    title: str | None
    body: str


def read_fences(page: str) -> list[Fence]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Fence(found["language"], found["title"], found["body"]) for found in FENCE.finditer(text)]


def list_nav(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for child in entry.values() if isinstance(entry, dict) else entry:
            yield from list_nav(child)


def test_every_page_is_in_the_navigation_once() -> None:
    nav = list(list_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    written = [page for page in nav if not page.startswith("reference/")]
    assert sorted(written) == list(PAGES)
    assert len(set(nav)) == len(nav)


def test_every_picture_is_shown_on_some_page() -> None:
    texts = "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    assert [path.name for path in (DOCS / "images").iterdir() if f"images/{path.name}" not in texts] == []


def test_every_file_that_the_readme_links_is_there() -> None:
    root = DOCS.parent
    links = re.findall(r"\]\(([^)#]+)", (root / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_yaml_of_a_page_is_yaml(page: str) -> None:
    for fence in read_fences(page):
        if fence.language == "yaml" and "\n    ...\n" not in fence.body:  # what is left out is no YAML
            assert yaml.safe_load(fence.body) is not None, fence.body


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_commands(page: str) -> None:
    lines = [line.strip() for fence in read_fences(page) if not fence.language for line in fence.body.splitlines()]
    for line in lines:
        if line.startswith("segshift "):
            command = re.split(r" #| >|    ", line)[0]
            assert parse(shlex.split(command)[1:]).command.startswith(command.split()[1]), line


def evaluate(text: str) -> float:
    """Compute what is written out by hand: numbers, + - * / **, abs, min, max."""
    signs = {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
        ast.Pow: operator.pow,
    }  # fmt: skip

    def walk(node: ast.expr) -> float:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp):
            return signs[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return {"abs": abs, "min": min, "max": max}[node.func.id](*map(walk, node.args))

    return walk(ast.parse(text.strip(), mode="eval").body)


def test_every_score_gives_what_its_example_says() -> None:
    source = "\n".join(fence.body for fence in read_fences("scores.md") if fence.language == "python")
    runner, said = doctest.DocTestRunner(), list[str]()
    runner.run(doctest.DocTestParser().get_doctest(source, {}, "docs/scores.md", None, 0), out=said.append)
    assert runner.tries > 50
    assert runner.failures == 0, "".join(said)


def test_every_calculation_by_hand_gives_what_the_code_beside_it_gives() -> None:
    text = (DOCS / "scores.md").read_text(encoding="utf-8")
    found = list(BY_HAND.finditer(text))
    assert len(found) == len(re.findall(r"by hand: ", text, re.IGNORECASE)) > 20
    for hand in found:
        digits = len(hand["right"].partition(".")[2])
        assert evaluate(hand["left"]) == pytest.approx(float(hand["right"]), abs=0.5000001 * 10**-digits)
        beside = FENCE.search(text, hand.end())
        assert beside is not None
        assert re.search(rf"(?<![\d.]){re.escape(hand['right'])}(?!\d)", beside["body"]), hand[0]


def test_every_score_of_the_table_has_a_section() -> None:
    text = (DOCS / "scores.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", name).strip().lower().replace(" ", "-")
        for name in re.findall(r"^### (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w\-]+)\)", text)) == headings


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """The folder that the tutorials work in, with few scenes."""
    settings = MiniatureSettings(source_train=2, target_train=2, target_val=2, acdc_per_condition=0, clip_frames=0)
    make_miniature(tmp_path / "town", settings, 1, lambda title, done, total: None)
    return tmp_path


def test_the_experiment_of_the_tutorials_plans_as_they_say(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(town)
    mine = next(fence.body for fence in read_fences("tutorials/own_data.md") if fence.title == "mine.yaml")
    Path("mine.yaml").write_text(mine, encoding="utf-8")
    workspace = Workspace(store=town / "store")
    plan = plan_experiment("mine.yaml", workspace, None, (), 0, False, 1)
    plan.require()
    assert len(plan.graph.tasks) == 4

    blocks = {fence.title: fence.body for fence in read_fences("tutorials/own_protocol.md") if fence.title}
    Path("winter.yaml").write_text(blocks["winter.yaml"], encoding="utf-8")
    before, after = blocks["mine.yaml, above leaderboard"], blocks["mine.yaml, in place of leaderboard"]
    Path("mine.yaml").write_text(mine.partition("  leaderboard:")[0] + before + after, encoding="utf-8")
    grown = plan_experiment("mine.yaml", workspace, None, (), 0, False, 1)
    grown.require()
    assert len(grown.graph.tasks) == 6
    assert set(plan.graph.tasks) < set(grown.graph.tasks)  # the four are the same tasks: nothing is trained anew


@pytest.mark.slow
def test_the_method_of_the_tutorial_passes_its_test_and_is_known_to_experiments(tmp_path: Path) -> None:
    for package in ("adapt", "corruptions", "experiments", "orchestrator"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests/adapt/tta").mkdir(parents=True)
    shutil.copy(ROOT / "tests/adapt/tta/conftest.py", tmp_path / "tests/adapt/tta")
    fences = read_fences("tutorials/own_method.md")
    (patch,) = (fence.body for fence in fences if fence.language == "diff")
    subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=tmp_path, input=patch, text=True, check=True)
    for fence in fences:
        if fence.language == "python":
            (tmp_path / str(fence.title)).write_text(fence.body, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "tests/adapt/tta/test_max_square.py",
    ]
    tested = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "3 passed" in tested.stdout, tested.stdout + tested.stderr

    (stage,) = (fence.body for fence in fences if fence.language == "yaml")
    data = yaml.safe_load(stage)["driving"]
    methods = data.pop("matrix")["method"]
    ask = f"""
from experiments.schema import StreamStage
print([StreamStage.model_validate({data!r} | {{"method": method}}).method.name for method in {methods!r}])
"""
    known = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert known.stdout.strip() == "['source', 'tent', 'max_square']"


class _Resources(HTMLParser):
    """Lists what a browser would fetch for a page: scripts, styles, pictures, fonts and frames."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "input"):
            self.found.append(named.get("src") or "")
        elif tag == "link" and named.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(named.get("href") or "")


@pytest.mark.slow
def test_the_built_site_is_whole_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        reader = _Resources()
        reader.feed(text)
        assert reader.found, page
        assert [place for place in reader.found if re.match(r"(?:https?:)?//", place)] == [], page
        assert "arithmatex" not in text, page  # every formula was drawn
    styles = "".join(file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", styles) == []
