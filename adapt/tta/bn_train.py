"""The whole model in train mode, dropout included; nothing is updated.

Paper: none of its own; the row `BN Stats Adapt` of CoTTA, CVPR 2022, arXiv 2203.13591, table for Cityscapes -> ACDC.
Implements: the prediction of `model.train()` (qinenergy/cotta, issue 17). It is here so that those tables can be
    reproduced; `bn_stats` is the same with dropout and drop-path off.
Checked against: a plain network in torch's own train mode (tests/adapt/tta/test_bn_train.py).
Deviations: the running statistics are not written, a layer that sees one value per channel (global pooling at batch size
    1) keeps its source statistics, and the draws of dropout depend on the seed and the frame's place in the stream only.
Protocol: one pass per frame, which is the scored prediction. A reset restores the count of frames, so the draws repeat.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adapt.training.randomness import Purpose, draw_generator
from adapt.tta.batch_norm import require_batch_norm, use_batch_statistics
from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import BnTrainSettings


class BnTrain(Method[BnTrainSettings]):
    """Predicts in train mode: batch statistics in BatchNorm, dropout and drop-path on."""

    updates = "nothing"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the parameters, turn BatchNorm to batch statistics and everything else to train mode.

        Raises:
            SpecError: if the model has no BatchNorm layer.
        """
        require_batch_norm(self.model, self.settings.name)
        self.batch_norm = "batch"
        freeze(self.model)
        use_batch_statistics(self.model)
        self.model.train()
        self._frame = 0

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images; the next call draws another dropout."""
        logits = self.predict(images)
        self._frame += 1
        return Outcome(logits)

    def predict(self, images: Tensor) -> Tensor:
        """Predict (B, K, h, w) logits with the dropout of the frame that comes next; torch's own draws are unchanged."""
        draws = draw_generator(self.supplies.seed, Purpose.METHOD, self._frame)
        seed = int(draws.integers(0, 2**32))
        with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
            # not torch.manual_seed, which would also seed the devices that are not put back
            torch.default_generator.manual_seed(seed)
            if images.is_cuda:
                torch.cuda.default_generators[images.device.index].manual_seed(seed)
            return self.forward(self.model, images)

    def own_state(self) -> dict[str, Any]:
        """Return the count of frames, from which the draws follow."""
        return {"frame": self._frame}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the count of frames back."""
        self._frame = state["frame"]
