"""Reads one image or one label, and says which file it was when that fails."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from adapt.data.catalog import DatasetType, describe_dataset
from adapt.data.label_map import RawIds, apply_label_map
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"  # type and checksum of the chunk that closes every PNG file
_PNG_COLOR_TYPE = 25  # offset of the colour type in the header chunk
_PNG_PALETTE = 3
_SHOWN_IDS = 8  # how many wrong ids an error lists; ours, chosen to fit a line


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image.

    Args:
        path: The file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PrerequisiteError: The file is missing, cut short or no image, or has one channel or 16 bits; the text names it.
    """
    image = cv2.imdecode(np.frombuffer(_read_bytes(path), np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise _broken(path, "it cannot be decoded as an image")
    if image.ndim != 3 or image.dtype != np.uint8:
        raise PrerequisiteError(
            f"The image '{path}' has {_describe(image)}, but images here have 3 channels of uint8 (RGB). Check that it is no "
            "label, or convert it to 8-bit colour."
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_label(frame: Frame, settings: DatasetSettings) -> NDArray[np.uint8]:
    """Read a frame's label.

    Args:
        frame: A frame from `list_frames`.
        settings: The settings it was listed with.

    Returns:
        (H, W) uint8 train ids, 255 = ignore.

    Raises:
        PrerequisiteError: The frame has no label, or the file is missing, cut short or no label.
    """
    if frame.label is None:
        remedy = (
            "Add it below the data set's `labels`."
            if settings.type == "folder"
            else f"Choose a split with labels, or prepare them: segshift data prepare {settings.type} --root DIR"
        )
        raise PrerequisiteError(
            f"The frame '{frame.name}' ('{frame.image}') has no label, but a label is needed here. {remedy}"
        )
    return read_train_ids(frame.label, describe_dataset(settings))


def read_frame(frame: Frame, settings: DatasetSettings) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a frame's image and label and make sure that they cover the same pixels.

    Args:
        frame: A frame from `list_frames`.
        settings: The settings it was listed with.

    Returns:
        (H, W, 3) uint8 RGB image and (H, W) uint8 train ids, 255 = ignore.

    Raises:
        PrerequisiteError: As `read_image` and `read_label`, or their sizes differ.
    """
    image = read_image(frame.image)
    label = read_label(frame, settings)
    if image.shape[:2] != label.shape:
        raise PrerequisiteError(
            f"The label '{frame.label}' is {label.shape[1]}x{label.shape[0]} pixels but its image '{frame.image}' is "
            f"{image.shape[1]}x{image.shape[0]}. Unpack both again, or remove the pair."
        )
    return image, label


def read_train_ids(path: Path, dataset: DatasetType) -> NDArray[np.uint8]:
    """Read the label file that a data set's frames point at.

    Args:
        path: A converted label, or a label as published when the type is not converted.
        dataset: The data set's description.

    Returns:
        (H, W) uint8 train ids, 255 = ignore.

    Raises:
        PrerequisiteError: The file is missing, cut short or no label.
    """
    if not dataset.is_converted:
        raw = read_raw_label(path, dataset)
        if dataset.refuses_unknown_ids:
            _refuse_unknown_ids(path, raw, dataset)
        return apply_label_map(raw, dataset.label_map)
    label = _decode_label(path)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise _broken(path, f"a train id label has one 8-bit channel, this has {_describe(label)}")
    return label.astype(np.uint8, copy=False)


def read_raw_label(path: Path, dataset: DatasetType) -> RawIds:
    """Read a label as published.

    Args:
        path: The file.
        dataset: The data set's description.

    Returns:
        (H, W) ids of the publishers' own table, uint8 or uint16 as in the file. A palette file gives its indices.

    Raises:
        PrerequisiteError: The file is missing, cut short or no label.
    """
    label = _decode_label(path)
    if label.ndim == 2:
        return label
    if dataset.id_channel is None or label.shape[2] <= dataset.id_channel:
        raise _broken(path, f"a label of '{dataset.name}' holds one id a pixel, this has {_describe(label)}")
    return np.ascontiguousarray(label[..., dataset.id_channel])


def _refuse_unknown_ids(path: Path, raw: RawIds, dataset: DatasetType) -> None:
    # Counting is ten times faster than `np.unique`, which sorts.
    unknown = [index for index in np.flatnonzero(np.bincount(raw.ravel())).tolist() if index not in dataset.raw_ids]
    if unknown:
        shown = ", ".join(map(str, unknown[:_SHOWN_IDS])) + (", ..." if len(unknown) > _SHOWN_IDS else "")
        raise PrerequisiteError(
            f"The label '{path}' holds the ids {shown}, but {dataset.num_classes} classes have the ids 0 to "
            f"{dataset.num_classes - 1} (and 255 to ignore). Give the data set a `label_map` from the ids in its files to "
            f"these, such as {{{unknown[0]}: 0}}."
        )


def is_complete_png(path: Path) -> bool:
    """Tell, without decoding it, whether a file opens and closes like a PNG file.

    Args:
        path: The file; it need not exist.

    Returns:
        False when it is missing, something else or cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_PNG_SIGNATURE)) != _PNG_SIGNATURE:
                return False
            file.seek(-len(_PNG_END), io.SEEK_END)
            return file.read() == _PNG_END
    except OSError:
        return False


def _decode_label(path: Path) -> RawIds:
    data = _read_bytes(path)
    if data.startswith(_PNG_SIGNATURE) and data[_PNG_COLOR_TYPE] == _PNG_PALETTE:
        # OpenCV turns palette indices into colours, and several ids share a colour.
        try:
            with Image.open(io.BytesIO(data)) as image:
                return np.array(image, dtype=np.uint8)
        except (OSError, SyntaxError, UnidentifiedImageError) as error:
            raise _broken(path, f"it cannot be decoded ({error})") from error
    label = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if label is None:
        raise _broken(path, "it cannot be decoded as an image")
    return label


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    if not data:
        raise _broken(path, "it is empty")
    # Some versions of OpenCV give what they could decode of a file that is cut short.
    if data.startswith(_PNG_SIGNATURE) and _PNG_END not in data[-64:]:
        raise _broken(path, "it is cut short")
    return data


def _broken(path: Path, reason: str) -> PrerequisiteError:
    return PrerequisiteError(f"Cannot read '{path}': {reason}. Unpack or download this file again.")


def _describe(label: RawIds) -> str:
    channels = 1 if label.ndim == 2 else label.shape[2]
    return f"{channels} channel{'s' if channels > 1 else ''} of {label.dtype}"
