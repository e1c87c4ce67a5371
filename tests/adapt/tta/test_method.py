"""The base of the methods, by a toy method that has a state of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from adapt.errors import TaskError
from adapt.settings import Settings
from adapt.tta.method import Method, Outcome, check_finite_loss


class Shrink(Method[Settings]):
    """Shrinks the convolution by a factor drawn from its own generator, and keeps a moving average."""

    updates = "all"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    def configure(self) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.mean: torch.Tensor | None = None

    def own_state(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "mean": self.mean}

    def load_own_state(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.mean = state["mean"]

    def predict_and_adapt(self, images: torch.Tensor) -> Outcome:
        with torch.no_grad():
            logits = self.forward(self.model, images)
            for parameter in self.collect_parameters().values():
                parameter *= torch.rand((), generator=self.generator)
            self.mean = logits.mean() if self.mean is None else 0.9 * self.mean + 0.1 * logits.mean()
        return Outcome(logits, updates=1)


def test_reset_brings_the_own_state_back_every_time():
    net = nn.Conv2d(3, 5, 1)
    method = Shrink(Settings(), net, nn.Module.__call__, 5)
    images = torch.rand(1, 3, 4, 4)
    runs = []
    for _ in range(3):
        logits = [method.predict_and_adapt(images).logits for _ in range(3)]
        runs.append((*logits, method.mean))
        method.reset()
        assert method.mean is None
    for run in runs[1:]:
        assert all(torch.equal(one, two) for one, two in zip(runs[0], run, strict=True))
    assert not torch.equal(runs[0][0], runs[0][1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_must_be_finite(value):
    assert check_finite_loss(torch.tensor(0.5)) == 0.5
    with pytest.raises(TaskError, match=rf"{value}.*Lower the learning rate"):
        check_finite_loss(torch.tensor(value))
