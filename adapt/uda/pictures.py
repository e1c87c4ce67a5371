"""Debug pictures: what a step of self-training saw, as one PNG every K iterations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adapt.atomic import write_atomically
from adapt.openmmlab import Hook
from adapt.uda.monitor import Example

Color = tuple[int, int, int]

PANEL_WIDTH = 384  # ours: four panels side by side fit a screen
CAPTION_HEIGHT = 18


class SavePictures(Hook):
    """Write `iteration_NNNNNN.png` for every `interval`-th iteration of a segmentor that has a `monitor`."""

    def __init__(self, folder: Path, interval: int, palette: Sequence[Color]) -> None:
        self.folder = folder
        self.interval = interval
        self.palette = palette

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Ask for the pair of this iteration when it is time."""
        if (runner.iter + 1) % self.interval == 0:
            runner.model.monitor.wants_example = True

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw the pair that was kept."""
        monitor = runner.model.monitor
        if monitor.example is None:
            return
        example, monitor.example = monitor.example, None
        preprocessor = runner.model.data_preprocessor
        picture = draw_example(example, preprocessor.mean, preprocessor.std, self.palette)
        self.folder.mkdir(parents=True, exist_ok=True)
        _, png = cv2.imencode(".png", picture[..., ::-1])
        write_atomically(self.folder / f"iteration_{runner.iter + 1:06d}.png", png.tobytes())


def draw_example(example: Example, mean: Tensor, std: Tensor, palette: Sequence[Color]) -> NDArray[np.uint8]:
    """Draw a pair in two rows: source, target, mix and weight above, the labels of the first three below.

    Args:
        example: The pair.
        mean: Of the preprocessor, (3, 1, 1).
        std: Of the preprocessor, (3, 1, 1).
        palette: RGB colour of each class; anything else is black.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    images = {"source": example.source, "target": example.target, "mix": example.mixed}
    labels = {
        "source label": example.source_label,
        "pseudo-label": example.pseudo_label,
        "mixed label": example.mixed_label,
    }
    weight = (255 * example.weight).clamp(0, 255).byte().cpu().numpy()
    upper = [_caption(_to_pixels(image, mean, std), name) for name, image in images.items()]
    upper.append(
        _caption(np.repeat(weight[..., None], 3, axis=2), f"weight (largest {float(example.weight.max()):.2f})")
    )
    lower = [_caption(_colour(label, palette), name) for name, label in labels.items()]
    lower.append(np.zeros_like(lower[0]))
    return np.vstack([np.hstack(upper), np.hstack(lower)])


def _to_pixels(image: Tensor, mean: Tensor, std: Tensor) -> NDArray[np.uint8]:
    pixels = (image * std + mean).round().clamp(0, 255).byte()
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def _colour(label: Tensor, palette: Sequence[Color]) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[label.cpu().numpy()]


def _caption(panel: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Bring a panel to one width and write its name above it."""
    height = round(panel.shape[0] * PANEL_WIDTH / panel.shape[1])
    scaled = cv2.resize(panel, (PANEL_WIDTH, height), interpolation=cv2.INTER_NEAREST)
    bar = np.full((CAPTION_HEIGHT, PANEL_WIDTH, 3), 255, np.uint8)
    cv2.putText(bar, text, (4, CAPTION_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.vstack([bar, scaled]), np.uint8)
