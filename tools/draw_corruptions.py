"""Draws docs/images/corruptions.jpg: one miniature scene under all 19 corruptions and 6 of weather at every severity."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from adapt.data.miniature.frame import render_frame
from adapt.data.miniature.settings import MiniatureSettings
from corruptions.preview import draw_preview

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "corruptions.jpg"
SIZE = (256, 160)  # of the scene
TILE = 128  # longer side of a tile, half of the scene: the picture stays below 400 kB
SCENE = 8  # cars, a traffic light, trees and houses in full view
QUALITY = 72  # of 100; noise makes a PNG file of it five times as large


def draw_corruptions() -> Image.Image:
    """Draw the grid."""
    scene, _ = render_frame(MiniatureSettings(size=SIZE), "cityscapes", "val", SCENE)
    return Image.fromarray(draw_preview(scene, "miniature", tile=TILE))


if __name__ == "__main__":
    draw_corruptions().save(PICTURE, quality=QUALITY, optimize=True)
