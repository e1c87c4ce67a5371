"""Curves of trainings and trials of searches, from the files beside their records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.record import StoredFile
from orchestrator.report.training import MOST_SERIES, draw_trainings, is_share, list_searches

KEPT = StoredFile(sha256="0", size_bytes=1)
TRIALS = [
    {
        "point": {"lr": 0.1},
        "status": "done",
        "score": 0.5,
        "seconds": 61.0,
        "reason": None,
        "curve": [[10, 0.2], [20, 0.5]],
    },
    {
        "point": {"lr": 0.2},
        "status": "pruned",
        "score": 0.1,
        "seconds": 5.0,
        "reason": "stopped <early>",
        "curve": [[10, 0.1]],
    },
    {"point": {"lr": 0.3}, "status": "failed", "score": None, "seconds": 1.0, "reason": "diverged", "curve": []},
]


@pytest.fixture
def make_run(make_view, make_task, make_record, tmp_path: Path):
    """A finished training with some files beside its record."""

    def make(name: str, files: dict[str, object], **fields: object):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content if isinstance(content, str) else json.dumps(content))
        record = make_record(make_task(name, "train"), files=dict.fromkeys(files, KEPT), **fields)
        return make_view(name, record=record)

    return make


@pytest.fixture
def find(tmp_path: Path):
    return lambda key, name: tmp_path / key / name


def curve(**scalars: list[list[float]]) -> dict[str, object]:
    return {"curve.json": {"schema_version": 1, "scalars": scalars}}


def test_each_scalar_is_a_chart_with_a_line_for_each_task(make_run, find) -> None:
    views = [
        make_run("net[seed=0]", curve(loss=[[10, 2.0], [20, 1.0]], lr=[[10, 0.1]], data_s=[[10, 3.0]])),
        make_run("net[seed=1]", curve(loss=[[10, 4.0], [30, 0.5]])),
    ]
    (stage,) = draw_trainings(views, find)
    assert (stage.stage, stage.note) == ("net", "")
    loss, lr = stage.main
    assert (loss["title"], loss["x"], loss["unit"]) == ("loss", ["10", "20", "30"], "number")
    assert loss["series"] == [
        {"name": "net[seed=0]", "values": [2.0, 1.0, None]},
        {"name": "net[seed=1]", "values": [4.0, None, 0.5]},
    ]
    assert [series["name"] for series in lr["series"]] == ["net[seed=0]"]
    assert [chart["title"] for chart in stage.others] == ["data_s"]


def test_what_has_no_curve_and_what_is_not_drawn_is_said(make_run, find) -> None:
    views = [make_run(f"net[{n}]", curve(loss=[[1, 1.0]])) for n in range(MOST_SERIES + 2)] + [make_run("net[old]", {})]
    (stage,) = draw_trainings(views, find)
    assert (
        stage.note
        == f"The first {MOST_SERIES} of {MOST_SERIES + 2} trainings are drawn. 1 was trained before curves were kept."
    )
    assert len(stage.main[0]["series"]) == MOST_SERIES


def test_a_file_that_is_damaged_or_gone_is_no_curve(make_run, find) -> None:
    broken, gone = make_run("net[a]", {"curve.json": "{"}), make_run("net[b]", curve(loss=[[1, 1.0]]))
    (stage,) = draw_trainings([broken, gone], lambda key, name: None if key == "net[b]" else find(key, name))
    assert (stage.main, stage.note) == ((), "2 were trained before curves were kept.")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("validation_miou", True),
        ("iou/road", True),
        ("mean_iou", True),
        ("loss", False),
        ("lr", False),
        ("iteration_s", False),
    ],
)
def test_shares_are_known_by_their_names(name: str, is_one: bool) -> None:
    assert is_share(name) is is_one


def test_the_trials_of_a_search_are_listed_and_the_chosen_one_marked(make_run, find) -> None:
    view = make_run("net", {"trials.json": TRIALS}, method={"point": {"lr": 0.1}}, settings={"search": {"mode": "max"}})
    (search,) = list_searches([view], find)
    assert search.summary == "3 trials: 1 done, 1 pruned, 1 failed."
    assert search.rows == (
        ("lr=0.1", "done (chosen)", "0.5", "1 min 01 s", ""),
        ("lr=0.2", "pruned", "0.1", "5 s", "stopped <early>"),
        ("lr=0.3", "failed", "–", "1 s", "diverged"),
    )
    assert search.chart is not None
    assert search.chart["x"] == ["10", "20"]
    assert [series["name"] for series in search.chart["series"]] == ["lr=0.1", "lr=0.2"]


def test_the_search_of_a_stream_is_known_by_its_methods_settings(make_run, find) -> None:
    trials = [{**TRIALS[0], "point": {"base.lr": value}, "curve": []} for value in (0.1, 0.2)]
    view = make_run("search", {"trials.json": trials}, method={"settings": {"name": "x", "base": {"lr": 0.2}}})
    (search,) = list_searches([view], find)
    assert [row[1] for row in search.rows] == ["done", "done (chosen)"]
    assert search.chart is None


@pytest.mark.parametrize("text", ["[", "{}", "[]", "[1]"])
def test_a_list_of_trials_that_is_none_is_left_out(text: str, make_run, find) -> None:
    assert list_searches([make_run("net", {"trials.json": text})], find) == []
