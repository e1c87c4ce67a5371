"""The note of a plan: which tasks are ranked first, what they are compared with, and a note that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError
from experiments.schema import GapSettings, LeaderboardStage, ReferenceSettings
from orchestrator import plan_note
from orchestrator.plan_note import find_plan, list_plans, parse_plan, recall_plan, write_plan
from orchestrator.store import Store
from tests.orchestrator.filled_store import plan_tiny


def test_a_note_is_kept_and_found(store: Store, tiny: Path) -> None:
    plan = plan_tiny(tiny, store)
    write_plan(plan, store)
    note = find_plan(store, "tiny", "full")
    assert note is not None
    assert note.tasks == tuple(plan.graph.tasks)
    stages = {task.key: task.stage for task in plan.graph.nodes}
    assert [stages[key] for key in note.ranked] == ["clean", "clean"]
    assert [stages[key] for key in note.baseline] == ["source_only"], (
        "no gap, no reference: the training without adaptation"
    )
    assert list_plans(store) == [note]
    assert find_plan(store, "tiny", "mini") is None


def test_the_baseline_is_the_source_of_the_gap_or_the_network_of_the_reference(store: Store, tiny: Path) -> None:
    plan = plan_tiny(tiny, store)
    stages = {task.key: task.stage for task in plan.graph.nodes}

    def find(**settings: object) -> list[str]:
        board = LeaderboardStage(kind="leaderboard", needs=("corruption",), **settings)
        write_plan(replace(plan, graph=replace(plan.graph, leaderboards={"board": board})), store)
        note = find_plan(store, "tiny", "full")
        assert note is not None
        assert [stages[key] for key in note.ranked] == ["corruption"]
        return [stages[key] for key in note.baseline]

    assert find(gap=GapSettings(source="daformer", oracle="source_only")) == ["daformer"]
    assert find(reference=ReferenceSettings(stage="corruption")) == ["source_only"]


def test_a_note_that_cannot_be_read_is_named(store: Store) -> None:
    with pytest.raises(PrerequisiteError, match=r"there: this plan cannot be read .*Sweep the experiment again"):
        parse_plan('{"schema_version": 9}', "there")
    store.write_note(plan_note.name_plan("a", "b"), "no json")
    with pytest.raises(PrerequisiteError, match=r"plans/a-b\.json"):
        list_plans(store)


def test_where_the_data_is_gone_the_tasks_of_the_last_sweep_are_recalled(store: Store, tiny: Path) -> None:
    """Without it the tasks would be others, and nothing in the store would be theirs."""
    plan = plan_tiny(tiny, store)
    assert recall_plan(plan, store) is plan
    gone = plan_tiny(tiny, store)
    gone.facts.problems.append("data set 'test': no folder")
    gone = replace(gone, graph=replace(gone.graph, tasks={}, nodes=()))
    assert recall_plan(gone, store) is None
    write_plan(plan, store)
    recalled = recall_plan(gone, store)
    assert recalled is not None
    assert list(recalled.graph.tasks) == list(plan.graph.tasks)
