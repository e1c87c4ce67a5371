"""The tables of the schema agree, and a scored stage has exactly one network."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from adapt.tta.settings import Supply
from experiments.schema import (
    INPUT_OUTPUTS,
    STAGE_OUTPUTS,
    STAGE_VERSIONS,
    STAGES,
    EvaluateStage,
    Experiment,
    MatrixSettings,
    ResourceSettings,
    SearchStage,
    StreamStage,
)


def test_every_stage_kind_has_a_version_and_is_told_by_its_own_name() -> None:
    assert set(STAGES) == set(STAGE_VERSIONS)
    assert all(version >= 1 for version in STAGE_VERSIONS.values())
    assert {kind: get_args(stage.model_fields["kind"].annotation) for kind, stage in STAGES.items()} == {
        kind: (kind,) for kind in STAGES
    }


def test_every_output_has_its_place_and_every_input_its_output() -> None:
    assert STAGE_OUTPUTS == {
        "train": ("checkpoint",),
        "uda": ("checkpoint",),
        "styles": ("styles",),
        "fisher": ("fisher",),
    }
    assert set(INPUT_OUTPUTS.values()) == {output for outputs in STAGE_OUTPUTS.values() for output in outputs}
    assert set(INPUT_OUTPUTS) == {"checkpoint", *get_args(Supply)}
    assert set(INPUT_OUTPUTS) <= set(StreamStage.model_fields)
    assert set(INPUT_OUTPUTS) <= set(SearchStage.model_fields)


def test_a_search_holds_all_that_its_stream_adapts_with() -> None:
    """What a stream has beside it is what it is scored on, and what is measured there."""
    assert set(StreamStage.model_fields) - set(SearchStage.model_fields) == {"stream", "temporal"}
    assert set(SearchStage.model_fields) <= set(StreamStage.model_fields)


@pytest.mark.parametrize(
    ("network", "is_right"),
    [({"checkpoint": "k"}, True), ({"model": "m"}, True), ({}, False), ({"checkpoint": "k", "model": "m"}, False)],
)
def test_a_scored_stage_has_one_network(network: dict[str, str], is_right: bool) -> None:
    raw = {"kind": "evaluate", "dataset": "test", **network}
    if is_right:
        assert EvaluateStage.model_validate(raw).dataset == "test"
    else:
        with pytest.raises(ValidationError, match="give either `checkpoint"):
            EvaluateStage.model_validate(raw)


@pytest.mark.parametrize("raw", [{"cpus": 0}, {"gpus": -1}, {"memory_gb": 0}, {"gpu": 1}])
def test_impossible_resources_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResourceSettings.model_validate(raw)
    assert ResourceSettings(gpus=0.25).gpus == 0.25


def test_both_forms_of_a_matrix_are_one() -> None:
    files = MatrixSettings.model_validate({"seed": [0, 1], "exclude": [{"seed": 1}]})
    assert files == MatrixSettings(axes={"seed": (0, 1)}, exclude=({"seed": 1},))
    assert MatrixSettings.model_validate(files.model_dump()) == files


def test_an_experiment_without_stages_is_refused() -> None:
    raw: dict[str, Any] = {"title": "t", "datasets": {}, "models": {}, "stages": {}}
    with pytest.raises(ValidationError, match="stages"):
        Experiment.model_validate(raw)
    assert Experiment.model_validate(raw | {"stages": {"a": {}}}).miniature is None
