"""Looks at frames while a network trains: when, and at what."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.inference import predict_classes
from adapt.openmmlab.model import build_model
from adapt.training.runner import run_training, set_training_size
from adapt.training.sample import LabelledDataset
from adapt.training.settings import AugmentSettings, TrainSettings
from adapt.training.validation import Validate, Validation


def ignore(iteration: int, metrics: dict[str, float]) -> None:
    pass


def look(hook: Validate, iteration: int, last: int = 100) -> None:
    hook.after_train_iter(SimpleNamespace(iter=iteration - 1, max_iters=last), iteration - 1)


@pytest.fixture
def network(model_config: dict[str, Any]) -> torch.nn.Module:
    return build_model(model_config, 0)


def test_it_looks_at_every_interval_and_after_the_last(
    network: torch.nn.Module, frames: tuple[Frame, ...], dataset: DatasetSettings
) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    hook = Validate(network, Validation(frames, dataset, 3), lambda i, m: seen.append((i, m)))
    for iteration in range(1, 9):
        look(hook, iteration, last=8)
    assert [iteration for iteration, _ in hook.history] == [3, 6, 8]
    assert seen == [(iteration, {"validation_miou": miou}) for iteration, miou in hook.history]


def test_miou_is_that_of_a_loop_over_classes(
    network: torch.nn.Module, frames: tuple[Frame, ...], dataset: DatasetSettings
) -> None:
    hook = Validate(network.train(), Validation(frames, dataset, 1), ignore)
    look(hook, 1)
    assert not network.training
    pairs = [read_frame(frame, dataset) for frame in frames]
    label = np.stack([pair[1] for pair in pairs])
    predicted = np.stack([predict_classes(network, image, dataset.resize) for image, _ in pairs])
    scores = []
    for index in range(11):
        known = label != 255
        either = ((label == index) | (predicted == index)) & known
        if either.any():
            scores.append(((label == index) & (predicted == index)).sum() / either.sum())
    assert hook.history == [(1, pytest.approx(np.mean(scores)))]


@pytest.mark.parametrize("interval", [1, 3])
def test_looking_does_not_change_what_is_trained(
    model_config: dict[str, Any], frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path, interval: int
) -> None:
    settings = TrainSettings(iterations=4, batch_size=2, augment=AugmentSettings(crop=(48, 24)), log_interval=1)

    def train(folder: str, looks: bool) -> dict[str, torch.Tensor]:
        network = build_model(model_config, 5)
        set_training_size(network, settings.augment.crop)
        samples = LabelledDataset(frames, dataset, settings.augment, 5)
        hooks = [Validate(network, Validation(frames, dataset, interval), ignore)] if looks else []
        run_training(network, samples, settings, 5, tmp_path / folder, ignore, ("loss",), {}, hooks=hooks)
        return network.state_dict()

    blind, looking = train("blind", False), train("looking", True)
    assert all(torch.equal(blind[name], looking[name]) for name in blind)


def test_frames_without_a_labelled_pixel_are_refused(
    network: torch.nn.Module, frames: tuple[Frame, ...], dataset: DatasetSettings
) -> None:
    assert frames[0].label is not None
    blank = frames[0].label.with_name("blank.png")
    cv2.imwrite(str(blank), np.full((32, 64), 11, np.uint8))
    frame = Frame("blank", frames[0].image, blank)
    with pytest.raises(PrerequisiteError, match="no labelled pixel"):
        look(Validate(network, Validation([frame], dataset, 1), ignore), 1)
