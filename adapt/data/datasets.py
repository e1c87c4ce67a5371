"""The data sets as mmsegmentation names them in a config: `dict(type="SegshiftACDC", data_root=..., split="val")`.

The names begin with `Segshift` so that they meet neither mmsegmentation's own nor those of other UDA code bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from adapt.data.catalog import DATASET_TYPES
from adapt.data.label_map import IGNORE
from adapt.data.layout import list_frames
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.openmmlab import DATASETS, BaseSegDataset


class FrameDataset(BaseSegDataset):
    """The frames of one data set, for a mmsegmentation pipeline that begins with loading image and annotations.

    Attributes:
        dataset_type: The key in `DATASET_TYPES`; each data set's class sets its own.
    """

    dataset_type: ClassVar[str]

    def __init__(
        self,
        split: str | Sequence[str],
        data_root: str | Path | None = None,
        subset: Sequence[str] = (),
        require_labels: bool = True,
        **kwargs: Any,
    ) -> None:
        """List the frames.

        Args:
            split: One split or several.
            data_root: The data set's own folder.
            subset: ACDC conditions or CamVid sequences; empty means all.
            require_labels: If not, frames without a label are listed too (as the target of an adaptation).
            kwargs: What `BaseSegDataset` takes: `pipeline`, `metainfo`, `test_mode`, `indices` ...

        Raises:
            SpecError: No root is given, or split or subset do not exist.
            PrerequisiteError: Files are missing or labels not prepared.
        """
        if data_root is None:
            raise SpecError(f"{type(self).__name__} needs `data_root`: the folder that '{self.dataset_type}' lies in.")
        self._settings = DatasetSettings(
            type=self.dataset_type,
            split=split if isinstance(split, str) else tuple(split),
            subset=tuple(subset),
        )
        self._require_labels = require_labels
        super().__init__(data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Describe each frame as mmsegmentation's loading transforms expect it.

        Returns:
            One dict a frame; `seg_map_path` is left out where it has no label, and `label_map` turns the ids of the
            file into train ids (None where they are the same).
        """
        label_map = self._map_file_ids()
        described: list[dict[str, Any]] = []
        for frame in list_frames(self._settings, Path(self.data_root), self._require_labels):
            entry: dict[str, Any] = {
                "img_path": str(frame.image),
                "label_map": label_map,
                "reduce_zero_label": self.reduce_zero_label,
                "seg_fields": [],
            }
            if frame.label is not None:
                entry["seg_map_path"] = str(frame.label)
            described.append(entry)
        return described

    def _map_file_ids(self) -> dict[int, int] | None:
        """Join the map from file ids to train ids with the one that `metainfo` asks for, if it chooses classes."""
        dataset = DATASET_TYPES[self.dataset_type]
        chosen: dict[int, int] | None = self.label_map
        if dataset.is_converted:
            return chosen
        joined: dict[int, int] = {}
        for raw in dataset.raw_ids:
            train = dataset.label_map.get(raw, IGNORE)
            joined[raw] = train if chosen is None else chosen.get(train, IGNORE)
        return {raw: train for raw, train in joined.items() if raw != train} or None


def _describe(name: str) -> dict[str, Any]:
    dataset = DATASET_TYPES[name]
    return {"classes": dataset.classes, "palette": [list(color) for color in dataset.palette]}


@DATASETS.register_module()
class SegshiftGTA(FrameDataset):
    """GTA (Playing for Data): rendered, 1914x1052; all frames are split `train`."""

    dataset_type = "gta"
    METAINFO = _describe("gta")


@DATASETS.register_module()
class SegshiftSYNTHIA(FrameDataset):
    """SYNTHIA-RAND-CITYSCAPES: rendered, 1280x760; all frames are split `train`."""

    dataset_type = "synthia"
    METAINFO = _describe("synthia")


@DATASETS.register_module()
class SegshiftCityscapes(FrameDataset):
    """Cityscapes with fine labels: 2048x1024."""

    dataset_type = "cityscapes"
    METAINFO = _describe("cityscapes")


@DATASETS.register_module()
class SegshiftACDC(FrameDataset):
    """ACDC: 1920x1080; subsets fog, night, rain and snow."""

    dataset_type = "acdc"
    METAINFO = _describe("acdc")


@DATASETS.register_module()
class SegshiftDarkZurich(FrameDataset):
    """Dark Zurich by night: 1920x1080; split `train` has no labels."""

    dataset_type = "dark_zurich"
    METAINFO = _describe("dark_zurich")


@DATASETS.register_module()
class SegshiftCamVid(FrameDataset):
    """CamVid in the SegNet split: 480x360, 11 classes; subsets are its sequences."""

    dataset_type = "camvid"
    METAINFO = _describe("camvid")
