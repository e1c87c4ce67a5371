"""A small network beside the frozen one learns from their joint decision.

Paper: AuxAdapt: Stable and Efficient Test-Time Adaptation for Temporally Consistent Video Semantic Segmentation, WACV 2022,
    arXiv 2110.12369.
Implements: the abstract (the paper's body was not at hand): the decision is made on the sum of both networks' outputs,
    and AuxNet alone learns from it by back-propagation, on every frame, in one pass, without optical flow.
Checked against: no published outputs; hand-written steps in plain torch (tests/adapt/tta/test_auxadapt.py). The
    public implementation, HaihangWu/FastCoTTA (single_gpu_AuxAdapt), is `fusion: prob_mean`, `loss_on: aux`,
    `optimizer: adam`, `lr: 7.5e-6`, `aux_scale: 0.5` (main network at twice the size of 960 x 540, AuxNet at once).
Deviations: the defaults are ours: `logits_sum` after the abstract, the loss on the fused logits, both networks at one
    size, SGD with momentum 0.9 at 1e-3; so are `update_interval` and `update_bn`. With its constants we equal the public
    implementation but for the resizing of images, which we do as tensors after normalisation. The decision has the size
    of the main network's logits.
Protocol: the scored prediction is the fused one, before the update. A reset restores AuxNet with its BatchNorm buffers,
    the optimiser's state and the count of frames; the main network never changes.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from adapt.errors import SpecError
from adapt.inference import choose_classes
from adapt.tta.batch_norm import follow_statistics
from adapt.tta.method import Method, NotFiniteError, Outcome, check_finite_loss
from adapt.tta.parameters import build_optimizer, freeze
from adapt.tta.settings import AuxAdaptSettings
from adapt.tta.views import resize_bilinearly, scale_images


class AuxAdapt(Method[AuxAdaptSettings]):
    """Decides with both networks and takes one step of AuxNet down its cross-entropy to the decision."""

    updates = "all parameters of the auxiliary network; with `update_bn` the buffers of its BatchNorm too"
    optimizer: torch.optim.Optimizer
    auxiliary: nn.Module

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name all parameters of AuxNet."""
        return {f"auxiliary.{name}": parameter for name, parameter in self.auxiliary.named_parameters()}

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name all parameters of AuxNet, and its BatchNorm buffers where they follow the stream."""
        return dict(self.collect_parameters()) | self._collect_buffers()

    def configure(self) -> None:
        """Freeze the main network, let all parameters of AuxNet learn, and build the optimiser.

        Raises:
            SpecError: if there is no AuxNet, it has nothing to learn, it shares parameters with the main network, or it
                is known to have other classes.
        """
        settings = self.settings
        self.batch_norm = settings.batch_norm
        self.auxiliary = _require_auxiliary(self.supplies.auxiliary, self.model, self.num_classes)
        freeze(self.model)
        parameters = dict(self.auxiliary.named_parameters())
        freeze(self.auxiliary, except_for=parameters)
        self.optimizer = build_optimizer(settings.optimizer, parameters.values(), settings.lr, settings.momentum)
        self._frame = 0

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) fused logits from (B, 3, H, W) images; on every n-th frame, AuxNet then learns.

        Raises:
            SpecError: if the logits of AuxNet have another number of classes than the main network's.
            NotFiniteError: if the cross-entropy to the decision is not finite.
        """
        if self._frame % self.settings.update_interval:
            fused = self.predict(images)
            self._frame += 1
            return Outcome(fused)
        kept = {name: buffer.clone() for name, buffer in self._collect_buffers().items()}
        with follow_statistics(self.auxiliary) if self.settings.update_bn else nullcontext():
            auxiliary, fused = self._predict_both(images)
        loss = cross_entropy(fused if self.settings.loss_on == "fused" else auxiliary, choose_classes(fused.detach()))
        try:
            value = check_finite_loss(loss)
        except NotFiniteError:
            for name, buffer in self._collect_buffers().items():
                buffer.copy_(kept[name])
            raise
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._frame += 1
        return Outcome(fused.detach(), loss=value, updates=1)

    def predict(self, images: Tensor) -> Tensor:
        """Predict (B, K, h, w) fused logits and learn nothing; BatchNorm of AuxNet uses its running statistics."""
        with torch.no_grad():
            return self._predict_both(images)[1]

    def own_state(self) -> dict[str, Any]:
        """Return the count of frames, from which the update interval goes."""
        return {"frame": self._frame}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the count of frames back."""
        self._frame = state["frame"]

    def _predict_both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of AuxNet at the size of the main network's, and the fused ones: (B, K, h, w) each."""
        with torch.no_grad():
            main = self.forward(self.model, images)
        auxiliary = self.forward(self.auxiliary, scale_images(images, self.settings.aux_scale))
        if auxiliary.shape[1] != main.shape[1]:
            raise _other_classes(auxiliary.shape[1], main.shape[1])
        auxiliary = resize_bilinearly(auxiliary, main.shape[-2:])
        return auxiliary, fuse(main, auxiliary, self.settings.fusion)

    def _collect_buffers(self) -> dict[str, Tensor]:
        """Name the buffers of AuxNet that follow the stream: those of its BatchNorm layers, or none."""
        if not self.settings.update_bn:
            return {}
        return {
            f"auxiliary.{layer_name}.{name}": buffer
            for layer_name, layer in self.auxiliary.named_modules()
            if isinstance(layer, BatchNorm)
            for name, buffer in layer.named_buffers(recurse=False)
        }


def fuse(main: Tensor, auxiliary: Tensor, fusion: Literal["logits_sum", "prob_mean"]) -> Tensor:
    """Join the predictions of two networks.

    Args:
        main: (B, K, h, w) logits.
        auxiliary: (B, K, h, w) logits.
        fusion: `logits_sum` adds the logits; `prob_mean` averages the probabilities.

    Returns:
        (B, K, h, w): the summed logits, or the logarithm of the mean probabilities (finite where the logits are).
    """
    if fusion == "logits_sum":
        return main + auxiliary
    both = torch.logaddexp(main.log_softmax(dim=1), auxiliary.log_softmax(dim=1))
    return both - math.log(2.0)


def _require_auxiliary(auxiliary: nn.Module | None, model: nn.Module, num_classes: int) -> nn.Module:
    """Return the auxiliary network, or say what is wrong with it."""
    if auxiliary is None:
        raise SpecError(
            "The method `auxadapt` needs a second, small network that learns in place of the main one "
            "(`Supplies.auxiliary`). Train one on the same source in a stage of its own and hand it to the stream stage: "
            "`auxiliary: ${STAGE.checkpoint}`."
        )
    parameters = list(auxiliary.parameters())
    if not parameters:
        raise SpecError(
            f"The method `auxadapt` updates the parameters of the auxiliary network, but {type(auxiliary).__name__} has "
            "none. Choose another for `auxiliary:`."
        )
    if {id(parameter) for parameter in parameters} & {id(parameter) for parameter in model.parameters()}:
        raise SpecError(
            "The auxiliary network of `auxadapt` shares parameters with the main one, which must stay as it is. Build "
            "the one for `auxiliary:` separately, or hand over a copy."
        )
    classes = getattr(getattr(auxiliary, "decode_head", None), "num_classes", num_classes)
    if classes != num_classes:
        raise _other_classes(classes, num_classes)
    return auxiliary


def _other_classes(found: int, expected: int) -> SpecError:
    return SpecError(
        f"The auxiliary network of `auxadapt` predicts {found} classes and the main one {expected}, so their outputs cannot "
        "be added. Train the network for `auxiliary:` on the same source data as the main one."
    )
