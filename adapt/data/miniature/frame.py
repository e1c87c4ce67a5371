"""One frame of the miniature: a function of the seed, the split and the index alone."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapt.data.miniature.drawing import draw_scene
from adapt.data.miniature.look import (
    FOG_LOOK,
    NIGHT_LOOK,
    RAIN_LOOK,
    SNOW_LOOK,
    SOURCE_LOOK,
    SYNTHIA_LOOK,
    TARGET_LOOK,
    Look,
)
from adapt.data.miniature.sampling import sample_scene
from adapt.data.miniature.scene import Scene, advance_scene
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.shading import SUPERSAMPLING, shade_scene
from adapt.data.miniature.town import SOURCE_TOWN, SYNTHIA_TOWN, TARGET_TOWN, Town

DOMAINS: Final[dict[str, tuple[Town, Look]]] = {
    "gta": (SOURCE_TOWN, SOURCE_LOOK),
    "synthia": (SYNTHIA_TOWN, SYNTHIA_LOOK),
    "cityscapes": (TARGET_TOWN, TARGET_LOOK),
    "fog": (TARGET_TOWN, FOG_LOOK),
    "night": (TARGET_TOWN, NIGHT_LOOK),
    "rain": (TARGET_TOWN, RAIN_LOOK),
    "snow": (TARGET_TOWN, SNOW_LOOK),
}
"""Town and look of each domain."""

CLIP_SPEED: Final = 0.6
"""Metres that the clip's camera moves each frame (about 37 km/h at 17 frames/s, the rate of Cityscapes); ours."""

CLIP_LOOK: Final = replace(TARGET_LOOK, gain=0.02)
"""The target's look with an exposure that hardly changes from frame to frame."""

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def render_frame(settings: MiniatureSettings, domain: str, split: str, index: int) -> Frame:
    """Render one still frame.

    Args:
        settings: Seed and size.
        domain: Key of `DOMAINS`.
        split: Name of the split, part of the frame's seed.
        index: Number of the frame in the split.

    Returns:
        The picture (H, W, 3) uint8 RGB and the label map (H, W) uint8 of trainIds, 255 for void.
    """
    town, look = DOMAINS[domain]
    scene = sample_scene(town, _generator(settings, f"{domain}/{split}", index, 0), index)
    return _render(settings, scene, look, _generator(settings, f"{domain}/{split}", index, 1))


def render_clip_frame(settings: MiniatureSettings, index: int) -> Frame:
    """Render one frame of the clip: one target scene through which the camera drives; it depends on the clip's length.

    Args:
        settings: Seed, size and length of the clip.
        index: Number of the frame in the clip.

    Returns:
        As `render_frame`.
    """
    rng = _generator(settings, "clip", 0, 0)
    nothing_rare = TARGET_TOWN.period - 1
    scene = sample_scene(TARGET_TOWN, rng, nothing_rare, speed=CLIP_SPEED, frames=max(settings.clip_frames, 1))
    return _render(settings, advance_scene(scene, index), CLIP_LOOK, _generator(settings, "clip", index, 1))


def _generator(settings: MiniatureSettings, name: str, index: int, stream: int) -> np.random.Generator:
    """Return the generator of one frame; `stream` keeps what is drawn apart from how it looks."""
    return np.random.default_rng([settings.seed, zlib.crc32(name.encode()), index, stream])


def _render(settings: MiniatureSettings, scene: Scene, look: Look, rng: np.random.Generator) -> Frame:
    width, height = settings.size
    canvas = draw_scene(scene, width * SUPERSAMPLING, height * SUPERSAMPLING)
    return shade_scene(canvas, scene, look, rng)
