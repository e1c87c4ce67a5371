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
