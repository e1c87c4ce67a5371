"""The data sets that segshift knows: classes, colours, splits, and where their files lie."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapt.data.label_map import (
    CAMVID_LABEL_MAP,
    CAMVID_RAW_IDS,
    CITYSCAPES_LABEL_MAP,
    CITYSCAPES_RAW_IDS,
    GTA_LABEL_MAP,
    GTA_RAW_IDS,
    IGNORE,
    SYNTHIA_LABEL_MAP,
    SYNTHIA_RAW_IDS,
)
from adapt.data.settings import FOLDER_SPLIT, FOLDER_TYPE, DatasetSettings, FolderSettings
from adapt.errors import SpecError

Color = tuple[int, int, int]

# cityscapesScripts, helpers/labels.py, in trainId order; colours are RGB.
CITYSCAPES_CLASSES: tuple[str, ...] = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
CITYSCAPES_PALETTE: tuple[Color, ...] = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip

# alexgkendall/SegNet-Tutorial, Scripts/test_segmentation_camvid.py; colours are RGB.
CAMVID_CLASSES: tuple[str, ...] = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
CAMVID_PALETTE: tuple[Color, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip

# The protocols of SYNTHIA -> Cityscapes: the 16 classes that SYNTHIA has frames of, and those less three.
SYNTHIA_16_CLASSES: tuple[str, ...] = tuple(c for c in CITYSCAPES_CLASSES if c not in ("terrain", "truck", "train"))
SYNTHIA_13_CLASSES: tuple[str, ...] = tuple(c for c in SYNTHIA_16_CLASSES if c not in ("wall", "fence", "pole"))

ACDC_CONDITIONS: tuple[str, ...] = ("fog", "night", "rain", "snow")
CAMVID_SEQUENCES: tuple[str, ...] = ("0001TP", "0006R0", "0016E5", "Seq05VD")


@dataclass(frozen=True)
class DatasetType:
    """One data set as its publishers lay it out.

    Attributes:
        name: Its key in `DATASET_TYPES`.
        splits: The splits that can be asked for.
        subsets: The subsets that can be asked for; empty when it has none.
        label_map: Raw label id -> train id; ids not named are ignored (255).
        raw_ids: Every id that the publishers' table holds; another one in a raw label is a damaged file.
        images: Folder of the images under the root, with `{split}` and `{subset}` to fill in.
        labels: Folder of the labels, likewise.
        image_suffix: How an image's file name ends after the stem that its label shares.
        raw_label_suffix: The same for the label as published.
        label_suffix: The same for the label that is read; equal to `raw_label_suffix` when nothing is converted.
        classes: Class names in train id order.
        palette: RGB colour of each class.
        subset_by: Whether a subset is a folder of its own or the start of the file name.
        unlabelled_splits: Splits whose labels were never published.
        id_channel: Channel of a raw label (in OpenCV's order) that holds the id; None when it has one channel only.
        train_split: The split that class statistics are counted on.
        refuses_unknown_ids: Whether a label that holds another id than `raw_ids` cannot be read (else: is ignored there).
        reported_subsets: Name of a score -> the classes that it is the mean IoU of, beside the mean over all classes,
            for networks that were trained on this data set.
    """

    name: str
    splits: tuple[str, ...]
    subsets: tuple[str, ...]
    label_map: Mapping[int, int]
    raw_ids: frozenset[int]
    images: str
    labels: str
    image_suffix: str
    raw_label_suffix: str
    label_suffix: str
    classes: tuple[str, ...] = CITYSCAPES_CLASSES
    palette: tuple[Color, ...] = CITYSCAPES_PALETTE
    subset_by: Literal["folder", "name"] = "folder"
    unlabelled_splits: frozenset[str] = frozenset()
    id_channel: int | None = None
    train_split: str = "train"
    refuses_unknown_ids: bool = False
    reported_subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """The number of classes K."""
        return len(self.classes)

    @property
    def is_converted(self) -> bool:
        """Whether `segshift data prepare` must write train id labels before the data set can be read."""
        return self.label_suffix != self.raw_label_suffix


DATASET_TYPES: dict[str, DatasetType] = {
    # Domain adaptation trains on all 24,966 frames; the authors' own split (split.mat) is not used, present or not.
    "gta": DatasetType(
        name="gta",
        splits=("train",),
        subsets=(),
        label_map=GTA_LABEL_MAP,
        raw_ids=GTA_RAW_IDS,
        images="images",
        labels="labels",
        image_suffix=".png",
        raw_label_suffix=".png",
        label_suffix="_labelTrainIds.png",
    ),
    "synthia": DatasetType(
        name="synthia",
        splits=("train",),
        subsets=(),
        label_map=SYNTHIA_LABEL_MAP,
        raw_ids=SYNTHIA_RAW_IDS,
        images="RGB",
        labels="GT/LABELS",
        image_suffix=".png",
        raw_label_suffix=".png",
        label_suffix="_labelTrainIds.png",
        id_channel=2,
        reported_subsets={"mIoU16": SYNTHIA_16_CLASSES, "mIoU13": SYNTHIA_13_CLASSES},
    ),
    "cityscapes": DatasetType(
        name="cityscapes",
        splits=("train", "val"),
        subsets=(),
        label_map=CITYSCAPES_LABEL_MAP,
        raw_ids=CITYSCAPES_RAW_IDS,
        images="leftImg8bit/{split}",
        labels="gtFine/{split}",
        image_suffix="_leftImg8bit.png",
        raw_label_suffix="_gtFine_labelIds.png",
        label_suffix="_gtFine_labelTrainIds.png",
    ),
    "acdc": DatasetType(
        name="acdc",
        splits=("train", "val"),
        subsets=ACDC_CONDITIONS,
        label_map=CITYSCAPES_LABEL_MAP,
        raw_ids=CITYSCAPES_RAW_IDS,
        images="rgb_anon/{subset}/{split}",
        labels="gt/{subset}/{split}",
        image_suffix="_rgb_anon.png",
        raw_label_suffix="_gt_labelIds.png",
        label_suffix="_gt_labelTrainIds.png",
    ),
    "dark_zurich": DatasetType(
        name="dark_zurich",
        splits=("train", "val"),
        subsets=(),
        label_map=CITYSCAPES_LABEL_MAP,
        raw_ids=CITYSCAPES_RAW_IDS,
        images="rgb_anon/{split}/night",
        labels="gt/{split}/night",
        image_suffix="_rgb_anon.png",
        raw_label_suffix="_gt_labelIds.png",
        label_suffix="_gt_labelTrainIds.png",
        unlabelled_splits=frozenset({"train"}),
    ),
    "camvid": DatasetType(
        name="camvid",
        classes=CAMVID_CLASSES,
        palette=CAMVID_PALETTE,
        splits=("train", "val", "test"),
        subsets=CAMVID_SEQUENCES,
        label_map=CAMVID_LABEL_MAP,
        raw_ids=CAMVID_RAW_IDS,
        images="{split}",
        labels="{split}annot",
        image_suffix=".png",
        raw_label_suffix=".png",
        label_suffix=".png",
        subset_by="name",
    ),
}


TYPE_NAMES: tuple[str, ...] = (*DATASET_TYPES, FOLDER_TYPE)
"""What `type` of a data set may be."""


def find_type(name: str) -> DatasetType:
    """Look a data set up by name.

    Args:
        name: A key of `DATASET_TYPES`.

    Returns:
        Its description.

    Raises:
        SpecError: There is none of that name; the text lists those there are. A `folder` cannot be described by its name.
    """
    if name == FOLDER_TYPE:
        raise SpecError(
            f"'{FOLDER_TYPE}' is a data set of your own: only the file of an experiment says what it holds. It is read as it "
            "is, so there is nothing to prepare. Describe it under `datasets` (docs/data.md, 'Your own data'); "
            "`segshift plan FILE` then names folders and files that are missing."
        )
    if name not in DATASET_TYPES:
        raise SpecError(_explain("data set type", name, TYPE_NAMES))
    return DATASET_TYPES[name]


def describe_dataset(settings: DatasetSettings) -> DatasetType:
    """Describe the data set that settings choose from: a published one, or a folder of the user's own.

    Args:
        settings: The choice; its splits and subsets are not looked at.

    Returns:
        The description: classes, folders, label map.

    Raises:
        SpecError: There is no such type.
    """
    if not isinstance(settings, FolderSettings):
        return find_type(settings.type)
    own = {index: index for index in range(len(settings.classes))} | {IGNORE: IGNORE}
    return DatasetType(
        name=FOLDER_TYPE,
        splits=(FOLDER_SPLIT,),
        subsets=(),
        label_map=own if settings.label_map is None else settings.label_map,
        raw_ids=frozenset(own) if settings.label_map is None else frozenset(range(256)),
        images=_escape(settings.images),
        labels=_escape(settings.labels),
        image_suffix=settings.image_suffix,
        raw_label_suffix=settings.label_suffix,
        label_suffix=settings.label_suffix,
        classes=settings.classes,
        palette=make_palette(len(settings.classes)),
        train_split=FOLDER_SPLIT,
        refuses_unknown_ids=settings.label_map is None,
    )


def make_palette(count: int) -> tuple[Color, ...]:
    """Make colours that are told apart at a glance: PASCAL VOC's colour map (VOCdevkit, `VOClabelcolormap.m`).

    Args:
        count: How many colours, at most 255.

    Returns:
        RGB colours, from the map's index 1 on: its index 0 is the background's black.
    """

    def pick(index: int, channel: int) -> int:
        return sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))

    return tuple((pick(index, 0), pick(index, 1), pick(index, 2)) for index in range(1, count + 1))


def _escape(folder: str) -> str:
    return folder.replace("{", "{{").replace("}", "}}")


def check_selection(settings: DatasetSettings) -> DatasetType:
    """Refuse a type, split or subset that does not exist, without touching the disk.

    Args:
        settings: The choice to check.

    Returns:
        The description of its type.

    Raises:
        SpecError: Names the key, what was given, what is allowed and the closest of it.
    """
    dataset = describe_dataset(settings)
    if not settings.splits:
        raise SpecError(f"No split of data set type '{dataset.name}' is given. Allowed: {', '.join(dataset.splits)}.")
    _check_names("split", settings.splits, dataset.splits, dataset.name)
    _check_names("subset", settings.subset, dataset.subsets, dataset.name)
    return dataset


def _check_names(key: str, given: tuple[str, ...], allowed: tuple[str, ...], type_name: str) -> None:
    for name in given:
        if name not in allowed:
            raise SpecError(_explain(f"{key} of data set type '{type_name}'", name, allowed))
        if given.count(name) > 1:
            raise SpecError(f"The {key} '{name}' of data set type '{type_name}' is given twice. Name it once.")


def _explain(what: str, got: str, allowed: tuple[str, ...]) -> str:
    if not allowed:
        return f"'{got}' is no {what}: it has none. Leave the key out."
    text = f"'{got}' is no {what}. Allowed: {', '.join(allowed)}."
    closest = difflib.get_close_matches(got, allowed, n=1, cutoff=0.0)
    return f"{text} The closest is '{closest[0]}'."
