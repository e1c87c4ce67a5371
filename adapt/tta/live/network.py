"""The network of a live stream, the names of its classes and their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapt.data.catalog import (
    CAMVID_CLASSES,
    CAMVID_PALETTE,
    CITYSCAPES_CLASSES,
    CITYSCAPES_PALETTE,
    Color,
    make_palette,
)
from adapt.errors import SpecError
from adapt.model import ModelSettings
from adapt.openmmlab.checkpoint import WEIGHTS_FILE, load_artifact, load_checkpoint, load_weights
from adapt.openmmlab.model import build_model, resolve_config

_KNOWN = ((CITYSCAPES_CLASSES, CITYSCAPES_PALETTE), (CAMVID_CLASSES, CAMVID_PALETTE))
_OUTPUT_LAYER = "decode_head.conv_seg.weight"  # of every head of mmsegmentation that classifies pixels one by one


@dataclass(frozen=True)
class LiveNetwork:
    """A network that is ready to predict.

    Attributes:
        model: in eval mode, on the CPU.
        classes: names, in the order of its outputs.
        palette: RGB of each class.
        classes_from: where the names come from, for the record.
        weights: the file that it was loaded from.
    """

    model: nn.Module
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    classes_from: str
    weights: Path


def load_trained(folder: Path) -> LiveNetwork:
    """Load a network that a stage of segshift trained.

    Args:
        folder: with `model.json` and `checkpoint.pth`.

    Returns:
        The network.

    Raises:
        PrerequisiteError: if the folder holds no such network.
    """
    model, classes = load_artifact(folder)
    return LiveNetwork(model, classes, choose_palette(classes), "checkpoint", folder / WEIGHTS_FILE)


def load_with_weights(config: str, weights: Path) -> LiveNetwork:
    """Build a network from a config and load its weights.

    Args:
        config: the name or path of a config.
        weights: a checkpoint that fits it. Class names and colours are taken from it where mmengine wrote them there;
            otherwise 19 classes are taken for those of Cityscapes and 11 for those of CamVid, and others are numbered.

    Returns:
        The network.

    Raises:
        SpecError: if there is no such config, or the number of classes cannot be told.
        PrerequisiteError: if the weights are missing, damaged or do not fit.
    """
    settings = ModelSettings(config=config)
    checkpoint = load_checkpoint(weights)
    written = _read_classes(checkpoint.get("meta"))
    if written is not None:
        classes, palette = written
        origin = "checkpoint"
    else:
        classes, origin = _guess_classes(_count_classes(checkpoint, weights))
        palette = None
    model = build_model(resolve_config(settings, len(classes)), seed=0)
    load_weights(model, weights)
    return LiveNetwork(model.eval(), classes, palette or choose_palette(classes), origin, weights)


def choose_palette(classes: Sequence[str]) -> tuple[Color, ...]:
    """Choose the colours that people know for classes of Cityscapes or of CamVid, and distinct ones for all others.

    Args:
        classes: names; all of them must be of one of the two data sets, in any number and order.

    Returns:
        RGB of each class.
    """
    for names, colors in _KNOWN:
        known = {name.lower(): color for name, color in zip(names, colors, strict=True)}
        if all(name.lower() in known for name in classes):
            return tuple(known[name.lower()] for name in classes)
    return make_palette(len(classes))


def _read_classes(meta: Any) -> tuple[tuple[str, ...], tuple[Color, ...] | None] | None:
    """Read names and colours as mmsegmentation 1 (`dataset_meta`) or 0 (`CLASSES`), or segshift, wrote them."""
    if not isinstance(meta, Mapping):
        return None
    inner = meta.get("dataset_meta")
    places: list[Mapping[str, Any]] = [meta, *([inner] if isinstance(inner, Mapping) else [])]
    for place in places:
        for classes_key, palette_key in (("classes", "palette"), ("CLASSES", "PALETTE")):
            names = place.get(classes_key)
            if isinstance(names, list | tuple) and names:
                palette = place.get(palette_key)
                fits = isinstance(palette, list | tuple) and len(palette) == len(names)
                colors = tuple((int(r), int(g), int(b)) for r, g, b in palette) if fits and palette else None
                return tuple(map(str, names)), colors
    return None


def _count_classes(checkpoint: Mapping[str, Any], weights: Path) -> int:
    layers: Any = checkpoint.get("state_dict", checkpoint)
    for prefix in ("", "module."):
        layer = layers.get(prefix + _OUTPUT_LAYER) if isinstance(layers, Mapping) else None
        if isinstance(layer, Tensor):
            return int(layer.shape[0])
    raise SpecError(
        f"{weights} does not tell how many classes its network has: it names none, and has no {_OUTPUT_LAYER}. Train with "
        "segshift and give --checkpoint, or add `meta: {classes: [...]}` to the file."
    )


def _guess_classes(count: int) -> tuple[tuple[str, ...], str]:
    for (names, _), title in zip(_KNOWN, ("Cityscapes", "CamVid"), strict=True):
        if len(names) == count:
            return names, f"guessed: {count} classes, as {title} has"
    return tuple(f"class {index}" for index in range(count)), "not known: numbered"
