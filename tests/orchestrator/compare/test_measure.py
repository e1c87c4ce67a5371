"""Scores under resamples against the scores of a record whose images were drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.scores.confusion import iou_per_class
from adapt.scores.robustness import corrupted_class_iou
from orchestrator.compare.measure import Measure, list_measures, measure_side
from orchestrator.compare.side import Side
from orchestrator.record import Record
from orchestrator.scoring import read_confusion, score_record
from tests.orchestrator.compare.conftest import CLASSES, FRAMES, GRID, read_counts

RESAMPLES = 25


def draw_records(side: Side, place: int = 0) -> list[Record]:
    """The record as it is, and one for each resample: every cell shows the same images, so all are drawn alike."""
    counts = read_counts(side, place)
    drawn = np.random.default_rng(0).integers(len(FRAMES), size=(RESAMPLES, len(FRAMES)))
    records = [side.records[place]]
    for images in drawn:
        cells = [
            cell.model_copy(update={"confusion": tuple(map(tuple, sum(counts[cell.name][i] for i in images).tolist()))})
            for cell in side.records[place].cells
        ]
        records.append(side.records[place].model_copy(update={"cells": tuple(cells)}))
    return records


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("evaluate", {("scores", "mIoU"): "miou", ("classes", "road"): "iou/road", ("classes", "sky"): "iou/sky"}),
        (
            "benchmark",
            {
                ("scores", "mPC"): "mpc",
                ("scores", "clean"): "clean_miou",
                ("corruptions", "gaussian_noise"): "miou/gaussian_noise/1",
                ("shifts", "other"): "miou_shift/other",
            },
        ),
        (
            "stream",
            {
                ("scores", "mean mIoU"): "mean_miou",
                ("rounds", "round 1"): "round_miou/0",
                ("rounds", "round 2"): "round_miou/1",
            },
        ),
    ],
)
def test_scores_are_those_of_records_of_the_drawn_images(kind: str, names: dict, compare_kind) -> None:
    side, _ = compare_kind(kind)
    measured = measure_side(side, RESAMPLES)
    expected = [score_record(record) for record in draw_records(side)]
    for measure, name in names.items():
        np.testing.assert_allclose(measured.scores[Measure(*measure)], [scores[name] for scores in expected])
    assert measured.problem is None


def test_domains_are_means_over_rounds(compare_kind) -> None:
    side, _ = compare_kind("stream")
    measured = measure_side(side, RESAMPLES)
    expected = [score_record(record) for record in draw_records(side)]
    means = [(scores["miou/0/night"] + scores["miou/1/night"]) / 2 for scores in expected]
    np.testing.assert_allclose(measured.scores[Measure("domains", "night")], means)


def test_classes_under_corruption_are_means_over_severities_then_corruptions(compare_kind) -> None:
    side, _ = compare_kind("benchmark")
    measured = measure_side(side, RESAMPLES)
    cells = [(str(name), int(severity)) for name, severity in GRID]
    for place, record in enumerate(draw_records(side)):
        counts = {cell.name: read_confusion(cell) for cell in record.cells}
        ious = {cell: iou_per_class(counts[f"{cell[0]}/{cell[1]}"]) for cell in cells}
        found = [measured.scores[Measure("classes, corrupted", name)][place] for name in CLASSES]
        np.testing.assert_allclose(found, corrupted_class_iou(ious, cells))
        np.testing.assert_allclose(measured.classes["fog"][place], (ious["fog", 1] + ious["fog", 2]) / 2)
        np.testing.assert_allclose(measured.classes["clean"][place], iou_per_class(counts["clean"]))


def test_a_side_of_several_runs_is_their_mean_under_equal_draws(compare_kind) -> None:
    side, _ = compare_kind("benchmark", runs=3)
    measured = measure_side(side, RESAMPLES)
    runs = [[score_record(record)["mpc"] for record in draw_records(side, place)] for place in range(3)]
    np.testing.assert_allclose(measured.scores[Measure("scores", "mPC")], np.mean(runs, axis=0))
    assert measured.values[Measure("scores", "mPC")] == pytest.approx([run[0] for run in runs])


def test_curves_hold_the_clean_score_and_only_severities_that_all_corruptions_have(compare_kind) -> None:
    side, _ = compare_kind("benchmark")
    measured = measure_side(side, RESAMPLES)
    scores = score_record(side.records[0])
    assert {name: list(curve) for name, curve in measured.severities.items()} == {
        "": [0, 1],
        "fog": [0, 1, 2],
        "gaussian_noise": [0, 1],
    }
    mean = (scores["miou/fog/1"] + scores["miou/gaussian_noise/1"]) / 2
    assert measured.severities[""][1][0] == pytest.approx(mean)
    assert measured.severities["fog"][2][0] == pytest.approx(scores["miou/fog/2"])
    assert measured.severities["fog"][0][0] == pytest.approx(scores["clean_miou"])


@pytest.mark.parametrize("kind", ["evaluate", "benchmark", "stream"])
def test_what_will_be_measured_is_known_beforehand(kind: str, compare_kind) -> None:
    side, _ = compare_kind(kind)
    assert list_measures(side.records[0]) == list(measure_side(side, 1).scores)
