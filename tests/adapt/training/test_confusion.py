"""Counts on the device against the counts that score predictions."""

from __future__ import annotations

import numpy as np
import torch

from adapt.scores.confusion import count_confusion
from adapt.training.confusion import count_on_device


def test_equals_the_counts_that_score():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 4, (2, 5, 7)).astype(np.uint8)
    label[generator.random(label.shape) < 0.3] = 255
    prediction = generator.integers(0, 4, label.shape).astype(np.uint8)
    counted = count_on_device(torch.from_numpy(label).long(), torch.from_numpy(prediction).long(), 4)
    assert counted.tolist() == count_confusion(label, prediction, 4).tolist()


def test_only_ignored_pixels_count_nothing():
    assert count_on_device(torch.full((3,), 255), torch.zeros(3, dtype=torch.int64), 2).tolist() == [[0, 0], [0, 0]]
