"""A student learns from the averaged views of its own moving average, and forgets a little at random.

Paper: Continual Test-Time Domain Adaptation (CoTTA), CVPR 2022, arXiv 2203.13591.
Implements: the method section: teacher by moving average, label from averaged views where the source model (the
    anchor) is not confident, cross-entropy of the student to that label, stochastic restore; the constants are those
    of the published Cityscapes -> ACDC code.
Checked against: the student's and the teacher's weights of qinenergy/cotta, cifar/cotta.py, with one view and no restore,
    on closed forms; label, moving average and restore by naive loops (tests/adapt/tta/test_cotta.py).
Deviations: where the anchor is confident the label is the anchor's own argmax; in the paper and in the published code
    it is the teacher's on the plain view (`confident_label: teacher`). Confidence is judged pixel by pixel, as in the
    published segmentation code. Any parameter may be restored, the published code restores those called weight or bias
    only. BatchNorm uses the batch's statistics by default, as in the published classification code; the published
    segmentation code uses the source's (`batch_norm: source`). Views are resized as tensors, after normalisation.
    Buffers are never changed, as in the published code.
Protocol: the label is also the scored prediction; student, teacher and restore come after it. A reset restores student,
    teacher, the optimiser's state and the generator of the restore.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapt.errors import SpecError
from adapt.inference import choose_classes
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.method import Method, Outcome, check_finite_loss
from adapt.tta.parameters import build_optimizer, freeze
from adapt.tta.settings import CottaSettings
from adapt.tta.views import average_views, resize_bilinearly


class Cotta(Method[CottaSettings]):
    """Labels with teacher and anchor, takes one step of the student, lets the teacher follow, restores at random.

    Attributes:
        teacher: moving average of the student; it decides.
        anchor: the source model, never changed.
    """

    updates = "all parameters, and those of a moving average of the model"
    optimizer: torch.optim.Optimizer
    teacher: nn.Module
    anchor: nn.Module

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name all parameters of the student."""
        return dict(self.model.named_parameters())

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name all parameters of student and teacher."""
        student = {f"student.{name}": parameter for name, parameter in self.collect_parameters().items()}
        return student | self.collect_deciding_tensors()

    def collect_deciding_tensors(self) -> dict[str, Tensor]:
        """Name all parameters of the teacher: the student has no part in the prediction."""
        return {f"teacher.{name}": parameter for name, parameter in self.teacher.named_parameters()}

    def configure(self) -> None:
        """Let all parameters learn, choose the statistics of BatchNorm, and copy the model for teacher and anchor.

        Raises:
            SpecError: if the model has no parameters.
        """
        settings = self.settings
        self.batch_norm = settings.batch_norm
        parameters = self.collect_parameters()
        if not parameters:
            raise SpecError(
                f"The method `cotta` updates all parameters, but {type(self.model).__name__} has none. Choose a model "
                "with parameters, or the method `source`."
            )
        freeze(self.model)
        if settings.batch_norm == "batch":
            use_batch_statistics(self.model)
        self.teacher, self.anchor = copy.deepcopy(self.model), copy.deepcopy(self.model)
        self.model.requires_grad_(True)
        self.optimizer = build_optimizer(settings.optimizer, parameters.values(), settings.lr, settings.momentum)
        self._generator = torch.Generator(device=next(iter(parameters.values())).device)
        self._generator.manual_seed(self.supplies.seed)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, H, W) log-probabilities at the size of the images (B, 3, H, W), then learn from them.

        Raises:
            NotFiniteError: if the student's cross-entropy to the label is not finite.
        """
        log_probability, notes = self._decide(images)
        logits = resize_bilinearly(self.forward(self.model, images), images.shape[-2:])
        if self.settings.label == "hard":
            loss = cross_entropy(logits, choose_classes(log_probability))
        else:
            loss = cross_entropy(logits, log_probability.exp())
        value = check_finite_loss(loss)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        update_average(self.teacher, self.model, self.settings.ema)
        restore_at_random(self.model, self.anchor, self.settings.restore, self._generator)
        return Outcome(log_probability, loss=value, updates=1, notes=notes)

    def predict(self, images: Tensor) -> Tensor:
        """Predict the same (B, K, H, W) log-probabilities as `predict_and_adapt`, and learn nothing."""
        return self._decide(images)[0]

    def own_state(self) -> dict[str, Any]:
        """Return the state of the generator that draws what is restored."""
        return {"generator": self._generator.get_state()}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the generator's state back."""
        self._generator.set_state(state["generator"])

    def _decide(self, images: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        """Return log-probabilities (B, K, H, W), and the share of pixels on which the anchor was confident."""
        settings = self.settings
        probability = average_views(
            self.forward, self.teacher, images, settings.scales, settings.flip, settings.views_at_once
        )
        notes: dict[str, float] = {}
        if settings.anchor_threshold < 1.0:  # no probability is above 1
            plain = average_views(self.forward, self.anchor, images, scales=(1.0,), flip=False)
            confident = plain.amax(dim=1, keepdim=True) > settings.anchor_threshold  # (B, 1, H, W)
            if settings.confident_label == "teacher":
                plain = average_views(self.forward, self.teacher, images, scales=(1.0,), flip=False)
            probability = torch.where(confident, plain, probability)
            notes["anchored"] = float(confident.float().mean())
        # A probability that has underflown to 0 has no finite logarithm; the least normal number stands for it.
        return probability.clamp_min(torch.finfo(probability.dtype).tiny).log(), notes


def update_average(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move every parameter of an averaged model towards the model's: keep * average + (1 - keep) * model, in place.

    Args:
        average: of the same structure as the model.
        model: left as it is.
        keep: in [0, 1].
    """
    with torch.no_grad():
        followers = list(average.parameters())
        torch._foreach_mul_(followers, keep)
        torch._foreach_add_(followers, list(model.parameters()), alpha=1.0 - keep)


def restore_at_random(model: nn.Module, source: nn.Module, share: float, generator: torch.Generator) -> None:
    """Set each single weight of a model back to the source's with a given chance, in place.

    Args:
        model: the model.
        source: of the same structure; left as it is.
        share: chance of each weight, in [0, 1]; at 0 nothing is drawn.
        generator: of the draws, on the model's device.
    """
    if share == 0.0:
        return
    with torch.no_grad():
        for parameter, start in zip(model.parameters(), source.parameters(), strict=True):
            drawn = torch.rand(parameter.shape, generator=generator, device=parameter.device) < share
            parameter.copy_(torch.where(drawn, start, parameter))
