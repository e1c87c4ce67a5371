"""BatchNorm's running statistics follow the stream; no parameter is updated.

Paper: none of its own: the running statistics of training, kept up at test time. The Norm Must Go On (DUA), CVPR 2022,
    arXiv 2112.00463, does so with a momentum that decays.
Implements: running = (1 - momentum) * running + momentum * batch for mean and unbiased variance, momentum 0.1.
Checked against: a naive loop over the values of a layer, and torch's own train mode (tests/adapt/tta/test_bn_ema.py).
Deviations: dropout and drop-path stay off, and a layer that sees one value per channel (global pooling at batch size 1)
    keeps its running statistics.
Protocol: two passes per frame. The first feeds the frame's own statistics (no label) into the running ones, the second
    predicts by these: the scored prediction comes after that update. A reset restores the running statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from adapt.tta.batch_norm import follow_statistics, require_batch_norm
from adapt.tta.method import Method, NotFiniteError, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import BnEmaSettings


class BnEma(Method[BnEmaSettings]):
    """Feeds the frame into the running statistics of BatchNorm, then predicts by them."""

    updates = "running mean and variance of BatchNorm"
    scored = "after the update"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name the buffers of BatchNorm: running mean and variance, and the count of batches."""
        return {
            f"{layer_name}.{name}" if layer_name else name: buffer
            for layer_name, layer in self.model.named_modules()
            if isinstance(layer, BatchNorm)
            for name, buffer in layer.named_buffers(recurse=False)
        }

    def configure(self) -> None:
        """Freeze the model in eval mode.

        Raises:
            SpecError: if the model has no BatchNorm layer.
        """
        require_batch_norm(self.model, self.settings.name)
        self.batch_norm = "running, following the stream"
        freeze(self.model)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Feed (B, 3, H, W) images into the running statistics, then predict (B, K, h, w) logits by them.

        Raises:
            NotFiniteError: if the running statistics would not be finite; they then stay as they were.
        """
        before = self.save()
        with torch.no_grad(), follow_statistics(self.model, self.settings.momentum):
            self.forward(self.model, images)
        if not self.is_finite():
            self.load(before)
            raise NotFiniteError(
                "The frame's BatchNorm statistics are not finite, so the running ones were left as they are. Run this "
                "frame with the method `source`: if its prediction is not finite either, the weights or the frame are "
                "broken."
            )
        return Outcome(self.predict(images))
