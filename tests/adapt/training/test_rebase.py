"""A resume point under other settings: the rates follow these, all else is the donor's bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from adapt.errors import PrerequisiteError
from adapt.openmmlab import BaseModel
from adapt.training.optimizer import build_optimizer
from adapt.training.rebase import INHERITED, inherit_resume_point, read_iteration, rebase_resume_point
from adapt.training.runner import run_training
from adapt.training.settings import OptimizerSettings, ScheduleSettings, TrainSettings

ITERATIONS, WARMUP, RATIO = 20, 6, 0.1
BEFORE = {"lr": 0.01, "weight_decay": 0.1, "head_lr_multiplier": 10.0}
AFTER = {"lr": 0.004, "weight_decay": 0.3, "head_lr_multiplier": 2.0}


class Numbers(Dataset[dict[str, Any]]):
    def __getitem__(self, position: int) -> dict[str, Any]:
        return {"inputs": torch.tensor([float(position % 5)])}


class Toy(BaseModel):
    """Notes the state in which each iteration begins."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone = nn.Sequential(nn.Linear(1, 3), nn.LayerNorm(3))
        self.decode_head = nn.Linear(3, 1)
        self.begun: list[dict[str, Any]] = []

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode_head(self.backbone(inputs))

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        optimizer = optim_wrapper.optimizer
        self.begun.append(
            {
                "groups": {
                    group["name"]: {key: group[key] for key in ("lr", "weight_decay")}
                    for group in optimizer.param_groups
                },
                "weights": {name: value.detach().clone() for name, value in self.state_dict().items()},
                "moments": {
                    name: {key: torch.as_tensor(value).clone() for key, value in optimizer.state[parameter].items()}
                    for name, parameter in self.named_parameters()
                },
            }
        )
        loss = (self(torch.stack(data["inputs"])) - 2).square().mean()
        optim_wrapper.update_params(loss)
        return {"loss": loss.detach()}


class EndedError(Exception):
    """The training was stopped where the test wanted it."""


def train(folder: Path, optimizer: dict[str, Any], until: int) -> Toy:
    settings = TrainSettings(
        iterations=ITERATIONS,
        optimizer=OptimizerSettings(**optimizer),
        schedule=ScheduleSettings(warmup_iterations=WARMUP, warmup_ratio=RATIO, power=0.9),
        checkpoint_interval=1,
        log_interval=1,
    )
    model = Toy()

    def stop(step: int, values: dict[str, float]) -> None:
        if step == until:
            raise EndedError

    with pytest.raises(EndedError):
        run_training(model, Numbers(), settings, 0, folder, stop, ("loss",), {})
    return model


def work_out_rate(plain: float, iteration: int) -> float:
    """The schedule as DAFormer has it, by hand: polynomial decay times a linear warm-up."""
    warm = RATIO + (1 - RATIO) * iteration / WARMUP if iteration < WARMUP else 1.0
    return plain * (1 - iteration / ITERATIONS) ** 0.9 * warm


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
@pytest.mark.parametrize("at", [3, 11], ids=["in the warm-up", "behind it"])
def test_an_heir_goes_on_with_the_donors_network_at_rates_of_its_own(tmp_path: Path, kind: str, at: int) -> None:
    donor, heir = tmp_path / "donor", tmp_path / "heir"
    train(donor, {"type": kind, **BEFORE}, at)
    inherit_resume_point(donor, heir)
    alone = train(donor, {"type": kind, **BEFORE}, at + 1).begun  # what the donor goes on from itself
    taken = train(heir, {"type": kind, **AFTER}, ITERATIONS).begun

    assert len(alone) == 1
    assert len(taken) == ITERATIONS - at
    assert taken[0]["weights"].keys() == alone[0]["weights"].keys()
    for name, value in alone[0]["weights"].items():
        assert torch.equal(taken[0]["weights"][name], value), name
    assert any(alone[0]["moments"].values()), "an optimiser without a state"
    for name, moments in alone[0]["moments"].items():
        assert taken[0]["moments"][name].keys() == moments.keys()
        for key, value in moments.items():
            assert torch.equal(taken[0]["moments"][name][key], value), (name, key)
    for place, state in enumerate(taken):
        backbone, head = work_out_rate(0.004, at + place), work_out_rate(0.004 * 2.0, at + place)
        assert state["groups"] == {
            "backbone": {"lr": pytest.approx(backbone), "weight_decay": 0.3},
            "backbone_norm": {"lr": pytest.approx(backbone), "weight_decay": 0.0},
            "head": {"lr": pytest.approx(head), "weight_decay": 0.3},
        }
    assert alone[0]["groups"]["head"] == {"lr": pytest.approx(work_out_rate(0.1, at)), "weight_decay": 0.1}
    assert not (heir / INHERITED).exists(), "a copy of the whole network that nobody needs"


def test_only_rates_and_decay_of_a_resume_point_change(tmp_path: Path) -> None:
    donor, target = tmp_path / "donor", tmp_path / "target.pth"
    train(donor, BEFORE, 5)
    (source,) = donor.glob("resume-*.pth")
    before = source.read_bytes()
    rebase_resume_point(source, target, build_optimizer(Toy(), OptimizerSettings(**AFTER)))
    assert source.read_bytes() == before
    old, new = (torch.load(file, weights_only=True) for file in (source, target))
    changed = set(list_differences(old, new, ""))
    assert changed == {
        *(f".optimizer.param_groups.{g}.{key}" for g in (0, 1, 2) for key in ("lr", "initial_lr")),
        *(f".optimizer.param_groups.{g}.weight_decay" for g in (0, 2)),
        *(f".optimizer.base_param_settings.{key}" for key in ("lr", "initial_lr")),
        *(f".param_schedulers.{s}.{key}.{g}" for s in (0, 1) for key in ("base_values", "_last_value") for g in range(4)),
    }  # fmt: skip
    assert new["meta"]["iter"] == 5


def list_differences(old: Any, new: Any, place: str) -> list[str]:
    """Walk two trees of plain data and tensors side by side."""
    assert type(old) is type(new), place
    if isinstance(old, dict):
        assert list(old) == list(new), place
        return [found for key in old for found in list_differences(old[key], new[key], f"{place}.{key}")]
    if isinstance(old, list | tuple):
        assert len(old) == len(new), place
        return [
            found
            for index, pair in enumerate(zip(old, new, strict=True))
            for found in list_differences(*pair, f"{place}.{index}")
        ]
    same = torch.equal(old, new) if isinstance(old, Tensor) else old == new
    return [] if same else [place]


def test_another_networks_resume_point_is_refused(tmp_path: Path) -> None:
    train(tmp_path, BEFORE, 2)
    (source,) = tmp_path.glob("resume-*.pth")
    other = build_optimizer(nn.Linear(1, 1), OptimizerSettings())
    with pytest.raises(ValueError, match="another network"):
        rebase_resume_point(source, tmp_path / "target.pth", other)
    assert not (tmp_path / "target.pth").exists()


def test_how_far_a_run_is_can_be_read(tmp_path: Path) -> None:
    assert read_iteration(tmp_path) == 0
    with pytest.raises(PrerequisiteError, match="gone from"):
        inherit_resume_point(tmp_path, tmp_path / "heir")
    train(tmp_path, BEFORE, 4)
    assert read_iteration(tmp_path) == 4
    (file,) = tmp_path.glob("resume-*.pth")
    file.write_bytes(file.read_bytes()[:100])
    assert read_iteration(tmp_path) == 0
