"""Scores a network on frames of its own while it trains: nothing is chosen by them, but one sees the best and the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.inference import predict_classes
from adapt.openmmlab import Hook
from adapt.scores.confusion import count_confusion, mean_iou
from adapt.training.hooks import OnStep


@dataclass(frozen=True)
class Validation:
    """What is looked at, and when.

    Attributes:
        frames: With labels.
        dataset: The settings they were listed with.
        interval: Iterations between two looks.
    """

    frames: Sequence[Frame]
    dataset: DatasetSettings
    interval: int


def describe_validation(validation: Validation) -> dict[str, Any]:
    """Describe what tells a run's looks from others, as JSON-able data."""
    return {
        "frames": [frame.name for frame in validation.frames],
        "dataset": validation.dataset.model_dump(mode="json"),
        "interval": validation.interval,
    }


class Validate(Hook):
    """Computes mIoU every `interval` iterations and after the last, with the network in eval mode.

    Attributes:
        history: (iteration from 1, mIoU in [0, 1]) of every look; it is kept with the resume point.
    """

    def __init__(self, network: nn.Module, validation: Validation, on_step: OnStep) -> None:
        """Prepare the looks.

        Args:
            network: What is scored: the model that trains, or a part of it.
            validation: On what, and when.
            on_step: Called with the iteration and `validation_miou`.
        """
        self.network = network
        self.validation = validation
        self.on_step = on_step
        self.history: list[tuple[int, float]] = []

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the looks so far."""
        checkpoint["validation"] = [list(look) for look in self.history]

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from them."""
        self.history = [(int(iteration), float(miou)) for iteration, miou in checkpoint["validation"]]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Look, when it is time."""
        done = runner.iter + 1
        if done % self.validation.interval and done != runner.max_iters:
            return
        self.network.eval()  # the loop puts it back into train mode
        dataset = self.validation.dataset
        classes = describe_dataset(dataset).num_classes
        counts = np.zeros((classes, classes), np.int64)
        for frame in self.validation.frames:
            image, label = read_frame(frame, dataset)
            counts += count_confusion(label, predict_classes(self.network, image, dataset.resize), classes)
        miou = mean_iou(counts)
        if miou is None:
            raise PrerequisiteError(
                f"The {len(self.validation.frames)} frames of `validation.dataset`, such as "
                f"'{self.validation.frames[0].name}', have no labelled pixel. Choose a data set whose frames have."
            )
        self.history.append((done, miou))
        self.on_step(done, {"validation_miou": self.history[-1][1]})
