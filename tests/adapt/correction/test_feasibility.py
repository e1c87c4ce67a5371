"""When a correction can first happen, against a count of every iteration; and classes that settings name in vain."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from adapt.correction.curve import Curve
from adapt.correction.detection import Detection
from adapt.correction.feasibility import (
    FIRST_EPOCH,
    check_correction,
    find_first_correction,
    find_rule_background,
    list_named_classes,
    require_rule_background,
)
from adapt.correction.labels import Progress
from adapt.correction.settings import (
    AdeleSettings,
    CoTeachingSettings,
    CurveSettings,
    RelabellingSettings,
    RuleSettings,
    SelfCorrectionSettings,
)
from adapt.errors import SpecError
from adapt.noise.settings import DropSettings, FlipSettings

CLASSES = ("road", "car", "sky")


def adele(point_iterations: int | None, min_points: int = 4, every: int = 1) -> AdeleSettings:
    curve = CurveSettings(point_iterations=point_iterations, min_points=min_points)
    return AdeleSettings(curve=curve, rule=RuleSettings(every=every))


def follow(correction: RelabellingSettings, frames: int, per_iteration: int) -> tuple[int, int]:
    """Go from iteration to iteration as `FollowLabels` does, with classes that trigger as soon as they may."""
    progress, points = Progress(frames, per_iteration), 0
    for iteration in itertools.count():
        is_over, done = progress.is_epoch_over(iteration), iteration + 1
        epochs = progress.count_epochs(done * per_iteration)
        if isinstance(correction, AdeleSettings):
            each = correction.curve.point_iterations
            points += is_over if each is None else done % each == 0
            is_ready = points >= correction.curve.min_points and epochs - 1 >= 2
        else:
            is_ready = epochs >= correction.epoch
        if is_over and is_ready and epochs % correction.rule.every == 0:
            return epochs, done
    raise AssertionError


@pytest.mark.parametrize("frames", [1, 2, 5, 7, 12])
@pytest.mark.parametrize("per_iteration", [1, 2, 3, 8, 19])
@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_the_first_correction_is_that_of_a_training_step_by_step(frames: int, per_iteration: int, every: int) -> None:
    settings: list[RelabellingSettings] = [
        adele(each, points, every) for each, points in itertools.product((None, 1, 4, 11), (3, 5))
    ]
    settings += [SelfCorrectionSettings(epoch=epoch, rule=RuleSettings(every=every)) for epoch in (1, 2, 9)]
    for correction in settings:
        epoch, iteration = follow(correction, frames, per_iteration)
        assert find_first_correction(correction, frames, per_iteration) == (epoch, iteration), correction
        check_correction(correction, iteration, frames, per_iteration)
        with pytest.raises(SpecError, match=rf"`training\.iterations` to {iteration} or more"):
            check_correction(correction, iteration - 1, frames, per_iteration)


def test_no_class_triggers_before_the_first_epoch_however_its_curve_bends() -> None:
    """The constant says what detection and curve do together, and not what someone remembers of them."""
    detection = Detection(1, CurveSettings(min_points=3, threshold=0.01, epochs=1), None)
    curve = Curve(a=0.6, b=0.8, c=0.05)
    for index, epoch in enumerate(np.linspace(0.1, FIRST_EPOCH, 40)):
        detection.add_point(float(epoch), curve(np.array([index * 0.05])))
    fired = [epoch for epoch in range(1, 6) if detection.detect(epoch - 1)[0].triggered]
    assert fired[0] == FIRST_EPOCH


def test_points_are_needed_at_the_end_of_an_epoch() -> None:
    """500 iterations of 300 an epoch: 4 points of 100 iterations come after the only end of an epoch."""
    with pytest.raises(SpecError, match=r"at iteration 900, the end of epoch 3, but the training has 500 iterations"):
        check_correction(adele(100), 500, 900, 3)
    check_correction(adele(100), 900, 900, 3)


@pytest.mark.parametrize(
    ("correction", "remedies"),
    [
        (adele(400), ["correction.curve.point_iterations"]),
        (adele(1, every=5), ["correction.rule.every"]),
        (adele(400, every=5), []),
        (SelfCorrectionSettings(epoch=5), ["correction.epoch"]),
        (SelfCorrectionSettings(epoch=2, rule=RuleSettings(every=5)), ["correction.rule.every"]),
    ],
)
def test_only_what_helps_is_advised(correction: RelabellingSettings, remedies: list[str]) -> None:
    """Three epochs of 100 iterations."""
    with pytest.raises(SpecError) as caught:
        check_correction(correction, 300, 100, 1)
    advice = str(caught.value).partition(" or more")[2]
    assert advice == "".join(f", or lower `{key}`" for key in remedies) + "."


@pytest.mark.parametrize("correction", [None, CoTeachingSettings()])
def test_what_corrects_no_label_is_never_refused(correction: CoTeachingSettings | None) -> None:
    check_correction(correction, 1, 1000, 1)


def test_named_classes_are_those_of_noise_and_rule() -> None:
    noise = FlipSettings(rate=0.1, target="pair", pairs={"sky": "car"})
    correction = SelfCorrectionSettings(epoch=1, rule=RuleSettings(background="road"))
    assert list_named_classes(noise, correction, CLASSES) == [2, 0]
    assert list_named_classes(None, correction, CLASSES) == [0]
    assert list_named_classes(DropSettings(rate=0.1), CoTeachingSettings(), CLASSES) == []


def test_a_background_of_the_rule_has_to_be_a_class_that_occurs() -> None:
    correction = AdeleSettings(rule=RuleSettings(background="car"))
    require_rule_background(correction, CLASSES, [0, 3, 0], "these")
    with pytest.raises(SpecError, match=r"`correction\.rule\.background` names 'car', which no label of these holds"):
        require_rule_background(correction, CLASSES, [9, 0, 9], "these")
    with pytest.raises(SpecError, match=r"`correction\.rule\.background` names 'cars'.*The closest is 'car'"):
        find_rule_background(AdeleSettings(rule=RuleSettings(background="cars")), CLASSES)
    assert find_rule_background(AdeleSettings(), CLASSES) is None


def test_the_planner_may_import_it() -> None:
    code = "import sys, adapt.correction.feasibility; print(sorted({'torch', 'cv2', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
