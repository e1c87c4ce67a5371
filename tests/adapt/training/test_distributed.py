"""Two workers compute what one process computes with the joined batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.openmmlab.checkpoint import load_checkpoint
from adapt.training import distributed
from adapt.training.runner import train_supervised
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings

SETTINGS = TrainSettings(
    iterations=3,
    batch_size=1,
    workers=2,
    optimizer=OptimizerSettings(type="sgd", lr=0.01),
    schedule=ScheduleSettings(warmup_iterations=0),
    augment=AugmentSettings(crop=(48, 24)),
    checkpoint_interval=2,
    log_interval=1,
)


@dataclass
class Group:
    """What two workers found, and what they were given."""

    folder: Path
    inputs: dict[str, Any]
    results: list[dict[str, Any]]


@pytest.fixture(scope="module")
def group(
    tmp_path_factory: pytest.TempPathFactory,
    write_toy_frame: Callable[..., Frame],
    toy_config: Any,
    run_two_workers: Callable[..., list[Any]],
) -> Group:
    """Run `two_workers.py`: one start of two processes serves all tests here."""
    folder = tmp_path_factory.mktemp("workers")
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    torch_generator = torch.Generator().manual_seed(0)
    model = copy.deepcopy(toy_config)
    model["decode_head"]["dropout_ratio"] = 0  # every worker drops out other parts
    inputs = {
        "model": model,
        "frames": tuple(write_toy_frame(folder, f"frame{index}", colors, generator) for index in range(5)),
        "dataset": DatasetSettings(type="camvid", split="train"),
        "settings": SETTINGS,
        "images": 3 * torch.randn((5, 3, 4, 6), generator=torch_generator) + 40,
        "weights": torch.randn((5, 3, 4, 6), generator=torch_generator),
    }
    return Group(folder, inputs, run_two_workers(str(Path(__file__).with_name("two_workers.py")), folder, inputs))


def assert_equal_states(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_training_equals_one_process_with_the_joined_batch(group: Group, tmp_path: Path) -> None:
    joined = SETTINGS.model_copy(update={"batch_size": 2, "workers": 1})
    steps: list[Any] = []

    model = train_supervised(
        group.inputs["model"],
        group.inputs["frames"],
        group.inputs["dataset"],
        joined,
        5,
        tmp_path,
        lambda *step: steps.append(step),
    )

    first, second = (result["training"] for result in group.results)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(first["state"][name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(first["gradients"][name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert [iteration for iteration, _ in first["steps"]] == [1, 2, 3]
    assert [m["loss"] for _, m in first["steps"]] == pytest.approx([m["loss"] for _, m in steps], rel=1e-5)
    assert first["steps"][0][1].keys() == steps[0][1].keys()
    assert_equal_states(first["initial"], second["initial"])
    assert_equal_states(first["state"], second["state"])


def test_the_network_is_plain_again(group: Group) -> None:
    assert [result["training"]["norms"] for result in group.results] == [{"BatchNorm2d"}] * 2


def test_the_first_worker_alone_writes_and_reports(group: Group) -> None:
    assert group.results[1]["training"]["steps"] == []
    assert [path.suffix for path in (group.folder / "straight").iterdir() if path.is_file()] == [".pth"]
    assert len(list((group.folder / "straight").glob("*/*.log"))) == 1


def test_all_workers_go_on_from_the_resume_point(group: Group) -> None:
    for rank, result in enumerate(group.results):
        assert_equal_states(result["training"]["resumed"], group.results[0]["training"]["state"])
        assert result["training"]["read"] == [4 + rank]
    a, b = (load_checkpoint(next((group.folder / name).glob("*.pth"))) for name in ("straight", "stopped"))
    assert_equal_states(a["state_dict"], b["state_dict"])
    assert a["meta"]["iter"] == b["meta"]["iter"] == 3


def test_a_loss_that_is_no_number_on_one_worker_stops_both(group: Group) -> None:
    errors = [result["errors"]["non_finite"] for result in group.results]

    assert errors[0].startswith("Training stopped at iteration 2 of 6: loss is nan.")
    assert errors[0] == errors[1]
    assert list((group.folder / "errors").glob("*.pth")) == []


def test_every_worker_drops_out_other_parts(group: Group) -> None:
    first, second = (result["errors"]["drawn"] for result in group.results)
    assert len(set(first) | set(second)) == len(first) + len(second) == 8


def test_another_number_of_workers_is_refused(group: Group) -> None:
    for result in group.results:
        assert "`workers: 3`, but this process is one of 2" in result["errors"]["too_few"]
        assert "`workers: 1`, but this process is one of 2" in result["errors"]["too_many"]
    with pytest.raises(SpecError, match=r"one of 1\. Run the experiment by a sweep: Ray Train starts the workers"):
        distributed.require_workers(2)
    distributed.require_workers(1)


def test_batch_norm_equals_one_of_the_joined_batch(group: Group) -> None:
    images, weights = group.inputs["images"].clone().requires_grad_(), group.inputs["weights"]
    norm = nn.BatchNorm2d(3, momentum=0.3)
    norm.weight.data.copy_(torch.tensor([1.0, -2.0, 0.5]))
    (norm(images) * weights).sum().backward()
    assert images.grad is not None
    first, second = (result["batch_norm"] for result in group.results)

    torch.testing.assert_close(torch.cat([first["input_gradient"], second["input_gradient"]]), images.grad)
    for result in (first, second):
        assert result["inside"] == ("JointBatchNorm", sorted(f"0.{name}" for name in norm.state_dict()), True)
        assert result["is_plain"]
        assert result["half"] == torch.bfloat16
        # Averaged over two workers.
        torch.testing.assert_close(2 * result["weight_gradient"], norm.weight.grad)
        torch.testing.assert_close(2 * result["bias_gradient"], norm.bias.grad)
    with torch.no_grad():
        norm(images.bfloat16().float())  # the second batch, in half precision
        torch.testing.assert_close(first["running"][0], norm.running_mean)
        torch.testing.assert_close(first["running"][1], norm.running_var)
        assert first["running"][2] == second["running"][2] == 2
        evaluated = norm.eval()(images)
    torch.testing.assert_close(torch.cat([first["evaluated"], second["evaluated"]]), evaluated)


def test_collectives(group: Group) -> None:
    for rank, result in enumerate(group.results):
        found = result["collectives"]
        for index, gradient in enumerate(found["gradients"]):
            if index == 3:
                assert gradient is None
            else:
                expected = torch.arange(gradient.numel()).view(gradient.shape) * (index + 1.0) + 5
                torch.testing.assert_close(gradient, expected)
        assert found["gradients"][2].stride() == (1, 2)
        assert found["sum"].tolist() == [2, 1]
        assert found["mean"].tolist() == [1.0, 0.5]
        assert found["any"].tolist() == [False, True, True, True]
        assert found["own"].tolist() == [1, rank]
        assert found["place"] == (rank, 2)


def test_alone_nothing_is_exchanged() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    distributed.average_gradients([parameter])
    values = torch.tensor([1.0, 2.0], requires_grad=True)

    assert (distributed.get_rank(), distributed.count_workers()) == (0, 1)
    assert parameter.grad.tolist() == [1.0, 2.0]
    total = distributed.sum_over_workers(values)
    assert total.tolist() == distributed.mean_over_workers(values).tolist() == [1.0, 2.0]
    assert not total.requires_grad
    assert total.data_ptr() != values.data_ptr()
    assert distributed.any_over_workers(torch.tensor([True, False])).tolist() == [True, False]
