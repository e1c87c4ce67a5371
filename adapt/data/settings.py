"""Which frames of which data set a stage reads; where the data set lies is passed beside as `root`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from adapt.settings import Settings

Pixels = Annotated[int, Field(gt=0)]


class DatasetSettings(Settings):
    """A choice of frames: part of a task's identity, so it holds no path of any machine.

    Attributes:
        type: A name in `adapt.data.catalog.DATASET_TYPES`.
        split: One split, or several that are read as one.
        subset: ACDC conditions or CamVid sequences; empty means all of them.
        every: Take every n-th frame in path order, from the first: video frames a second apart say little new.
        resize: (width, height) in pixels: each image is scaled by one factor to fit inside before it reaches the network,
            in training and in testing alike (`adapt.data.resize`); predictions come back at the image's own size. None
            leaves images at their own size.
    """

    type: str
    split: str | tuple[str, ...]
    subset: tuple[str, ...] = ()
    every: int = Field(default=1, gt=0)
    resize: tuple[Pixels, Pixels] | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The chosen splits, always as a tuple."""
        return (self.split,) if isinstance(self.split, str) else self.split


FOLDER_TYPE = "folder"
FOLDER_SPLIT = "all"


class FolderSettings(DatasetSettings):
    """Frames of one's own: a folder of images and a folder of labels, with names for the classes.

    Attributes:
        root: The folder that holds both; None looks for it where data sets of other types are. A place and no part of a
            task's identity, so it is left out when settings are dumped.
        classes: Names of the classes in train id order: all that a network is to tell apart.
        images: Folder of the images in the root; folders in it are read too.
        labels: Folder of the labels in the root; it need not exist for the target of an adaptation.
        image_suffix: How the name of an image ends after what its label's name has in common with it.
        label_suffix: The same for labels: images of one channel, a class id a pixel (or palette images, read as indices).
        label_map: Id in the files -> train id, or 255 to ignore it; ids that are not named are ignored. None says that the
            files hold train ids and 255 already, and any other id is refused.
    """

    type: Literal["folder"] = "folder"
    split: str | tuple[str, ...] = FOLDER_SPLIT
    root: Path | None = Field(default=None, exclude=True)
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=255)]
    images: str = "images"
    labels: str = "labels"
    image_suffix: str = Field(default=".png", min_length=1)
    label_suffix: str = Field(default=".png", min_length=1)
    label_map: dict[Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]] | None = None

    @model_validator(mode="after")
    def _check_names(self) -> FolderSettings:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name. Name each once")
        for key, place in (("images", self.images), ("labels", self.labels)):
            path = PurePosixPath(place)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"`{key}` is a folder in `root`, such as `{key}: {key}`, and not '{place}'")
        if (self.images, self.image_suffix) == (self.labels, self.label_suffix):
            raise ValueError("images and labels have the same folder and suffix. Give them different ones")
        for raw, train in (self.label_map or {}).items():
            if train >= len(self.classes) and train != 255:
                raise ValueError(
                    f"`label_map` gives {train} for {raw}, but {len(self.classes)} classes have the train ids 0 to "
                    f"{len(self.classes) - 1} (and 255 to ignore)"
                )
        return self


def _choose_settings(raw: Any) -> str:
    """Name the class that raw settings are of: an error's location names it too."""
    kind = raw.get("type") if isinstance(raw, dict) else getattr(raw, "type", None)
    return FolderSettings.__name__ if kind == FOLDER_TYPE else DatasetSettings.__name__


AnyDatasetSettings = Annotated[
    Annotated[DatasetSettings, Tag(DatasetSettings.__name__)] | Annotated[FolderSettings, Tag(FolderSettings.__name__)],
    Discriminator(_choose_settings),
]
"""What an experiment's file may hold for a data set: one of the published ones, or a folder of one's own."""
