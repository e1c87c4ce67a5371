"""What one looks at: the curves of training IoU with their fits, and labels before and after correction.

Importing this imports matplotlib, which takes a second; only its Agg canvas is used, none of pyplot's global state.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from adapt.correction.detection import Verdict
from adapt.data.catalog import Color
from adapt.data.label_map import IGNORE
from adapt.tta.live.pictures import Sheet, colour_classes

Pixels = NDArray[np.uint8]

# Ours, in pixels: four panels fit a screen of 1280 columns.
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS, HEADER = 320, 240, 4, 32
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 50, 34
"""Margins around the axes of a panel; its title stands above, the ticks to the left and below."""

_DPI = 100
_LINE_CHARACTERS = 54  # of a reason, in its size
_CURVE, _MARK, _FAINT = "black", "#c01818", "#606060"

# Ours, told apart with any kind of colour vision.
MENDED, SPOILED, MISSED, CHANGED = (0, 200, 255), (255, 60, 0), (255, 230, 0), (255, 255, 255)
"""RGB of changed pixels that are right now, of those that are wrong now, of wrong pixels left alone; of changed pixels of
which nobody knows."""


def draw_curves(
    epochs: NDArray[np.float64],
    iou: NDArray[np.float64],
    verdicts: Sequence[Verdict],
    classes: Sequence[str],
    palette: Sequence[Color],
) -> Pixels:
    """Draw a panel per class: its training IoU, the fitted curve, the update epoch, and what became of it.

    Args:
        epochs: (n,) positions of the points, 0 or more.
        iou: (n, K) in [0, 1]; what is not finite is left out.
        verdicts: K, of `Detection.detect`.
        classes: K names.
        palette: RGB of each class.

    Returns:
        (H, W, 3) uint8 RGB, where H and W depend on K alone: a header, then four panels in a row.
    """
    columns = min(COLUMNS, len(classes))
    width, height = columns * PANEL_WIDTH, HEADER + -(-len(classes) // columns) * PANEL_HEIGHT
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    key = "dots: IoU with the training label     line: fitted curve     dashed: the epoch at which it has flattened"
    figure.text(LEFT / width, 1 - 0.6 * HEADER / height, key, fontsize=8, color=_FAINT, va="center")
    triggered = [verdict.update_epoch or 0 for verdict in verdicts if verdict.triggered]
    last = max([1.0, *epochs.tolist(), *triggered])
    for index, verdict in enumerate(verdicts):
        left, top = index % columns * PANEL_WIDTH + LEFT, HEADER + index // columns * PANEL_HEIGHT + TOP
        size = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
        axes = figure.add_axes(
            (left / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height),
            xlim=(0, last),
            ylim=(0, 1),
        )
        _draw_panel(axes, epochs, iou[:, index], verdict, palette[index])
        is_lowest = index + columns >= len(verdicts)
        _label_panel(axes, classes[index], _describe(verdict), "epochs" if is_lowest else "")
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3])


def draw_panels(
    image: Pixels,
    noisy: Pixels,
    corrected: Pixels,
    clean: Pixels | None,
    prediction: Pixels | None,
    classes: Sequence[str],
    palette: Sequence[Color],
) -> Pixels:
    """Draw an image beside its labels and the pixels that a correction changed, above a legend.

    Args:
        image: (H, W, 3) uint8 RGB.
        noisy: (H, W) uint8 train ids, the label as it came.
        corrected: (H, W), the label as it is learnt from.
        clean: (H, W), the true label, or None.
        prediction: (H, W), what the correction was made of, or None.
        classes: Names.
        palette: RGB of each class; ignored pixels are black.

    Returns:
        (rows, columns, 3) uint8 RGB: image, given label, corrected label, changes, and clean label and prediction where
        there are any.
    """
    marks, text = mark_changes(image, noisy, corrected, clean)
    labels = {"given label": noisy, "corrected label": corrected}
    more = {"clean label": clean, "prediction": prediction}
    panels = {
        "image": image,
        **{title: colour_classes(label, palette) for title, label in labels.items()},
        "changes": marks,
        **{title: colour_classes(label, palette) for title, label in more.items() if label is not None},
    }
    sheet = Sheet(list(panels), (image.shape[1], image.shape[0]), classes, palette)
    return sheet.draw(list(panels.values()), text)


def mark_changes(image: Pixels, noisy: Pixels, corrected: Pixels, clean: Pixels | None) -> tuple[Pixels, str]:
    """Mark the changed pixels on a dark grey image, and count them.

    Args:
        image: (H, W, 3) uint8 RGB.
        noisy: (H, W) uint8 train ids.
        corrected: (H, W).
        clean: (H, W) or None; pixels that it ignores are neither right nor wrong.

    Returns:
        (H, W, 3) uint8 RGB with the colours of this module, and a line that explains them.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) // 3
    picture = np.repeat(grey[..., None], 3, axis=2)
    changed = noisy != corrected
    picture[changed] = CHANGED
    share = 100 * changed.mean()
    text = f"{changed.sum()} pixels changed ({share:.1f} %)"
    if clean is None:
        return picture, f"{text}, white"
    known = clean != IGNORE
    counts = []
    for mask, color, name in (
        (changed & known & (corrected == clean), MENDED, "blue: right now"),
        (changed & known & (corrected != clean), SPOILED, "red: wrong now"),
        (~changed & known & (noisy != clean), MISSED, "yellow: wrong and left alone"),
    ):
        picture[mask] = color
        counts.append(f"{name} {mask.sum()}")
    return picture, f"{text}; {', '.join(counts)}"


def _draw_panel(
    axes: Axes, epochs: NDArray[np.float64], iou: NDArray[np.float64], verdict: Verdict, color: Color
) -> None:
    own = "#{:02x}{:02x}{:02x}".format(*color)
    axes.plot(epochs, iou, "o", color=own, markersize=4, markeredgewidth=0, clip_on=False)
    if verdict.curve is not None:
        places = np.linspace(*axes.get_xlim(), PANEL_WIDTH)
        axes.plot(places, verdict.curve(places), color=_CURVE, linewidth=1)
    if verdict.update_epoch is not None and verdict.update_epoch <= axes.get_xlim()[1]:
        # Not clipped: half of it would be lost at the right end.
        axes.axvline(verdict.update_epoch, color=_MARK, linewidth=1, linestyle="--", clip_on=False)


def _label_panel(axes: Axes, name: str, text: str, below: str) -> None:
    title: dict[str, Any] = {"transform": axes.transAxes, "parse_math": False}
    height = PANEL_HEIGHT - TOP - BOTTOM
    axes.text(0, 1 + 34 / height, name, fontsize=9, fontweight="bold", **title)
    lines = textwrap.wrap(text, _LINE_CHARACTERS, max_lines=2, placeholder=" ...")
    axes.text(0, 1 + 30 / height, "\n".join(lines), fontsize=7, color=_FAINT, va="top", **title)
    axes.set_xlabel(below, fontsize=7, labelpad=1)
    axes.tick_params(labelsize=7, length=2)
    axes.locator_params(axis="x", nbins=6, integer=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _describe(verdict: Verdict) -> str:
    if verdict.triggered_at is not None:
        return f"triggered after {verdict.triggered_at + 1} epochs"  # it counts from 0, the axis what has passed
    return verdict.reason or ""
