"""Trainings on noisy labels as stages: the record's numbers, what lies beside it, and the leaderboard's columns."""

from __future__ import annotations

import json

import cv2
import pytest

from adapt.correction.label_store import LabelRecord
from adapt.hashing import hash_file
from orchestrator.leaderboard.board import build_board
from tests.orchestrator.leaderboard.sources import Records
from tests.orchestrator.stages.conftest import Run, run_experiment

TRAINING = "training: {iterations: 8, batch_size: 2, checkpoint_interval: 4, augment: {crop: [32, 32]}}"
CORRECTION = "correction: {name: self_correction, epoch: 2, consistency: null, scales: [1.0], rule: {confidence: 0.0}}"
STAGES = f"""\
  noisy:
    kind: train
    model: net
    dataset: source
    noise: {{name: flip, rate: 0.5, unit: pixel}}
    {CORRECTION}
    validation: {{dataset: fog, interval: 4}}
    {TRAINING}
  plain:
    kind: train
    model: net
    dataset: source
    {TRAINING}
  adapted:
    kind: uda
    model: net
    source: source
    target: fog
    noise: {{name: flip, rate: 0.5, unit: pixel}}
    {CORRECTION}
    {TRAINING}
    method: {{rare_class: {{min_pixels: 1, min_crop_pixels: 1}}, feature_distance: null}}
  clean:
    kind: evaluate
    matrix: {{trained: ["${{noisy.checkpoint}}", "${{plain.checkpoint}}", "${{adapted.checkpoint}}"]}}
    checkpoint: ${{matrix.trained}}
    dataset: night
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_experiment(STAGES, tmp_path_factory.mktemp("noisy"))


@pytest.mark.parametrize("stage", ["noisy", "adapted"])
def test_the_record_says_what_became_of_the_labels(run: Run, stage: str) -> None:
    record = run.records[stage]
    assert record.failure is None
    metrics = record.metrics
    assert metrics["corrections"] == 3
    assert metrics["first_correction_epoch"] == 2
    assert 0 < metrics["corrected_share"] <= 1
    assert 0 <= metrics["correction_precision"] <= 1
    assert 0 <= metrics["correction_recall"] <= 1
    if stage == "noisy":
        assert metrics["miou_best"] >= metrics["miou_last"] >= 0
        assert metrics["best_iteration"] in (4, 8)


@pytest.mark.parametrize("stage", ["noisy", "adapted"])
def test_labels_curves_and_pictures_stay_beside_it(run: Run, stage: str) -> None:
    folder = run.folder(stage)
    manifest = json.loads((folder / "labels" / "manifest.json").read_text())
    labels = [LabelRecord(**entry) for entry in manifest["labels"]]
    assert len(labels) == 4
    for label in labels:
        assert hash_file(folder / "labels" / label.file) == label.sha256
        assert label.epoch == 4
    curves = json.loads((folder / "curves.json").read_text())
    assert len(curves["corrections"]) == 3
    assert len(curves["classes"]) == 19
    assert [look[0] for look in curves["validation"]] == ([4, 8] if stage == "noisy" else [])
    pictures = sorted(path.name for path in (folder / "pictures").glob("labels-*.png"))
    assert pictures == [f"labels-{index:05d}.png" for index in range(4)]
    assert cv2.imread(str(folder / "pictures" / pictures[0])).shape[2] == 3


def test_plain_training_leaves_its_network_alone(run: Run) -> None:
    assert run.records["plain"].metrics == {}
    assert {path.name for path in run.folder("plain").iterdir()} >= {"record.json", "checkpoint.pth", "model.json"}
    assert not (run.folder("plain") / "curves.json").exists()


def test_the_leaderboard_shows_how_the_training_took_the_labels(run: Run) -> None:
    by_key = {run.task(name).key: record for name, record in run.records.items()}
    (table,) = build_board(run.plan.graph, Records(by_key), True).tables
    rows = {row.method: row for row in table.rows}
    metrics = run.records["noisy"].metrics
    assert rows["noisy"].scores["best mIoU"].mean == metrics["miou_best"]
    assert rows["noisy"].scores["precision"].mean == metrics["correction_precision"]
    assert rows["noisy"].scores["corrected"].mean == metrics["corrected_share"]
    assert "best mIoU" not in rows["plain"].scores
    assert {"IoU_el", "IoU_m", "recall"} <= set(table.columns) - set(table.details)
