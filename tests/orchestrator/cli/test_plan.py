"""`plan`: the graph as a tree and as JSON; it starts nothing and writes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from experiments.load import list_experiments


def read(outcome) -> dict:
    return json.loads(outcome.out)


def test_the_experiments_are_listed(segshift) -> None:
    outcome = segshift("plan")
    assert outcome.code == 0
    for name in list_experiments():
        assert name in outcome.out


def test_the_graph_as_json(segshift, tiny: Path) -> None:
    """One seed: 1 train, 1 uda, 2 evaluate, 3 streams, 1 benchmark."""
    outcome = segshift("plan", tiny, "--json")
    assert outcome.code == 0
    plan = read(outcome)
    kinds = [task["kind"] for task in plan["tasks"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "train": 1, "uda": 1, "evaluate": 2, "stream": 3, "benchmark": 1,
    }  # fmt: skip
    keys = [task["key"] for task in plan["tasks"]]
    assert len(set(keys)) == 8
    for position, task in enumerate(plan["tasks"]):
        assert all(keys.index(needed) < position for needed in task["inputs"].values()), "before its input"
    assert plan["problems"] == []
    assert plan["leaderboards"] == {"leaderboard": ["clean", "weather", "corruption"]}
    assert not any(task["cached"] for task in plan["tasks"])


def test_overrides_may_stand_before_and_after_options(segshift, tiny: Path) -> None:
    """Two seeds double everything; three make 24 tasks."""
    for arguments in (
        ["plan", tiny, "matrix.seed=[0,1]", "--json"],
        ["plan", tiny, "--json", "matrix.seed=[0,1]"],
        ["plan", tiny, "matrix.seed=[0,1,2]", "--json", "matrix.seed=[0,1]"],
    ):
        outcome = segshift(*arguments)
        assert outcome.code == 0
        assert len(read(outcome)["tasks"]) == 16


def test_equal_work_has_equal_keys_in_every_plan(segshift, tiny: Path) -> None:
    one = {task["key"] for task in read(segshift("plan", tiny, "--json"))["tasks"]}
    two = {task["key"] for task in read(segshift("plan", tiny, "--json", "matrix.seed=[0,1]"))["tasks"]}
    assert one < two


def test_the_tree_names_stages_needs_and_counts(segshift, tiny: Path) -> None:
    outcome = segshift("plan", tiny)
    assert outcome.code == 0
    assert "weather (stream) ← source_only" in outcome.out
    assert "3 tasks, 0 cached" in outcome.out
    assert "8 tasks: 0 cached, 8 to run" in outcome.out
    assert "leaderboard (leaderboard) ← clean, weather, corruption" in outcome.out


def test_problems_are_listed_and_the_exit_code_says_so(segshift) -> None:
    outcome = segshift("plan", "gta2cityscapes", "--profile", "full", "--json")
    assert outcome.code == 2
    assert any("no folder for gta" in problem for problem in read(outcome)["problems"])
    outcome = segshift("plan", "gta2cityscapes", "--profile", "full")
    assert outcome.code == 2
    assert "missing: " in outcome.out


def test_a_profile_that_cannot_run_is_passed_over_and_named(segshift) -> None:
    outcome = segshift("plan", "gta2cityscapes")
    assert outcome.code == 0
    assert "mini profile" in outcome.out
    assert "The full profile cannot run here: " in outcome.out


def test_nothing_is_written(segshift, tiny: Path, tmp_path: Path) -> None:
    segshift("plan", tiny)
    assert os.listdir(tmp_path) == []


SEARCHED = """\
title: a stream whose method is tuned first
datasets:
  fog: {type: acdc, split: val, subset: [fog]}
  rain: {type: acdc, split: train, subset: [rain]}
models: {net: {config: cgnet_small}}
miniature: {seed: 0}
stages:
  weather:
    kind: stream
    expected_seconds: 90
    model: net
    method: {name: tent}
    stream: {kind: single, domains: [{dataset: fog}]}
    search:
      stream: {kind: single, domains: [{dataset: rain}]}
      space: {lr: [1.0e-5, 1.0e-4, 1.0e-3], optimizer: [adam, sgd]}
"""


def test_a_search_is_one_line_and_costs_its_stream_once_a_trial(segshift, tmp_path: Path) -> None:
    file = tmp_path / "searched.yaml"
    file.write_text(SEARCHED)
    outcome = segshift("plan", file)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.out.splitlines() if " trials " in line]
    assert "· weather.search  6 trials  " in line
    assert "weather.search (search)  1 task, 0 cached, about 9 min 00 s each" in outcome.out
    assert "weather (stream) ← weather.search  1 task, 0 cached, about 1 min 30 s each" in outcome.out
    assert "2 tasks: 0 cached, 2 to run (about 10 min 30 s of task time)" in outcome.out
    search, stream = read(segshift("plan", file, "--json"))["tasks"]
    assert (search["kind"], search["trials"], search["estimated_seconds"]) == ("search", 6, 540)
    assert (stream["kind"], stream["trials"], stream["estimated_seconds"]) == ("stream", None, 90)


def test_a_search_that_was_measured_costs_what_it_did(segshift, tmp_path: Path) -> None:
    file = tmp_path / "searched.yaml"
    file.write_text(SEARCHED)
    plan = read(segshift("plan", file, "--json"))
    (tmp_path / "store").mkdir()
    costs = {f"{plan['experiment']}/{plan['profile']}/weather.search": [200.0]}
    (tmp_path / "store" / "costs.json").write_text(json.dumps(costs))
    search, _ = read(segshift("plan", file, "--json"))["tasks"]
    assert search["estimated_seconds"] == 200
