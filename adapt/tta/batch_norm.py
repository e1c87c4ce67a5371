"""Whose statistics BatchNorm normalises with: the source's, the test batch's, or a blend; its buffers stay as they are."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from adapt.errors import SpecError


def list_batch_norms(model: nn.Module) -> list[BatchNorm]:
    """List the BatchNorm layers of a model, in its order."""
    return [layer for layer in model.modules() if isinstance(layer, BatchNorm)]


def require_batch_norm(model: nn.Module, method: str) -> list[BatchNorm]:
    """List the BatchNorm layers of a model for a method that works on nothing else.

    Raises:
        SpecError: if there is none.
    """
    layers = list_batch_norms(model)
    if not layers:
        raise SpecError(
            f"The method `{method}` replaces the statistics of BatchNorm layers, but {type(model).__name__} "
            "has none (LayerNorm and GroupNorm have no source statistics), so it would equal `source`. Choose "
            "`source`, a method that updates parameters, such as `tent`, or a model with BatchNorm."
        )
    return layers


def use_batch_statistics(model: nn.Module, weight: float = 1.0, unbiased: bool = False) -> None:
    """Make every BatchNorm layer normalise by (1 - weight) * the source's + weight * its input's mean and variance.

    The input's are those over (B, H, W), with gradients through them. Running statistics are neither read (at weight 1)
    nor written. A layer whose input holds a single value per channel (after global pooling, at batch size 1) keeps the
    source statistics for that call: the variance of one value says nothing, and torch refuses it. A layer without
    running statistics always uses its input's. Every call replaces what an earlier one set.

    Args:
        model: the network, changed in place.
        weight: 0 is the source's (a trained network in eval mode), 1 the batch's.
        unbiased: whether the input's variance divides by n - 1 (as the published bn_alpha) instead of n.

    Raises:
        ValueError: if the weight is not in [0, 1].
    """
    if not 0.0 <= weight <= 1.0:
        raise ValueError(f"the weight of the batch's statistics lies in [0, 1], got {weight}")
    for layer in list_batch_norms(model):
        use_source_statistics(layer)
        if weight > 0.0 and layer.running_mean is not None:
            layer.__dict__["_blend"] = (weight, unbiased)
            layer.forward = types.MethodType(_normalise_by_blend, layer)


def use_source_statistics(model: nn.Module) -> None:
    """Undo `use_batch_statistics`: every BatchNorm layer is in eval mode and normalises by its buffers."""
    for layer in list_batch_norms(model):
        layer.eval()
        layer.__dict__.pop("forward", None)
        layer.__dict__.pop("_blend", None)


@contextmanager
def follow_statistics(model: nn.Module, momentum: float | None = None) -> Iterator[None]:
    """Let BatchNorm normalise by its input's statistics and its running statistics follow; in eval mode afterwards.

    A layer whose input holds a single value per channel (after global pooling, at batch size 1) keeps its running
    statistics for that call, and does not change them.

    Args:
        model: the network, in eval mode.
        momentum: weight of a new batch in the running statistics; None leaves each layer its own.
    """
    layers = list_batch_norms(model)
    own = [layer.momentum for layer in layers]
    hooks = [layer.register_forward_pre_hook(_follow) for layer in layers]
    for layer in layers:
        layer.momentum = layer.momentum if momentum is None else momentum
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, before in zip(layers, own, strict=True):
            layer.momentum = before
            layer.eval()


def _follow(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    layer.train(_count_values(inputs[0]) > 1)


def _normalise_by_blend(layer: BatchNorm, images: Tensor) -> Tensor:
    weight, unbiased = layer.__dict__["_blend"]
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        raise TypeError("a layer without running statistics has nothing to blend")
    count, affine = _count_values(images), (layer.weight, layer.bias)
    if count == 1:
        return batch_norm(images, mean, variance, *affine, False, 0.0, layer.eps)
    is_plain = weight == 1.0 and not unbiased
    if is_plain and (torch.is_grad_enabled() or images.is_cuda):  # the fastest, but for a forward pass alone on a CPU
        return batch_norm(images, None, None, *affine, True, 0.0, layer.eps)
    shape, axes = (1, -1) + (1,) * (images.ndim - 2), [axis for axis in range(images.ndim) if axis != 1]
    batch_mean = images.mean(dim=axes)
    # torch.var_mean takes several times as long on a CPU.
    batch_variance = (images - batch_mean.view(shape)).square().sum(dim=axes) / (count - int(unbiased))
    # At weight 1 the source's are not read: they may be no numbers.
    mean = batch_mean if weight == 1.0 else (1 - weight) * mean + weight * batch_mean
    variance = batch_variance if weight == 1.0 else (1 - weight) * variance + weight * batch_variance
    if not torch.is_grad_enabled():
        return batch_norm(images, mean, variance, *affine, False, 0.0, layer.eps)
    scale = torch.rsqrt(variance + layer.eps)  # torch's own has no gradient for the statistics
    if layer.weight is not None:
        scale = scale * layer.weight
    shift = -mean * scale
    if layer.bias is not None:
        shift = shift + layer.bias
    return images * scale.view(shape) + shift.view(shape)


def _count_values(images: Tensor) -> int:
    """Return how many values each channel of (N, C, ...) holds."""
    return images.numel() // images.shape[1]
