"""Counts of a frame against the counts of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from adapt.errors import TaskError
from adapt.frame_counts import count_frame
from adapt.scores.calibration import CalibrationBins
from adapt.scores.confusion import count_confusion

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def draw(classes: int, size=(13, 17), seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    generator = np.random.default_rng(seed)
    logits = torch.from_numpy(generator.normal(0, 3, (1, classes, *size)))
    label = generator.integers(0, classes, size).astype(np.uint8)
    label[generator.random(size) < 0.2] = 255
    return logits, label


def count_by_numpy(logits: torch.Tensor, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probability = logits[0].softmax(dim=0).cpu().numpy()
    prediction = probability.argmax(axis=0).astype(np.uint8)
    valid = label != 255
    calibration = CalibrationBins().accumulate(probability.max(axis=0)[valid], (prediction == label)[valid])
    return count_confusion(label, prediction, logits.shape[1]), calibration, prediction


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("classes", [1, 2, 19, 255])
def test_counts_equal_those_of_numpy(device, dtype, classes):
    logits, label = draw(classes)
    logits = logits.to(device, dtype)
    counts = count_frame(logits, label, classes)
    confusion, calibration, prediction = count_by_numpy(logits, label)
    assert (counts.confusion.dtype, counts.calibration.dtype) == (np.int64, np.float64)
    assert np.array_equal(counts.confusion, confusion)
    assert np.array_equal(counts.calibration[[0, 2]], calibration[[0, 2]])
    assert counts.calibration[1] == pytest.approx(calibration[1], abs=1e-7)
    assert counts.prediction.dtype == torch.uint8
    assert np.array_equal(counts.prediction.cpu().numpy(), prediction)
    assert counts.is_finite


def test_a_confidence_on_the_edge_of_a_bin_falls_below_it():
    logits = torch.tensor([[0.6, 0.4], [0.61, 0.39]], dtype=torch.float64).log().T.reshape(1, 2, 1, 2)
    assert float(logits[0, :, 0, 0].softmax(0)[0]) == 9 / 15
    counts = count_frame(logits, np.zeros((1, 2), np.uint8), 2)
    assert np.flatnonzero(counts.calibration[0]).tolist() == [8, 9]
    assert counts.calibration[1].sum() == pytest.approx(1.21, abs=1e-9)


def test_logits_are_resized_to_the_label_before_the_argmax():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 1] = 1.0
    logits[0, 0] = 0.5
    counts = count_frame(logits, np.zeros((4, 6), np.uint8), 2)
    # Class 1 on a row of two pixels, 0 and 1, at six places: 0, 0, 1/3 (below 0.5), 2/3, 1, 1.
    assert counts.prediction.tolist() == [[0, 0, 0, 1, 1, 1]] * 4
    assert counts.confusion.tolist() == [[12, 12], [0, 0]]


def test_half_precision_is_counted_in_single_precision():
    logits, label = draw(5, (6, 8))
    half = logits.half()
    counts = count_frame(half, np.repeat(label, 2, axis=0), 5)
    resized = interpolate(half.float(), size=(12, 8), mode="bilinear", align_corners=False)
    confusion, calibration, _ = count_by_numpy(resized, np.repeat(label, 2, axis=0))
    assert np.array_equal(counts.confusion, confusion)
    assert counts.calibration == pytest.approx(calibration, abs=1e-6)


def test_ignored_pixels_count_nowhere():
    logits, label = draw(4)
    counts = count_frame(logits, np.full_like(label, 255), 4)
    assert not counts.confusion.any()
    assert not counts.calibration.any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_seen(value):
    logits, label = draw(4)
    logits[0, 2, 3, 4] = value
    assert not count_frame(logits, label, 4).is_finite


def test_refuses_unknown_labels_and_other_classes():
    logits, label = draw(4)
    label[0, 0], label[1, 1] = 4, 254
    with pytest.raises(TaskError, match=r"label has ids \[4, 254\], but 4 classes"):
        count_frame(logits, label, 4)
    with pytest.raises(TaskError, match=r"logits of shape \(1, 4, 13, 17\).* 5 classes"):
        count_frame(logits, label, 5)
