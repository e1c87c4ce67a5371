"""Co-teaching: a step against one written by hand, plain training as its limit, and a run that goes on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from adapt.correction.co_teaching import CoTeaching
from adapt.correction.settings import CoTeachingSettings, GeneralisedSettings
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.openmmlab import pseudo_collate
from adapt.openmmlab.model import build_model
from adapt.training.runner import run_training, set_training_size
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings
from adapt.training.step import StepWrapper
from adapt.uda.settings import MultiResolutionSettings

SETTINGS = CoTeachingSettings(forget_rate=0.5, warmup_epochs=2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, write_toy_frame: Callable[..., Frame]) -> LabelledDataset:
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    root = tmp_path_factory.mktemp("toy")
    frames = [write_toy_frame(root, f"frame{index}", colors, generator) for index in range(4)]
    dataset = DatasetSettings(type="camvid", split="train")
    return LabelledDataset(frames, dataset, AugmentSettings(crop=(48, 24)), 1)


@pytest.fixture
def config(model_config: dict[str, Any]) -> dict[str, Any]:
    """An auxiliary head on features of another layer, and nothing random."""
    model_config["decode_head"]["dropout_ratio"] = 0
    loss = {**model_config["decode_head"]["loss_decode"], "loss_weight": 0.4}
    head = {**model_config["decode_head"], "in_channels": 32, "in_index": 1, "loss_decode": loss}
    model_config["auxiliary_head"] = head | {"in_channels": 35}
    return model_config


def build(config: dict[str, Any], iteration: int = 0, **changes: Any) -> Any:
    model = CoTeaching(build_model(config, 3), build_model(config, 4), SETTINGS, iterations_per_epoch=4, **changes)
    model.iteration = iteration
    return model.train()


def get_batch(samples: LabelledDataset, start: int = 0) -> Any:
    return pseudo_collate([samples[start], samples[start + 1]])


def make_wrapper(model: nn.Module, parts: int = 1) -> StepWrapper:
    return StepWrapper(torch.optim.SGD(model.parameters(), lr=0.1), parts=parts)


def get_logits(network: Any, batch: Any) -> tuple[list[Tensor], Tensor]:
    data = network.data_preprocessor(copy.deepcopy(batch), training=True)
    features = network.backbone(data["inputs"])
    maps = [head(features) for head in (network.decode_head, network.auxiliary_head)]
    label = torch.stack([sample.gt_sem_seg.data[0] for sample in data["data_samples"]])
    return [interpolate(one, size=(24, 48), mode="bilinear", align_corners=False) for one in maps], label


def test_step_equals_one_written_by_hand(config: dict[str, Any], samples: LabelledDataset) -> None:
    batch = get_batch(samples)
    model = build(config, iteration=6)
    networks = [copy.deepcopy(model.student), copy.deepcopy(model.peer)]
    assert not torch.equal(*(next(iter(network.parameters())) for network in networks))

    step = model.train_step(copy.deepcopy(batch), make_wrapper(model))

    # Iteration 6 of 4 in an epoch: three quarters of the way to forgetting a half.
    keep = 1 - 0.5 * 0.75
    logits, chosen = [], []
    for network in networks:
        maps, label = get_logits(network, batch)
        logits.append(maps)
        losses = cross_entropy(maps[0], label, ignore_index=255, reduction="none").flatten().tolist()
        valid = [place for place, value in enumerate(label.flatten().tolist()) if value != 255]
        assert len(valid) < label.numel()
        taken = sorted(valid, key=lambda place: losses[place])[: round(keep * len(valid))]
        chosen.append(torch.zeros(label.numel()).index_fill(0, torch.tensor(taken), 1).view(label.shape))
    assert not torch.equal(*chosen)
    for own, other, name in ((0, 1, "student"), (1, 0, "peer")):
        optimizer = torch.optim.SGD(networks[own].parameters(), lr=0.1)
        entropies = [cross_entropy(one, label, ignore_index=255, reduction="none") for one in logits[own]]
        sums = [(entropy * chosen[other]).sum() for entropy in entropies]
        loss = (sums[0] + 0.4 * sums[1]) / (keep * label.numel())
        loss.backward()
        optimizer.step()
        assert step[f"{name}_loss"].item() == pytest.approx(loss.item(), rel=1e-5)

    assert step["keep"].item() == keep
    assert step["loss"].item() == pytest.approx(step["student_loss"].item() + step["peer_loss"].item())
    assert set(step) == set(model.metrics)
    fresh = build(config)
    for ours, by_hand, before in zip((model.student, model.peer), networks, (fresh.student, fresh.peer), strict=True):
        for a, b in zip(ours.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        weights = [network.decode_head.conv_seg.weight for network in (ours, before)]
        assert not torch.equal(*weights)


def test_without_forgetting_both_train_as_mmsegmentation_does(config: dict[str, Any], samples: LabelledDataset) -> None:
    batch = get_batch(samples)
    model = build(config)
    plain: list[Any] = [copy.deepcopy(model.student), copy.deepcopy(model.peer)]
    step = model.train_step(copy.deepcopy(batch), make_wrapper(model))
    for ours, network, name in zip((model.student, model.peer), plain, ("student", "peer"), strict=True):
        wanted = network.train_step(copy.deepcopy(batch), make_wrapper(network))
        assert step[f"{name}_loss"].item() == pytest.approx(wanted["loss"].item(), rel=1e-5)
        for a, b in zip(ours.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_networks_may_choose_and_learn_by_another_loss(config: dict[str, Any], samples: LabelledDataset) -> None:
    model = build(config, loss={"name": "generalised", "q": 0.5})
    assert model.pixel_loss == GeneralisedSettings(q=0.5)
    maps, label = get_logits(copy.deepcopy(model.student), get_batch(samples))
    step = model.train_step(get_batch(samples), make_wrapper(model))
    probability = [one.softmax(1).gather(1, label.clamp(max=10)[:, None])[:, 0] for one in maps]
    means = [((1 - p.sqrt()) / 0.5 * (label != 255)).mean().item() for p in probability]
    assert step["student_loss"].item() == pytest.approx(means[0] + 0.4 * means[1], rel=1e-4)


def test_iterations_are_counted_once_for_all_parts_and_saved(config: dict[str, Any], samples: LabelledDataset) -> None:
    model = build(config)
    wrapper = make_wrapper(model, parts=2)
    kept = []
    for part in (0, 1, 0, 1, 0):
        wrapper.part = part
        kept.append(model.train_step(get_batch(samples), wrapper)["keep"].item())
    # An eighth of the warm-up is 1/16 of the pixels.
    assert kept == [1, 1, 0.9375, 0.9375, 0.875]

    restored = build(config)
    restored.load_state_dict(model.state_dict())
    wrapper.part = 1
    assert restored.iteration == 2
    assert restored.train_step(get_batch(samples), make_wrapper(restored))["keep"].item() == 0.875


def test_two_resolutions_share_one_detail_crop(model_config: dict[str, Any], samples: LabelledDataset) -> None:
    model_config["decode_head"]["dropout_ratio"] = 0
    parts = MultiResolutionSettings(detail_crop=(24, 16), attention_channels=8, window=None, detail_weight=0.25)
    model = build(wrap_multi_resolution(model_config, parts))
    student: Any = copy.deepcopy(model.student)
    np.random.seed(3)
    step = model.train_step(get_batch(samples), make_wrapper(model))
    np.random.seed(3)
    wanted = student.train_step(get_batch(samples), make_wrapper(student))
    assert step["student_loss"].item() == pytest.approx(wanted["loss"].item(), rel=1e-5)


def test_both_losses_fall(config: dict[str, Any], samples: LabelledDataset) -> None:
    model = build(config)
    wrapper = make_wrapper(model)
    steps = [model.train_step(get_batch(samples), wrapper) for _ in range(12)]
    for name in ("student_loss", "peer_loss"):
        assert steps[-1][name].item() < 0.7 * steps[0][name].item()


class StoppedError(Exception):
    pass


def test_a_run_goes_on_bit_for_bit(model_config: dict[str, Any], samples: LabelledDataset, tmp_path: Path) -> None:
    settings = TrainSettings(
        iterations=5,
        batch_size=2,
        optimizer=OptimizerSettings(lr=5e-3),
        schedule=ScheduleSettings(warmup_iterations=2, warmup_ratio=0.5),
        augment=AugmentSettings(crop=(48, 24)),
        checkpoint_interval=2,
        log_interval=1,
    )

    def train(folder: str, on_step: Any) -> Any:
        model = build(model_config)
        set_training_size(model.student, (48, 24))
        return run_training(model, samples, settings, 5, tmp_path / folder, on_step, model.metrics, {})

    def stop(iteration: int, metrics: dict[str, float]) -> None:
        if iteration == 3:
            raise StoppedError

    straight = train("a", lambda iteration, metrics: None)
    with pytest.raises(StoppedError):
        train("b", stop)
    reported: dict[int, dict[str, float]] = {}
    torch.manual_seed(99)
    resumed = train("b", reported.__setitem__)

    assert [metrics["keep"] for metrics in reported.values()] == [0.875, 0.8125, 0.75]
    assert {"student_s", "peer_s", *CoTeaching.metrics} <= set(reported[3])
    assert resumed.iteration == 5
    states = straight.state_dict(), resumed.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
