"""Both correction rules: a hand-made 6x6 label for each clause, and a naive loop over random ones."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import adapt.correction.rules
from adapt.correction.rules import correct_label
from adapt.correction.settings import RuleSettings

Ids = NDArray[np.uint8]

SINGLE = RuleSettings(name="single", confidence=0.8)
BOTH = RuleSettings(name="both", confidence=0.7)
SURE = 0.95


def draw(text: str) -> Ids:
    """A label of one digit a pixel; `.` is ignored."""
    rows = text.split()
    return np.array([[255 if sign == "." else int(sign) for sign in row] for row in rows], np.uint8)


def correct(
    label: str,
    predicted: str,
    triggered: set[int],
    background: int | None,
    settings: RuleSettings,
    confidence: NDArray[np.float32] | None = None,
) -> list[list[int]]:
    sure = np.full((6, 6), SURE, np.float32) if confidence is None else confidence
    result = correct_label(draw(label), draw(predicted), sure, frozenset(triggered), background, settings)
    assert result.dtype == np.uint8
    return result.tolist()


LABEL = "000000 011100 011100 022200 022200 000000"
# Class 1 grows by one row on class 2 and one column on the background; class 2 by one pixel on class 1.
PREDICTED = "000000 011110 011210 011100 022200 000000"
BOTH_GROW = "000000 011110 011210 011100 022200 000000"
ONE_GROWS = "000000 011110 011110 011100 022200 000000"


@pytest.mark.parametrize("settings", [SINGLE, BOTH])
def test_triggered_classes_take_the_prediction(settings: RuleSettings) -> None:
    assert correct(LABEL, PREDICTED, {1, 2}, 0, settings) == draw(BOTH_GROW).tolist()


def test_single_asks_for_the_predicted_class_alone() -> None:
    # Class 2 has not triggered: it gives its row away all the same, and takes nothing.
    assert correct(LABEL, PREDICTED, {1}, 0, SINGLE) == draw(ONE_GROWS).tolist()


def test_both_asks_for_the_old_class_too() -> None:
    only_background_gives = "000000 011110 011110 022200 022200 000000"
    assert correct(LABEL, PREDICTED, {1}, 0, BOTH) == draw(only_background_gives).tolist()


@pytest.mark.parametrize("settings", [SINGLE, BOTH])
def test_nothing_triggered_changes_nothing(settings: RuleSettings) -> None:
    assert correct(LABEL, PREDICTED, set(), None, settings) == draw(LABEL).tolist()


@pytest.mark.parametrize("settings", [SINGLE, BOTH])
def test_background_counts_as_triggered(settings: RuleSettings) -> None:
    shrunk = "000000 001100 011100 022200 022000 000000"
    assert correct(LABEL, shrunk, {1, 2}, 0, settings) == draw(shrunk).tolist()
    assert correct(LABEL, shrunk, {1, 2}, None, settings) == draw(LABEL).tolist()


def test_background_counts_as_triggered_as_the_old_class() -> None:
    grown = "000000 011110 011110 022200 022200 000000"
    assert correct(LABEL, grown, {1}, 0, BOTH) == draw(grown).tolist()
    assert correct(LABEL, grown, {1}, None, BOTH) == draw(LABEL).tolist()


@pytest.mark.parametrize(("settings", "threshold"), [(SINGLE, 0.8), (BOTH, 0.7)])
def test_only_confident_pixels_change(settings: RuleSettings, threshold: float) -> None:
    confidence = np.full((6, 6), np.float32(threshold))  # not above
    assert correct(LABEL, PREDICTED, {1, 2}, 0, settings, confidence) == draw(LABEL).tolist()
    confidence[1, 4] = np.nextafter(np.float32(threshold), np.float32(1))
    one = "000000 011110 011100 022200 022200 000000"
    assert correct(LABEL, PREDICTED, {1, 2}, 0, settings, confidence) == draw(one).tolist()


def test_single_takes_no_class_that_the_image_does_not_have() -> None:
    predicted = "000000 033300 011110 022200 022200 000000"
    expected = "000000 011100 011110 022200 022200 000000"
    assert correct(LABEL, predicted, {1, 3}, 0, SINGLE) == draw(expected).tolist()
    assert correct(LABEL, predicted, {1, 3}, None, SINGLE) == draw(expected).tolist()


def test_single_takes_no_background_that_the_image_does_not_have() -> None:
    label = "111111 111111 111111 222222 222222 222222"
    predicted = "000000 111111 111111 111111 222222 222222"
    expected = "111111 111111 111111 111111 222222 222222"
    assert correct(label, predicted, {1}, 0, SINGLE) == draw(expected).tolist()


def test_both_takes_classes_that_the_image_does_not_have() -> None:
    predicted = "000000 033300 011100 022200 022200 000000"
    assert correct(LABEL, predicted, {1, 3}, 0, BOTH) == draw(predicted).tolist()


@pytest.mark.parametrize("ignored", ["0", "."])
def test_single_exempts_images_of_background_alone(ignored: str) -> None:
    label = f"00000{ignored} 000000 000000 000000 000000 000000"
    predicted = "000003 003300 003300 000000 000000 000000"
    expected = f"00000{ignored if ignored == '.' else '3'} 003300 003300 000000 000000 000000"
    assert correct(label, predicted, {3}, 0, SINGLE) == draw(expected).tolist()
    assert correct(label, predicted, {2}, 0, SINGLE) == draw(label).tolist()  # class 3 must have triggered
    assert correct(label, predicted, {3}, None, SINGLE) == draw(label).tolist()  # without a background, no exemption


# 4 of 36 pixels are foreground; 35 of 36 background is 97.2%, 34 of 36 is 94.4%.
SMALL = "000000 011000 011000 000000 000000 000000"


def test_single_takes_back_what_erases_the_foreground() -> None:
    erased = "000000 010000 000000 000000 000000 000000"  # 1 < 2 and 97.2%
    assert correct(SMALL, erased, {1}, 0, SINGLE) == draw(SMALL).tolist()
    moved = "000000 000000 000000 000000 000000 000011"  # foreground that is gained elsewhere counts
    assert correct(SMALL, moved, {1}, 0, SINGLE) == draw(moved).tolist()


def test_single_keeps_a_correction_that_leaves_half_of_the_foreground() -> None:
    label = "000000 011000 000000 000000 000000 000000"
    halved = "000000 010000 000000 000000 000000 000000"  # 1 is not below 1, though 97.2%
    assert correct(label, halved, {1}, 0, SINGLE) == draw(halved).tolist()


def test_single_keeps_a_correction_that_leaves_enough_foreground_of_the_image() -> None:
    label = "000000 011100 011100 000000 000000 000000"
    fewer = "000000 011000 000000 000000 000000 000000"  # 2 < 3, but 94.4%
    assert correct(label, fewer, {1}, 0, SINGLE) == draw(fewer).tolist()


def test_limits_of_what_is_taken_back_are_settings() -> None:
    erased = "000000 010000 000000 000000 000000 000000"
    for lenient in ({"min_foreground": 0.25}, {"max_background": 0.98}):
        settings = SINGLE.model_copy(update=lenient)
        assert correct(SMALL, erased, {1}, 0, settings) == draw(erased).tolist()


def test_ignored_pixels_are_no_foreground() -> None:
    label = "000000 011000 011000 000000 000000 .....0"
    erased = "000000 011000 000000 000000 000000 000000"
    # Foreground 4 -> 2, not below half; with the ignored pixels as foreground 9 -> 7 as well. Background 29 of 36.
    assert correct(label, erased, {1}, 0, SINGLE)[2] == [0] * 6
    # 4 -> 1 with one ignored pixel, 94.4% of the image and 97.1% of its labelled pixels: it stands.
    label, erased = "000000 011000 011000 000000 000000 00000.", "000000 010000 000000 000000 000000 000000"
    assert correct(label, erased, {1}, 0, SINGLE)[2] == [0] * 6
    # 4 -> 1 would be 5 -> 2 with it, 5 -> 2 is below half as well; 3 -> 1 would be 4 -> 2 and stand: background 95.8%.
    label, erased = "0" * 30 + "00111.", "0" * 30 + "00100."
    rows = [" ".join(text[row * 6 : row * 6 + 6] for row in range(6)) for text in (label, erased)]
    looser = SINGLE.model_copy(update={"max_background": 0.9})
    assert correct(rows[0], rows[1], {1}, 0, looser) == draw(rows[0]).tolist()


def test_both_takes_nothing_back() -> None:
    erased = "000000 010000 000000 000000 000000 000000"
    assert correct(SMALL, erased, {1}, 0, BOTH) == draw(erased).tolist()


def test_without_a_background_nothing_is_taken_back() -> None:
    erased = "000000 010000 000000 000000 000000 000000"
    assert correct(SMALL, erased, {0, 1}, None, SINGLE) == draw(erased).tolist()


@pytest.mark.parametrize("settings", [SINGLE, BOTH])
@pytest.mark.parametrize("background", [0, None])
def test_ignored_pixels_never_change(settings: RuleSettings, background: int | None) -> None:
    label = "000000 01..00 011100 022200 022.00 000000"
    predicted = "000000 011100 011100 022200 022200 000000"
    assert correct(label, predicted, {0, 1, 2, 255}, background, settings) == draw(label).tolist()


def test_background_may_be_any_class() -> None:
    label = "333333 311133 311133 333333 333333 333333"
    grown = "333333 311113 311113 333333 333333 333333"
    assert correct(label, grown, {1}, 3, BOTH) == draw(grown).tolist()
    assert correct("333333 " * 6, grown, {1}, 3, SINGLE) == draw(grown).tolist()


def correct_by_loop(
    label: Ids,
    predicted: Ids,
    confidence: NDArray[np.float32],
    triggered: frozenset[int],
    background: int | None,
    settings: RuleSettings,
) -> list[int]:
    old, new = label.ravel().tolist(), predicted.ravel().tolist()
    trusted = set(triggered) | ({background} if background is not None else set())
    present = set(old) - {255}
    result = []
    for before, after, sure in zip(old, new, confidence.ravel(), strict=True):
        holds = bool(sure > np.float32(settings.confidence)) and before not in (after, 255) and after in trusted
        if settings.name == "both":
            holds = holds and before in trusted
        else:
            holds = holds and (after in present or (background is not None and present <= {background}))
        result.append(after if holds else before)
    if settings.name == "single" and background is not None:
        fore = [sum(value not in (background, 255) for value in values) for values in (old, result)]
        if (
            fore[1] < settings.min_foreground * fore[0]
            and result.count(background) / len(old) > settings.max_background
        ):
            return old
    return result


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(["single", "both"]),
    background=st.sampled_from([None, 0, 2]),
    triggered=st.frozensets(st.integers(0, 3)),
    limits=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    classes=st.integers(1, 4),
)
def test_rules_equal_a_loop(
    seed: int,
    name: str,
    background: int | None,
    triggered: frozenset[int],
    limits: tuple[float, float],
    classes: int,
) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=(5, 7), dtype=np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    predicted = rng.integers(4, size=label.shape, dtype=np.uint8)
    confidence = rng.random(label.shape, dtype=np.float32)
    settings = RuleSettings.model_validate(
        {"name": name, "confidence": 0.3, "min_foreground": limits[0], "max_background": limits[1]}
    )
    before = label.copy()
    result = correct_label(label, predicted, confidence, triggered, background, settings)
    assert result.ravel().tolist() == correct_by_loop(label, predicted, confidence, triggered, background, settings)
    np.testing.assert_array_equal(label, before)
    assert not np.shares_memory(result, label)


def test_sizes_that_differ_are_refused() -> None:
    label, sure = np.zeros((6, 6), np.uint8), np.ones((6, 6), np.float32)
    for arrays in ((label, label[:5], sure), (label, label, sure[0]), (label[0], label[0], sure[0])):
        with pytest.raises(ValueError, match="one size"):
            correct_label(*arrays, frozenset(), None, SINGLE)


def test_ids_of_another_type_are_refused() -> None:
    label, sure = np.zeros((6, 6), np.uint8), np.ones((6, 6), np.float32)
    for label_type, predicted_type in ((np.int64, np.uint8), (np.uint8, np.int64)):
        with pytest.raises(ValueError, match="int64"):
            correct_label(label.astype(label_type), label.astype(predicted_type), sure, frozenset(), None, SINGLE)  # type: ignore[arg-type]


def test_doctests() -> None:
    results = doctest.testmod(adapt.correction.rules)
    assert results.failed == 0
    assert results.attempted >= 1
