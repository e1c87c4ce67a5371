"""How much each parameter matters to a network's predictions on source images: the Fisher information of EATA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.method import NotFiniteError
from adapt.tta.parameters import freeze
from adapt.tta.pseudo_label import cross_entropy_to_argmax
from adapt.tta.supplies import Forward


def estimate_fisher(
    model: nn.Module,
    forward: Forward,
    batches: Iterable[Tensor],
    parameters: Mapping[str, nn.Parameter],
    batch_norm: Literal["batch", "source"],
) -> dict[str, Tensor]:
    """Average over batches the squared gradient of the cross-entropy to the own argmax (mean over all pixels).

    As mr-eggplant/EATA does on 2000 source images: the square of a batch's mean gradient, so the batch size matters.

    Args:
        model: the source network; its values stay, but it is left frozen in eval mode, with `parameters` trainable and
            BatchNorm as asked for.
        forward: runs the network on a batch.
        batches: source images, (B, 3, H, W) each; at least one batch, labels are not needed.
        parameters: name -> parameter of the model, see `adapt.tta.parameters.collect_norm_parameters`.
        batch_norm: whose statistics BatchNorm uses; the same as the method that takes the result.

    Returns:
        Name -> Fisher information, of the parameter's shape, dtype and device; 0 where the output does not depend on it.

    Raises:
        ValueError: if there is no batch.
        NotFiniteError: if a batch's gradient is not finite.
    """
    freeze(model, except_for=parameters)
    if batch_norm == "batch":
        use_batch_statistics(model)
    places = list(parameters.values())
    totals = [torch.zeros_like(place) for place in places]
    count = 0
    for images in batches:
        loss = cross_entropy_to_argmax(forward(model, images))
        gradients = torch.autograd.grad(loss, places, allow_unused=True, materialize_grads=True)
        for total, gradient in zip(totals, gradients, strict=True):
            total += gradient.square()
        if not all(bool(total.isfinite().all()) for total in totals):
            raise NotFiniteError(
                f"The gradient on source batch {count} (from 0) is not finite, so there is no Fisher information. Run this "
                "batch with the method `source`: if its prediction is not finite either, the weights or the images are "
                "broken."
            )
        count += 1
    if count == 0:
        raise ValueError("Fisher information is a mean over batches of source images, and there was none")
    return {name: total / count for name, total in zip(parameters, totals, strict=True)}
