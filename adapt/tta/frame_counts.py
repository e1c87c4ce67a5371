"""What a frame's logits and label give, counted where the logits are and brought over in one transfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from adapt.errors import TaskError
from adapt.inference import choose_classes
from adapt.scores.calibration import BINS
from adapt.scores.confusion import IGNORE

_LABELS = 256  # values of a uint8 label

# Confidences are added up as multiples of 2**-32: integers add to the same sum in any order, so on any device. It is exact
# for those of a softmax in single precision (1/255 or more, so multiples of 2**-32) and holds a frame of 2**31 pixels.
_FIXED_POINT = 2.0**32


@dataclass(frozen=True)
class FrameCounts:
    """The counts of one frame.

    Attributes:
        confusion: int64 (K, K), see `adapt.scores.confusion.count_confusion`.
        calibration: float64 (3, 15), see `adapt.scores.calibration.CalibrationBins.counts`.
        prediction: uint8 (H, W), the class of each pixel, on the device of the logits.
        is_finite: whether all logits are; otherwise none of the counts means anything.
    """

    confusion: NDArray[np.int64]
    calibration: NDArray[np.float64]
    prediction: Tensor
    is_finite: bool


def count_frame(logits: Tensor, label: NDArray[np.uint8], num_classes: int) -> FrameCounts:
    """Compare a prediction with its label.

    Args:
        logits: (1, K, h, w) floats; those of another size than the label are resized to it bilinearly (corners not
            aligned) before the argmax.
        label: (H, W) uint8, train ids, 255 where ignored.
        num_classes: K, from 1 to 255.

    Returns:
        The counts.

    Raises:
        TaskError: if the logits have another number of classes, or a label is K or more and not 255.
    """
    if logits.shape[:2] != (1, num_classes):
        raise TaskError(
            f"The network gives logits of shape {tuple(logits.shape)} for one frame, but {num_classes} classes need (1, "
            f"{num_classes}, h, w). Give it the data set that it was trained for, or a head with {num_classes} classes."
        )
    scores = logits if logits.dtype == torch.float64 else logits.float()
    is_finite = scores.sum().isfinite()  # a third of the cost of looking at each
    if tuple(scores.shape[-2:]) != label.shape:
        scores = interpolate(scores, size=label.shape, mode="bilinear", align_corners=False)
    prediction = choose_classes(scores[0], dim=0)  # (H, W)
    confidence = scores[0].softmax(dim=0).gather(0, prediction[None]).double().nan_to_num(0.0)
    edges = torch.arange(1, BINS, dtype=torch.float64, device=logits.device) / BINS
    bins = torch.bucketize(confidence, edges)  # (1, H, W); each bin is closed above
    # One histogram over (label, prediction, bin), of which all counts are sums.
    known = torch.from_numpy(np.ascontiguousarray(label)).to(logits.device).long()
    index = ((known * num_classes + prediction) * BINS + bins[0]).flatten()
    pixels, confidences = (
        torch.zeros(_LABELS * num_classes * BINS, dtype=torch.int64, device=logits.device)
        .scatter_add_(0, index, values.flatten())
        .view(_LABELS, num_classes, BINS)
        for values in (torch.ones_like(index), (confidence * _FIXED_POINT).round().long())
    )
    valid = pixels[:num_classes]  # (K, K, bins)
    parts = (
        is_finite.long(),
        pixels[num_classes:IGNORE].sum(dim=(1, 2)),
        valid.sum(dim=2),
        valid.sum(dim=(0, 1)),
        confidences[:num_classes].sum(dim=(0, 1)),
        valid.diagonal().sum(dim=1),
    )
    numbers = torch.cat([part.flatten() for part in parts]).cpu().numpy()
    finite, unknown, confusion, calibration = np.split(
        numbers, np.cumsum([1, IGNORE - num_classes, num_classes * num_classes])
    )
    _refuse_unknown(unknown, num_classes)
    return FrameCounts(
        confusion=confusion.reshape(num_classes, num_classes),
        calibration=calibration.reshape(3, BINS) / np.array([[1.0], [_FIXED_POINT], [1.0]]),
        prediction=prediction.to(torch.uint8),
        is_finite=bool(finite[0]),
    )


def _refuse_unknown(counts: NDArray[np.int64], num_classes: int) -> None:
    if counts.any():
        raise TaskError(
            f"The label has ids {(np.flatnonzero(counts) + num_classes).tolist()}, but {num_classes} classes allow 0 to "
            f"{num_classes - 1}, and {IGNORE} for ignored pixels. Prepare the data set's labels again, or give it the "
            "network that was trained for its classes."
        )
