"""From an image to logits: resize, normalise, pad, run the whole image through the network, crop, resize back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adapt.data.resize import resize_image
from adapt.errors import TaskError

# Backbones that refuse sides which are no multiple of these; the others take any size. Found by running the networks of
# mmsegmentation on odd sizes; each is the product of the backbone's downsampling steps.
_SIZE_DIVISORS = {"UNet": 16, "PIDNet": 8, "DDRNet": 8}


def to_tensor(model: nn.Module, image: NDArray[np.uint8], resize: tuple[int, int] | None = None) -> Tensor:
    """Resize and normalise an image as the network's data preprocessor does.

    mmsegmentation reads BGR files and swaps them when its preprocessor says so (`bgr_to_rgb`, the usual case): such a
    network sees RGB, and mean and std are RGB. One without the swap sees BGR, so our RGB image is swapped for it.

    Args:
        model: The network, with its `data_preprocessor`.
        image: (H, W, 3) uint8, RGB.
        resize: (width, height) that the image is scaled to fit inside, see `resize_image`; None: its own size.

    Returns:
        (1, 3, H, W) float32 on the network's device, H and W after resizing.
    """
    return normalise(model, torch.from_numpy(np.ascontiguousarray(resize_image(image, resize))))


def normalise(model: nn.Module, pixels: Tensor) -> Tensor:
    """Normalise an image as the network's data preprocessor does, on the network's device; see `to_tensor`.

    Args:
        model: The network, with its `data_preprocessor`.
        pixels: (H, W, 3) uint8, RGB, anywhere.

    Returns:
        (1, 3, H, W) float32 on the network's device.
    """
    preprocessor: Any = model.data_preprocessor
    device = next(model.parameters()).device
    pixels = pixels.to(device, non_blocking=True)
    if not preprocessor.channel_conversion:
        pixels = pixels.flip(-1)
    batch = pixels.permute(2, 0, 1).float()  # (3, H, W)
    if preprocessor._enable_normalize:
        batch = (batch - preprocessor.mean.to(device)) / preprocessor.std.to(device)
    return batch.unsqueeze(0).contiguous()


def renormalise(images: Tensor, source: nn.Module, target: nn.Module) -> Tensor:
    """Turn images as one network's data preprocessor gives them into what another's would make of the same pixels.

    Mean, standard deviation and order of the channels may differ, see `to_tensor`.

    Args:
        images: (B, 3, H, W), normalised for `source`.
        source: The network that they were made for, with its `data_preprocessor`.
        target: The network that is to see them, with its `data_preprocessor`.

    Returns:
        (B, 3, H, W) of the same type and on the same device; the images themselves, to the bit, where both networks
        want the same.
    """
    given, wanted = _read_normalisation(source, images), _read_normalisation(target, images)
    swapped = bool(source.data_preprocessor.channel_conversion) != bool(target.data_preprocessor.channel_conversion)
    if not swapped and all(torch.equal(one, other) for one, other in zip(given, wanted, strict=True)):
        return images
    pixels = images * given[1] + given[0]
    if swapped:
        pixels = pixels.flip(1)
    return (pixels - wanted[0]) / wanted[1]


def predict_logits(model: nn.Module, image: NDArray[np.uint8], resize: tuple[int, int] | None = None) -> Tensor:
    """Predict the logits of one image, without gradients, in the mode (train or eval) that the network is in.

    Args:
        model: The network.
        image: (H, W, 3) uint8, RGB.
        resize: (width, height) that the image is scaled to fit inside, see `resize_image`; None: its own size.

    Returns:
        (K, H, W) float32 at the image's own size, on the network's device; all finite.

    Raises:
        TaskError: The network's output holds infinite values or no numbers, of which no class can be chosen.
    """
    height, width = image.shape[:2]
    with torch.no_grad():
        logits = forward_logits(model, to_tensor(model, image, resize))
        if not torch.isfinite(logits).all():
            raise TaskError(describe_non_finite(model))
        return _resize(logits, (height, width))[0].float()


def describe_non_finite(model: nn.Module) -> str:
    """Say that the output of a network holds infinite values or no numbers, and what to do about it."""
    return (
        f"The output of the network {type(model).__name__} is not finite, so it has no prediction to score. "
        "Check that its weights are finite and belong to this config (a training run that diverged leaves "
        "such weights: train again with a lower learning rate), and that no `std` of its `data_preprocessor` "
        "is 0."
    )


def predict_classes(
    model: nn.Module, image: NDArray[np.uint8], resize: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Predict the class of every pixel of one image; arguments as for `predict_logits`.

    Returns:
        (H, W) uint8 train ids at the image's own size.

    Raises:
        TaskError: As `predict_logits`.
    """
    return choose_classes(predict_logits(model, image, resize), dim=0).to(torch.uint8).cpu().numpy()


def choose_classes(logits: Tensor, dim: int = 1) -> Tensor:
    """Return the class with the highest logit, the first of equals: `argmax`, which takes five times as long on a CPU.

    Args:
        logits: (N, K, H, W), or any shape with the classes in dimension `dim`.
        dim: Of the classes.

    Returns:
        int64, of the same shape without that dimension.
    """
    return logits.max(dim=dim).indices


def forward_logits(model: nn.Module, batch: Tensor) -> Tensor:
    """Run the network on a batch, with gradients if they are enabled.

    Args:
        model: The network; its layers run in the mode (train or eval) that they are in.
        batch: (N, 3, H, W) float32, normalised.

    Returns:
        (N, K, H, W) logits at the size of the batch.
    """
    network: Any = model
    height, width = batch.shape[-2:]
    padded = pad_to_fit(model, batch)
    size = tuple(padded.shape[-2:])
    meta = {"ori_shape": size, "img_shape": size, "pad_shape": size, "padding_size": [0, 0, 0, 0]}
    with _prediction_branch(model):
        logits = network.encode_decode(padded, [dict(meta) for _ in range(len(padded))])
    return _resize(logits, size)[..., :height, :width]


def pad_to_fit(model: nn.Module, batch: Tensor) -> Tensor:
    """Pad (N, 3, H, W) images right and below, with the mean colour, to sides that the network takes."""
    height, width = batch.shape[-2:]
    divisor = find_size_divisor(model)
    return F.pad(batch, (0, -width % divisor, 0, -height % divisor))


def find_size_divisor(model: nn.Module) -> int:
    """Find the number that the sides of the network's input must be multiples of; 1 where any size will do."""
    network: Any = model
    configured = (getattr(network.data_preprocessor, "test_cfg", None) or {}).get("size_divisor")
    return int(configured or _SIZE_DIVISORS.get(type(getattr(network, "backbone", None)).__name__, 1))


@contextlib.contextmanager
def _prediction_branch(model: nn.Module) -> Iterator[None]:
    """Let a network in train mode give its prediction alone.

    Some (DDRNet, PIDNet) return their auxiliary outputs too when `training` is set on the backbone or the head itself.
    Only these two flags are lowered; the layers inside (batch norm, dropout) keep their mode.
    """
    parts = [part for name in ("backbone", "decode_head") if isinstance(part := getattr(model, name, None), nn.Module)]
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _read_normalisation(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, (3, 1, 1) each, of the type and on the device of the images."""
    preprocessor: Any = model.data_preprocessor
    if not preprocessor._enable_normalize:
        return images.new_zeros(3, 1, 1), images.new_ones(3, 1, 1)
    return preprocessor.mean.to(images), preprocessor.std.to(images)


def _resize(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize (N, K, h, w) logits to `size`, bilinear with align_corners=False."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
