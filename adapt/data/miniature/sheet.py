"""A contact sheet: frames of every domain, each above its label in colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapt.data.catalog import CITYSCAPES_PALETTE
from adapt.data.miniature.frame import DOMAINS, render_frame
from adapt.data.miniature.settings import MiniatureSettings


def contact_sheet(
    settings: MiniatureSettings, domains: Sequence[str] = tuple(DOMAINS), columns: int = 2, first: int = 0, gap: int = 4
) -> NDArray[np.uint8]:
    """Show a few training frames of each domain.

    Args:
        settings: Seed and size of the frames.
        domains: Keys of `frame.DOMAINS`, one row each.
        columns: Frames a row; each is shown with its label to the right.
        first: Index of the first frame shown.
        gap: White pixels between frames.

    Returns:
        The sheet, (H, W, 3) uint8 RGB; void is black.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(CITYSCAPES_PALETTE)] = CITYSCAPES_PALETTE
    width, height = settings.size
    sheet = np.full((len(domains) * (height + gap) - gap, columns * (2 * width + gap) - gap, 3), 255, np.uint8)
    for row, domain in enumerate(domains):
        for column in range(columns):
            image, label = render_frame(settings, domain, "train", first + column)
            top, left = row * (height + gap), column * (2 * width + gap)
            sheet[top : top + height, left : left + 2 * width] = np.hstack([image, palette[label]])
    return sheet
