"""What happens around every step, with a model of one number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from adapt.errors import TaskError
from adapt.openmmlab import BaseModel
from adapt.stopping import Stopped, request_stop, withdraw_stop
from adapt.training.hooks import stack_scalars
from adapt.training.runner import run_training
from adapt.training.settings import OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.training.timing import StepTimer


class Positions(Dataset[dict[str, Any]]):
    def __getitem__(self, position: int) -> dict[str, Any]:
        return {"inputs": torch.tensor([float(position)])}


class Toy(BaseModel):
    """Reports its positions; its second loss is no number wherever a position is in `bad`."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.decode_head = nn.Linear(1, 1)
        self.bad = bad
        self.timer = StepTimer(iter(range(1000)).__next__)  # every span takes one second
        self.seen: list[float] = []
        self.drawn: list[float] = []

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode_head(self.backbone(inputs))

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        images = torch.stack(data["inputs"])
        self.seen += images.flatten().tolist()
        self.drawn.append(float(torch.rand(())))
        with self.timer.measure("student"):
            loss = self(images).square().mean()
        optim_wrapper.update_params(0 * loss)
        bad = any(position in self.bad for position in images.flatten().tolist())
        total = loss.new_tensor(math.inf if bad else 1.0)
        return {"loss": total, "mix_loss": total * 2, "mean": images.mean().double(), "q": torch.tensor(math.nan)}

    def read_monitor(self) -> dict[str, float]:
        return {"monitored": float(len(self.seen))}


def train(model: Toy, folder: Path, **settings: Any) -> list[tuple[int, dict[str, float]]]:
    values: dict[str, Any] = {
        "iterations": 6,
        "batch_size": 2,
        "schedule": ScheduleSettings(warmup_iterations=0),
        "optimizer": OptimizerSettings(type="sgd", lr=1.0),
        "checkpoint_interval": 100,
        "log_interval": 2,
    }
    steps: list[tuple[int, dict[str, float]]] = []
    run_training(
        model, Positions(), TrainSettings(**{**values, **settings}), 0, folder, lambda *step: steps.append(step),
        ("loss", "mean"), {},
    )  # fmt: skip
    return steps


def test_a_report_holds_means_rates_times_and_what_the_monitor_counts(tmp_path: Path) -> None:
    steps = train(Toy(), tmp_path)

    assert [iteration for iteration, _ in steps] == [2, 4, 6]
    assert [metrics["mean"] for _, metrics in steps] == [1.5, 5.5, 9.5]
    assert [metrics["monitored"] for _, metrics in steps] == [4, 8, 12]
    metrics = steps[1][1]
    assert set(metrics) == {
        "loss", "mean", "lr", "lr/backbone", "lr/head", "iteration_s", "data_s", "student_s", "monitored",
    }  # fmt: skip
    assert metrics["lr"] == metrics["lr/backbone"] == pytest.approx(0.5)
    assert metrics["lr/head"] == pytest.approx(5.0)
    assert metrics["data_s"] == metrics["student_s"] == 1.0


def test_an_iteration_takes_its_parts_in_order(tmp_path: Path) -> None:
    model = Toy()
    steps = train(model, tmp_path, iterations=3, accumulate=2, batch_size=2)

    assert model.seen == list(range(12))
    assert [metrics["mean"] for _, metrics in steps] == [3.5, 9.5]
    # Seeded once per iteration: the second part draws on.
    assert len(set(model.drawn)) == 6
    assert [metrics["data_s"] for _, metrics in steps] == [2.0, 2.0]


def test_the_first_bad_iteration_is_named_though_looked_at_later(tmp_path: Path) -> None:
    model = Toy(bad=(5, 7, 8))
    with pytest.raises(TaskError, match=r"^Training stopped at iteration 3 of 20: loss is inf\."):
        train(model, tmp_path, iterations=20, log_interval=6)

    assert len(model.seen) == 12
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_losses_are_looked_at_before_a_resume_point_and_at_the_end(tmp_path: Path) -> None:
    model = Toy(bad=(5,))
    with pytest.raises(TaskError, match=r"iteration 3 of 20: loss is inf"):
        train(model, tmp_path / "a", iterations=20, log_interval=100, checkpoint_interval=4)
    assert len(model.seen) == 8
    assert list((tmp_path / "a").glob("*.pth")) == []

    with pytest.raises(TaskError, match=r"iteration 3 of 4: loss is inf"):
        train(Toy(bad=(5,)), tmp_path / "b", iterations=4, log_interval=100)
    assert list((tmp_path / "b").glob("*.pth")) == []


def test_every_scalar_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[tuple[int, ...]] = []

    def note(values: Tensor) -> Tensor:
        looked_at.append(tuple(values.shape))
        return values

    monkeypatch.setattr("adapt.training.hooks.mean_over_workers", note)
    train(Toy(), tmp_path, iterations=5, log_interval=2)

    # Two losses in each of two iterations, then the two means that are reported.
    assert looked_at == [(4,), (2,), (4,), (2,), (2,), (2,)]


def test_what_was_saved_before_the_bad_iteration_stays(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"iteration 5 of 20"):
        train(Toy(bad=(8,)), tmp_path, iterations=20, log_interval=100, checkpoint_interval=4)

    assert len(list(tmp_path.glob("resume-*.pth"))) == 1


def test_the_host_looks_at_the_device_only_when_a_report_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    model = Toy()
    for name in ("item", "tolist", "__bool__", "__float__", "cpu"):
        original = getattr(Tensor, name)

        def look(self: Tensor, *args: Any, original: Any = original, name: str = name) -> Any:
            looks.append(name)
            return original(self, *args)

        monkeypatch.setattr(Tensor, name, look)
    monkeypatch.setattr(Toy, "train_step", lambda self, data, optim_wrapper: quiet_step(self, data, optim_wrapper))

    counts = {}
    for iterations in (5, 9):
        looks.clear()
        train(model, tmp_path / str(iterations), iterations=iterations, log_interval=100)
        counts[iterations] = len(looks)

    assert counts[9] == counts[5] > 0


def quiet_step(model: Toy, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
    loss = model(torch.stack(data["inputs"])).square().mean()
    optim_wrapper.update_params(0 * loss)
    return {"loss": torch.ones(()), "mean": torch.ones(())}


def test_scalars_are_stacked_in_the_asked_order_without_a_gradient() -> None:
    outputs = {
        "q": torch.tensor(2, dtype=torch.int64),
        "loss": torch.tensor(1.5, requires_grad=True),
        "alpha": torch.tensor(0.1, dtype=torch.float64),
    }
    stacked = stack_scalars(outputs, ("alpha", "loss", "q"))

    assert stacked.tolist() == [0.1, 1.5, 2.0]
    assert not stacked.requires_grad


@pytest.mark.parametrize("asked_at", [1, 3, 5])
def test_a_request_to_stop_is_met_at_once_and_the_run_goes_on_from_that_very_iteration(
    tmp_path: Path, asked_at: int
) -> None:
    """Between two resume points; what comes after is drawn and learnt as if nothing had happened."""
    undisturbed, stopped = Toy(), Toy()
    train(undisturbed, tmp_path / "whole", iterations=8)

    class Ask(Toy):
        def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
            if len(self.drawn) + 1 == asked_at:
                request_stop()
            return super().train_step(data, optim_wrapper)

    asking = Ask()
    try:
        with pytest.raises(Stopped, match=f"iteration {asked_at} of 8"):
            train(asking, tmp_path / "parts", iterations=8)
    finally:
        withdraw_stop()
    train(stopped, tmp_path / "parts", iterations=8)
    assert asking.seen + stopped.seen == undisturbed.seen
    assert asking.drawn + stopped.drawn == undisturbed.drawn


def test_a_request_to_stop_in_the_last_iteration_comes_too_late(tmp_path: Path) -> None:
    model = Toy()
    request_stop()
    try:
        train(model, tmp_path, iterations=1)
    finally:
        withdraw_stop()
    assert len(model.seen) == 2
