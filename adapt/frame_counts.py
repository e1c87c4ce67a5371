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
    """Compare a prediction with its label, calibration included.

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
    known = torch.from_numpy(np.ascontiguousarray(label)).to(logits.device)
    numbers, prediction = count_on_device(logits, known, num_classes, calibration=True)
    is_finite, confusion, calibration = read_counts(numbers.cpu().numpy(), num_classes)
    if calibration is None:
        raise ValueError("calibration was counted")
    return FrameCounts(confusion, calibration, prediction.to(torch.uint8), is_finite)


def count_on_device(
    logits: Tensor, label: Tensor, num_classes: int, calibration: bool = False
) -> tuple[Tensor, Tensor]:
    """Compare a prediction with its label where they are; nothing waits for the device.

    Args:
        logits: (1, K, h, w) floats, as for `count_frame`.
        label: (H, W) uint8, train ids, 255 where ignored; on the same device.
        num_classes: K, from 1 to 255.
        calibration: Whether confidences are counted too, which takes several times as long.

    Returns:
        The counts, int64 of one axis, for `read_counts`; and the prediction, int64 (H, W).

    Raises:
        TaskError: if the logits have another number of classes.
    """
    if logits.shape[:2] != (1, num_classes):
        raise TaskError(
            f"The network gives logits of shape {tuple(logits.shape)} for one frame, but {num_classes} classes need (1, "
            f"{num_classes}, h, w). Give it the data set that it was trained for, or a head with {num_classes} classes."
        )
    scores = logits if logits.dtype == torch.float64 else logits.float()
    is_finite = scores.sum().isfinite()  # a third of the cost of looking at each
    if scores.shape[-2:] != label.shape:
        scores = interpolate(scores, size=tuple(label.shape), mode="bilinear", align_corners=False)
    prediction = choose_classes(scores[0], dim=0)  # (H, W)
    pairs = label.long() * num_classes + prediction
    if not calibration:
        pixels = _add_up(pairs, None, _LABELS * num_classes).view(_LABELS, num_classes)
        parts = [is_finite.long(), pixels[num_classes:IGNORE].sum(dim=1), pixels[:num_classes]]
        return torch.cat([part.flatten() for part in parts]), prediction
    confidence = scores[0].softmax(dim=0).gather(0, prediction[None]).double().nan_to_num(0.0)
    edges = torch.arange(1, BINS, dtype=torch.float64, device=logits.device) / BINS
    index = pairs * BINS + torch.bucketize(confidence, edges)[0]  # each bin is closed above
    # One histogram over (label, prediction, bin), of which all counts are sums.
    pixels, confidences = (
        _add_up(index, values, _LABELS * num_classes * BINS).view(_LABELS, num_classes, BINS)
        for values in (None, (confidence * _FIXED_POINT).round().long())
    )
    valid = pixels[:num_classes]  # (K, K, bins)
    parts = [
        is_finite.long(),
        pixels[num_classes:IGNORE].sum(dim=(1, 2)),
        valid.sum(dim=2),
        valid.sum(dim=(0, 1)),
        confidences[:num_classes].sum(dim=(0, 1)),
        valid.diagonal().sum(dim=1),
    ]
    return torch.cat([part.flatten() for part in parts]), prediction


def _add_up(index: Tensor, values: Tensor | None, size: int) -> Tensor:
    """Add up int64 values by index, exactly; None is one for each. `bincount` would make a GPU wait, and is faster on a CPU."""
    if values is None and index.device.type == "cpu":
        return torch.bincount(index.flatten(), minlength=size)
    total = torch.zeros(size, dtype=torch.int64, device=index.device)
    return total.scatter_add_(0, index.flatten(), (torch.ones_like(index) if values is None else values).flatten())


def read_counts(
    numbers: NDArray[np.int64], num_classes: int
) -> tuple[bool, NDArray[np.int64], NDArray[np.float64] | None]:
    """Take apart what `count_on_device` counted of one frame.

    Args:
        numbers: its first result, off the device.
        num_classes: K.

    Returns:
        Whether all logits are finite, otherwise none of the counts means anything; the confusion counts, int64 (K, K), see
        `adapt.scores.confusion.count_confusion`; the calibration counts, float64 (3, 15), see
        `adapt.scores.calibration.CalibrationBins.counts`, or None where they were not counted.

    Raises:
        TaskError: if a label is K or more and not 255.
    """
    finite, unknown, confusion, calibration = np.split(
        numbers, np.cumsum([1, IGNORE - num_classes, num_classes * num_classes])
    )
    _refuse_unknown(unknown, num_classes)
    bins = calibration.reshape(3, BINS) / np.array([[1.0], [_FIXED_POINT], [1.0]]) if calibration.size else None
    return bool(finite[0]), confusion.reshape(num_classes, num_classes), bins


def _refuse_unknown(counts: NDArray[np.int64], num_classes: int) -> None:
    if counts.any():
        raise TaskError(
            f"The label has ids {(np.flatnonzero(counts) + num_classes).tolist()}, but {num_classes} classes allow 0 to "
            f"{num_classes - 1}, and {IGNORE} for ignored pixels. Prepare the data set's labels again, or give it the "
            "network that was trained for its classes."
        )
