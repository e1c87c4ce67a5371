"""What this package raises when it is asked for something that it cannot do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CorruptionError(ValueError):
    """An image, a name, a severity or a seed that cannot be used; the text says what was got and what is allowed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> CorruptionError:
    """Word the error for a name that is in no table, with the closest name that is.

    Args:
        kind: What the name should have named, such as "corruption".
        name: The name that was got.
        known: Every name that is allowed.

    Returns:
        The error, for the caller to raise.
    """
    names = sorted(known)
    closest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {closest[0]!r}? " if closest else ""
    return CorruptionError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")
