"""The contact sheet."""

from __future__ import annotations

import numpy as np

from adapt.data.miniature.frame import render_frame
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.sheet import contact_sheet


def test_sheet_shows_pictures_beside_coloured_labels() -> None:
    settings = MiniatureSettings(size=(64, 32))
    sheet = contact_sheet(settings, ["gta", "night"], columns=2, first=1, gap=4)
    assert sheet.shape == (32 * 2 + 4, 2 * 128 + 4, 3)
    image, label = render_frame(settings, "night", "train", 2)
    np.testing.assert_array_equal(sheet[36:, 132:196], image)
    road = sheet[36:, 196:][label == 0]
    assert (road == (128, 64, 128)).all()
    assert (sheet[32:36] == 255).all()
