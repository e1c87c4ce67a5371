"""Corruptions in a mmsegmentation pipeline: `dict(type="CommonCorruption", name="fog", severity=3)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from adapt.errors import SpecError
from corruptions.apply import corrupt
from corruptions.image_id import name_frame
from corruptions.protocol import BackendName, ChannelOrder
from corruptions.seeding import derive_seed
from corruptions.selection import select_cell

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
        backend: BackendName | None = None,
        protocol: str | Mapping[str, Any] | None = None,
        channel_order: ChannelOrder | None = None,
        image_order: Literal["BGR", "RGB"] = "BGR",
        image_suffix: str | None = None,
    ) -> None:
        """Read the settings.

        Args:
            name: One of `corruptions.CORRUPTIONS` or `corruptions.WEATHER`.
            severity: 1 to 5.
            seed: The experiment's seed.
            backend: Implementation of the 19. None: the protocol's, or `fast` without one.
            protocol: A protocol which has this cell, and whose backend and channel order are taken: its name, the path of a
                YAML file, or the mapping of such a file.
            channel_order: Order of the channels that the operation sees, whatever that of `img` is. None: the protocol's, or
                RGB without one.
            image_order: Order of the channels of `img`: BGR, as `LoadImageFromFile` makes it, or RGB.
            image_suffix: How file names of images end after their frame's name, such as `_leftImg8bit.png`: then the
                pixels are those of a `benchmark` stage. None: the file name less its extension is the name.

        Raises:
            CorruptionError: A name or the severity is not known, or the protocol is not as it should be, has no such cell,
                another backend or channel order, or corrupts after a resize.
            SpecError: The order of the image is neither BGR nor RGB.
        """
        if image_order not in ("BGR", "RGB"):
            raise SpecError(f"CommonCorruption: image_order {image_order!r} is neither 'BGR' nor 'RGB'.")
        cell = select_cell(name, severity, protocol, backend, channel_order)
        self.name = name
        self.severity = severity
        self.seed = seed
        self.backend = cell.backend
        self.protocol = protocol
        self.channel_order = cell.channel_order
        self.image_order = image_order
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
        corrupted = corrupt(
            self._reverse(results["img"]),
            self.name,
            self.severity,
            seed,
            backend=self.backend,
            channel_order=self.channel_order,
            origin=path,
        )
        results["img"] = np.ascontiguousarray(self._reverse(corrupted))
        return results

    def _reverse(self, image: Any) -> Any:
        return image[..., ::-1] if self.image_order == "BGR" and image.ndim == 3 and image.shape[2] == 3 else image

    def __repr__(self) -> str:
        """Show the settings, as mmengine logs pipelines."""
        return (
            f"{type(self).__name__}(name={self.name!r}, severity={self.severity}, seed={self.seed}, "
            f"backend={self.backend!r}, protocol={self.protocol!r}, channel_order={self.channel_order!r}, "
            f"image_order={self.image_order!r}, image_suffix={self.image_suffix!r})"
        )
