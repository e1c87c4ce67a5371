"""Predict and count the frames of units, as they are claimed, until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from adapt.benchmark.feed import Claim, FeedSettings, Sample, open_feed
from adapt.benchmark.kept import Timing, UnitCounts, keep_unit
from adapt.benchmark.unit import Unit
from adapt.data.ahead import naming_lost_processes
from adapt.errors import TaskError
from adapt.frame_counts import count_on_device, read_counts
from adapt.inference import describe_non_finite, forward_logits, normalise
from adapt.scores.calibration import BINS


def compute_units(
    model: nn.Module,
    num_classes: int,
    feed: FeedSettings,
    claim: Claim,
    folder: Path,
    *,
    workers: int = 0,
    calibration: bool = False,
    on_unit: Callable[[Unit], None] = lambda unit: None,
) -> None:
    """Compute units and keep their counts.

    Prediction and counts stay on the network's device; they come over once a unit.

    Args:
        model: The network, in eval mode.
        num_classes: K.
        feed: What decides the pixels.
        claim: Gives the next unit.
        folder: Where counts are kept; made where it does not exist.
        workers: Processes that read and corrupt frames ahead of the network; 0 does it in between.
        calibration: Whether confidences are counted too.
        on_unit: Called when one is finished.

    Raises:
        TaskError: The network's output is not finite, or a label holds ids that are no classes; the text names the frame. Or a
            process that prepares frames was killed.
        PrerequisiteError: A file cannot be used, see `adapt.benchmark.feed.open_feed`.
        CorruptionError: An image is too small to be corrupted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    timing, numbers = Timing(), []
    with naming_lost_processes():
        samples = open_feed(feed, claim, workers, pin=device.type == "cuda")
        started = time.perf_counter()
        for sample in samples:
            arrived = time.perf_counter()
            numbers.append(_count(model, sample, num_classes, calibration))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ended = time.perf_counter()
            # In this process, preparing a frame is what the network waits for: it is counted there as well.
            timing += Timing(ended - arrived, arrived - started, sample.decode_s, sample.corrupt_s)
            if sample.place + 1 == sample.unit.last:
                counts = _collect(model, feed, sample.unit, numbers, num_classes, calibration, timing)
                keep_unit(folder, sample.unit, counts)
                on_unit(sample.unit)
                timing, numbers = Timing(), []
            started = time.perf_counter()


@torch.no_grad()
def _count(model: nn.Module, sample: Sample, num_classes: int, calibration: bool) -> Tensor:
    """Return the counts of a frame in all cells of its unit, int64 (C, counts) on the network's device."""
    label = sample.label.to(next(model.parameters()).device, non_blocking=True)
    counted = [
        count_on_device(forward_logits(model, normalise(model, image)), label, num_classes, calibration)[0]
        for image in sample.images
    ]
    return torch.stack(counted)


def _collect(
    model: nn.Module,
    feed: FeedSettings,
    unit: Unit,
    numbers: list[Tensor],
    num_classes: int,
    calibration: bool,
    timing: Timing,
) -> UnitCounts:
    """Bring the counts of a unit over and take them apart."""
    counted = torch.stack(numbers, dim=1).cpu().numpy()  # (C, N, counts)
    cells, frames = counted.shape[:2]
    confusion = np.zeros((cells, frames, num_classes, num_classes), np.int64)
    bins = np.zeros((cells, frames if calibration else 0, 3, BINS))
    for cell, index in np.ndindex(cells, frames):
        frame = feed.sources[unit.dataset].frames[unit.first + index]
        try:
            is_finite, confusion[cell, index], confidences = read_counts(counted[cell, index], num_classes)
        except TaskError as error:
            raise TaskError(f"{frame.label}: {error}") from error
        if not is_finite:
            raise TaskError(f"{frame.image}, {unit.cells[cell].name}: {describe_non_finite(model)}")
        if confidences is not None:
            bins[cell, index] = confidences
    return UnitCounts(confusion, bins, timing)
