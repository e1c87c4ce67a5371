"""Rare Class Sampling against published totals, a naive formula and counted draws."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapt.data.rare_class import RareClassSampler, rcs_probability
from adapt.errors import PrerequisiteError, SpecError

# Class totals that two public repositories agree on, and P at T = 0.01.
CITYSCAPES_PIXELS = [
    2036050384, 336031970, 1259776469, 36211227, 48487166, 67768871, 11509950, 30521293, 878733980, 63964822,
    221459554, 67202332, 7444896, 386502265, 14774993, 12995799, 12863940, 5445903, 22849629,
]  # fmt: skip
CITYSCAPES_PROBABILITY = [
    1.1963e-17, 2.82847e-4, 1.5298e-11, 0.0645927, 0.0517143, 0.0364691, 0.1010423, 0.0716052, 1.5213e-8, 0.0390707,
    2.25357e-3, 0.0368453, 0.1087633, 1.13374e-4, 0.0952397, 0.0983591, 0.0985943, 0.1127738, 0.0822804,
]  # fmt: skip
SYNTHIA_PIXELS = {
    0: 1687064972, 1: 1765845929, 2: 2678738694, 3: 24622303, 4: 24498071, 5: 94956481, 6: 3560107, 7: 9260697,
    8: 942663593, 10: 626393683, 11: 388225700, 12: 42905829, 13: 371159980, 15: 139689194, 17: 18930213, 18: 20059346,
}  # fmt: skip
SYNTHIA_PROBABILITY = {
    0: 8.3183e-10, 1: 3.4114e-10, 2: 1.1151e-14, 3: 0.1226465, 4: 0.1228190, 5: 0.0553426, 6: 0.1556492, 7: 0.1459272,
    8: 3.7822e-6, 10: 1.35449e-4, 11: 2.00468e-3, 12: 0.0997279, 13: 2.43164e-3, 15: 0.0333626, 17: 0.1308049,
    18: 0.1291445,
}  # fmt: skip


def test_cityscapes() -> None:
    probability = rcs_probability(dict(enumerate(CITYSCAPES_PIXELS)), 0.01)
    assert probability == pytest.approx(dict(enumerate(CITYSCAPES_PROBABILITY)), rel=1e-4, abs=0)


def test_synthia_leaves_out_what_it_does_not_show() -> None:
    probability = rcs_probability({**SYNTHIA_PIXELS, 9: 0, 14: 0, 16: 0}, 0.01)
    assert probability == pytest.approx(SYNTHIA_PROBABILITY, rel=1e-4, abs=0)


@given(
    st.dictionaries(st.integers(0, 18), st.integers(0, 10**12), min_size=1, max_size=19).filter(
        lambda pixels: sum(pixels.values()) > 0
    ),
    st.floats(1e-4, 10.0),
)
def test_is_a_distribution_that_prefers_the_rare(pixels: dict[int, int], temperature: float) -> None:
    probability = rcs_probability(pixels, temperature)
    assert set(probability) == {index for index, count in pixels.items() if count}
    assert math.isclose(sum(probability.values()), 1.0, rel_tol=1e-9)
    for one in probability:
        for other in probability:
            if pixels[one] <= pixels[other]:
                assert probability[one] >= probability[other] * (1 - 1e-9)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=6), st.floats(0.05, 5.0))
def test_against_the_plain_formula(counts: list[int], temperature: float) -> None:
    weights = [math.exp((1 - count / sum(counts)) / temperature) for count in counts]
    expected = {index: weight / sum(weights) for index, weight in enumerate(weights)}
    assert rcs_probability(dict(enumerate(counts)), temperature) == pytest.approx(expected, rel=1e-9)


def test_refuses_what_has_no_answer() -> None:
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(SpecError, match="temperature"):
            rcs_probability({0: 1}, temperature)
    with pytest.raises(PrerequisiteError, match="no labelled pixel"):
        rcs_probability({0: 0}, 0.01)


# Rows are images, columns classes: class 2 is nowhere, class 3 is in image 0 only.
COUNTS = np.array([[50, 10, 0, 11], [50, 30, 0, 0], [50, 31, 0, 4], [9, 32, 0, 2]], dtype=np.int64)


def test_draws_follow_probability_and_threshold() -> None:
    sampler = RareClassSampler(COUNTS, temperature=0.5, min_pixels=10)
    totals = {0: 159, 1: 103, 3: 17}
    assert sampler.probability == pytest.approx(rcs_probability(totals, 0.5))
    generator = np.random.default_rng(0)
    draws = 20_000
    tally: dict[tuple[int, int], int] = {}
    for _ in range(draws):
        drawn = sampler.draw(generator)
        tally[drawn] = tally.get(drawn, 0) + 1
    images = {0: (0, 1, 2), 1: (1, 2, 3), 3: (0,)}  # more than 10 pixels, not 10
    assert set(tally) == {(index, image) for index, chosen in images.items() for image in chosen}
    for (index, image), count in tally.items():
        p = sampler.probability[index] / len(images[index])
        assert abs(count - draws * p) < 5 * math.sqrt(draws * p * (1 - p)), (index, image)


def test_draws_repeat_with_the_seed() -> None:
    sampler = RareClassSampler(COUNTS, temperature=0.5, min_pixels=10)
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    assert [sampler.draw(first) for _ in range(20)] == [sampler.draw(second) for _ in range(20)]


def test_a_class_without_an_image_is_dropped_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sampler = RareClassSampler(COUNTS, 0.5, min_pixels=20, classes=("road", "sky", "train", "bus"))
    assert "leaves out bus:" in caplog.text
    assert "train" not in caplog.text  # it has no pixel at all, so it never had a probability
    whole = rcs_probability({0: 159, 1: 103, 3: 17}, 0.5)
    kept = whole[0] + whole[1]
    assert sampler.probability == pytest.approx({0: whole[0] / kept, 1: whole[1] / kept})
    generator = np.random.default_rng(0)
    assert {sampler.draw(generator)[0] for _ in range(200)} == {0, 1}


def test_dropping_the_rare_leaves_the_frequent_even_where_they_underflow() -> None:
    counts = np.array([[6000, 4000, 1]], dtype=np.int64)
    sampler = RareClassSampler(counts, temperature=1e-4, min_pixels=100)
    assert sum(sampler.probability.values()) == pytest.approx(1.0)
    assert sampler.probability[1] == pytest.approx(1.0)


def test_no_image_at_all() -> None:
    with pytest.raises(SpecError, match=r"more than 3000 pixels.*Lower min_pixels"):
        RareClassSampler(COUNTS, 0.01, min_pixels=3000)
