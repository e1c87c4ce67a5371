"""Entropy minimisation: the cheapest baseline of adaptation, as one segmentor for mmengine's Runner.

Paper: ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation, CVPR 2019, arXiv:1811.12833.
Implements: section 3.1 (equation 4: source loss plus the target's mean normalised entropy), not its adversarial variant.
Checked against: the entropy of a naive loop in the tests.
Deviations: the entropy is that of the decode head alone; its mean over pixels, as the authors' weight of 0.001 wants.
Protocol: evaluation uses the one network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adapt.correction.counts import LabelCounts
from adapt.openmmlab import MODELS, BaseModel
from adapt.training.predictions import compute_supervised_loss, run_network
from adapt.training.timing import StepTimer
from adapt.uda.entropy import compute_entropy
from adapt.uda.monitor import Monitor
from adapt.uda.settings import MinEntSettings


@MODELS.register_module()
class EntropyMinimisation(BaseModel):
    """A network that learns from source labels and to be sure of itself on the target."""

    metrics = ("loss", "source_loss", "entropy_loss")

    def __init__(
        self,
        student: nn.Module | dict[str, Any],
        settings: MinEntSettings | Mapping[str, Any],
        classes: Sequence[str] = (),
        counts: LabelCounts | None = None,
    ) -> None:
        """Wrap a segmentor.

        Args:
            student: An `EncoderDecoder`, or its config.
            settings: The method's settings, or the same as a dict.
            classes: Names of the classes for the reports; without them the train ids are the names.
            counts: Counts how the network follows source labels that may be wrong (`adapt.correction`); None counts nothing.
        """
        built: Any = student if isinstance(student, nn.Module) else MODELS.build(student)
        super().__init__(data_preprocessor=built.data_preprocessor)
        self.settings = settings if isinstance(settings, MinEntSettings) else MinEntSettings(**settings)
        self.student = built
        self.counts = counts
        self.timer = StepTimer()
        self.monitor = Monitor(classes or [str(index) for index in range(built.decode_head.num_classes)])

    def init_weights(self) -> None:
        """Initialise the network where that is still to be done."""
        if not self.student.is_init:
            self.student.init_weights()

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Run the network, as its own `forward` does."""
        return self.student(inputs, data_samples, mode)

    def read_monitor(self) -> dict[str, float]:
        """Read and empty what all workers counted since the last reading; see `Monitor`."""
        return self.monitor.read(self.data_preprocessor.device)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """Do one training step on a batch of pairs.

        Args:
            data: `source` and `target`, each what a segmentor's preprocessor takes; only the source has labels.
            optim_wrapper: mmengine's or `StepWrapper`, over the network's parameters.

        Returns:
            The scalars that `metrics` names.
        """
        source = self.data_preprocessor(data["source"], training=True)
        target = self.data_preprocessor(data["target"], training=True)
        labels = torch.stack([sample.gt_sem_seg.data for sample in source["data_samples"]])  # (N, C, H, W)
        label = labels[:, 0]
        self.monitor.count_draws(source["data_samples"])
        optim_wrapper.zero_grad()
        with self.timer.measure("student"):
            with optim_wrapper.optim_context(self):
                predictions = run_network(self.student, source["inputs"], None)[1]
                source_loss = compute_supervised_loss(predictions, label)
            if self.counts is not None:
                self.counts.add(predictions[0].enlarge(label.shape[1:]).detach(), labels)
            optim_wrapper.backward(source_loss)
            with optim_wrapper.optim_context(self):
                prediction = run_network(self.student, target["inputs"], None)[1][0]
                logits = prediction.enlarge(target["inputs"].shape[2:])
                entropy_loss = self.settings.entropy_weight * compute_entropy(logits)
            optim_wrapper.backward(entropy_loss)
            optim_wrapper.step()
        source_loss, entropy_loss = source_loss.detach(), entropy_loss.detach()
        return {"loss": source_loss + entropy_loss, "source_loss": source_loss, "entropy_loss": entropy_loss}
