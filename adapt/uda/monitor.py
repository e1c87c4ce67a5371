"""What self-training is watched by: draws of rare classes, quality of the pseudo-labels, and one batch to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adapt.training.confusion import count_on_device
from adapt.training.distributed import sum_over_workers


@dataclass(frozen=True)
class Example:
    """The first pair of a batch, as the networks saw it; on the device still.

    Attributes:
        source, target, mixed: (3, H, W) float32, normalised.
        source_label, pseudo_label, mixed_label: (H, W) int64.
        weight: (H, W) float32, of the mixed label.
    """

    source: Tensor
    source_label: Tensor
    target: Tensor
    pseudo_label: Tensor
    mixed: Tensor
    mixed_label: Tensor
    weight: Tensor


class Monitor:
    """Counts between two reports, without a device sync or a word between workers until it is read.

    Attributes:
        wants_example: Set before a step to have its first pair kept.
        example: That pair.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.wants_example = False
        self.example: Example | None = None
        self._classes = tuple(classes)
        self._draws: dict[int, int] = {}
        self._confusion: Tensor | None = None

    def count_draws(self, samples: Sequence[Any]) -> None:
        """Count the classes that the source samples were drawn for; samples of a uniform draw name none."""
        for sample in samples:
            train_id = sample.metainfo.get("rare_class")
            if train_id is not None:
                self._draws[train_id] = self._draws.get(train_id, 0) + 1

    def score_pseudo_labels(self, pseudo_label: Tensor, samples: Sequence[Any]) -> None:
        """Compare pseudo-labels (N, H, W) with the labels of their samples, where those have any."""
        if not samples or "gt_sem_seg" not in samples[0]:
            return
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples]).to(pseudo_label.device)
        confusion = count_on_device(label, pseudo_label, len(self._classes))
        self._confusion = confusion if self._confusion is None else self._confusion + confusion

    def keep_example(self, **images: Tensor) -> None:
        """Keep the first image of each (N, ...) batch, if one is wanted; the names are those of `Example`."""
        if self.wants_example:
            self.example = Example(**{name: batch[0].detach().clone() for name, batch in images.items()})
            self.wants_example = False

    def read(self, device: torch.device | None = None) -> dict[str, float]:
        """Read what all workers counted since the last reading, and start anew; all of them must call this.

        What a worker counts depends on the settings alone, so either all of them bring a count or none.

        Args:
            device: Where tensors that workers exchange must lie: that of the model. None is the CPU.

        Returns:
            `rcs_draws/CLASS`, the number of samples drawn for each class (classes never drawn since then are 0 once any was);
            `pseudo_iou/CLASS` in [0, 1] for the classes that labels or pseudo-labels hold, and their mean `pseudo_miou`.
        """
        values: dict[str, float] = {}
        if self._draws:
            own = torch.tensor([self._draws.get(index, 0) for index in range(len(self._classes))], device=device)
            drawn = sum_over_workers(own).tolist()
            values |= {f"rcs_draws/{name}": float(count) for name, count in zip(self._classes, drawn, strict=True)}
        if self._confusion is not None:
            counts = sum_over_workers(self._confusion).double().cpu()
            union = counts.sum(0) + counts.sum(1) - counts.diagonal()
            present = union > 0
            scores = (counts.diagonal() / union.clamp(min=1)).tolist()
            values |= {f"pseudo_iou/{self._classes[i]}": scores[i] for i in present.nonzero().flatten().tolist()}
            if present.any():
                values["pseudo_miou"] = sum(s for s, p in zip(scores, present.tolist(), strict=True) if p) / int(
                    present.sum()
                )
        self._draws, self._confusion = {}, None
        return values
