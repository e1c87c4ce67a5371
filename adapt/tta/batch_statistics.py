"""BatchNorm on the statistics of the test batch, with its buffers left alone."""

from __future__ import annotations

from torch import Tensor, nn


def count_batch_norms(model: nn.Module) -> int:
    """Count the BatchNorm layers of a model."""
    return sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def use_batch_statistics(model: nn.Module) -> None:
    """Make every BatchNorm layer normalise by the mean and (biased) variance of its input over (B, H, W).

    Running statistics are neither read nor written. A layer whose input holds a single value per channel (after global
    pooling, at batch size 1) keeps the source statistics for that call: the variance of one value says nothing, and
    torch refuses it. `adapt.tta.parameters.freeze` undoes all of this.

    Args:
        model: the network, changed in place.
    """
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.track_running_stats = False  # in train mode: batch statistics, buffers neither read nor written
            if _choose_statistics not in layer._forward_pre_hooks.values():
                layer.register_forward_pre_hook(_choose_statistics)


def _choose_statistics(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Set the mode of one BatchNorm layer before each call; without effect once `freeze` has undone the choice."""
    if not layer.track_running_stats:
        values_per_channel = inputs[0].numel() // inputs[0].shape[1]
        layer.train(values_per_channel > 1)
