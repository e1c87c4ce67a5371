"""What a training counts of its own predictions: how they follow the labels, the right ones and the wrong ones."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapt.correction.labels import CLEAN, GIVEN, LEARNT
from adapt.data.label_map import IGNORE
from adapt.inference import choose_classes
from adapt.training.confusion import count_on_device


class LabelCounts(nn.Module):
    """Confusion counts of training predictions, kept on the device and with the weights; read once a point.

    Attributes:
        fit: (K, K) int64 against the label that the curves are of.
        early: (K, K) int64 against the clean label, where the given one is wrong: early learning.
        memorised: (K, K) int64 against the given label, on the same pixels: memorisation.
    """

    fit: Tensor
    early: Tensor
    memorised: Tensor

    def __init__(self, class_count: int, against: Literal["original", "corrected"]) -> None:
        """Start at 0.

        Args:
            class_count: K.
            against: The label of `fit`: as it was given, or as it is corrected so far.
        """
        super().__init__()
        self.channel = GIVEN if against == "original" else LEARNT
        for name in ("fit", "early", "memorised"):
            self.register_buffer(name, torch.zeros((class_count, class_count), dtype=torch.int64))

    @torch.no_grad()
    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch, without waiting for the device.

        Args:
            logits: (N, K, H, W).
            labels: (N, C, H, W) int64, as of `TrainingLabels`.
        """
        classes, prediction = logits.shape[1], choose_classes(logits)
        self.fit += count_on_device(labels[:, self.channel], prediction, classes)
        if labels.shape[1] > CLEAN:
            given, clean = labels[:, GIVEN], labels[:, CLEAN]
            is_wrong = (given != clean) & (given != IGNORE) & (clean != IGNORE)
            self.early += count_on_device(clean.where(is_wrong, IGNORE), prediction, classes)
            self.memorised += count_on_device(given.where(is_wrong, IGNORE), prediction, classes)

    def take(self) -> dict[str, NDArray[np.int64]]:
        """Return the counts since the last time, by name, and start at 0 again."""
        counts = {name: buffer.cpu().numpy().copy() for name, buffer in self.named_buffers()}
        for buffer in self.buffers():
            buffer.zero_()
        return counts
