"""What is counted on the device, against the scores' own functions."""

from __future__ import annotations

import numpy as np
import torch

from adapt.correction.counts import LabelCounts
from adapt.correction.scores import count_early_learning
from adapt.scores.confusion import count_confusion


def draw(shape, classes, ignored, seed):
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, classes, shape).astype(np.uint8)
    ids[generator.random(shape) < ignored] = 255
    return ids


def test_counts_equal_those_of_arrays_and_start_anew():
    learnt, given, clean = (draw((2, 4, 6), 3, 0.1, seed) for seed in (1, 2, 3))
    prediction = draw((2, 4, 6), 3, 0.0, 4)
    logits = torch.nn.functional.one_hot(torch.from_numpy(prediction).long(), 3).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(np.stack([learnt, given, clean], axis=1)).long()
    for against, expected in (("original", given), ("corrected", learnt)):
        counts = LabelCounts(3, against)
        counts.add(logits, labels)
        counts.add(logits, labels)
        taken = counts.take()
        assert np.array_equal(taken["fit"], 2 * count_confusion(expected, prediction, 3))
        scores = count_early_learning(prediction, given, clean, 3)
        both_known = (given != 255) & (clean != 255) & (given != clean)
        assert taken["early"].sum() == 2 * both_known.sum() > 0
        assert np.array_equal(taken["early"], 2 * scores.learned)
        assert np.array_equal(taken["memorised"], 2 * scores.memorised)
        assert all(not value.any() for value in counts.take().values())


def test_without_a_clean_label_nothing_is_wrong():
    counts = LabelCounts(2, "original")
    counts.add(torch.rand(1, 2, 3, 3), torch.zeros(1, 2, 3, 3, dtype=torch.int64))
    taken = counts.take()
    assert (taken["fit"].sum(), taken["early"].sum(), taken["memorised"].sum()) == (9, 0, 0)


def test_counts_go_with_the_weights():
    counts = LabelCounts(2, "original")
    counts.add(torch.rand(1, 2, 3, 3), torch.zeros(1, 3, 3, 3, dtype=torch.int64))
    other = LabelCounts(2, "original")
    other.load_state_dict(counts.state_dict())
    assert np.array_equal(other.take()["fit"], counts.take()["fit"])
