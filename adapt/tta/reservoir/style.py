"""The style of a batch: the spread of its early features, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from adapt.errors import PrerequisiteError, SpecError
from adapt.inference import renormalise
from adapt.tta.reservoir.early_layers import EarlyLayers
from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.reservoir.vgg19 import load_vgg19_start
from adapt.tta.supplies import ExtractStyle, Forward

ReadFeatures = Callable[[Tensor], Sequence[Tensor]]


def log_variance(features: Tensor, eps: float) -> Tensor:
    """Compute the logarithm of each channel's unbiased variance over batch and place.

    Args:
        features: (B, C, H, W).
        eps: added to the variance: that of a constant channel is 0.

    Returns:
        (C,), of the features' dtype.

    Raises:
        SpecError: if a channel has a single value, which has no variance.
    """
    if features.numel() // features.shape[1] < 2:
        raise SpecError(
            "The frame leaves a single value for each channel of the style's features, which has no variance. Lower `stride` "
            "of the style extractor, or give larger frames."
        )
    return (features.var(dim=(0, 2, 3), correction=1) + eps).log()


def build_extractor(
    settings: StyleExtractorSettings, model: nn.Module, forward: Forward, weights: Path | None = None
) -> ExtractStyle:
    """Build the function that gives the style of a batch.

    Args:
        settings: which network reads the style, and how.
        model: the segmentor with its source weights; `early` takes a copy of it, `vgg19` reads how its input is
            normalised and runs on its device.
        forward: runs the segmentor on a batch.
        weights: the file that `settings.weights` names, for `vgg19`.

    Returns:
        A function from images (B, 3, H, W), as the segmentor takes them, to the style (D,), without gradients; D is 320
        for `vgg19` and the sum of the layers' channels for `early`. It does not see later changes of the model.

    Raises:
        PrerequisiteError: if the weights are missing or of another network.
        SpecError: if the segmentor does not say how its input is normalised (`vgg19`).
    """
    read: ReadFeatures = (
        EarlyLayers(model, forward, settings.layers)
        if settings.name == "early"
        else _build_vgg19_reader(model, weights)
    )

    def extract(images: Tensor) -> Tensor:
        step = settings.stride
        with torch.no_grad():
            features = read(images[..., ::step, ::step])
            return torch.cat([log_variance(layer, settings.eps) for layer in features])

    return extract


def _build_vgg19_reader(model: nn.Module, weights: Path | None) -> ReadFeatures:
    if weights is None:
        raise PrerequisiteError(
            "The style extractor `vgg19` needs `weights`, a file with the state dict of torchvision's VGG19 "
            "(torchvision.models.vgg19). Give one, or use the extractor `early`, which needs none."
        )
    if not hasattr(model, "data_preprocessor"):
        raise SpecError(
            f"The style extractor `vgg19` must know how the input of {type(model).__name__} is normalised, but it has "
            "no data_preprocessor. Use a network of mmsegmentation, or the extractor `early`."
        )
    network = load_vgg19_start(weights)

    def read(images: Tensor) -> Sequence[Tensor]:
        features: Sequence[Tensor] = network.to(images.device)(renormalise(images, model, network))
        return features

    return read
