"""Noise on the fly in a mmsegmentation pipeline: `dict(type="NoisyLabels", settings=dict(name="drop", rate=0.3), ...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from pydantic import TypeAdapter

from adapt.errors import SpecError
from adapt.noise.catalog import add_noise, check_names
from adapt.noise.settings import NoiseSettings


@TRANSFORMS.register_module()
class NoisyLabels(BaseTransform):
    """Replace `gt_seg_map` by a noisy one, the same each time that the image comes.

    It stands directly behind `LoadAnnotations`: distances are in pixels of the file, and resized or cropped labels would
    get other noise each time.
    """

    def __init__(
        self, settings: NoiseSettings | Mapping[str, Any], classes: Sequence[str], image_suffix: str | None = None
    ) -> None:
        """Read the settings.

        Args:
            settings: The noise: `name`, `rate`, `seed` and what else the model has (`adapt.noise.settings`).
            classes: Names of the classes in train id order: the data set's `metainfo["classes"]`.
            image_suffix: How file names of images end after their frame's name, such as `_leftImg8bit.png`: then the
                noise is that of `segshift data noise`. None: the file name less its extension is the name.

        Raises:
            ValidationError: A setting is wrong.
            SpecError: The settings name a class that there is not.
        """
        self.settings: NoiseSettings = TypeAdapter(NoiseSettings).validate_python(settings)
        self.classes = tuple(classes)
        self.image_suffix = image_suffix
        check_names(self.settings, self.classes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add noise to `gt_seg_map`, keyed by the file name in `img_path`.

        Args:
            results: What mmsegmentation's loading transforms made: `img_path`, and `gt_seg_map` (H, W) uint8.

        Returns:
            The same dict.

        Raises:
            SpecError: There is no label yet, or it holds ids that are no classes.
        """
        if "gt_seg_map" not in results:
            raise SpecError(
                "NoisyLabels found no `gt_seg_map`. Put it behind `LoadAnnotations` in the pipeline, and only where "
                "labels are read."
            )
        path = Path(results["img_path"])
        name = path.stem if self.image_suffix is None else path.name.removesuffix(self.image_suffix)
        results["gt_seg_map"] = add_noise(results["gt_seg_map"], self.settings, name, self.classes).label
        return results

    def __repr__(self) -> str:
        """Show the settings, as mmengine logs pipelines."""
        return f"{type(self).__name__}({self.settings!r})"
