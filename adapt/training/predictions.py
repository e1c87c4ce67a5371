"""What a network predicts in training, head by head, and the losses of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.data.label_map import IGNORE
from adapt.errors import SpecError
from adapt.networks.multi_resolution import MultiResolution
from adapt.training.weighted_loss import compute_weighted_cross_entropy

Box = tuple[int, int]
"""(top, left) of a detail crop, in pixels of the training crop."""


@dataclass(frozen=True)
class Prediction:
    """One map of logits and what it is compared with.

    Attributes:
        logits: (N, K, h, w), at the head's own stride.
        head: The head that gave it; it knows its loss.
        factor: Weight of this prediction's loss beside the others of the network.
        region: Rows and columns of the training crop that it covers; None for all of it.
    """

    logits: Tensor
    head: Any
    factor: float = 1.0
    region: tuple[slice, slice] | None = None

    def cut(self, pixels: Tensor) -> Tensor:
        """Cut (N, H, W) labels or weights of the training crop to the region."""
        return pixels if self.region is None else pixels[:, self.region[0], self.region[1]]

    def enlarge(self, size: torch.Size) -> Tensor:
        """Resize the logits to (H, W), bilinearly, in float32 whatever the network computes in: labels depend on it."""
        logits = self.logits.float()
        return functional.interpolate(logits, size=size, mode="bilinear", align_corners=self.head.align_corners)


def draw_box(network: nn.Module, images: Tensor) -> Box | None:
    """Draw the detail crop that a network trains with, from numpy's global state as mmsegmentation's own step does.

    Args:
        network: A segmentor.
        images: (N, 3, H, W).

    Returns:
        None for any network but a `MultiResolution` one.
    """
    if not isinstance(network, MultiResolution):
        return None
    return network.draw_detail_box(np.random.default_rng(np.random.randint(2**31)), images.shape[2:])


def run_network(network: nn.Module, images: Tensor, box: Box | None) -> tuple[list[Tensor], list[Prediction]]:
    """Run a segmentor in training up to the logits of all its heads.

    Args:
        network: An `EncoderDecoder`, or a `MultiResolution` one.
        images: (N, 3, H, W) float32, normalised.
        box: The detail crop of a `MultiResolution` network; None for any other.

    Returns:
        The outputs of the backbone (for `MultiResolution` those of the context), and a prediction per head.

    Raises:
        SpecError: A head does not give one map of logits; such networks have no weighted cross-entropy here.
    """
    model: Any = network
    if isinstance(network, MultiResolution):
        if box is None:
            raise ValueError("a MultiResolution network is trained with a detail crop")
        features, fused, detail = network.forward_crops(images, box)
        head, weight = model.decode_head, network.detail_weight
        return features, [
            Prediction(fused, head, 1.0 - weight),
            Prediction(detail, head, weight, network.detail_region(box)),
        ]
    features = model.backbone(images)
    inputs = model.neck(features) if model.with_neck else features
    return features, [Prediction(_run_head(head, inputs), head) for head in list_heads(network)]


def predict_labels_from(network: nn.Module, images: Tensor) -> Tensor:
    """Run a segmentor up to the logits that pseudo-labels are made of, in the mode that it is in.

    Args:
        network: An `EncoderDecoder`, or a `MultiResolution` one, which slides its detail crop over the image.
        images: (N, 3, H, W) float32, normalised.

    Returns:
        (N, K, H, W) logits of the decode head.

    Raises:
        SpecError: As `run_network`.
    """
    model: Any = network
    if isinstance(network, MultiResolution):
        logits = network.predict_slides(images)
    else:
        logits = _run_head(model.decode_head, model.extract_feat(images))
    return Prediction(logits, model.decode_head).enlarge(images.shape[2:])


def compute_supervised_loss(predictions: list[Prediction], label: Tensor) -> Tensor:
    """Sum the losses that the heads are configured with.

    Args:
        predictions: What `run_network` gave.
        label: (N, H, W) int64, 255 ignored.

    Returns:
        A scalar.
    """
    total = label.new_zeros((), dtype=torch.float32)
    for prediction in predictions:
        target, head = prediction.cut(label), prediction.head
        logits = prediction.enlarge(target.shape[1:])
        weight = None if head.sampler is None else head.sampler.sample(logits, target[:, None])
        losses = head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
        for loss in losses:
            total = total + prediction.factor * loss(logits, target, weight=weight, ignore_index=IGNORE)
    return total


def compute_pseudo_loss(predictions: list[Prediction], label: Tensor, weight: Tensor) -> Tensor:
    """Sum the heads' cross-entropies with a weight for every pixel.

    Args:
        predictions: What `run_network` gave.
        label: (N, H, W) int64, 255 ignored.
        weight: (N, H, W) float32.

    Returns:
        A scalar.
    """
    total = weight.new_zeros(())
    for prediction in predictions:
        target = prediction.cut(label)
        loss = compute_weighted_cross_entropy(prediction.enlarge(target.shape[1:]), target, prediction.cut(weight))
        total = total + prediction.factor * get_loss_factor(prediction.head) * loss
    return total


def list_heads(network: nn.Module) -> list[nn.Module]:
    """List the decode head and then the auxiliary heads of a segmentor.

    Args:
        network: An `EncoderDecoder`.

    Returns:
        At least one head.
    """
    model: Any = network
    auxiliary = getattr(model, "auxiliary_head", None)
    if isinstance(auxiliary, nn.ModuleList):
        return [model.decode_head, *auxiliary]
    return [model.decode_head] if auxiliary is None else [model.decode_head, auxiliary]


def get_loss_factor(head: nn.Module) -> float:
    """Look up the factor that a head's loss has in its config; 1 for a head with several losses."""
    loss: Any = head.loss_decode
    return float(getattr(loss, "loss_weight", 1.0))


def _run_head(head: Any, features: Any) -> Tensor:
    logits = None if isinstance(head, nn.ModuleList) else head(features)
    if not isinstance(logits, Tensor):
        raise SpecError(
            f"The head {type(head).__name__} does not give one map of logits in training, which this "
            "training needs. Choose an EncoderDecoder network whose heads do, such as SegFormer, DeepLabV3+ or CGNet."
        )
    return logits
