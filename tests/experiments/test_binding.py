"""Data, classes and protocols that tasks are bound to, and refusals of what does not fit, with their lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.graph import Graph, expand
from experiments.load import load_experiment
from experiments.task import BoundDataset, BoundModel
from tests.experiments.samples import FULL, TINY, edit

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]


def list_bound(path: Path) -> set[tuple[str, bool]]:
    """Expand an experiment; return which data sets it binds, and whether with labels."""
    loaded = load_experiment(str(path), "full")
    asked: set[tuple[str, bool]] = set()

    class Recorder:
        def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
            asked.add((name, needs_labels))
            return BoundDataset(loaded.settings.datasets[name], "f")

        def require_crop_fits(self, name: str, crop: tuple[int, int]) -> None:
            pass

        def bind_model(self, name: str) -> BoundModel:
            return BoundModel(loaded.settings.models[name], "c", None)

    expand(loaded, Recorder())
    return asked


def test_only_the_target_of_an_adaptation_is_bound_without_labels(write: Callable[..., Path]) -> None:
    asked = list_bound(write(FULL))
    assert asked == {("source", True), ("target", False), ("test", True), ("fog", True), ("snow", True)}


def test_an_unknown_protocol_is_answered_by_the_closest(refuse: Refuse) -> None:
    (line,) = refuse(edit(FULL, ("protocol: quick", "protocol: quik")))
    assert "'quick'" in line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  clean:\n",
            "  clean: #!\n",
            "HERE stages.clean: data set 'test' has 11 classes (Sky, Building, Pole, ...) but the network of "
            "source_only[seed=0] has 19 (road, sidewalk, building, ...). Choose data sets with the same classes.",
        ),
    ],
)
def test_a_network_is_not_scored_on_other_classes(refuse: Refuse, old: str, new: str, message: str) -> None:
    text = edit(FULL, ("  test: {type: cityscapes, split: val", "  test: {type: camvid, split: val"), (old, new))
    assert refuse(text) == [message]


def test_a_target_of_other_classes_is_refused(refuse: Refuse) -> None:
    text = edit(FULL, ("  target: {type: cityscapes", "  target: {type: camvid"), ("  adapted:\n", "  adapted: #!\n"))
    (line,) = refuse(text)
    assert line.startswith("HERE stages.adapted: data set 'target' has 11 classes")
    assert "but data set 'source' has 19" in line


def test_a_stream_over_two_sets_of_classes_is_refused(refuse: Refuse) -> None:
    text = edit(
        TINY,
        (
            "  test: {type: cityscapes, split: val}",
            "  test: {type: cityscapes, split: val}\n  cam: {type: camvid, split: val}",
        ),
        (
            "  clean: {kind: evaluate, model: net, dataset: test}",
            "  clean: {kind: stream, model: net, stream: {kind: continual, domains: [{dataset: test}, {dataset: cam}]}} #!",
        ),
    )
    (line,) = refuse(text)
    assert line.startswith("HERE stages.clean: data set 'cam' has 11 classes")


def test_camvid_alone_is_as_good_as_any(expand_text: Expand) -> None:
    assert len(expand_text(TINY.replace("cityscapes", "camvid")).tasks) == 1


def test_target_labels_are_bound_where_pseudo_labels_are_scored(write: Callable[..., Path]) -> None:
    text = edit(
        FULL, ("method: {feature_distance: null}", "method: {feature_distance: null, score_pseudo_labels: true}")
    )
    asked = list_bound(write(text))
    assert ("target", True) in asked
    assert ("target", False) not in asked
