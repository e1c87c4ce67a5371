"""Training through the Runner: what it computes, and that interruptions leave no trace."""

from __future__ import annotations

import errno
import logging
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError, TaskError
from adapt.openmmlab.checkpoint import load_checkpoint
from adapt.openmmlab.model import build_model
from adapt.training.hooks import find_non_finite
from adapt.training.runner import QuietRunner, train_supervised
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings

AUGMENT = AugmentSettings(crop=(48, 24))


def make_settings(iterations: int, **changes: Any) -> TrainSettings:
    values: dict[str, Any] = {
        "iterations": iterations,
        "batch_size": 2,
        "optimizer": OptimizerSettings(lr=1e-3),
        "schedule": ScheduleSettings(warmup_iterations=2, warmup_ratio=0.5),
        "augment": AUGMENT,
        "checkpoint_interval": 3,
        "log_interval": 1,
    }
    return TrainSettings(**{**values, **changes})


def ignore(iteration: int, metrics: dict[str, float]) -> None:
    pass


class StoppedError(Exception):
    pass


def stop_at(iteration: int) -> Any:
    def on_step(current: int, metrics: dict[str, float]) -> None:
        if current == iteration:
            raise StoppedError

    return on_step


def assert_equal_weights(first: torch.nn.Module, second: torch.nn.Module) -> None:
    a, b = first.state_dict(), second.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_equals_a_hand_written_loop(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    reported = []
    trained = train_supervised(
        model_config, frames, dataset, make_settings(4), 5, tmp_path, lambda *step: reported.append(step)
    )

    model: Any = build_model(model_config, 5).train()
    norms = {id(p) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()}
    groups = [
        {
            "params": [parameter],
            "factor": 10.0 if name.startswith("decode_head") else 1.0,
            "weight_decay": 0.0 if id(parameter) in norms else 0.01,
        }
        for name, parameter in model.named_parameters()
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    samples = LabelledDataset(frames, dataset, AUGMENT, 5)
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    losses, rates = [], []
    for t in range(4):
        lr = 1e-3 * (1 - t / 4) * (0.5 + 0.25 * t if t < 2 else 1)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        batch = [samples[2 * t], samples[2 * t + 1]]
        images = torch.stack([(item["inputs"].flip(0).float() - mean) / std for item in batch])
        labels = torch.stack([item["data_samples"].gt_sem_seg.data[0] for item in batch])
        logits = torch.nn.functional.interpolate(
            model.decode_head(model.extract_feat(images)), size=(24, 48), mode="bilinear", align_corners=False
        )
        loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255, reduction="sum") / labels.numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        rates.append(lr)

    assert [iteration for iteration, _ in reported] == [1, 2, 3, 4]
    assert [metrics["loss"] for _, metrics in reported] == pytest.approx(losses, rel=1e-5)
    assert [metrics["lr"] for _, metrics in reported] == pytest.approx(rates)
    assert [metrics["lr/backbone_norm"] for _, metrics in reported] == pytest.approx(rates)
    assert [metrics["lr/head"] for _, metrics in reported] == pytest.approx([10 * lr for lr in rates])
    assert all(0 < metrics["data_s"] < metrics["iteration_s"] for _, metrics in reported)
    assert all(metrics["iteration_s"] > 0 for _, metrics in reported)
    for (name, a), b in zip(trained.state_dict().items(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5, msg=name)
    assert not trained.training


def test_resumed_run_is_bit_equal(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = train_supervised(model_config, frames, dataset, make_settings(6), 5, tmp_path / "a", ignore)
    with pytest.raises(StoppedError):
        train_supervised(model_config, frames, dataset, make_settings(6), 5, tmp_path / "b", stop_at(4))
    read: list[int] = []
    original = LabelledDataset.__getitem__
    monkeypatch.setattr(LabelledDataset, "__getitem__", lambda self, at: (read.append(at), original(self, at))[1])
    torch.manual_seed(99)
    steps: list[int] = []

    resumed = train_supervised(
        model_config, frames, dataset, make_settings(6), 5, tmp_path / "b", lambda t, _: steps.append(t)
    )

    assert steps == [4, 5, 6]
    assert read == [6, 7, 8, 9, 10, 11]
    assert_equal_weights(straight, resumed)
    (first,), (second,) = (list((tmp_path / name).glob("*.pth")) for name in "ab")
    a, b = load_checkpoint(first), load_checkpoint(second)
    assert first.name == second.name
    assert a["meta"]["iter"] == b["meta"]["iter"] == 6
    assert a["param_schedulers"] == b["param_schedulers"]
    for index, state in a["optimizer"]["state"].items():
        assert all(torch.equal(state[key], b["optimizer"]["state"][index][key]) for key in state)


def test_a_crash_while_saving_keeps_the_last_resume_point(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = make_settings(6, checkpoint_interval=2)
    original = QuietRunner.save_checkpoint

    def save_half(self: Any, folder: str, name: str, **options: Any) -> None:
        original(self, folder, name, **options)
        if self.iter + 1 == 4:
            path = Path(folder, name)
            path.write_bytes(path.read_bytes()[:1000])
            raise StoppedError

    monkeypatch.setattr(QuietRunner, "save_checkpoint", save_half)
    with pytest.raises(StoppedError):
        train_supervised(model_config, frames, dataset, settings, 5, tmp_path, ignore)
    monkeypatch.undo()
    steps: list[int] = []

    train_supervised(model_config, frames, dataset, settings, 5, tmp_path, lambda t, _: steps.append(t))

    assert steps == [3, 4, 5, 6]
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "a flipped bit"])
def test_a_damaged_resume_point_is_set_aside_and_training_starts_anew(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = make_settings(2, checkpoint_interval=1)
    first = train_supervised(model_config, frames, dataset, settings, 5, tmp_path, ignore)
    (point,) = tmp_path.glob("resume-*.pth")
    content = point.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damaged = {"truncated": content[:middle], "empty": b"", "a flipped bit": flipped}[damage]
    point.write_bytes(damaged)
    steps: list[int] = []
    with caplog.at_level(logging.WARNING):
        again = train_supervised(model_config, frames, dataset, settings, 5, tmp_path, lambda t, _: steps.append(t))
    assert steps == [1, 2]
    assert_equal_weights(first, again)
    assert f"the resume point {point} is damaged: training starts anew" in caplog.text
    assert point.with_suffix(".damaged").read_bytes() == damaged
    assert load_checkpoint(point)["meta"]["iter"] == 2, "no new resume point took its place"


def test_a_full_disk_while_saving_keeps_the_last_resume_point_and_leaves_no_draft(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = QuietRunner.save_checkpoint

    def fill_up(self: Any, folder: str, name: str, **options: Any) -> None:
        original(self, folder, name, **options)
        if self.iter + 1 == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(QuietRunner, "save_checkpoint", fill_up)
    with pytest.raises(OSError, match="No space left"):
        train_supervised(model_config, frames, dataset, make_settings(6, checkpoint_interval=2), 5, tmp_path, ignore)
    (point,) = (path for path in tmp_path.iterdir() if path.is_file())
    assert load_checkpoint(point)["meta"]["iter"] == 2


def test_a_finished_run_is_not_trained_again(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    first = train_supervised(model_config, frames, dataset, make_settings(2), 5, tmp_path, ignore)
    steps: list[int] = []

    again = train_supervised(model_config, frames, dataset, make_settings(2), 5, tmp_path, lambda t, _: steps.append(t))

    assert steps == []
    assert_equal_weights(first, again)


def test_another_run_in_the_same_folder_starts_anew(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    train_supervised(model_config, frames, dataset, make_settings(2), 5, tmp_path, ignore)
    steps: list[int] = []
    lower = make_settings(2, optimizer=OptimizerSettings(lr=1e-4))

    train_supervised(model_config, frames, dataset, lower, 5, tmp_path, lambda t, _: steps.append(t))
    train_supervised(model_config, frames[:4], dataset, lower, 5, tmp_path, lambda t, _: steps.append(t))
    train_supervised(model_config, frames[:4], dataset, lower, 6, tmp_path, lambda t, _: steps.append(t))

    assert steps == [1, 2, 1, 2, 1, 2]


def test_workers_change_nothing(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    alone = train_supervised(model_config, frames, dataset, make_settings(2), 5, tmp_path / "a", ignore)
    shared = train_supervised(model_config, frames, dataset, make_settings(2), 5, tmp_path / "b", ignore, workers=2)

    assert_equal_weights(alone, shared)


def test_loss_falls_quietly(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    reported: dict[int, dict[str, float]] = {}
    settings = make_settings(
        45, batch_size=4, log_interval=10, checkpoint_interval=1000, optimizer=OptimizerSettings(lr=5e-3)
    )

    train_supervised(model_config, frames, dataset, settings, 5, tmp_path, reported.__setitem__)

    assert list(reported) == [10, 20, 30, 40, 45]
    assert reported[45]["loss"] < 0.7 * reported[10]["loss"]
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err == ""
    assert "iteration 10/45" in next(tmp_path.glob("*/*.log")).read_text()
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".pth"]


def test_reports_are_means(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    each: dict[int, dict[str, float]] = {}
    pairs: dict[int, dict[str, float]] = {}
    train_supervised(model_config, frames, dataset, make_settings(4), 5, tmp_path / "a", each.__setitem__)
    train_supervised(
        model_config, frames, dataset, make_settings(4, log_interval=2), 5, tmp_path / "b", pairs.__setitem__
    )

    assert pairs[2]["loss"] == pytest.approx((each[1]["loss"] + each[2]["loss"]) / 2)
    assert pairs[4]["loss"] == pytest.approx((each[3]["loss"] + each[4]["loss"]) / 2)
    assert pairs[4]["lr"] == each[4]["lr"]


def use_group_norm(model_config: dict[str, Any]) -> None:
    """Take out what sees a batch as a whole, and drop-out, whose draws depend on shapes."""
    norm = {"type": "GN", "num_groups": 1, "requires_grad": True}
    model_config["backbone"]["norm_cfg"] = model_config["decode_head"]["norm_cfg"] = norm
    model_config["decode_head"]["dropout_ratio"] = 0


def test_parts_equal_the_joined_batch(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    use_group_norm(model_config)
    sgd = OptimizerSettings(type="sgd", lr=0.01)
    losses: dict[str, list[float]] = {"joined": [], "parts": []}
    models = {
        name: train_supervised(
            model_config, frames, dataset, make_settings(3, optimizer=sgd, **sizes), 5, tmp_path / name,
            lambda _, metrics, name=name: losses[name].append(metrics["loss"]),
        )
        for name, sizes in (("joined", {"batch_size": 4}), ("parts", {"batch_size": 1, "accumulate": 4}))
    }  # fmt: skip

    assert losses["parts"] == pytest.approx(losses["joined"], rel=1e-5)
    for (name, a), b in zip(models["joined"].named_parameters(), models["parts"].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6, msg=name)


def test_resumed_run_in_parts_is_bit_equal(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    settings = make_settings(5, batch_size=1, accumulate=3, precision="fp16")
    straight = train_supervised(model_config, frames, dataset, settings, 5, tmp_path / "a", ignore)
    with pytest.raises(StoppedError):
        train_supervised(model_config, frames, dataset, settings, 5, tmp_path / "b", stop_at(4))

    resumed = train_supervised(model_config, frames, dataset, settings, 5, tmp_path / "b", ignore, workers=1)

    assert_equal_weights(straight, resumed)
    a, b = (load_checkpoint(next((tmp_path / name).glob("*.pth")))["optimizer"]["scaler"] for name in "ab")
    assert a == b
    assert a["_growth_tracker"] > 3  # it counts good steps, those before the resume point too


def test_half_precision_trains_float32_weights(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    reported: dict[int, dict[str, float]] = {}
    options = {"batch_size": 4, "log_interval": 10, "checkpoint_interval": 1000}
    settings = make_settings(30, precision="bf16", optimizer=OptimizerSettings(lr=5e-3), **options)
    seen: set[torch.dtype] = set()
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, inputs, output: seen.add(output.dtype) if isinstance(module, torch.nn.Conv2d) else None
    )
    try:
        trained = train_supervised(model_config, frames, dataset, settings, 5, tmp_path, reported.__setitem__)
    finally:
        handle.remove()

    assert seen == {torch.bfloat16}
    assert reported[30]["loss"] < 0.8 * reported[10]["loss"]
    assert {parameter.dtype for parameter in trained.parameters()} == {torch.float32}
    weight = trained.get_submodule("decode_head.conv_seg").weight
    assert not torch.equal(weight, weight.bfloat16().float())


def test_channels_last_changes_no_result(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    sgd = OptimizerSettings(type="sgd", lr=0.01)
    models = [
        train_supervised(
            model_config, frames, dataset, make_settings(2, optimizer=sgd, channels_last=last), 5, tmp_path, ignore
        )
        for last in (False, True)
    ]

    for (name, a), b in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)
        assert b.is_contiguous()


def test_workers_that_nobody_started_are_refused(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"workers: 2.*Ray Train starts the workers"):
        train_supervised(model_config, frames, dataset, make_settings(2, workers=2), 5, tmp_path, ignore)


def test_non_finite_loss_stops_the_run(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    settings = make_settings(
        50, optimizer=OptimizerSettings(type="sgd", lr=1e30), schedule=ScheduleSettings(warmup_iterations=0)
    )

    with pytest.raises(TaskError, match=r"iteration \d+ of 50: loss is (nan|inf)"):
        train_supervised(model_config, frames, dataset, settings, 5, tmp_path, ignore)


def test_parameters_spoilt_by_the_last_step_are_not_handed_on(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    steps: list[int] = []

    def spoil(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        steps.append(len(steps) + 1)
        if len(steps) == 3:
            optimizer.param_groups[0]["params"][0].data.fill_(math.inf)

    handle = register_optimizer_step_post_hook(spoil)
    try:
        with pytest.raises(TaskError, match=r"iteration 3 of 3: 'backbone\.[\w.]+' .* not finite"):
            train_supervised(
                model_config, frames, dataset, make_settings(3, checkpoint_interval=1), 5, tmp_path, ignore
            )
    finally:
        handle.remove()
    (resume_point,) = (path for path in tmp_path.iterdir() if path.is_file())
    assert load_checkpoint(resume_point)["meta"]["iter"] == 2


def test_non_finite_values_are_found_where_they_decide() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    model.register_buffer("mask", torch.tensor([-math.inf, 0.0]))
    assert find_non_finite(model) is None
    model[1].running_var[1] = math.inf
    assert find_non_finite(model) == "1.running_var"
    model[0].bias.data[0] = math.nan
    assert find_non_finite(model) == "0.bias"


def test_a_visible_gpu_is_not_used_unasked(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pick() -> str:
        raise AssertionError("mmengine picks the device")

    monkeypatch.setattr("mmengine.runner.runner.get_device", pick)
    with pytest.raises(StoppedError):
        train_supervised(model_config, frames, dataset, make_settings(4), 5, tmp_path, stop_at(3))

    trained = train_supervised(
        model_config, frames, dataset, make_settings(4), 5, tmp_path, ignore, device=torch.device("cpu")
    )

    assert {parameter.device.type for parameter in trained.parameters()} == {"cpu"}


def test_trains_on_the_device_that_it_is_told(
    model_config: dict[str, Any],
    frames: tuple[Frame, ...],
    dataset: DatasetSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runners: list[Any] = []
    # "meta" stands in for a GPU: it takes tensors, but computes nothing.
    monkeypatch.setattr(QuietRunner, "train", lambda self: (runners.append(self), self.model)[1])

    trained: Any = train_supervised(
        model_config, frames, dataset, make_settings(1), 5, tmp_path, ignore, device=torch.device("meta")
    )

    assert {tensor.device.type for tensor in (*trained.parameters(), *trained.buffers())} == {"meta"}
    assert trained.data_preprocessor.device.type == "meta"
    assert trained.data_preprocessor.cast_data(torch.zeros(1)).device.type == "meta"
    stepped = {id(p) for group in runners[0].optim_wrapper.optimizer.param_groups for p in group["params"]}
    assert stepped == {id(parameter) for parameter in trained.parameters()}


def test_starts_from_weights(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    start = build_model(model_config, 77)
    torch.save(start.state_dict(), tmp_path / "start.pth")
    settings = make_settings(1, optimizer=OptimizerSettings(lr=1e-12))

    trained = train_supervised(
        model_config, frames, dataset, settings, 5, tmp_path / "run", ignore, weights=tmp_path / "start.pth"
    )

    for (name, a), b in zip(start.named_parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9, msg=name)


def test_small_images_are_padded(model_config: dict[str, Any], dataset: DatasetSettings, tmp_path: Path) -> None:
    image, label = tmp_path / "small.png", tmp_path / "label.png"
    cv2.imwrite(str(image), np.full((16, 40, 3), 90, np.uint8))
    cv2.imwrite(str(label), np.full((16, 40), 3, np.uint8))
    frames = (Frame("small", image, label),)
    losses: list[float] = []
    model_config["decode_head"]["dropout_ratio"] = 0

    train_supervised(
        model_config, frames, dataset, make_settings(1), 5, tmp_path, lambda _, m: losses.append(m["loss"])
    )

    # 16 of 24 rows and 40 of 48 columns are labelled; the mean is over all pixels. A fresh network guesses evenly.
    assert losses[0] == pytest.approx(math.log(11) * (16 * 40) / (24 * 48), rel=0.2)


def test_the_process_logger_is_left_alone(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path
) -> None:
    before = list(logging.getLogger().handlers)

    train_supervised(model_config, frames, dataset, make_settings(1), 5, tmp_path, ignore)

    assert logging.getLogger().handlers == before
    assert cv2.getNumThreads() != 0
