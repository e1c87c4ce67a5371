"""What a stage gets and gives: a stage is a plain function from a task and its context to a result, free of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adapt.data.cache import ImageCache
from orchestrator.record import Cell, Clip, Network

if TYPE_CHECKING:
    import torch  # seconds, which a search that waits for its trials can spare

OnStep = Callable[[int, Mapping[str, float]], None]
"""Reports live scalars of a running task: (step, name -> value)."""

MANIFEST_FILE = "manifest.json"
FRAMES_FILE = "frames.jsonl"
FRAME_PICTURES = "frames/index.json"  # lists the pictures of fixed frames


@dataclass(frozen=True)
class StageContext:
    """Where a task finds what it needs on this machine.

    Attributes:
        folder: the task's folder in the store, for what it leaves behind.
        scratch: a folder for what it needs only to go on after an interruption.
        roots: name of a data set -> its root folder.
        weights: role -> file of outside weights, see `Task.weights`.
        inputs: role -> folder of the finished task whose output it is.
        threads: CPU threads to use.
        gpus: GPUs that the task was given; 0 keeps it on the CPU.
        on_step: takes live scalars.
        cache: keeps decoded images on this machine, or None.
    """

    folder: Path
    scratch: Path
    roots: Mapping[str, Path]
    weights: Mapping[str, Path]
    inputs: Mapping[str, Path]
    threads: int
    gpus: float
    on_step: OnStep
    cache: ImageCache | None = None


@dataclass(frozen=True)
class StageResult:
    """What a stage made, beside the files that it left in its folder.

    Attributes:
        network: the network that was trained or scored.
        protocol: all that must be equal for two scores to be compared; None where nothing was scored.
        classes: class names, in the order of the confusion counts.
        cells: the unaggregated scores.
        metrics: other numbers (frames per second, updates ...); None with no value.
        method: what a test-time method updates and whose statistics it normalises with; None elsewhere.
        notes: what a reader of the numbers should know, in sentences.
    """

    network: Network
    protocol: dict[str, Any] | None = None
    classes: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    metrics: dict[str, float | None] = field(default_factory=dict)
    method: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def make_cell(
    name: str,
    axes: dict[str, str | int],
    counts: NDArray[np.int64],
    calibration: NDArray[np.float64] | None = None,
    clips: tuple[Clip, ...] = (),
) -> Cell:
    """Pool per-image confusion counts (N, K, K) into a cell of the record.

    Args:
        name: of the cell.
        axes: what it stands at.
        counts: int64 (N, K, K).
        calibration: (3, 15) counts of all its pixels, or None.
        clips: its clips of video.
    """
    return Cell(
        name=name,
        axes=axes,
        frames=len(counts),
        confusion=tuple(tuple(row) for row in counts.sum(axis=0).tolist()),
        calibration=None if calibration is None else tuple(tuple(row) for row in calibration.tolist()),
        clips=clips,
    )


def with_progress(on_step: OnStep, iterations: int) -> OnStep:
    """Return an `on_step` that adds the share of the iterations that is done."""

    def report(step: int, values: Mapping[str, float]) -> None:
        on_step(step, {**values, "progress": step / iterations})

    return report


def count_loader_workers(context: StageContext, device: torch.device) -> int:
    """Return how many processes load data: all but one core beside a GPU; none on a CPU, where they would compete."""
    return max(0, context.threads - 1) if device.type == "cuda" else 0
