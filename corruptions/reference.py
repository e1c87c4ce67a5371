"""The reference backend: the `imagecorruptions` module of the distribution imagecorruptions-imaug, made repeatable.

That module draws from numpy's global random state, except for two operations that want a seed of their own. It is
imported when first used: it takes a second, most of it for numba and scikit-image.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

# impulse_noise draws from a new default_rng, glass_blur from numba's state: both ignore numpy.random.seed
SEED_ARGUMENT = frozenset({"impulse_noise", "glass_blur"})

_GLOBAL_STATE = threading.Lock()


def corrupt_reference(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Corrupt one image as the reference does, and leave numpy's global random state as it was.

    Calls from several threads take turns, because they share that state; a thread that draws from `numpy.random`
    meanwhile would disturb both. numba's own random state, which glass_blur seeds, is not put back.

    Where no drop of spatter falls on a small image the reference divides zero by zero, and its cast makes the image
    black: here such an image stays as it is.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels.
        name: A name that the module knows.
        severity: 1 to 5.
        seed: In [0, 2**32).

    Returns:
        A new (H, W, 3) uint8 RGB array; fractions are cut off, not rounded.
    """
    import imagecorruptions
    from PIL import Image

    operation = imagecorruptions.corruption_dict[name]
    arguments = {"seed": seed} if name in SEED_ARGUMENT else {}
    with _GLOBAL_STATE:
        state = np.random.get_state()
        np.random.seed(seed)
        try:
            with np.errstate(invalid="ignore"):  # spatter's 0 / 0, mended below
                result = np.array(operation(Image.fromarray(image), severity, **arguments))
        finally:
            np.random.set_state(state)
    if result.dtype == np.uint8:  # jpeg_compression and pixelate, which return a PIL image
        return result
    return np.where(np.isfinite(result), result, image).astype(np.uint8)
