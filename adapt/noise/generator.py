"""The generator of an image's noise: equal for equal (seed, name), whatever else is drawn and in whatever process."""

from __future__ import annotations

import hashlib

import numpy as np


def image_generator(seed: int, image_name: str) -> np.random.Generator:
    """Make the generator of one image.

    Args:
        seed: Of the noise, not negative.
        image_name: What the image's and the label's file names share.

    Returns:
        A fresh generator; equal arguments give equal draws on every machine (NumPy's `SeedSequence` is stable, and
        Python's own `hash` of a text is not).
    """
    digest = hashlib.sha256(image_name.encode()).digest()
    return np.random.default_rng(np.random.SeedSequence((seed, int.from_bytes(digest, "big"))))
