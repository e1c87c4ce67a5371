"""Several views of the same images, scaled and mirrored, and the mean of a network's predictions for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from adapt.tta.batch_norm import list_batch_norms
from adapt.tta.supplies import Forward


def average_views(
    forward: Forward, network: nn.Module, images: Tensor, scales: Sequence[float], flip: bool, at_once: int = 1
) -> Tensor:
    """Average a network's probabilities over views of the same images, without gradients.

    The logits of a view are resized to the images' size, then comes the softmax, then a mirrored view is turned back.

    Args:
        forward: runs the network on a batch.
        network: the network, in the mode that it is in.
        images: (B, 3, H, W).
        scales: one view each, at least one, see `scale_images`.
        flip: whether each view comes mirrored left to right too.
        at_once: 2 sends a view and its mirror image through the network in one batch, 1 one after the other, with half
            the memory. A network that uses statistics of its batch gets them one after the other in any case, since
            each would change what the other gives; for all others the choice changes no more than the rounding.

    Returns:
        (B, K, H, W) probabilities, which sum to 1 over K.
    """
    together = at_once > 1 and keeps_images_apart(network)
    with torch.no_grad():
        first, *rest = scales
        total = sum(
            (_predict_view(forward, network, images, scale, flip, together) for scale in rest),
            start=_predict_view(forward, network, images, first, flip, together),
        )
        return total / len(scales)


def scale_images(images: Tensor, scale: float) -> Tensor:
    """Resize images bilinearly (corners not aligned, no smoothing, as mmsegmentation's test-time augmentation).

    Args:
        images: (B, C, H, W).
        scale: of both sides; each becomes a whole number of pixels, halves rounded up, and at least 1. Whether a network
            takes so small an image is its own matter.

    Returns:
        (B, C, h, w); the images themselves where the size stays.
    """
    height, width = (max(1, int(side * scale + 0.5)) for side in images.shape[-2:])
    return resize_bilinearly(images, (height, width))


def resize_bilinearly(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize (B, C, h, w) to (B, C, *size), corners not aligned; the tensor itself where the size is right already."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def keeps_images_apart(network: nn.Module) -> bool:
    """Tell whether the output for an image is the same whatever else is in the batch.

    It is not where a BatchNorm layer uses its input's statistics, alone or blended with the source's.
    """
    return all(
        layer.track_running_stats
        and not layer.training
        and "forward" not in vars(layer)  # a blend gives the layer a forward of its own, see `use_batch_statistics`
        for layer in list_batch_norms(network)
    )


def _predict_view(
    forward: Forward, network: nn.Module, images: Tensor, scale: float, flip: bool, together: bool
) -> Tensor:
    """Predict (B, K, H, W) probabilities at one scale, the mean of the plain and the mirrored view with `flip`."""
    view = scale_images(images, scale)
    if not flip:
        return _predict(forward, network, view, images)
    if together:
        plain, mirrored = _predict(forward, network, torch.cat([view, view.flip(-1)]), images).chunk(2)
    else:
        plain, mirrored = (_predict(forward, network, side, images) for side in (view, view.flip(-1)))
    return (plain + mirrored.flip(-1)) / 2


def _predict(forward: Forward, network: nn.Module, view: Tensor, images: Tensor) -> Tensor:
    return resize_bilinearly(forward(network, view), images.shape[-2:]).softmax(dim=1)
