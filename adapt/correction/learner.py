"""A network that learns from noisy labels, as one model for mmengine's Runner, and counts how it follows them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adapt.correction.consistency import (
    build_scale_weights,
    compute_multi_scale_loss,
    resize_images,
    resize_logits,
)
from adapt.correction.counts import LabelCounts
from adapt.correction.labels import LEARNT
from adapt.correction.loss import compute_loss
from adapt.correction.settings import ConsistencySettings, CrossEntropySettings, LossSettings
from adapt.errors import SpecError
from adapt.inference import pad_to_fit
from adapt.networks.multi_resolution import MultiResolution
from adapt.openmmlab import BaseModel
from adapt.training.predictions import Prediction, compute_supervised_loss, draw_box, get_loss_factor, run_network
from adapt.training.timing import StepTimer


class NoisyLearner(BaseModel):
    """One network, a loss, and perhaps its consistency over scales.

    Attributes:
        student: What is trained.
        counts: What it predicted in training; see `LabelCounts`.
        scale_weights: Of the consistency's scales before their softmax; None without it.
        timer: Measures its parts.
    """

    def __init__(
        self,
        student: nn.Module,
        counts: LabelCounts,
        loss: LossSettings | None = None,
        consistency: ConsistencySettings | None = None,
    ) -> None:
        """Wrap a segmentor.

        Args:
            student: An `EncoderDecoder`, or a `MultiResolution` one where there is no consistency.
            counts: Empty.
            loss: Takes the place of the loss that every head is configured with, whose factor stays; None leaves it.
            consistency: None learns from the single scale. With it the decode head's loss is that of all scales, plain
                cross-entropy where `loss` is None; auxiliary heads learn from the single scale.

        Raises:
            SpecError: The network cannot be trained at several scales.
        """
        if consistency is not None and isinstance(student, MultiResolution):
            raise SpecError(
                "The consistency over scales needs a network of one resolution, but this one looks at two already "
                "(MultiResolution). Set `correction.consistency: null`, or choose another model."
            )
        built: Any = student
        super().__init__(data_preprocessor=built.data_preprocessor)
        self.student = built
        self.counts = counts
        self.loss = loss
        self.consistency = consistency
        self.scale_weights = None if consistency is None else build_scale_weights(consistency)
        self.timer = StepTimer()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scalars that `train_step` returns."""
        return ("loss",) if self.consistency is None else ("loss", "cross_entropy", "consistency")

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the network, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one training step.

        Args:
            data: A batch of samples whose labels are those of `TrainingLabels`.
            optim_wrapper: mmengine's or `StepWrapper`, over the parameters of this model.

        Returns:
            The scalars that `metrics` names.
        """
        batch = self.data_preprocessor(data, training=True)
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch["data_samples"]])  # (N, C, H, W)
        optim_wrapper.zero_grad()
        with self.timer.measure("student"):
            with optim_wrapper.optim_context(self):
                losses, single = self._compute_losses(batch["inputs"], labels[:, LEARNT])
            optim_wrapper.backward(losses["loss"])
            optim_wrapper.step()
        self.counts.add(single, labels)
        return {name: value.detach() for name, value in losses.items()}

    def _compute_losses(self, images: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the scalars that `metrics` names, and the (N, K, H, W) logits of the single scale."""
        size = (label.shape[1], label.shape[2])
        if self.consistency is None or self.scale_weights is None:
            predictions = run_network(self.student, images, draw_box(self.student, images))[1]
            return {"loss": self._sum_heads(predictions, label)}, predictions[0].enlarge(label.shape[1:])
        logits, auxiliary, single = [], label.new_zeros((), dtype=torch.float32), None
        for scale in self.consistency.scales:
            resized = resize_images(images, scale)
            padded = pad_to_fit(self.student, resized)
            predictions = run_network(self.student, padded, None)[1]
            raw = predictions[0].logits
            if padded.shape != resized.shape:
                raw = resize_logits(raw, (padded.shape[2], padded.shape[3]))[
                    ..., : resized.shape[2], : resized.shape[3]
                ]
            logits.append(resize_logits(raw, size))
            if scale == 1.0:
                single, auxiliary = logits[-1], self._sum_heads(predictions[1:], label)
        if single is None:
            raise ValueError("the scales hold 1.0: their settings see to that")
        loss = self.loss or CrossEntropySettings()
        losses = compute_multi_scale_loss(logits, label, self.scale_weights, self.consistency, loss)
        factor = get_loss_factor(predictions[0].head)
        return {name: factor * value + (auxiliary if name == "loss" else 0.0) for name, value in losses.items()}, single

    def _sum_heads(self, predictions: list[Prediction], label: Tensor) -> Tensor:
        if self.loss is None:
            return compute_supervised_loss(predictions, label)
        total = label.new_zeros((), dtype=torch.float32)
        for prediction in predictions:
            target = prediction.cut(label)
            loss = compute_loss(prediction.enlarge(target.shape[1:]), target, self.loss)
            total = total + prediction.factor * get_loss_factor(prediction.head) * loss
        return total
