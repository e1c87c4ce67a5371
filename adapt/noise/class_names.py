"""The classes that noise settings name, as train ids."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from adapt.errors import SpecError
from adapt.noise.settings import FlipSettings, NoiseSettings


def find_background(settings: NoiseSettings, classes: Sequence[str]) -> int | None:
    """Return the train id of the background, None where the settings name none.

    Args:
        settings: What they say of the background.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    return None if settings.background is None else _find(settings.background, classes, "background")


def find_pairs(settings: FlipSettings, classes: Sequence[str]) -> dict[int, int]:
    """Return the train ids of `pairs`: class -> class that it is mistaken for.

    Args:
        settings: What they say of pairs.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    return {_find(own, classes, "pairs"): _find(other, classes, "pairs") for own, other in settings.pairs.items()}


def list_named(settings: NoiseSettings, classes: Sequence[str]) -> list[int]:
    """List the train ids of the classes whose pixels the settings speak of: the background, and what pairs turn.

    Args:
        settings: The noise.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    background = find_background(settings, classes)
    pairs = find_pairs(settings, classes) if isinstance(settings, FlipSettings) else {}
    return sorted({*pairs, *([] if background is None else [background])})


def _find(name: str, classes: Sequence[str], key: str) -> int:
    if name in classes:
        return list(classes).index(name)
    closest = difflib.get_close_matches(name, classes, n=1, cutoff=0.0)
    raise SpecError(
        f"`{key}` of the noise names '{name}', which is no class of this data set. Allowed: {', '.join(classes)}. "
        f"The closest is '{closest[0]}'."
    )
