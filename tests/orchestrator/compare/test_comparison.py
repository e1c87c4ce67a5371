"""Differences of sides: their intervals against loops and scipy, what survives, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from adapt.errors import PrerequisiteError, SpecError
from adapt.scores.bootstrap import bootstrap_difference
from adapt.scores.confusion import mean_iou
from orchestrator.compare.comparison import compare_sides
from orchestrator.stages.counts_file import NAME as COUNTS_FILE
from tests.orchestrator.compare.conftest import FRAMES, draw_counts, read_counts


def test_the_interval_of_an_evaluation_is_the_paired_bootstrap(compare_kind) -> None:
    one, other = compare_kind("evaluate")
    comparison = compare_sides([one, other])
    main = comparison.pairs[0].differences[0]
    first, second = read_counts(one)["clean"], read_counts(other)["clean"]
    expected = bootstrap_difference(second, first, 0, comparison.resamples)
    assert (main.group, main.name) == ("scores", "mIoU")
    assert main.difference.mean == pytest.approx(expected.estimate)
    assert (main.difference.low, main.difference.high) == pytest.approx((expected.low, expected.high))
    assert main.first.mean == pytest.approx(mean_iou(first.sum(axis=0)))
    assert comparison.images == len(FRAMES)


def test_the_interval_is_close_to_scipys(compare_kind) -> None:
    one, other = compare_kind("evaluate")
    first, second = read_counts(one)["clean"], read_counts(other)["clean"]

    def difference(places: np.ndarray) -> float:
        drawn = places.astype(int)
        return float(mean_iou(second[drawn].sum(axis=0))) - float(mean_iou(first[drawn].sum(axis=0)))

    found = scipy.stats.bootstrap(
        (np.arange(len(FRAMES)),), difference, vectorized=False, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    main = compare_sides([one, other]).pairs[0].differences[0].difference
    width = found.high - found.low
    assert main.low == pytest.approx(found.low, abs=0.1 * width)
    assert main.high == pytest.approx(found.high, abs=0.1 * width)


def test_several_runs_show_their_mean_and_spread(compare_kind) -> None:
    """Runs of a side: 0, 1, 2; the spread is their sample deviation, and the interval that of the mean."""
    comparison = compare_sides(compare_kind("evaluate", runs=3))
    main = comparison.pairs[0].differences[0]
    assert len(main.first.values) == len(main.second.values) == 3
    assert main.first.mean == pytest.approx(np.mean(main.first.values))
    assert main.first.std == pytest.approx(np.std(main.first.values, ddof=1))
    assert main.difference.mean == pytest.approx(np.mean(main.second.values) - np.mean(main.first.values))
    assert any(note.startswith("means over runs (plain 3, better 3)") for note in comparison.notes)


@pytest.mark.parametrize("kind", ["benchmark", "stream"])
def test_a_clear_difference_survives_and_equal_models_differ_in_nothing(kind: str, compare_kind) -> None:
    clear = compare_sides(compare_kind(kind, accuracies=(0.3, 0.7))).pairs[0].differences
    assert all(one.survives and one.excludes_zero and one.difference.mean > 0 for one in clear)


def test_models_that_are_alike_differ_in_nothing(compare_kind) -> None:
    for one in compare_sides(compare_kind("benchmark", accuracies=(0.5, 0.5))).pairs[0].differences:
        assert (one.difference.mean, one.p, one.survives, one.excludes_zero) == (0.0, 1.0, False, False)


def test_others_are_each_compared_with_the_first(compare_kind, make_task, finish, make_side) -> None:
    one, other = compare_kind("evaluate")
    third = make_side("third", finish(make_task("third"), draw_counts(("clean",), 0.9)))
    comparison = compare_sides([one, other, third])
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [("plain", "better"), ("plain", "third")]
    assert comparison.keys["third"] == (third.records[0].key,)
    assert comparison.pairs[1].differences[0].difference.mean > comparison.pairs[0].differences[0].difference.mean


def test_the_grid_holds_each_class_under_each_condition(compare_kind) -> None:
    one, other = compare_kind("benchmark")
    pair = compare_sides([one, other]).pairs[0]
    assert pair.grid.conditions == ("clean", "fog", "gaussian_noise", "other")
    by_name = {(each.group, each.name): each.difference for each in pair.differences}
    for place, name in enumerate(pair.grid.classes):
        clean = by_name["classes, clean", name]
        assert pair.grid.values[place][0] == pytest.approx(clean.mean)
        assert (pair.grid.low[place][0], pair.grid.high[place][0]) == pytest.approx((clean.low, clean.high))


def test_without_counts_there_are_differences_and_no_intervals(compare_kind, store) -> None:
    one, other = compare_kind("benchmark")
    whole = compare_sides([one, other])
    (store.folder(other.records[0].key) / COUNTS_FILE).unlink()
    comparison = compare_sides([one, other])
    assert comparison.resamples == 0
    assert any(f"counts.npz of task {other.records[0].key} is missing or damaged" in note for note in comparison.notes)
    assert not any("Holm" in note for note in comparison.notes)
    for with_interval, bare in zip(whole.pairs[0].differences, comparison.pairs[0].differences, strict=True):
        assert bare.difference.mean == pytest.approx(with_interval.difference.mean)
        assert (bare.difference.low, bare.p, bare.survives) == (None, None, False)
    assert comparison.images == whole.images == len(FRAMES)


def test_counts_that_do_not_add_up_to_their_record_are_refused(compare_kind, make_side) -> None:
    one, other = compare_kind("evaluate")
    record = other.records[0]
    cell = record.cells[0]
    assert cell.confusion is not None
    raised = (tuple(value + 5 for value in cell.confusion[0]), *cell.confusion[1:])
    edited = record.model_copy(update={"cells": (cell.model_copy(update={"confusion": raised}),)})
    with pytest.raises(PrerequisiteError, match=f"do not add up to those of the record.*{record.key}"):
        compare_sides([one, replace(other, records=(edited,))])


@pytest.mark.parametrize("change", ["names", "labels"])
def test_other_images_are_refused(change: str, make_task, finish, make_side) -> None:
    frames = tuple(f"other{index}" for index in range(len(FRAMES))) if change == "names" else FRAMES
    one = make_side("one", finish(make_task("one"), draw_counts(("clean",), 0.5)))
    other = make_side(
        "other", finish(make_task("other"), draw_counts(("clean",), 0.6, seed=int(change == "labels")), frames)
    )
    with pytest.raises(SpecError, match="counted different images, or other labels of them, in 1 of 1 cells"):
        compare_sides([one, other])


def test_runs_of_a_side_that_counted_other_images_are_refused(make_task, finish, make_side) -> None:
    records = [
        finish(make_task("one", point={"seed": seed}), draw_counts(("clean",), 0.5, seed=seed)) for seed in (0, 1)
    ]
    with pytest.raises(PrerequisiteError, match="the runs of 'one' counted different images"):
        compare_sides([make_side("one", *records), make_side("one", records[0])])


def test_a_cell_without_a_score_is_refused(compare_kind, store, make_side) -> None:
    one, other = compare_kind("benchmark")
    record = other.records[0]
    cells = tuple(
        c if c.name != "fog/2" else c.model_copy(update={"confusion": None, "reason": "out of memory"})
        for c in record.cells
    )
    with pytest.raises(PrerequisiteError, match=r"no score in the cell 'fog/2' \(out of memory\)"):
        compare_sides([one, replace(other, records=(record.model_copy(update={"cells": cells}),))])


def test_a_missing_cell_is_refused(compare_kind) -> None:
    one, other = compare_kind("benchmark")
    record = other.records[0].model_copy(update={"cells": other.records[0].cells[:-2]})
    with pytest.raises(PrerequisiteError, match=r"lacks 1 cells of its protocol \(gaussian_noise/1"):
        compare_sides([one, replace(other, records=(record,))])


def test_the_same_task_twice_is_refused(compare_kind) -> None:
    one, _ = compare_kind("evaluate")
    with pytest.raises(SpecError, match="is the same result as"):
        compare_sides([one, replace(one, name="again")])


def test_other_classes_are_refused(compare_kind) -> None:
    one, other = compare_kind("evaluate")
    record = other.records[0].model_copy(update={"classes": ("road", "tram", "sky")})
    with pytest.raises(SpecError, match="tell other classes apart"):
        compare_sides([one, replace(other, records=(record,))])


def test_sides_of_one_name_are_told_apart(compare_kind) -> None:
    one, other = compare_kind("evaluate")
    comparison = compare_sides([one, replace(other, name=one.name)])
    assert comparison.sides == tuple(f"plain {side.records[0].key[:8]}" for side in (one, other))


def test_a_class_that_occurs_nowhere_has_no_difference(make_task, finish, make_side) -> None:
    sides = []
    for name, accuracy in (("one", 0.5), ("other", 0.6)):
        counts = draw_counts(("clean",), accuracy)
        counts["clean"][:, 1, 0] += counts["clean"][:, 1, 2]
        counts["clean"][:, 2, :] = counts["clean"][:, :, 2] = 0
        sides.append(make_side(name, finish(make_task(name), counts)))
    sky = compare_sides(sides).pairs[0].differences[-1]
    assert (sky.name, sky.difference.mean, sky.p, sky.excludes_zero) == ("sky", None, None, False)
    assert sky.difference.reason == "the class occurs neither in a label nor in a prediction"


def test_it_is_plain_json(compare_kind) -> None:
    comparison = compare_sides(compare_kind("stream"))
    data = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert data["pairs"][0]["differences"][0]["name"] == "mean mIoU"
    assert data["pairs"][0]["differences"][0]["difference"]["low"] is not None


def test_frames_in_another_order_are_other_images(make_task, finish, make_side, tmp_path) -> None:
    """Counts are paired by place: a file whose frames are turned round pairs the wrong images."""
    one = make_side("one", finish(make_task("one"), draw_counts(("clean",), 0.5)))
    turned = {cell: each[::-1].copy() for cell, each in draw_counts(("clean",), 0.6).items()}
    other = make_side("other", finish(make_task("other"), turned, FRAMES[::-1]))
    with pytest.raises(SpecError, match="counted different images"):
        compare_sides([one, other])
