"""Which function implements which corruption: a line for each of the 19."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.blur import defocus_blur, gaussian_blur
from corruptions.fast.colour import brightness, contrast, saturate
from corruptions.fast.compression import jpeg_compression, pixelate
from corruptions.fast.elastic import elastic_transform
from corruptions.fast.fog import fog
from corruptions.fast.frost import frost
from corruptions.fast.glass import glass_blur
from corruptions.fast.motion import motion_blur
from corruptions.fast.noise import gaussian_noise, impulse_noise, speckle_noise
from corruptions.fast.shot import shot_noise
from corruptions.fast.snow import snow
from corruptions.fast.spatter import spatter
from corruptions.fast.zoom import zoom_blur

# image, the constants of one severity, seed -> a new image
Operation = Callable[[NDArray[np.uint8], tuple[float, ...], int], NDArray[np.uint8]]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "gaussian_noise": gaussian_noise,
        "shot_noise": shot_noise,
        "impulse_noise": impulse_noise,
        "defocus_blur": defocus_blur,
        "glass_blur": glass_blur,
        "motion_blur": motion_blur,
        "zoom_blur": zoom_blur,
        "snow": snow,
        "frost": frost,
        "fog": fog,
        "brightness": brightness,
        "contrast": contrast,
        "elastic_transform": elastic_transform,
        "pixelate": pixelate,
        "jpeg_compression": jpeg_compression,
        "speckle_noise": speckle_noise,
        "gaussian_blur": gaussian_blur,
        "spatter": spatter,
        "saturate": saturate,
    }
)
