"""The page of an experiment: of a finished sweep, a failed one, and with hostile names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from experiments.planning import plan_experiment
from experiments.workspace import load_workspace
from orchestrator.record import StoredFile
from orchestrator.report.page import MOST_PICTURES, draw_pictures, shrink_picture, to_html
from orchestrator.store import Store
from orchestrator.sweep_note import name_note, read_note
from tests.orchestrator.leaderboard.page_boards import make_board, make_row, make_score, make_table

HOSTILE = "</script><script>alert('x')</script><b>&\"'"


def make_page(experiment: Path, store: Store) -> str:
    plan = plan_experiment(str(experiment), load_workspace(store=store.root))
    note = read_note(store, name_note(plan.graph.name, plan.graph.variant))
    return to_html(str(experiment), plan, store, note, "segshift sweep tiny", "segshift report tiny")


def test_a_finished_sweep_is_shown_whole(tiny: Path, finished_store: Path) -> None:
    page = make_page(tiny, Store(finished_store))
    assert "All 8 tasks are done." in page
    assert "What is missing is made by" not in page
    assert "MINIATURE DATA" in page
    for heading in ("graph", "results", "training", "timeline", "tasks", "environment", "data"):
        assert f'<h2 id="{heading}">' in page, heading
    assert 'id="failures"' not in page
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]
    assert [chart["title"] for chart in charts if chart["title"] in ("loss", "lr")].count("lr") == 2
    assert page.count("data:image/") > 8  # frames of what was scored
    assert len(re.findall(r'<g class="box done">', page)) == 5
    assert len(re.findall(r'<g class="bar tone', page)) == 8
    assert len(page) < 3_000_000


def test_a_failed_task_has_its_traceback_and_its_log(tiny: Path, finished_store: Path) -> None:
    store = Store(finished_store)
    plan = plan_experiment(str(tiny), load_workspace(store=store.root))
    task = next(task for task in plan.graph.tasks.values() if task.stage == "daformer")
    record = store.read(task.key)
    needing = next(t for t in plan.graph.tasks.values() if task.key in t.inputs.values())
    for key in (needing.key, task.key):
        store.remove(key)
    failure = {"kind": "TaskError", "message": f"no {HOSTILE}", "traceback": f"Traceback {HOSTILE}"}
    store.write_failure(type(record).model_validate({**record.model_dump(), "status": "failed", "failure": failure}))
    store.log_file(task.key).write_text("...")
    page = make_page(tiny, store)
    assert "8 tasks:" in page
    assert "segshift sweep tiny" in page
    assert f"segshift logs {task.key[:12]}" in page
    assert str(store.log_file(task.key)) in page
    assert "Traceback &lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert '<span class="state blocked">1 blocked</span>' in page


def test_hostile_names_are_text(make_task, make_graph, make_plan, make_record, store: Store, tiny: Path) -> None:
    task = make_task(HOSTILE, label=HOSTILE, point={"axis": HOSTILE})
    graph = replace(make_graph(task), title=HOSTILE, name=HOSTILE, overrides=(HOSTILE,))
    plan: Any = make_plan(graph)
    plan.problems = [HOSTILE]
    store.folder(task.key).mkdir(parents=True)
    record = make_record(
        task,
        {"clean": ({}, ((3, 1), (1, 3)))},
        environment={"host": HOSTILE, "packages": {HOSTILE: HOSTILE}, "cpu": HOSTILE},
    )
    store.commit(record)
    page = to_html(str(tiny), plan, store, None, HOSTILE, HOSTILE)
    assert "<script>alert" not in page
    assert "<b>&" not in page
    assert page.count("&lt;script&gt;alert(") > 10


@pytest.fixture
def drawn(make_view, make_task, make_record, tmp_path: Path):
    """A training that drew some pictures."""

    def make(name: str, *pictures: str):
        for picture in pictures:
            (tmp_path / picture).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / picture), np.zeros((40, 2000, 3), np.uint8))
        kept = StoredFile(sha256="0", size_bytes=1)
        return make_view(name, record=make_record(make_task(name, "train"), files=dict.fromkeys(pictures, kept)))

    return make


class Source:
    """Finds every file in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_file(self, key: str, name: str) -> Path:
        return self._folder / name


def test_of_a_picture_that_is_drawn_again_and_again_the_last_is_shown(drawn, tmp_path: Path) -> None:
    view = drawn("net", "pictures/curves.png", "pictures/labels-00010.png", "pictures/labels-00200.png", "other.png")
    found = draw_pictures([view], Source(tmp_path))  # type: ignore[arg-type]
    assert [each.caption for each in found] == ["net: curves", "net: labels-00200"]
    assert all(each.source.startswith("data:image/jpeg;base64,") and len(each.source) < 20_000 for each in found)


def test_pictures_are_limited(drawn, tmp_path: Path) -> None:
    views = [drawn(f"net[{number}]", f"pictures/a{number}x.png") for number in range(MOST_PICTURES + 3)]
    assert len(draw_pictures(views, Source(tmp_path))) == MOST_PICTURES  # type: ignore[arg-type]


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert shrink_picture(tmp_path / "broken.png") is None


def test_a_table_has_shared_ranks_and_the_interval_of_its_main_score(
    tiny: Path, finished_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        make_row(
            "a", {"mIoU": make_score(0.5, low=0.41, high=0.59), "ECE": make_score(0.1, low=0.0, high=0.2)}, rank=1
        ),
        make_row("b", {"mIoU": make_score(0.48)}, rank=1),
        make_row("c", {"mIoU": make_score(None)}),
    ]
    board = make_board(make_table(rows))
    monkeypatch.setattr("orchestrator.report.page.make_board", lambda plan, source: board)
    page = make_page(tiny, Store(finished_store))
    assert re.findall(r'<tr><td class="text">(.*?)</td><th scope="row" class="text">(.*?)</th>', page) == [
        ("1=", "a"), ("1=", "b"), ("–", "c"),
    ]  # fmt: skip
    assert '<td class="main">50.0 <small>[41.0, 59.0]</small></td><td>10.0</td>' in page
    assert '<td class="main">48.0</td>' in page
