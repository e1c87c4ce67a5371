"""Draws docs/images/noise.png: the label of one miniature scene, clean and under each noise model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from adapt.data.catalog import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from adapt.data.miniature.frame import render_frame
from adapt.data.miniature.settings import MiniatureSettings
from adapt.noise.catalog import add_noise
from adapt.noise.settings import (
    BoundarySettings,
    DropSettings,
    FlipSettings,
    MorphologySettings,
    NoiseSettings,
    WeakSettings,
)
from adapt.noise.units import list_classes

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "noise.png"
SIZE = (480, 240)  # of a panel: two of them fit the width of a page
SCENE = 8  # people, cars, signs and a street in full view
GAP = 8
CAPTION = 24
SWATCH = 16
COLUMNS = 2
ROW = 5  # classes in a row of the legend
PANELS: dict[str, NoiseSettings] = {
    "morphology: masks too small or too large": MorphologySettings(rate=0.6, seed=2),
    "flip: objects of another class": FlipSettings(rate=0.3, seed=2),
    "boundary: outlines with few corners": BoundarySettings(rate=1.0, distance=6.0),
    "drop: objects that nobody labelled": DropSettings(rate=0.4),
    "weak: masks known at 16-pixel cells": WeakSettings(rate=1.0),
}


def draw_noise() -> Image.Image:
    """Draw the panels, each under its caption and rate, and a legend of the classes in them."""
    _, clean = render_frame(MiniatureSettings(size=SIZE), "gta", "train", SCENE)
    labels = {"clean": clean}
    for text, settings in PANELS.items():
        noisy = add_noise(clean, settings, "scene", CITYSCAPES_CLASSES)
        labels[f"{text}  (rate {settings.rate:g})"] = noisy.label
    rows = -(-len(labels) // COLUMNS)
    shown = list_classes(np.stack(list(labels.values())))
    width = COLUMNS * SIZE[0] + (COLUMNS + 1) * GAP
    legend = -(-len(shown) // ROW) * CAPTION
    sheet = Image.new("RGB", (width, GAP + rows * (SIZE[1] + CAPTION + GAP) + legend + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for index, (text, label) in enumerate(labels.items()):
        left = GAP + index % COLUMNS * (SIZE[0] + GAP)
        top = GAP + index // COLUMNS * (SIZE[1] + CAPTION + GAP)
        draw.text((left, top), text, "black", font)
        sheet.paste(Image.fromarray(colour(label)), (left, top + CAPTION))
    for index, class_id in enumerate(shown):
        left = GAP + index % ROW * (width - GAP) // ROW
        top = sheet.height - GAP - legend + index // ROW * CAPTION
        draw.rectangle((left, top, left + SWATCH, top + SWATCH), CITYSCAPES_PALETTE[class_id])
        draw.text((left + SWATCH + GAP, top - 1), CITYSCAPES_CLASSES[class_id], "black", font)
    return sheet


def colour(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (H, W) uint8 train ids into (H, W, 3) uint8 RGB; ignored pixels are black."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(CITYSCAPES_PALETTE)] = CITYSCAPES_PALETTE
    return palette[label]


if __name__ == "__main__":
    draw_noise().save(PICTURE, optimize=True)
