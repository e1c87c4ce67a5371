"""What a training on noisy labels leaves beside its network: numbers over time, pictures, and the labels in the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.atomic import write_atomically
from adapt.correction.curve import Curve
from adapt.correction.detection import Verdict, place_points
from adapt.correction.train import NoisyTraining
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.inference import predict_classes
from orchestrator.stages.stage import StageContext
from orchestrator.stages.validation import score_looks
from orchestrator.store import PICTURES

CURVES_FILE = "curves.json"
LABELS = "labels"
PANELS = 4  # pictures of single images; ours, enough to see what kind of pixel changes


def keep_noisy_training(
    made: NoisyTraining, frames: Sequence[Frame], dataset: DatasetSettings, context: StageContext
) -> dict[str, float | None]:
    """Write what there is to look at into the task's folder, and return the numbers for the record.

    Args:
        made: the training.
        frames: what was trained on.
        dataset: the settings they were listed with.
        context: of the task.

    Returns:
        See docs/noise.md.
    """
    history = made.history
    content = {"classes": describe_dataset(dataset).classes, "validation": made.looks, **history.save()}
    write_atomically(context.folder / CURVES_FILE, json.dumps(content, indent=1))
    _draw(made, frames, dataset, context)
    _keep_labels(made, context)
    metrics = score_looks(made.looks)
    if history.points and made.labels.noise is not None:
        metrics |= {name: history.points[-1][name] for name in ("iou_el", "iou_m")}
    if made.labels.store is not None:
        corrections = history.corrections
        metrics["corrections"] = float(len(corrections))
        metrics["first_correction_epoch"] = float(corrections[0]["epoch"]) if corrections else None
        metrics["corrected_share"] = corrections[-1]["changed"] if corrections else 0.0
        scores = corrections[-1]["scores"] if corrections else None
        if made.labels.noise is not None:
            metrics["correction_precision"] = scores["total_precision"] if scores else None
            metrics["correction_recall"] = scores["total_recall"] if scores else None
    return metrics


def _draw(made: NoisyTraining, frames: Sequence[Frame], dataset: DatasetSettings, context: StageContext) -> None:
    from adapt.correction.figures import draw_curves, draw_panels  # its matplotlib takes a second to import

    kind, folder = describe_dataset(dataset), context.folder / PICTURES
    folder.mkdir(exist_ok=True)
    points = made.history.points
    if points:
        last = points[-1]["epoch"]
        iou = np.array([[np.nan if value is None else value for value in point["iou"]] for point in points])
        verdicts = [
            Verdict(**{**verdict, "curve": None if verdict["curve"] is None else Curve(**verdict["curve"])})
            for verdict in made.history.verdicts
        ] or [Verdict(index, None, None, False, None, "no detection") for index in range(kind.num_classes)]
        positions = place_points(len(points), last / len(points), 1.0)
        _write_picture(folder / "curves.png", draw_curves(positions, iou, verdicts, kind.classes, kind.palette))
    for index in np.linspace(0, len(frames) - 1, min(PANELS, len(frames))).astype(int).tolist():
        frame = frames[index]
        image, given, clean = made.labels.read(frame)
        learnt = made.labels.read_newest(frame, given)
        panel = draw_panels(
            image, given, learnt, clean, predict_classes(made.network, image), kind.classes, kind.palette
        )
        _write_picture(folder / f"labels-{index:05d}.png", panel)


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


def _keep_labels(made: NoisyTraining, context: StageContext) -> None:
    """Copy the labels of the last correction, with their manifest, to where results are kept."""
    store = made.labels.store
    epochs = store.list_epochs() if store is not None else ()
    if store is None or not epochs:
        return
    target = context.folder / LABELS
    if target.exists():  # of a run that was killed just here
        shutil.rmtree(target)
    shutil.copytree(store.locate(epochs[-1]), target)
