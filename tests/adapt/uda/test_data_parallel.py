"""Two workers adapt a network as one process does with the joined batch.

Sums are taken in another order (over the pixels of a worker, then over the workers) and the joint batch norm computes its
own gradient, so numbers differ by float32 rounding: 6e-8 of a value in each operation. Reports and weights are compared to
1e-5. Gradients are of the third step, whose weights differ by rounding already: they are compared to 1e-4 of the largest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.openmmlab.checkpoint import load_checkpoint
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.uda.settings import DaformerSettings, HrdaSettings, MinEntSettings, UdaSettings
from adapt.uda.train import train_uda

RARE = {"temperature": 0.1, "min_pixels": 50, "min_crop_pixels": 50}
# Every part is switched on and weighs enough to be seen.
PARTS: dict[str, Any] = {
    "rare_class": RARE,
    "pseudo_threshold": 0.4,
    "strong_augment": {"jitter_probability": 1.0, "blur_probability": 1.0},
    "feature_distance": {"reference": "start", "weight": 0.1, "classes": tuple(range(11))},
    "masked_consistency": {"block": 8},
    "score_pseudo_labels": True,
}
METHODS: dict[str, UdaSettings] = {
    "daformer": DaformerSettings(**PARTS),
    "hrda": HrdaSettings(
        **PARTS,
        image_margins=(2, 4, 2, 2),
        multi_resolution={"detail_crop": (24, 16), "attention_channels": 8, "window": None},
    ),
    "minent": MinEntSettings(entropy_weight=0.5, rare_class=RARE),
}
# Plain SGD: AdamW divides by the size of a gradient, and so makes a large step of one that is nothing but rounding.
SETTINGS = TrainSettings(
    iterations=3,
    batch_size=1,
    workers=2,
    optimizer=OptimizerSettings(type="sgd", lr=0.05, head_lr_multiplier=1),
    schedule=ScheduleSettings(warmup_iterations=0),
    augment=AugmentSettings(crop=(48, 24)),
    log_interval=1,
)
TIMES = {"iteration_s", "data_s", "student_s", "teacher_s", "feature_distance_s"}


@dataclass
class Run:
    """What one process knows after an adaptation: reports by iteration, all weights, and the student's last gradients."""

    reports: dict[int, dict[str, float]]
    state: dict[str, Tensor]
    gradients: dict[str, Tensor]

    def list_scalars(self, iteration: int) -> dict[str, float]:
        return {name: value for name, value in self.reports[iteration].items() if name not in TIMES}


def adapt(folder: Path, inputs: dict[str, Any], settings: TrainSettings, name: str) -> Run:
    reports: dict[int, dict[str, float]] = {}
    train, test = (DatasetSettings(type="camvid", split=split) for split in ("train", "test"))
    student = train_uda(
        inputs["model"], inputs["source"], train, inputs["target"], test, settings, METHODS[name], 5, folder / name,
        reports.__setitem__,
    ).network  # fmt: skip
    (path,) = (folder / name).glob("resume-*.pth")
    gradients = {name: parameter.grad for name, parameter in student.named_parameters() if parameter.grad is not None}
    return Run(reports, load_checkpoint(path)["state_dict"], gradients)


def work(rank: int, folder: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """Run in each of the two processes."""
    runs = {name: adapt(folder, inputs, SETTINGS, name) for name in METHODS}
    return {name: vars(run) for name, run in runs.items()}


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, write_toy_frame: Callable[..., Frame], toy_config: Any
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("frames")
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    model = copy.deepcopy(toy_config)
    model["decode_head"]["dropout_ratio"] = 0  # every worker drops out other parts
    # Wide enough that the untrained network is sure of some pixels and not of others.
    model["decode_head"]["init_cfg"] = {"type": "Normal", "std": 0.5, "override": {"name": "conv_seg"}}
    return {
        "model": model,
        "source": tuple(write_toy_frame(folder, f"source{index}", colors, generator) for index in range(5)),
        "target": tuple(write_toy_frame(folder, f"target{index}", colors * 0.7, generator) for index in range(4)),
    }


@pytest.fixture(scope="module")
def workers(
    inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, run_two_workers: Callable[..., list[Any]]
) -> list[dict[str, Run]]:
    """Both workers' runs: one start of two processes serves all tests here."""
    results = run_two_workers(__file__, tmp_path_factory.mktemp("workers"), inputs)
    return [{name: Run(**run) for name, run in result.items()} for result in results]


@pytest.fixture(scope="module")
def joined(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same runs in one process."""
    folder = tmp_path_factory.mktemp("joined")
    settings = SETTINGS.model_copy(update={"workers": 1, "batch_size": 2})
    return {name: adapt(folder, inputs, settings, name) for name in METHODS}


@pytest.mark.parametrize("name", METHODS)
def test_weights_and_gradients_are_those_of_one_process(
    workers: list[dict[str, Run]], joined: dict[str, Run], name: str
) -> None:
    first, second, one = workers[0][name], workers[1][name], joined[name]
    assert first.state.keys() == one.state.keys()
    networks = {key.partition(".")[0] for key in one.state}
    assert networks >= ({"student"} if name == "minent" else {"student", "teacher", "reference_backbone"})
    for key, tensor in one.state.items():
        torch.testing.assert_close(first.state[key], tensor, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: key + text)
    assert first.gradients.keys() == one.gradients.keys()
    # A scale right before a batch norm changes nothing, so its gradient is all rounding: the largest one is the measure.
    largest = max(float(tensor.abs().max()) for tensor in one.gradients.values())
    for key, tensor in one.gradients.items():
        torch.testing.assert_close(
            first.gradients[key], tensor, rtol=0, atol=1e-4 * largest, msg=lambda text, key=key: key + text
        )
        assert torch.equal(first.gradients[key], second.gradients[key]), key


@pytest.mark.parametrize("name", METHODS)
def test_the_first_worker_reports_the_joined_batch(
    workers: list[dict[str, Run]], joined: dict[str, Run], name: str
) -> None:
    first, second, one = workers[0][name], workers[1][name], joined[name]
    assert list(first.reports) == [1, 2, 3]
    assert second.reports == {}
    for iteration in one.reports:
        assert first.list_scalars(iteration) == pytest.approx(one.list_scalars(iteration), rel=1e-5, abs=1e-7)
        draws = [value for key, value in first.reports[iteration].items() if key.startswith("rcs_draws/")]
        assert sum(draws) == 2  # an image of each worker


@pytest.mark.parametrize("name", ["daformer", "hrda"])
def test_the_runs_compared_do_something(joined: dict[str, Run], name: str) -> None:
    reports = joined[name].reports.values()
    assert any(0.05 < report["q"] < 0.95 for report in reports), [report["q"] for report in reports]
    for part in ("source_loss", "mix_loss", "masked_loss", "feature_distance_loss", "feature_distance_share"):
        assert any(report[part] > 0.01 for report in reports), (part, reports)
    assert all("pseudo_miou" in report for report in reports)
    state = joined[name].state
    students = {
        key: tensor for key, tensor in state.items() if key.startswith("student.backbone.") and tensor.ndim == 4
    }
    for old, new in (("student.", "teacher."), ("student.backbone.", "reference_backbone.")):
        assert any(not torch.allclose(t, state[key.replace(old, new, 1)], atol=1e-3) for key, t in students.items())
