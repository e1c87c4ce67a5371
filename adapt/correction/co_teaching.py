"""Co-teaching: two networks, each of which learns from the pixels on which the other one's loss is small.

Paper: Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels, NeurIPS 2018, arXiv:1804.06872.
Implements: algorithm 1, with pixels in the place of images: both networks see the same batch and choose its pixels of small
    loss for each other; the share that is kept falls linearly from 1 to 1 - forget_rate.
Checked against: a step written out by hand in the tests.
Deviations: that share falls with every iteration instead of every epoch. The loss is the mean over the kept share of all
    pixels, ignored ones included, so without forgetting it is that of plain training. The pixels of a batch are those of one
    worker and of one part of an accumulated batch. Auxiliary heads learn from the pixels chosen by the decode heads.
Protocol: evaluation uses the first network, `student`; `peer` serves training alone. The count of iterations is saved with the
    weights, so a resumed run keeps the share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from adapt.correction.counts import LabelCounts
from adapt.correction.loss import compute_pixel_losses
from adapt.correction.settings import CoTeachingSettings, CrossEntropySettings, LossSettings
from adapt.correction.small_loss import compute_keep, select_small
from adapt.data.label_map import IGNORE
from adapt.openmmlab import MODELS, BaseModel
from adapt.training.predictions import Prediction, draw_box, get_loss_factor, run_network
from adapt.training.timing import StepTimer


@MODELS.register_module()
class CoTeaching(BaseModel):
    """Two networks of one kind that choose each other's pixels."""

    metrics = ("loss", "student_loss", "peer_loss", "keep")

    def __init__(
        self,
        student: nn.Module | dict[str, Any],
        peer: nn.Module | dict[str, Any],
        settings: CoTeachingSettings | Mapping[str, Any],
        iterations_per_epoch: float,
        loss: LossSettings | Mapping[str, Any] | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        """Wrap two segmentors.

        Args:
            student: An `EncoderDecoder`, or its config; what evaluation uses. Its preprocessor serves both.
            peer: Another one, or its config. The two must start from different weights: equal networks choose alike.
            settings: The method's settings, or the same as a dict.
            iterations_per_epoch: Iterations that see as many images as there are; fractions are fine.
            loss: What the networks minimise and choose by, or the same as a dict. It takes the place of the loss in
                the heads' configs, whose `loss_weight` is kept; None is plain cross-entropy.
            counts: Counts how the student follows the labels; None counts nothing.
        """
        networks: list[Any] = [net if isinstance(net, nn.Module) else MODELS.build(net) for net in (student, peer)]
        super().__init__(data_preprocessor=networks[0].data_preprocessor)
        self.settings = settings if isinstance(settings, CoTeachingSettings) else CoTeachingSettings(**settings)
        self.pixel_loss: LossSettings = TypeAdapter(LossSettings).validate_python(loss or CrossEntropySettings())
        self.counts = counts
        self.iterations_per_epoch = iterations_per_epoch
        self.iteration = 0
        self.student, self.peer = networks
        self.timer = StepTimer()

    def init_weights(self) -> None:
        """Initialise the networks where that is still to be done."""
        for network in (self.student, self.peer):
            if not network.is_init:
                network.init_weights()

    def get_extra_state(self) -> Tensor:
        """Save the count of iterations with the weights: it decides how many pixels are kept."""
        return torch.tensor(self.iteration)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a saved count of iterations."""
        self.iteration = int(state)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the student, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one training step of both networks on a batch of labelled images.

        Args:
            data: What a segmentor's preprocessor takes.
            optim_wrapper: mmengine's or `StepWrapper`, over the parameters of both networks.

        Returns:
            The scalars that `metrics` names: the sum of both losses, each of them, and the share of pixels kept.

        Raises:
            SpecError: A head does not give one map of logits.
        """
        batch = self.data_preprocessor(data, training=True)
        images = batch["inputs"]
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch["data_samples"]])  # (N, C, H, W)
        label = labels[:, 0]
        keep = compute_keep(self.iteration / self.iterations_per_epoch, self.settings)
        box = draw_box(self.student, images)

        optim_wrapper.zero_grad()
        predictions, losses, chosen = {}, {}, {}
        for name, network in (("student", self.student), ("peer", self.peer)):
            with self.timer.measure(name):
                with optim_wrapper.optim_context(self):
                    predictions[name] = run_network(network, images, box)[1]
                losses[name] = [self._compute_losses(prediction, label) for prediction in predictions[name]]
                # The decode head is the first, and sees the whole crop.
                chosen[name] = select_small(losses[name][0], label != IGNORE, keep)

        if self.counts is not None:
            self.counts.add(predictions["student"][0].enlarge(label.shape[1:]).detach(), labels)
        results = {}
        for name, other in (("student", "peer"), ("peer", "student")):
            with self.timer.measure(name):
                loss = _average_chosen(predictions[name], losses[name], chosen[other], keep)
                optim_wrapper.backward(loss)
            results[f"{name}_loss"] = loss.detach()
        optim_wrapper.step()
        if getattr(optim_wrapper, "part", 0) == getattr(optim_wrapper, "parts", 1) - 1:
            self.iteration += 1
        total = results["student_loss"] + results["peer_loss"]
        return {"loss": total, **results, "keep": torch.tensor(keep, dtype=torch.float64)}

    def _compute_losses(self, prediction: Prediction, label: Tensor) -> Tensor:
        """Compute the loss of every pixel of a prediction's region."""
        target = prediction.cut(label)
        return compute_pixel_losses(prediction.enlarge(target.shape[1:]), target, self.pixel_loss)


def _average_chosen(predictions: list[Prediction], losses: list[Tensor], chosen: Tensor, keep: float) -> Tensor:
    """Sum the heads' means over the kept share of pixels; `chosen` is (N, H, W) bool, of the whole crop."""
    means = [
        prediction.factor * get_loss_factor(prediction.head) * (loss * prediction.cut(chosen)).mean() / keep
        for prediction, loss in zip(predictions, losses, strict=True)
    ]
    return torch.stack(means).sum()
