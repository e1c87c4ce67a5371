"""Detection: what triggers and when, what never may, and that a saved detection goes on exactly."""

from __future__ import annotations

import doctest
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import adapt.correction.detection
from adapt.correction.curve import Curve, find_update_epoch, fit_curve
from adapt.correction.detection import Detection, Verdict, is_rising, place_points
from adapt.correction.settings import CurveSettings

pytestmark = pytest.mark.filterwarnings("error")

NAN = float("nan")
FAST = Curve(0.6, 0.5, 0.5)  # flattens at epoch 4, see test_curve.py
SLOW = Curve(0.9, 1.0, 5.0)  # at epoch 13


def follow(columns: Sequence[Sequence[float]], background: int | None = None, **settings: Any) -> Detection:
    """A detection that has seen one point an epoch; `columns` holds the IoU of each class."""
    detection = Detection(len(columns), CurveSettings(**settings), background)
    for index, row in enumerate(zip(*columns, strict=True)):
        detection.add_point(index + 1, np.array(row))
    return detection


def sample(curve: Curve, count: int) -> list[float]:
    """Points of a curve that the fit finds again: they lie where it will place them."""
    return curve(place_points(count, 1, 1)).tolist()


def test_a_class_triggers_when_its_epoch_has_come_and_stays_so() -> None:
    detection = follow([sample(FAST, 8), sample(SLOW, 8)])
    assert [verdict.update_epoch for verdict in detection.detect(3)] == [4, 13]
    assert detection.triggered == frozenset()
    fast, slow = detection.detect(4)
    assert (fast.triggered, fast.triggered_at, fast.reason) == (True, 4, None)
    assert fast.curve is not None
    assert (fast.curve.a, fast.curve.b, fast.curve.c) == pytest.approx((0.6, 0.5, 0.5), abs=1e-3)
    assert (slow.triggered, slow.triggered_at, slow.reason) == (False, None, "epoch 4 is before epoch 13")
    assert detection.triggered == {0}
    detection.add_point(9.0, np.array([0.0, NAN]))  # its later course is not looked at
    assert detection.detect(5)[0] == fast
    assert detection.triggered == {0}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([0.5] * 12, "not rising"),
        ([0.0] * 12, "not rising"),
        ([0.5 + 1e-3 * (index % 2) for index in range(12)], "not rising"),
        (np.linspace(0.8, 0.2, 12).tolist(), "not rising"),
        ([0.5], "too few points: 1 of 1"),
        ([0.2, 0.5], "too few points: 2 of 2"),
        ([0.1, 0.4, 0.5], "too few points: 3 of 3"),
        ([NAN] * 12, "too few points: 0 of 12"),
        ([0.1, NAN, 0.4, NAN, 0.5, NAN], "too few points: 3 of 6"),
    ],
)
def test_degenerate_curves_never_trigger(column: list[float], reason: str) -> None:
    detection = follow([column])
    for epoch in range(40):
        (verdict,) = detection.detect(epoch)
        assert (verdict.triggered, verdict.curve, verdict.update_epoch) == (False, None, None)
        assert verdict.reason is not None
        assert reason in verdict.reason
    assert detection.triggered == frozenset()


def test_one_degenerate_class_does_not_stop_another() -> None:
    detection = follow([[NAN] * 8, sample(FAST, 8)])
    assert [verdict.triggered for verdict in detection.detect(10)] == [False, True]


def test_points_without_a_pixel_of_the_class_are_left_out_and_the_others_stay_in_place() -> None:
    column = sample(SLOW, 12)
    column[0] = column[5] = NAN
    (verdict,) = follow([column]).detect(0)
    kept = [index for index in range(12) if index not in (0, 5)]
    expected = fit_curve(place_points(12, 1, 1)[kept], np.array(column)[kept], 10000)
    assert verdict.curve == expected


def test_minimum_of_points_is_a_setting() -> None:
    column = sample(FAST, 6)
    (refused,) = follow([column], min_points=7).detect(20)
    assert refused.reason == "too few points: 6 of 6 are finite, 7 are needed"
    (fitted,) = follow([column], min_points=6).detect(20)
    assert fitted.triggered


def test_threshold_and_range_are_settings() -> None:
    column = sample(SLOW, 12)
    for settings in ({"threshold": 0.5}, {"epochs": 5}):
        (verdict,) = follow([column], **settings).detect(0)
        assert verdict.curve is not None
        expected = find_update_epoch(verdict.curve, settings.get("threshold", 0.9), int(settings.get("epochs", 15)))
        assert verdict.update_epoch == expected != 13


def test_a_fit_that_fails_is_a_reason() -> None:
    (verdict,) = follow([sample(SLOW, 8)], max_evaluations=1).detect(30)
    assert (verdict.triggered, verdict.curve) == (False, None)
    assert verdict.reason is not None
    assert verdict.reason.startswith("the fit failed: ")


def test_background_counts_from_the_start_and_is_not_fitted() -> None:
    detection = follow([sample(SLOW, 8), sample(FAST, 8)], background=1)
    assert detection.triggered == {1}
    verdict = detection.detect(30)[1]
    assert verdict == Verdict(1, None, None, True, None, "the background counts as triggered from the start")
    assert detection.triggered == {0, 1}


@pytest.mark.parametrize("through_json", [False, True])
def test_a_loaded_detection_goes_on_exactly(through_json: bool) -> None:
    rng = np.random.default_rng(3)
    rows = [
        np.array([FAST(x) + rng.normal(scale=0.003), SLOW(x) + rng.normal(scale=0.003), NAN if x < 3 else x / 40, 0.5])
        for x in place_points(24, 1, 2)[1:]
    ]
    whole, first = (Detection(4, CurveSettings(), 3) for _ in range(2))
    for index, row in enumerate(rows[:12]):
        for detection in (whole, first):
            detection.add_point((index + 1) / 2, row)
    assert whole.detect(5) == first.detect(5)
    assert whole.triggered == {0, 3}
    state = json.loads(json.dumps(first.save(), allow_nan=False)) if through_json else first.save()
    second = Detection(4, CurveSettings(), 3)
    second.load(state)
    assert second.triggered == whole.triggered
    for index, row in enumerate(rows[12:], start=12):
        for detection in (whole, second):
            detection.add_point((index + 1) / 2, row)
    assert whole.detect(11) == second.detect(11)
    assert second.save() == whole.save()
    np.testing.assert_array_equal(second.iou, np.array(rows))
    np.testing.assert_array_equal(second.positions, place_points(23, 1, 2))


def test_a_saved_state_does_not_change_afterwards() -> None:
    detection = follow([sample(FAST, 8)])
    state = detection.save()
    before = json.dumps(state)
    detection.add_point(9, np.array([0.1]))
    detection.detect(20)
    assert json.dumps(state) == before


def test_a_state_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes, these are 3"):
        Detection(3, CurveSettings(), None).load(follow([[0.1], [0.2]]).save())


@pytest.mark.parametrize("epoch", [1.0, 0.5, NAN, float("inf")])
def test_points_go_forward(epoch: float) -> None:
    detection = follow([[0.1]])
    with pytest.raises(ValueError, match="after the last"):
        detection.add_point(epoch, np.array([0.2]))


@pytest.mark.parametrize("iou", [[0.1], [0.1, 1.1], [0.1, -0.1], [0.1, float("inf")]])
def test_points_that_are_no_iou_are_refused(iou: list[float]) -> None:
    with pytest.raises(ValueError, match="2 IoUs"):
        follow([[], []]).add_point(1, np.array(iou))


def test_a_point_is_copied() -> None:
    iou, detection = np.array([0.1]), follow([[]])
    detection.add_point(1, iou)
    iou[0] = 0.9
    assert detection.iou.tolist() == [[0.1]]


def test_without_points_there_is_nothing_to_place() -> None:
    detection = follow([[], []])
    assert detection.positions.shape == (0,)
    assert detection.iou.shape == (0, 2)
    assert not any(verdict.triggered for verdict in detection.detect(20))


# Rising


@pytest.mark.parametrize("curve", [FAST, SLOW, Curve(0.5, 1.0, 2.0), Curve(0.05, 0.5, 1.0)])
@pytest.mark.parametrize("count", [4, 5, 9, 53, 500])
def test_curves_of_learning_rise(curve: Curve, count: int) -> None:
    assert is_rising(curve(np.linspace(0, 10, count)))


@pytest.mark.parametrize("curve", [FAST, SLOW])
def test_curves_of_learning_rise_under_noise(curve: Curve) -> None:
    y = curve(np.linspace(0, 5, 53))
    noisy = [y + np.random.default_rng(seed).normal(scale=0.02, size=53) for seed in range(200)]
    assert sum(map(is_rising, noisy)) >= 198


def test_noise_around_a_constant_seldom_rises() -> None:
    noisy = [0.5 + np.random.default_rng(seed).normal(scale=0.05, size=53) for seed in range(1000)]
    assert sum(map(is_rising, noisy)) <= 5  # 0.3 are expected


def test_rising_by_hand() -> None:
    # Evenly rising: no noise; the means of the first two and last two points are 0.0088 and 0.0112 apart.
    assert not is_rising(np.linspace(0.1, 0.111, 6))
    assert is_rising(np.linspace(0.1, 0.114, 6))
    # Steps 0.1, 0.3, 0.1, 0.3, 0.1: median 0.1 and median deviation 0, though they differ.
    assert is_rising(np.array([0.0, 0.1, 0.4, 0.5, 0.8, 0.9]))
    # Steps p and -0.01 in turn: their median deviation is (p + 0.01) / 2, so a point's noise 0.5242 (p + 0.01), and four
    # standard errors of the difference of two means of two points 2.0967 (p + 0.01). The means are 2.5 (p - 0.01) apart.
    for p, is_rise in ((0.11, False), (0.12, True)):  # 0.25 < 0.2516 and 0.275 > 0.2726
        assert is_rising(np.cumsum([0.0, p, -0.01, p, -0.01, p, -0.01])) == is_rise


# Placement


def test_points_are_placed_as_published() -> None:
    x = place_points(53, 100, 10581 / 10)
    assert x[0] == 0
    assert x[-1] == pytest.approx(53 * 100 / 1058.1, abs=1e-12)
    assert np.diff(x) == pytest.approx(x[-1] / 52, abs=1e-12)
    assert place_points(4, 1, 1) == pytest.approx([0, 4 / 3, 8 / 3, 4])
    assert place_points(1, 100, 50).tolist() == [0]


def test_a_detection_places_its_points_likewise() -> None:
    detection = Detection(1, CurveSettings(), None)
    for index in range(7):
        detection.add_point((index + 1) * 100 / 1058.1, np.array([0.1]))
    assert detection.positions == pytest.approx(place_points(7, 100, 1058.1), abs=1e-12)


def test_doctests() -> None:
    results = doctest.testmod(adapt.correction.detection)
    assert results.failed == 0
    assert results.attempted >= 2
