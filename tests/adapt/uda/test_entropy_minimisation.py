"""Entropy minimisation: one step against one written by hand, and the target grows more certain."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.openmmlab import pseudo_collate
from adapt.openmmlab.model import build_model
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings
from adapt.training.step import StepWrapper
from adapt.uda.entropy_minimisation import EntropyMinimisation
from adapt.uda.pairs import DomainPairs, UnlabelledTarget
from adapt.uda.settings import MinEntSettings

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]


@pytest.fixture
def batch(domains: Domains, source: DatasetSettings, target: DatasetSettings) -> Any:
    augmentation = AugmentSettings(crop=(48, 24))
    labelled = LabelledDataset(domains[0], source, augmentation, 1)
    pairs = DomainPairs(labelled, UnlabelledTarget(domains[1], target, augmentation, 1))
    return pseudo_collate([pairs[0], pairs[1]])


def test_step_equals_one_written_by_hand(model_config: dict[str, Any], batch: Any) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    student: Any = build_model(model_config, 3).train()
    model: Any = EntropyMinimisation(copy.deepcopy(student), MinEntSettings(entropy_weight=0.5)).train()
    wrapper = StepWrapper(torch.optim.SGD(model.parameters(), lr=0.1))

    step = model.train_step(copy.deepcopy(batch), wrapper)

    def get_logits(domain: str) -> tuple[torch.Tensor, Any]:
        data = student.data_preprocessor(copy.deepcopy(batch[domain]), training=True)
        low = student.decode_head(student.extract_feat(data["inputs"]))
        high = torch.nn.functional.interpolate(low, size=(24, 48), mode="bilinear", align_corners=False)
        return high, data["data_samples"]

    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    logits, samples = get_logits("source")
    label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
    loss = torch.nn.functional.cross_entropy(logits, label, ignore_index=255, reduction="sum") / label.numel()
    loss.backward()
    probability = get_logits("target")[0].softmax(1)
    entropy = -(probability * probability.log()).sum(1).mean() / torch.tensor(11.0).log()
    (0.5 * entropy).backward()
    optimizer.step()

    assert step["source_loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    assert step["entropy_loss"].item() == pytest.approx(0.5 * entropy.item(), rel=1e-5)
    assert set(step) == set(model.metrics)
    for a, b in zip(model.student.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_target_grows_more_certain(model_config: dict[str, Any], batch: Any) -> None:
    model: Any = EntropyMinimisation(build_model(model_config, 3), {"entropy_weight": 1.0}).train()
    wrapper = StepWrapper(torch.optim.SGD(model.parameters(), lr=0.5))

    entropies = [model.train_step(copy.deepcopy(batch), wrapper)["entropy_loss"].item() for _ in range(12)]

    assert entropies[-1] < 0.9 * entropies[0]
