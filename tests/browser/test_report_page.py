"""The pages of a comparison and of a report as their readers use them, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.planning import plan_experiment
from experiments.workspace import load_workspace
from orchestrator.compare.comparison import compare_sides
from orchestrator.compare.page import to_html as to_comparison
from orchestrator.compare.side import Side
from orchestrator.record import Cell, Record
from orchestrator.report.page import to_html as to_report
from orchestrator.stages.counts_file import NAME as COUNTS_FILE
from orchestrator.stages.counts_file import save_counts
from orchestrator.store import Store

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Any]
TINY = Path(__file__).parents[1] / "orchestrator" / "tiny.yaml"
FRAMES = [f"frame{index}" for index in range(6)]


def make_side(folder: Path, name: str, right: int) -> Side:
    """An evaluation of two classes, its counts in a folder."""
    rng = np.random.default_rng(0)
    labels = rng.integers(20, 60, size=(len(FRAMES), 2))
    counts = np.zeros((len(FRAMES), 2, 2), np.int64)
    for k in range(2):
        counts[:, k, k] = labels[:, k] * right // 10
        counts[:, k, 1 - k] = labels[:, k] - counts[:, k, k]
    (folder / name).mkdir()
    save_counts(folder / name, FRAMES, {"clean": counts})
    cell = Cell(name="clean", frames=len(FRAMES), confusion=tuple(map(tuple, counts.sum(axis=0).tolist())))
    record = Record(
        key=name * 4, status="done", experiment="demo", profile="full", stage="clean", label=name, kind="evaluate",
        code_version=1, point={}, settings={}, chosen={}, datasets={}, inputs={}, classes=("road", "car"), cells=(cell,),
        started_at="2026-01-01T00:00:00+00:00", seconds=1.0,
    )  # fmt: skip
    return Side(name, "Clean: demo", {"kind": "evaluate"}, (record,), lambda key, file: folder / name / COUNTS_FILE)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    sides = [make_side(folder, "plain", 5), make_side(folder, "better", 8), make_side(folder, "<b>best", 9)]
    file = folder / "compare.html"
    file.write_text(to_comparison([compare_sides(sides)], [sides], "segshift compare a b"), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an experiment of which nothing ran."""
    folder = tmp_path_factory.mktemp("report")
    experiment = Path(shutil.copy(TINY, folder / "tiny.yaml"))
    store = Store(folder / "store")
    plan = plan_experiment(str(experiment), load_workspace(folder, {}, store=store.root))
    file = folder / "report.html"
    file.write_text(
        to_report(str(experiment), plan, store, None, "segshift sweep tiny", "segshift report tiny"), encoding="utf-8"
    )
    return file


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["comparison", "report"])
def test_a_page_breaks_no_rule_of_accessibility(name: str, theme: str, request, open_page: OpenPage) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing: run  make setup-browser")
    page = open_page(request.getfixturevalue(name), color_scheme=theme)
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []


def test_a_comparison_draws_its_charts_and_names_are_text(comparison: Path, open_page: OpenPage) -> None:
    page = open_page(comparison)
    assert page.locator("figure.chart svg[role=img]").count() == 4  # scores and classes, of two pairs
    assert page.get_by_role("heading", name="<b>best minus plain").count() == 1
    page.get_by_text("All numbers").first.click()
    assert page.get_by_role("table", name="better minus plain").is_visible()


@pytest.mark.parametrize("name", ["comparison", "report"])
def test_a_page_fits_a_phone_and_wide_drawings_scroll_in_their_box(name: str, request, open_page: OpenPage) -> None:
    page = open_page(request.getfixturevalue(name), viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_report_says_what_to_run_and_its_graph_is_reached_by_keyboard(report: Path, open_page: OpenPage) -> None:
    page = open_page(report, viewport={"width": 360, "height": 740})
    assert page.get_by_text("None of the 8 tasks has run yet.").is_visible()
    graph = page.get_by_role("group", name="Graph of the stages")
    assert graph.evaluate("element => element.tabIndex") == 0
    assert graph.evaluate("element => element.scrollWidth > element.clientWidth")
    assert page.locator("svg.stages .box").count() == 6
