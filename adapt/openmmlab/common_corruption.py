"""Corruptions in a mmsegmentation pipeline: `dict(type="CommonCorruption", name="fog", severity=3)`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from adapt.errors import SpecError
from corruptions.apply import corrupt
from corruptions.image_id import name_frame
from corruptions.protocol import choose_backend
from corruptions.seeding import derive_seed

LATER_KEYS = ("scale_factor", "flip")  # what Resize and RandomFlip leave in the results


@TRANSFORMS.register_module()
class CommonCorruption(BaseTransform):
    """Corrupt `img` under the seed of its file's name: the same pixels in any order, epoch, worker or process.

    It stands directly behind `LoadImageFromFile`: protocols corrupt before any resize.
    """

    def __init__(
        self,
        name: str,
        severity: int,
        seed: int = 0,
        backend: Literal["fast", "reference"] | None = None,
        protocol: str | None = None,
        channel_order: Literal["BGR", "RGB"] = "BGR",
        image_suffix: str | None = None,
    ) -> None:
        """Read the settings.

        Args:
            name: One of `corruptions.CORRUPTIONS` or `corruptions.WEATHER`.
            severity: 1 to 5.
            seed: The experiment's seed.
            backend: Implementation of the 19. None: the protocol's, or `fast` without one.
            protocol: Name of a protocol which has this cell, and whose backend is taken.
            channel_order: Order of the channels of `img`; the operations see RGB in any case. `LoadImageFromFile` gives BGR.
            image_suffix: How file names of images end after their frame's name, such as `_leftImg8bit.png`: then the
                pixels are those of a `benchmark` stage. None: the file name less its extension is the name.

        Raises:
            CorruptionError: A name or the severity is not known, or the protocol has no such cell or another backend.
            SpecError: The channel order is neither BGR nor RGB.
        """
        if channel_order not in ("BGR", "RGB"):
            raise SpecError(f"CommonCorruption: channel_order {channel_order!r} is neither 'BGR' nor 'RGB'.")
        self.name = name
        self.severity = severity
        self.seed = seed
        self.backend = choose_backend(name, severity, backend, protocol)
        self.protocol = protocol
        self.channel_order = channel_order
        self.image_suffix = image_suffix

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Corrupt `img`.

        Args:
            results: What `LoadImageFromFile` made: `img` (H, W, 3) uint8 and `img_path`.

        Returns:
            The same dict, with a new `img` in the same order of channels.

        Raises:
            SpecError: There is no image or path yet, or the image was resized or flipped already.
            CorruptionError: The image is not uint8 (`to_float32` of the loader), or too small.
        """
        if results.get("img") is None or not results.get("img_path"):
            raise SpecError(
                "CommonCorruption found no `img` with an `img_path`, from which the seed comes. Put it directly behind "
                "`LoadImageFromFile` in the pipeline."
            )
        if done := [key for key in LATER_KEYS if key in results]:
            raise SpecError(
                f"CommonCorruption found an image that was resized or flipped already (`{done[0]}`), but images are corrupted "
                "as they were decoded. Put it directly behind `LoadImageFromFile` in the pipeline."
            )
        path = str(results["img_path"])
        seed = derive_seed(self.seed, name_frame(path, self.image_suffix), self.name, self.severity)
        pixels = self._reverse(results["img"])
        corrupted = corrupt(pixels, self.name, self.severity, seed, backend=self.backend, origin=path)
        results["img"] = np.ascontiguousarray(self._reverse(corrupted))
        return results

    def _reverse(self, image: Any) -> Any:
        return image[..., ::-1] if self.channel_order == "BGR" and image.ndim == 3 and image.shape[2] == 3 else image

    def __repr__(self) -> str:
        """Show the settings, as mmengine logs pipelines."""
        return (
            f"{type(self).__name__}(name={self.name!r}, severity={self.severity}, seed={self.seed}, "
            f"backend={self.backend!r}, protocol={self.protocol!r}, channel_order={self.channel_order!r}, "
            f"image_suffix={self.image_suffix!r})"
        )
