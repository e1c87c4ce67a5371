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
    return (
        None if settings.background is None else find_class(settings.background, classes, "`background` of the noise")
    )


def find_pairs(settings: FlipSettings, classes: Sequence[str]) -> dict[int, int]:
    """Return the train ids of `pairs`: class -> class that it is mistaken for.

    Args:
        settings: What they say of pairs.
        classes: Names of the data set's classes in train id order.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    key = "`pairs` of the noise"
    return {find_class(own, classes, key): find_class(other, classes, key) for own, other in settings.pairs.items()}


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


def find_absent(settings: NoiseSettings, classes: Sequence[str], pixels: Sequence[int]) -> list[str]:
    """Find the classes that the settings speak of and no label holds: `list_named` less those with pixels.

    Args:
        settings: The noise.
        classes: Names of the data set's classes in train id order.
        pixels: (K,) pixels of each class in all labels, in the same order.

    Returns:
        Their names, in train id order.

    Raises:
        SpecError: The data set has no class of a name in the settings; the text names the closest.
    """
    return [classes[index] for index in list_named(settings, classes) if pixels[index] == 0]


def require_present(settings: NoiseSettings, classes: Sequence[str], pixels: Sequence[int], labels: str) -> None:
    """Refuse settings that speak of a class that no label holds: nothing of what they ask for could happen.

    Args:
        settings: The noise.
        classes: Names of the data set's classes in train id order.
        pixels: (K,) pixels of each class in all labels, in the same order.
        labels: Which labels they are, for the error.

    Raises:
        SpecError: Names each such class, where the settings name it, and what to do.
    """
    absent = find_absent(settings, classes, pixels)
    if absent:
        named = " and ".join(f"`{_key_of(name, settings)}` names '{name}'" for name in absent)
        raise SpecError(
            f"In the noise {named}, which no label of {labels} holds. Name a class that occurs there, or choose other labels."
        )


def _key_of(name: str, settings: NoiseSettings) -> str:
    return "background" if name == settings.background else "pairs"


def find_class(name: str, classes: Sequence[str], key: str) -> int:
    """Return the train id of a class.

    Args:
        name: The class.
        classes: Names of the data set's classes in train id order.
        key: Which setting names it, for the message.

    Raises:
        SpecError: The data set has no such class; the text names the closest.
    """
    if name in classes:
        return list(classes).index(name)
    closest = difflib.get_close_matches(name, classes, n=1, cutoff=0.0)
    raise SpecError(
        f"{key} names '{name}', which is no class of this data set. Allowed: {', '.join(classes)}. "
        f"The closest is '{closest[0]}'."
    )
