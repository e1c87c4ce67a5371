"""An experiment expanded from noted facts has the keys that it had where data and weights are."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.facts import MISSING, WorkspaceFacts
from experiments.graph import expand
from experiments.load import list_profiles, load_experiment
from experiments.recorded_facts import FactsNote, RecordedFacts
from experiments.workspace import Workspace, load_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return load_workspace(store=tmp_path / "store")


@pytest.mark.parametrize("name", ["gta2cityscapes", "daformer_search", "tta_search", "camvid_day2dusk"])
def test_a_note_gives_the_same_keys_after_json(name: str, workspace: Workspace) -> None:
    """Whatever is there of the data: a fingerprint that was missing is missing again."""
    for profile in list_profiles(name):
        loaded = load_experiment(name, profile)
        facts = WorkspaceFacts(loaded, workspace)
        graph = expand(loaded, facts)
        note = FactsNote.model_validate_json(facts.note().model_dump_json())
        again = expand(loaded, RecordedFacts(loaded, note))
        assert list(again.tasks) == list(graph.tasks)
        assert [task.name for task in again.nodes] == [task.name for task in graph.nodes]


def test_other_facts_are_other_keys(workspace: Workspace) -> None:
    loaded = load_experiment("gta2cityscapes", "full")
    facts = WorkspaceFacts(loaded, workspace)
    expand(loaded, facts)
    note = facts.note()
    known = note.model_copy(update={"datasets": {name: {"labels": "x", "images": "y"} for name in note.datasets}})
    one, other = (expand(loaded, RecordedFacts(loaded, each)) for each in (note, known))
    assert set(one.tasks).isdisjoint(other.tasks)
    name = next(iter(note.datasets))
    recorded = RecordedFacts(loaded, known)
    assert [recorded.bind_dataset(name, needs).fingerprint for needs in (True, False)] == ["x", "y"]


def test_what_was_not_noted_is_missing(workspace: Workspace) -> None:
    loaded = load_experiment("gta2cityscapes", "full")
    facts = RecordedFacts(loaded, FactsNote(datasets={}, models={}, weights={"a": "b"}))
    assert facts.bind_dataset(next(iter(loaded.settings.datasets)), True).fingerprint == MISSING
    assert facts.bind_model(next(iter(loaded.settings.models))).config_sha256 == MISSING
    assert [facts.bind_weights(file, "stage 's'") for file in "ac"] == ["b", MISSING]
