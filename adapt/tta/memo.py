"""One step on the entropy of the mean prediction over views of the frame, then the prediction, then back to the start.

Paper: MEMO: Test Time Robustness via Adaptation and Augmentation, NeurIPS 2022, arXiv 2110.09506.
Implements: the method section, for every pixel: the entropy of the mean softmax over views, one step of plain descent on
    all parameters, the prediction by the updated model; each frame starts from the source model.
Checked against: naive loops over views and pixels, and a step written out in plain torch (tests/adapt/tta/test_memo.py).
Deviations: a pixel must be found again in every view, so the views are the frame itself, mirror images (every second view,
    turned back before the mean) and changes of contrast and brightness; AugMix, the paper's, moves pixels. Each view goes
    through the network as a batch of its own, so that BatchNorm sees what it sees at the prediction. BatchNorm uses the
    batch's statistics or the source's, the paper blends them.
Protocol: the scored prediction is made after the update, unlike that of every other method but `bn_ema`; then the source
    model is back. The views depend on the seed and the frame's place in the stream. A reset restores the count of frames.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.training.randomness import Purpose, draw_generator
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.method import Method, Outcome, check_finite_loss
from adapt.tta.parameters import build_optimizer, freeze
from adapt.tta.settings import MemoSettings
from adapt.tta.state import restore_state


class Memo(Method[MemoSettings]):
    """Learns from one frame for that frame alone."""

    updates = "all parameters, for one frame each time"
    scored = "after the update"
    optimizer: torch.optim.Optimizer

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name all parameters."""
        return dict(self.model.named_parameters())

    def configure(self) -> None:
        """Let all parameters learn, choose the statistics of BatchNorm and build the optimiser.

        Raises:
            SpecError: if the model has no parameters.
        """
        settings = self.settings
        self.batch_norm = settings.batch_norm
        parameters = self.collect_parameters()
        if not parameters:
            raise SpecError(
                f"The method `memo` updates all parameters, but {type(self.model).__name__} has none. Choose a model with "
                "parameters, or the method `source`."
            )
        freeze(self.model, except_for=parameters)
        if settings.batch_norm == "batch":
            use_batch_statistics(self.model)
        self.optimizer = build_optimizer(settings.optimizer, parameters.values(), settings.lr, settings.momentum)
        self._frame = 0

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Take one step for (B, 3, H, W) images, predict (B, K, h, w) logits by it, and go back to the start.

        Raises:
            NotFiniteError: if the entropy of the mean prediction is not finite.
        """
        loss = mean_view_entropy([self._predict_view(images, *view) for view in self._draw_views()])
        value = check_finite_loss(loss)
        self.optimizer.zero_grad()
        loss.backward()
        try:
            self.optimizer.step()
            logits = self.predict(images)
        finally:
            restore_state(self._start, self.collect_tensors(), self.optimizer)
        self._frame += 1
        return Outcome(logits, loss=value, updates=1)

    def own_state(self) -> dict[str, Any]:
        """Return the count of frames, from which the views follow."""
        return {"frame": self._frame}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the count of frames back."""
        self._frame = state["frame"]

    def _draw_views(self) -> list[tuple[bool, float, float]]:
        """Return for each view whether it is mirrored, its contrast and its brightness; the frame itself is the first."""
        strength = self.settings.strength
        draws = draw_generator(self.supplies.seed, Purpose.METHOD, self._frame)
        changes = draws.uniform(-strength, strength, size=(self.settings.views - 1, 2))
        others = [
            (index % 2 == 0, 1.0 + float(contrast), float(brightness))
            for index, (contrast, brightness) in enumerate(changes)
        ]
        return [(False, 1.0, 0.0), *others]

    def _predict_view(self, images: Tensor, mirrored: bool, contrast: float, brightness: float) -> Tensor:
        """Predict (B, K, h, w) logits of one view, aligned with the frame's pixels."""
        view = change_light(images, contrast, brightness)
        if not mirrored:
            return self.forward(self.model, view)
        return self.forward(self.model, view.flip(-1)).flip(-1)


def change_light(images: Tensor, contrast: float, brightness: float) -> Tensor:
    """Stretch every channel of every image about its mean, and shift it by a share of its standard deviation.

    In these units the change is the same however the images were normalised, channel by channel, before.

    Args:
        images: (B, C, H, W).
        contrast: 1 leaves it as it is.
        brightness: 0 leaves it as it is.

    Returns:
        (B, C, H, W); the images themselves where nothing changes.
    """
    if contrast == 1.0 and brightness == 0.0:
        return images
    deviation, mean = torch.std_mean(images, dim=(2, 3), keepdim=True, correction=0)
    return (images - mean) * contrast + mean + brightness * deviation


def mean_view_entropy(views: list[Tensor]) -> Tensor:
    """Compute the entropy of the mean softmax over views, averaged over all pixels, with gradients.

    Args:
        views: logits, (B, K, H, W) each, of the same pixels.

    Returns:
        A scalar in [0, ln K], in nats.
    """
    log_probability = torch.stack([logits.log_softmax(dim=1) for logits in views])  # (V, B, K, H, W)
    mean = log_probability.logsumexp(dim=0) - math.log(len(views))  # (B, K, H, W)
    return -(mean.exp() * mean).sum(dim=1).mean()
