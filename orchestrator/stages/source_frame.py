"""The source frames that a stage measures a network on: which, and as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor, nn

from adapt.data.layout import Frame, list_frames
from adapt.data.reading import read_image
from adapt.data.settings import DatasetSettings
from adapt.inference import to_tensor
from experiments.schema import FisherStage, StylesStage
from experiments.task import Task
from orchestrator.stages.stage import OnStep, StageContext


def choose_frames(frames: Sequence[Frame], samples: int, seed: int) -> tuple[Frame, ...]:
    """Choose some of many frames, each at most once, in their own order; all where there are no more than wanted."""
    if len(frames) <= samples:
        return tuple(frames)
    places = np.random.default_rng(seed).choice(len(frames), samples, replace=False)
    return tuple(frames[place] for place in sorted(places))


def list_source_frames(task: Task, context: StageContext, settings: StylesStage | FisherStage) -> tuple[Frame, ...]:
    """Return the frames that a stage measures on; their labels are not asked for."""
    dataset = task.datasets[settings.dataset].settings
    frames = list_frames(dataset, context.roots[settings.dataset], require_labels=False)
    return choose_frames(frames, settings.samples, settings.seed)


def read_batches(
    frames: Sequence[Frame], dataset: DatasetSettings, model: nn.Module, on_step: OnStep
) -> Iterator[Tensor]:
    """Go through frames one by one, as a stream will bring them, and report progress.

    Args:
        frames: of the data set.
        dataset: says to which size images are brought.
        model: takes them.
        on_step: takes live scalars.

    Yields:
        (1, 3, H, W) float32 on the network's device, resized and normalised for it.
    """
    for index, frame in enumerate(frames):
        yield to_tensor(model, read_image(frame.image), dataset.resize)
        if (index + 1) % 10 == 0 or index + 1 == len(frames):
            on_step(index + 1, {"progress": (index + 1) / len(frames)})
